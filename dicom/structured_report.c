/* structured_report.c: TID 1500 "Imaging Measurement Report" as a Comprehensive 3D SR.
 *
 * Imaging Measurement Report
 *   language, observer (the algorithm), procedure reported
 *   Imaging Measurements
 *     Measurement Group per outline (TID 1410) or per image without one (TID 1501)
 *       tracking identifier and UID, finding, algorithm identification (TID 4019),
 *       image region or source image, probability of cancer in percent, comment
 *
 * Codes: PS3.16 annex D (DCM) and SNOMED CT as the templates name them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dicom/derived_internal.h"

typedef struct code {
    const char *value, *scheme, *meaning;
} code;

static void put_code(mg_dicom_dataset *s, uint32_t tag, code c) {
    mg_dicom_put_code(s, tag, c.value, c.scheme, c.meaning);
}

/* One content item below `parent`. */
static mg_dicom_dataset *add(mg_dicom_dataset *parent, const char *relationship, const char *type,
                             code name) {
    mg_dicom_dataset *item = mg_dicom_put_item(parent, 0x0040A730);
    mg_dicom_put_text(item, 0x0040A010, relationship);
    mg_dicom_put_text(item, 0x0040A040, type);
    if (name.value) put_code(item, 0x0040A043, name);
    return item;
}

static void add_text(mg_dicom_dataset *parent, const char *relationship, code name,
                     const char *text) {
    mg_dicom_put_text(add(parent, relationship, "TEXT", name), 0x0040A160, text);
}

static void add_code(mg_dicom_dataset *parent, const char *relationship, code name, code value) {
    put_code(add(parent, relationship, "CODE", name), 0x0040A168, value);
}

static void add_uid(mg_dicom_dataset *parent, const char *relationship, code name,
                    const char *uid) {
    mg_dicom_put_text(add(parent, relationship, "UIDREF", name), 0x0040A124, uid);
}

static mg_dicom_dataset *add_container(mg_dicom_dataset *parent, code name) {
    mg_dicom_dataset *item = add(parent, "CONTAINS", "CONTAINER", name);
    mg_dicom_put_text(item, 0x0040A050, "SEPARATE");
    return item;
}

static void put_template(mg_dicom_dataset *s, const char *identifier) {
    mg_dicom_dataset *item = mg_dicom_put_item(s, 0x0040A504);
    mg_dicom_put_text(item, 0x00080105, "DCMR");
    mg_dicom_put_text(item, 0x0040DB00, identifier);
}

/* --- content ---------------------------------------------------------------------------------- */

static void add_observer(mg_dicom_dataset *root, const mg_dicom_author *author) {
    char uid[65], seed[400];
    snprintf(seed, sizeof seed, "device observer|%.120s|%.120s", mg_dicom_algorithm(author),
             mg_dicom_version(author));
    mg_dicom_uid_from(seed, uid);
    add_code(root, "HAS OBS CONTEXT", (code){"121005", "DCM", "Observer Type"},
             (code){"121007", "DCM", "Device"});
    add_uid(root, "HAS OBS CONTEXT", (code){"121012", "DCM", "Device Observer UID"}, uid);
    add_text(root, "HAS OBS CONTEXT", (code){"121013", "DCM", "Device Observer Name"},
             mg_dicom_algorithm(author));
    add_text(root, "HAS OBS CONTEXT", (code){"121014", "DCM", "Device Observer Manufacturer"},
             "mammograd");
    add_text(root, "HAS OBS CONTEXT", (code){"121015", "DCM", "Device Observer Model Name"},
             mg_dicom_algorithm(author));
}

/* TID 4019. */
static void add_algorithm(mg_dicom_dataset *group, const mg_dicom_author *author) {
    add_text(group, "HAS CONCEPT MOD", (code){"111001", "DCM", "Algorithm Name"},
             mg_dicom_algorithm(author));
    add_text(group, "HAS CONCEPT MOD", (code){"111003", "DCM", "Algorithm Version"},
             mg_dicom_version(author));
    if (author && author->parameters)
        add_text(group, "HAS CONCEPT MOD", (code){"111002", "DCM", "Algorithm Parameters"},
                 author->parameters);
}

static void put_image_reference(mg_dicom_dataset *item, const mg_dicom *source) {
    mg_dicom_put_reference(mg_dicom_put_item(item, 0x00081199), source);
}

