/* Manifests from RSNA-shaped tables. */
#include "data/manifest.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "data/manifest_build.h"

enum { MAX_PATH = 4096 };

/* The places an image may be at: a root and a pattern of what stands below it. */
typedef struct places {
    char root[3][MAX_PATH];
    int roots;
    int last; /* the combination that matched last */
} places;

enum { LAYOUTS = 3, ENDINGS = 4 };
static const char *const endings[ENDINGS] = {".dcm", ".png", ".dicom", ""};

static bool has_ending(const char *name) {
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < ENDINGS - 1; i++)
        if (strcmp(dot, endings[i]) == 0) return true;
    return false;
}

static bool candidate(const places *p, int which, const mg_manifest_image *image, char *out) {
    const char *root = p->root[which / (LAYOUTS * ENDINGS)];
    const char *ending = endings[which % ENDINGS];
    if (*ending && has_ending(image->image_id)) return false; /* it stands in the table already */
    int n = 0;
    switch (which / ENDINGS % LAYOUTS) {
    case 0:
        n = snprintf(out, MAX_PATH, "%s/%s/%s%s", root, image->patient_id, image->image_id, ending);
        break;
    case 1:
        n = snprintf(out, MAX_PATH, "%s/%s_%s%s", root, image->patient_id, image->image_id, ending);
        break;
    default: n = snprintf(out, MAX_PATH, "%s/%s%s", root, image->image_id, ending); break;
    }
    return n > 0 && n < MAX_PATH;
}

static bool find_file(places *p, const mg_manifest_image *image, char *out) {
    if (candidate(p, p->last, image, out) && mg_is_file(out)) return true;
    for (int which = 0; which < p->roots * LAYOUTS * ENDINGS; which++) {
        if (which == p->last || !candidate(p, which, image, out) || !mg_is_file(out)) continue;
        p->last = which;
        return true;
    }
    return false;
}

static bool set_root(places *p, const char *folder, const char *name) {
    int n = *name ? snprintf(p->root[p->roots], MAX_PATH, "%s/%s", folder, name)
                  : snprintf(p->root[p->roots], MAX_PATH, "%s", folder);
    if (n <= 0 || n >= MAX_PATH) return false;
    p->roots++;
    return true;
}

