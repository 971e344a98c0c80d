/* Manifests from plain files: ids from the DICOM header, else from the file's name. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/manifest_build.h"
#include "dicom/dicom.h"

enum {
    TAG_IMAGE_LATERALITY = 0x00200062,
    TAG_LATERALITY = 0x00200060,
    TAG_VIEW_POSITION = 0x00185101,
    TAG_PATIENT_ID = 0x00100020,
    TAG_PATIENT_AGE = 0x00101010,
};

static const char *const views[] = {"MLO", "CC", "XCCL", "LMO", "ML", "LM", "AT", "CV"};

static bool is_view(const char *token, size_t n, const char **view) {
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        if (strlen(views[i]) != n || strncasecmp(token, views[i], n) != 0) continue;
        *view = views[i];
        return true;
    }
    return false;
}

/* One word of a file name: "L", "right", "CC", "RMLO", "l-cc" (as two words). Returns whether it
 * said something about side or view. */
static bool read_word(const char *word, size_t n, char *side, const char **view) {
    int first = toupper((unsigned char)word[0]);
    if (is_view(word, n, view)) return true;
    if (n == 1 && (first == 'L' || first == 'R')) *side = (char)first;
    else if (n == 4 && strncasecmp(word, "left", 4) == 0) *side = 'L';
    else if (n == 5 && strncasecmp(word, "right", 5) == 0) *side = 'R';
    else if (n > 1 && (first == 'L' || first == 'R') && is_view(word + 1, n - 1, view))
        *side = (char)first;
    else return false;
    return true;
}

/* Side and view from a name like "1234_L_CC"; returns the length of what stands before the first
 * word that says either, without separators: the patient. */
static size_t read_name(const char *stem, char *side, const char **view) {
    static const char separators[] = "_-. ()";
    size_t patient = strlen(stem);
    bool found = false;
    for (const char *at = stem; *at;) {
        size_t n = strcspn(at, separators);
        if (n && read_word(at, n, side, view) && !found) {
            found = true;
            patient = (size_t)(at - stem);
        }
        at += n + (at[n] != '\0');
    }
    while (found && patient && strchr(separators, stem[patient - 1])) patient--;
    return *side != 'U' && patient ? patient : strlen(stem);
}

/* PatientAge is "045Y", "006M", …; only years are of use here. */
static float read_age(const mg_dicom *d) {
    char text[8] = "";
    if (!mg_dicom_text(d, TAG_PATIENT_AGE, text, sizeof text)) return NAN;
    char *stop;
    long years = strtol(text, &stop, 10);
    return stop != text && (*stop == 'Y' || *stop == '\0') && years > 0 && years < 130
               ? (float)years
               : NAN;
}

static bool read_side(const mg_dicom *d, uint32_t tag, char *side) {
    char text[20] = "";
    if (!mg_dicom_text(d, tag, text, sizeof text)) return false;
    int letter = toupper((unsigned char)text[0]);
    if (letter != 'L' && letter != 'R') return false;
    *side = (char)letter;
    return true;
}

/* What the header says; leaves alone what it does not. */
static void read_header(const char *path, char *patient, size_t size, mg_manifest_image *image) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open(path, &(mg_dicom_options){.stop_at_pixels = true}, &err);
    if (!d) return; /* the loader will say why, by name */
    char text[256] = "";
    if (mg_dicom_text(d, TAG_PATIENT_ID, text, sizeof text) && text[0])
        snprintf(patient, size, "%s", text);
    if (!read_side(d, TAG_IMAGE_LATERALITY, &image->laterality))
        (void)read_side(d, TAG_LATERALITY, &image->laterality);
    if (mg_dicom_text(d, TAG_VIEW_POSITION, text, sizeof text)) {
        const char *view;
        if (is_view(text, strlen(text), &view)) image->view = view;
    }
    image->age = read_age(d);
    mg_dicom_close(d);
}

static mg_status read_file(mg_manifest *m, const char *path, int32_t number, const char **group_id,
                           mg_error *err) {
    char stem[256], patient[256], id[800], image_id[300];
    mg_path_stem(path, stem, sizeof stem);
    mg_manifest_image image = {.view = "",
                               .laterality = 'U',
                               .cancer = -1,
                               .biopsy = -1,
                               .invasive = -1,
                               .implant = -1,
                               .difficult_negative = -1,
                               .birads = -1,
                               .site = -1,
                               .machine = -1,
                               .age = NAN};
    size_t n = read_name(stem, &image.laterality, &image.view);
    snprintf(patient, sizeof patient, "%.*s", (int)n, stem);
    read_header(path, patient, sizeof patient, &image);
    snprintf(image_id, sizeof image_id, "%s", stem);
    if (image.laterality == 'U') {
        /* Two breasts must not become one: without a side every image stands alone. */
        if (strcmp(patient, stem) == 0) snprintf(id, sizeof id, "%s", stem);
        else snprintf(id, sizeof id, "%s_%s", patient, stem);
    } else {
        snprintf(id, sizeof id, "%s_%c", patient, image.laterality);
    }
    image.patient_id = mg_text_store_add(m->text, patient, strlen(patient));
    image.image_id = mg_text_store_add(m->text, image_id, strlen(image_id));
    image.path = mg_text_store_add(m->text, path, strlen(path));
    group_id[number] = mg_text_store_add(m->text, id, strlen(id));
    if (!image.patient_id || !image.image_id || !image.path || !group_id[number])
        return mg_manifest_no_memory(path, err);
    m->image[number] = image;
    return MG_OK;
}

/* Files of the same name in different folders are different images: later ones get "#2", … */
static mg_status make_unique(mg_manifest *m, mg_error *err) {
    mg_text_map map = {0};
    mg_status status = MG_OK;
    int32_t *times = calloc((size_t)m->image_count + 1, sizeof *times);
    if (!times) return mg_manifest_no_memory("manifest", err);
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        mg_manifest_image *image = &m->image[i];
        const char *base = image->image_id;
        char text[600];
        for (;;) {
            snprintf(text, sizeof text, "%s\n%s", image->patient_id, image->image_id);
            const char *key = mg_text_store_add(m->text, text, strlen(text));
            int32_t seen = key ? mg_text_map_add(&map, key, i) : -1;
            if (seen < 0) status = mg_manifest_no_memory("manifest", err);
            if (seen < 0 || seen == i) break;
            snprintf(text, sizeof text, "%s#%d", base, ++times[seen] + 1);
            image->image_id = mg_text_store_add(m->text, text, strlen(text));
            if (!image->image_id) {
                status = mg_manifest_no_memory("manifest", err);
                break;
            }
        }
    }
    free(times);
    mg_text_map_free(&map);
    return status;
}

mg_status mg_manifest_from_files(const mg_path_list *files, mg_manifest *out, mg_error *err) {
    *out = (mg_manifest){0};
    if (files->count > INT32_MAX - 1) return mg_fail(err, MG_ERR_ARG, "more than 2^31 files");
    out->text = mg_text_store_create();
    out->image = calloc(files->count + 1, sizeof *out->image);
    const char **group_id = calloc(files->count + 1, sizeof *group_id);
    mg_status status = MG_OK;
    if (!out->text || !out->image || !group_id) status = mg_manifest_no_memory("manifest", err);
    for (size_t i = 0; i < files->count && !status; i++) {
        status = read_file(out, files->path[i], (int32_t)i, group_id, err);
        if (!status) out->image_count++;
    }
    if (!status) status = make_unique(out, err);
    if (!status) status = mg_manifest_group_images(out, group_id, "the list of files", err);
    free(group_id);
    if (status) mg_manifest_free(out);
    return status;
}