/* A closed polyline: the last point is the first. */
static bool add_region(mg_dicom_dataset *group, const mg_dicom_finding *f,
                       const mg_dicom_outline *outline) {
    size_t n = outline->count;
    if (n < 3) return false;
    bool closed = outline->points[0] == outline->points[2 * n - 2] &&
                  outline->points[1] == outline->points[2 * n - 1];
    double *data = malloc((n + 1) * 2 * sizeof *data);
    if (!data) return false;
    for (size_t i = 0; i < 2 * n; i++) data[i] = (double)outline->points[i];
    data[2 * n] = data[0];
    data[2 * n + 1] = data[1];
    mg_dicom_dataset *region =
        add(group, "CONTAINS", "SCOORD", (code){"111030", "DCM", "Image Region"});
    mg_dicom_put_text(region, 0x00700023, "POLYLINE");
    mg_dicom_put_doubles(region, 0x00700022, data, 2 * (closed ? n : n + 1));
    put_image_reference(add(region, "SELECTED FROM", "IMAGE", (code){0}), f->source);
    free(data);
    return true;
}

static bool add_group(mg_dicom_dataset *measurements, const mg_dicom_finding *f, size_t finding,
                      const mg_dicom_outline *outline, size_t number,
                      const mg_dicom_author *author) {
    char uid[65], purpose[60];
    mg_dicom_dataset *group =
        add_container(measurements, (code){"125007", "DCM", "Measurement Group"});
    put_template(group, outline ? "1410" : "1501");
    snprintf(purpose, sizeof purpose, "tracking %zu", number);
    mg_dicom_derive_uid(f->source, author, purpose, 0x00080018, uid);
    char identifier[60];
    snprintf(identifier, sizeof identifier, "Image %zu finding %zu", finding + 1, number + 1);
    add_text(group, "HAS OBS CONTEXT", (code){"112039", "DCM", "Tracking Identifier"}, identifier);
    add_uid(group, "HAS OBS CONTEXT", (code){"112040", "DCM", "Tracking Unique Identifier"}, uid);
    add_algorithm(group, author);
    add_code(group, "CONTAINS", (code){"121071", "DCM", "Finding"},
             (code){"52988006", "SCT", "Lesion"});
    if (outline) {
        if (!add_region(group, f, outline)) return false;
    } else {
        put_image_reference(
            add(group, "CONTAINS", "IMAGE", (code){"121112", "DCM", "Source of Measurement"}),
            f->source);
    }
    mg_dicom_dataset *value =
        add(group, "CONTAINS", "NUM", (code){"111047", "DCM", "Probability of cancer"});
    mg_dicom_dataset *measured = mg_dicom_put_item(value, 0x0040A300);
    put_code(measured, 0x004008EA, (code){"%", "UCUM", "Percent"});
    mg_dicom_put_double(measured, 0x0040A30A, round(f->probability * 1e6) / 1e4);
    add_text(group, "CONTAINS", (code){"121106", "DCM", "Comment"}, MG_DICOM_RESEARCH);
    return true;
}

static bool put_content(mg_dicom_dataset *s, const mg_dicom_finding *findings, size_t count,
                        const mg_dicom_author *author) {
    mg_dicom_put_text(s, 0x0040A040, "CONTAINER");
    put_code(s, 0x0040A043, (code){"126000", "DCM", "Imaging Measurement Report"});
    mg_dicom_put_text(s, 0x0040A050, "SEPARATE");
    put_template(s, "1500");
    add_code(s, "HAS CONCEPT MOD",
             (code){"121049", "DCM", "Language of Content Item and Descendants"},
             (code){"en-US", "RFC5646", "English (United States)"});
    add_observer(s, author);
    add_code(s, "HAS CONCEPT MOD", (code){"121058", "DCM", "Procedure reported"},
             (code){"71651007", "SCT", "Mammography"});
    mg_dicom_dataset *measurements =
        add_container(s, (code){"126010", "DCM", "Imaging Measurements"});
    for (size_t i = 0; i < count; i++) {
        const mg_dicom_finding *f = &findings[i];
        if (f->outline_count == 0 && !add_group(measurements, f, i, NULL, 0, author)) return false;
        for (size_t k = 0; k < f->outline_count; k++)
            if (!add_group(measurements, f, i, &f->outlines[k], k, author)) return false;
    }
    return true;
}

/* --- the document ----------------------------------------------------------------------------- */

