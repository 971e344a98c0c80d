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
    TAG_INSTANCE = 0x00080018,
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
 * word that says either, without separators: the patient. The whole stem where no word says it; 0
 * where nothing stands before. */
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
    return *side != 'U' || patient == 0 ? patient : strlen(stem);
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

/* What the header says; leaves alone what it does not. Returns whether it names the patient. */
static bool read_header(const char *path, char *patient, size_t size, mg_text_store *store,
                        mg_manifest_image *image) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open(path, &(mg_dicom_options){.stop_at_pixels = true}, &err);
    if (!d) return false; /* the loader will say why, by name */
    char text[256] = "";
    bool named = mg_dicom_text(d, TAG_PATIENT_ID, text, sizeof text) && text[0];
    if (named) snprintf(patient, size, "%s", text);
    if (!read_side(d, TAG_IMAGE_LATERALITY, &image->laterality))
        (void)read_side(d, TAG_LATERALITY, &image->laterality);
    if (mg_dicom_text(d, TAG_VIEW_POSITION, text, sizeof text)) {
        const char *view;
        if (is_view(text, strlen(text), &view)) image->view = view;
    }
    image->age = read_age(d);
    if (mg_dicom_text(d, TAG_INSTANCE, text, sizeof text) && text[0])
        image->instance = mg_text_store_add(store, text, strlen(text));
    mg_dicom_close(d);
    return named;
}

/* What is known of the files while the manifest is made. */
typedef struct builder {
    mg_manifest *m;
    const char **folder; /* per image: in full; NULL where the header names the patient */
    const char **group_id;
} builder;

/* The file's folder in full, so that two ways of writing it are one. */
static void full_folder(const char *path, char *out, size_t size) {
    char folder[4096];
    mg_path_folder(path, folder, sizeof folder);
    char *full = realpath(folder, NULL);
    snprintf(out, size, "%s", full ? full : folder);
    free(full);
}

static mg_status read_file(builder *b, const char *path, int32_t number, mg_error *err) {
    mg_manifest *m = b->m;
    char stem[256], patient[256], folder[4096];
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
    if (!read_header(path, patient, sizeof patient, m->text, &image)) {
        full_folder(path, folder, sizeof folder);
        b->folder[number] = mg_text_store_add(m->text, folder, strlen(folder));
        if (!b->folder[number]) return mg_manifest_no_memory(path, err);
        /* "case1/L_CC.png": the folder says whose it is. */
        if (!n) snprintf(patient, sizeof patient, "%.255s", mg_path_name(folder));
        if (!*patient) snprintf(patient, sizeof patient, "%s", stem);
    }
    image.patient_id = mg_text_store_add(m->text, patient, strlen(patient));
    image.image_id = mg_text_store_add(m->text, stem, strlen(stem));
    image.path = mg_text_store_add(m->text, path, strlen(path));
    if (!image.patient_id || !image.image_id || !image.path)
        return mg_manifest_no_memory(path, err);
    m->image[number] = image;
    return MG_OK;
}

/* How many bytes all folders have in common, up to and with a slash. */
static size_t common_part(const builder *b) {
    const char *first = NULL;
    size_t common = 0;
    for (int32_t i = 0; i < b->m->image_count; i++) {
        const char *folder = b->folder[i];
        if (!folder) continue;
        if (!first) first = folder, common = strlen(folder);
        size_t n = 0, same = 0;
        for (; n < common && first[n] == folder[n]; n++)
            if (first[n] == '/') same = n + 1;
        if (n < common || (folder[n] && folder[n] != '/')) common = same;
    }
    return common;
}

/* Nobody says that files of different folders show the same woman when only their names do: such
 * patients are told apart by their folders, "a/img" and "b/img". */