/* Where the table and the images are, from the options. */
static mg_status resolve(const mg_manifest_options *o, char *csv, places *p, mg_error *err) {
    if (!o->data && !o->csv)
        return mg_fail(err, MG_ERR_ARG, "a manifest needs a data folder or a table");
    const char *name = o->csv ? o->csv : "train.csv";
    bool bare = o->data && !strchr(name, '/');
    int n = bare ? snprintf(csv, MAX_PATH, "%s/%s", o->data, name)
                 : snprintf(csv, MAX_PATH, "%s", name);
    /* A bare name is sought in the data folder first, then as it stands. */
    if (bare && o->csv && n > 0 && n < MAX_PATH && !mg_is_file(csv) && mg_is_file(name))
        n = snprintf(csv, MAX_PATH, "%s", name);
    if (n <= 0 || n >= MAX_PATH) return mg_fail(err, MG_ERR_ARG, "the table's path is too long");
    char folder[MAX_PATH], stem[256], images[300];
    if (o->data) snprintf(folder, sizeof folder, "%s", o->data);
    else mg_path_folder(csv, folder, sizeof folder);
    mg_path_stem(csv, stem, sizeof stem);
    snprintf(images, sizeof images, "%s_images", stem);
    *p = (places){0};
    bool good = o->images ? set_root(p, o->images, "")
                          : set_root(p, folder, images) && set_root(p, folder, "images") &&
                                set_root(p, folder, "");
    return good ? MG_OK : mg_fail(err, MG_ERR_ARG, "the data folder's path is too long");
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct columns {
    int patient, image, laterality, prediction, cancer;
    int site, view, age, biopsy, invasive, birads, implant, density, machine, difficult;
} columns;

static mg_status find_columns(const mg_csv *csv, bool labels, columns *c, mg_error *err) {
    mg_status status = mg_csv_require(csv, "patient_id", &c->patient, err);
    if (!status) status = mg_csv_require(csv, "image_id", &c->image, err);
    if (!status) status = mg_csv_require(csv, "laterality", &c->laterality, err);
    if (!status && labels) status = mg_csv_require(csv, "cancer", &c->cancer, err);
    c->cancer = mg_csv_column(csv, "cancer");
    c->prediction = mg_csv_column(csv, "prediction_id");
    c->site = mg_csv_column(csv, "site_id");
    c->view = mg_csv_column(csv, "view");
    c->age = mg_csv_column(csv, "age");
    c->biopsy = mg_csv_column(csv, "biopsy");
    c->invasive = mg_csv_column(csv, "invasive");
    c->birads = mg_csv_column(csv, "BIRADS");
    c->implant = mg_csv_column(csv, "implant");
    c->density = mg_csv_column(csv, "density");
    c->machine = mg_csv_column(csv, "machine_id");
    c->difficult = mg_csv_column(csv, "difficult_negative_case");
    return status;
}

static const char *keep(mg_manifest *m, const char *text) {
    return mg_text_store_add(m->text, text, strlen(text));
}

static mg_status read_flag(const mg_csv *csv, size_t row, int column, int8_t *out, mg_error *err) {
    int value;
    mg_status status = mg_csv_flag(csv, row, column, -1, &value, err);
    *out = (int8_t)value;
    return status;
}

static mg_status read_id(mg_manifest *m, const mg_csv *csv, size_t row, int column,
                         const char **out, mg_error *err) {
    const char *cell = mg_csv_cell(csv, row, column);
    if (!*cell) return mg_csv_bad_cell(csv, row, column, "is no id", err);
    /* Ids become file names: they must not lead out of the data folder. */
    if (strchr(cell, '/') || strcmp(cell, "..") == 0 || strcmp(cell, ".") == 0)
        return mg_csv_bad_cell(csv, row, column, "may not be used as part of a file name", err);
    *out = keep(m, cell);
    return *out ? MG_OK : mg_manifest_no_memory(csv->name, err);
}

static mg_status read_details(const mg_csv *csv, size_t row, const columns *c,
                              mg_manifest_image *image, mg_error *err) {
    double age;
    int birads, site, machine;
    mg_status status = mg_csv_number(csv, row, c->age, (double)NAN, &age, err);
    if (!status) status = mg_csv_int(csv, row, c->birads, -1, &birads, err);
    if (!status) status = mg_csv_int(csv, row, c->site, -1, &site, err);
    if (!status) status = mg_csv_int(csv, row, c->machine, -1, &machine, err);
    if (!status) status = read_flag(csv, row, c->biopsy, &image->biopsy, err);
    if (!status) status = read_flag(csv, row, c->invasive, &image->invasive, err);
    if (!status) status = read_flag(csv, row, c->implant, &image->implant, err);
    if (!status) status = read_flag(csv, row, c->difficult, &image->difficult_negative, err);
    if (status) return status;
    if (birads < -1 || birads > 6)
        return mg_csv_bad_cell(csv, row, c->birads, "is no BI-RADS category", err);
    const char *density = mg_csv_cell(csv, row, c->density);
    if (!mg_csv_is_missing(density)) {
        int letter = toupper((unsigned char)density[0]);
        if (letter < 'A' || letter > 'D' || density[1])
            return mg_csv_bad_cell(csv, row, c->density, "is no density: A, B, C or D", err);
        image->density = (char)letter;
    }
    image->age = (float)age;
    image->birads = (int8_t)birads;
    image->site = site;
    image->machine = machine;
    return MG_OK;
}

static mg_status read_image(mg_manifest *m, const mg_csv *csv, size_t row, const columns *c,
                            bool labels, mg_manifest_image *image, mg_error *err) {
    *image = (mg_manifest_image){.line = csv->line[row]};
    mg_status status = read_id(m, csv, row, c->patient, &image->patient_id, err);
    if (!status) status = read_id(m, csv, row, c->image, &image->image_id, err);
    if (!status) status = read_flag(csv, row, c->cancer, &image->cancer, err);
    if (!status) status = read_details(csv, row, c, image, err);
    if (status) return status;
    if (labels && image->cancer < 0)
        return mg_csv_bad_cell(csv, row, c->cancer, "is no label: 0 or 1", err);
    const char *side = mg_csv_cell(csv, row, c->laterality);
    int letter = toupper((unsigned char)side[0]);
    if ((letter != 'L' && letter != 'R') || side[1])
        return mg_csv_bad_cell(csv, row, c->laterality, "is no laterality: L or R", err);
    image->laterality = (char)letter;
    const char *view = mg_csv_cell(csv, row, c->view);
    image->view = keep(m, mg_csv_is_missing(view) ? "" : view);
    return image->view ? MG_OK : mg_manifest_no_memory(csv->name, err);
}

static const char *prediction_id(mg_manifest *m, const mg_csv *csv, size_t row, const columns *c,
                                 const mg_manifest_image *image) {
    const char *given = mg_csv_cell(csv, row, c->prediction);
    if (!mg_csv_is_missing(given)) return keep(m, given);
    char id[512];
    snprintf(id, sizeof id, "%.500s_%c", image->patient_id, image->laterality);
    return keep(m, id);
}

/* --- files ------------------------------------------------------------------------------------ */

/* *drop: leave the row out. */
static mg_status locate(mg_manifest *m, const mg_manifest_options *o, places *p, const mg_csv *csv,
                        mg_manifest_image *image, bool *drop, mg_error *err) {
    char path[MAX_PATH];
    *drop = false;
    if (o->no_files) return MG_OK;
    if (find_file(p, image, path)) {
        image->path = keep(m, path);
        return image->path ? MG_OK : mg_manifest_no_memory(csv->name, err);
    }
    if (o->missing == MG_MISSING_KEEP) return MG_OK;
    snprintf(path, sizeof path, "%.3000s/%.400s/%.400s.dcm", p->root[0], image->patient_id,
             image->image_id);
    if (o->missing == MG_MISSING_DROP) {
        *drop = true;
        if (m->dropped++ == 0 && !(m->first_dropped = keep(m, path)))
            return mg_manifest_no_memory(csv->name, err);
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_IO,
                   "%s line %u: no file for patient %s, image %s: neither %s nor in another of the "
                   "usual places",
                   csv->name, image->line, image->patient_id, image->image_id, path);
}

static mg_status read_rows(mg_manifest *m, const mg_manifest_options *o, const mg_csv *csv,
                           places *p, const char **group_id, mg_error *err) {
    columns c;
    mg_status status = find_columns(csv, o->labels, &c, err);
    for (size_t row = 0; row < csv->rows && !status; row++) {
        mg_manifest_image image;
        bool drop;
        status = read_image(m, csv, row, &c, o->labels, &image, err);
        if (!status) status = locate(m, o, p, csv, &image, &drop, err);
        if (status || drop) continue;
        group_id[m->image_count] = prediction_id(m, csv, row, &c, &image);
        if (!group_id[m->image_count]) status = mg_manifest_no_memory(csv->name, err);
        m->image[m->image_count++] = image;
    }
    return status;
}

mg_status mg_manifest_read(const mg_manifest_options *options, mg_manifest *out, mg_error *err) {
    *out = (mg_manifest){0};
    char path[MAX_PATH];
    places p;
    mg_csv csv;
    mg_status status = resolve(options, path, &p, err);
    if (!status) status = mg_csv_read(path, &csv, err);
    if (status) return status;
    if (csv.rows > INT32_MAX - 1)
        status = mg_fail(err, MG_ERR_FORMAT, "%s: more than 2^31 rows", path);
    out->text = mg_text_store_create();
    out->image = calloc(csv.rows + 1, sizeof *out->image);
    const char **group_id = calloc(csv.rows + 1, sizeof *group_id);
    if (!out->text || !out->image || !group_id) status = mg_manifest_no_memory(path, err);
    if (!status) status = read_rows(out, options, &csv, &p, group_id, err);
    if (!status) status = mg_manifest_group_images(out, group_id, path, err);
    free(group_id);
    mg_csv_free(&csv);
    if (status) mg_manifest_free(out);
    return status;
}