/* (0040,A375): every image that is referred to, by series. */
static void put_evidence(mg_dicom_dataset *s, const mg_dicom_finding *findings, size_t count) {
    char study[100] = "", series[100], other[100];
    mg_dicom_dataset *item = mg_dicom_put_item(s, 0x0040A375);
    mg_dicom_text(findings[0].source, 0x0020000D, study, sizeof study);
    mg_dicom_put_text(item, 0x0020000D, study);
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        mg_dicom_text(findings[i].source, 0x0020000E, series, sizeof series);
        for (size_t k = 0; k < i && !seen; k++) {
            mg_dicom_text(findings[k].source, 0x0020000E, other, sizeof other);
            seen = strcmp(series, other) == 0;
        }
        if (seen) continue;
        mg_dicom_dataset *one = mg_dicom_put_item(item, 0x00081115);
        mg_dicom_put_text(one, 0x0020000E, series);
        for (size_t k = i; k < count; k++) {
            mg_dicom_text(findings[k].source, 0x0020000E, other, sizeof other);
            if (strcmp(series, other) == 0)
                mg_dicom_put_reference(mg_dicom_put_item(one, 0x00081199), findings[k].source);
        }
    }
}

static void put_document(mg_dicom_dataset *s, const mg_dicom *first,
                         const mg_dicom_author *author) {
    char uid[65];
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.88.34");
    mg_dicom_derive_uid(first, author, "report", 0x00080018, uid);
    mg_dicom_put_text(s, 0x00080018, uid);
    mg_dicom_put_patient_and_study(s, first);
    mg_dicom_derive_uid(first, author, "report series", 0x0020000E, uid);
    mg_dicom_put_text(s, 0x0020000E, uid);
    mg_dicom_put_text(s, 0x00080060, "SR");
    mg_dicom_put_int(s, 0x00200011, author && author->series_number ? author->series_number : 9001);
    mg_dicom_put_text(s, 0x0008103E,
                      author && author->series_description ? author->series_description
                                                           : "AI findings - RESEARCH USE ONLY");
    mg_dicom_put_empty(s, 0x00081111);
    int64_t number = 1; /* reports of one series must not have the same */
    mg_dicom_int(first, 0x00200013, &number);
    mg_dicom_put_int(s, 0x00200013, number);
    mg_dicom_put_device(s, author);
    mg_dicom_put_text(s, 0x00181000, "none"); /* type 1, but software has no serial number */
    mg_dicom_put_text(s, 0x0040A491, "COMPLETE");
    mg_dicom_put_text(s, 0x0040A492, MG_DICOM_RESEARCH);
    mg_dicom_put_text(s, 0x0040A493, "UNVERIFIED");
    mg_dicom_put_text(s, 0x0040A496, "PRELIMINARY");
    mg_dicom_put_empty(s, 0x0040A372);
}

static mg_dicom_status check(const mg_dicom_finding *findings, size_t count, mg_dicom_error *err) {
    char study[100], other[100];
    if (count == 0) return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "a report needs a finding");
    for (size_t i = 0; i < count; i++) {
        double p = findings[i].probability;
        if (!findings[i].source || !mg_dicom_has_identity(findings[i].source, err))
            return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "finding %zu has no source image",
                                 i + 1);
        if (!(p >= 0 && p <= 1))
            return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "finding %zu: %g is no probability",
                                 i + 1, p);
        mg_dicom_text(findings[0].source, 0x0020000D, study, sizeof study);
        mg_dicom_text(findings[i].source, 0x0020000D, other, sizeof other);
        if (strcmp(study, other) != 0)
            return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                                 "finding %zu is of another study than the first", i + 1);
    }
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_make_report(const mg_dicom_finding *findings, size_t count,
                                     const mg_dicom_author *author, mg_dicom_dataset **out,
                                     mg_dicom_error *err) {
    *out = NULL;
    mg_dicom_status status = check(findings, count, err);
    if (status != MG_DICOM_OK) return status;
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    if (!s) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
    put_document(s, findings[0].source, author);
    if (!mg_dicom_put_date(s, findings[0].source, author))
        status = mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                               "a report needs a date, and the source has no StudyDate");
    put_evidence(s, findings, count);
    if (status == MG_DICOM_OK && !put_content(s, findings, count, author))
        status = mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "an outline has fewer than 3 points");
    if (status != MG_DICOM_OK) {
        mg_dicom_dataset_destroy(s);
        return status;
    }
    *out = s;
    return MG_DICOM_OK;
}