static mg_status part_folders(builder *b, mg_error *err) {
    mg_manifest *m = b->m;
    mg_text_map map = {0};
    mg_status status = MG_OK;
    bool *shared = calloc((size_t)m->image_count + 1, sizeof *shared);
    int32_t *first = calloc((size_t)m->image_count + 1, sizeof *first);
    if (!shared || !first) status = mg_manifest_no_memory("manifest", err);
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        if (!b->folder[i]) continue;
        first[i] = mg_text_map_add(&map, m->image[i].patient_id, i);
        if (first[i] < 0) status = mg_manifest_no_memory("manifest", err);
        else if (strcmp(b->folder[i], b->folder[first[i]]) != 0) shared[first[i]] = true;
    }
    size_t common = common_part(b);
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        if (!b->folder[i] || !shared[first[i]]) continue;
        mg_manifest_image *image = &m->image[i];
        const char *rest = b->folder[i] + common;
        rest += *rest == '/';
        char id[4400];
        if (!*rest) continue;
        /* A folder's name as the patient stands at the path's end already. */
        if (strcmp(mg_path_name(rest), image->patient_id) == 0) snprintf(id, sizeof id, "%s", rest);
        else snprintf(id, sizeof id, "%s/%s", rest, image->patient_id);
        size_t n = strlen(id);
        char shorter[240]; /* of very long paths, the end and a number for the whole */
        snprintf(shorter, sizeof shorter, "%016llx/%s", (unsigned long long)mg_text_hash(id),
                 id + (n > 200 ? n - 200 : 0));
        if (n > 200) snprintf(id, sizeof id, "%s", shorter);
        image->patient_id = mg_text_store_add(m->text, id, strlen(id));
        if (!image->patient_id) status = mg_manifest_no_memory("manifest", err);
    }
    mg_text_map_free(&map);
    free(shared);
    free(first);
    return status;
}

/* Two breasts must not become one: an image without a side is a group of its own, whatever the
 * others are called. */
static mg_status name_groups(builder *b, mg_error *err) {
    mg_manifest *m = b->m;
    mg_text_map map = {0};
    mg_status status = MG_OK;
    for (int pass = 0; pass < 2 && !status; pass++) {
        for (int32_t i = 0; i < m->image_count && !status; i++) {
            const mg_manifest_image *image = &m->image[i];
            bool alone = image->laterality == 'U';
            if (alone != pass) continue;
            char id[5200];
            if (!alone) snprintf(id, sizeof id, "%s_%c", image->patient_id, image->laterality);
            else if (strcmp(mg_path_name(image->patient_id), image->image_id) == 0)
                snprintf(id, sizeof id, "%s", image->patient_id);
            else snprintf(id, sizeof id, "%s_%s", image->patient_id, image->image_id);
            size_t plain = strlen(id);
            for (int times = 2;; times++) {
                b->group_id[i] = mg_text_store_add(m->text, id, strlen(id));
                int32_t seen = b->group_id[i] ? mg_text_map_add(&map, b->group_id[i], i) : -1;
                if (seen < 0) status = mg_manifest_no_memory("manifest", err);
                if (seen < 0 || seen == i || !alone) break;
                snprintf(id + plain, sizeof id - plain, "#%d", times);
            }
        }
    }
    mg_text_map_free(&map);
    return status;
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
    builder b = {out, calloc(files->count + 1, sizeof *b.folder),
                 calloc(files->count + 1, sizeof *b.group_id)};
    mg_status status = MG_OK;
    if (!out->text || !out->image || !b.folder || !b.group_id)
        status = mg_manifest_no_memory("manifest", err);
    for (size_t i = 0; i < files->count && !status; i++) {
        status = read_file(&b, files->path[i], (int32_t)i, err);
        if (!status) out->image_count++;
    }
    if (!status) status = part_folders(&b, err);
    if (!status) status = make_unique(out, err);
    if (!status) status = name_groups(&b, err);
    if (!status) status = mg_manifest_group_images(out, b.group_id, "the list of files", err);
    free(b.folder);
    free(b.group_id);
    if (status) mg_manifest_free(out);
    return status;
}
