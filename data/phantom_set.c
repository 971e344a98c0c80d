/* phantom_set.c: a whole data set on disk, rendered patient by patient on all threads. */
#include "data/phantom.h"
#include "data/phantom_dicom.h"

#include "data/csv.h"
#include "data/files.h"
#include "data/png.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

typedef struct job {
    const mg_phantom_settings *settings;
    const char *out;
    const mg_phantom_patient *patient;
    mg_phantom_renderer **renderer; /* one per thread */
    mg_phantom_progress *progress;
    void *arg;
    int64_t images;
    /* Under the mutex: */
    pthread_mutex_t mutex;
    int64_t done;
    mg_status status;
    mg_error error;
} job;

static mg_status build_path(char path[PATH_SIZE], mg_error *err, const char *out,
                            const char *folder, uint32_t patient) {
    int n = snprintf(path, PATH_SIZE, "%s/%s/%u", out, folder, patient);
    if (n >= PATH_SIZE - 32) return mg_fail(err, MG_ERR_ARG, "%s: the path is too long", out);
    return mg_make_folders(path, err);
}

static mg_status write_mask(const char *out, const mg_phantom_patient *p, uint32_t id,
                            const mg_phantom_pixels *pixels, mg_error *err) {
    char path[PATH_SIZE];
    mg_status status = build_path(path, err, out, "masks", p->id);
    if (status) return status;
    size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/%u.png", id);
    mg_png png = {.width = (uint32_t)pixels->columns,
                  .height = (uint32_t)pixels->rows,
                  .channels = 1,
                  .bits = 8};
    union { /* mg_png serves reading too, so its pixels are not const */
        const uint8_t *from;
        void *to;
    } mask = {.from = pixels->mask};
    png.pixels = mask.to;
    return mg_png_write(path, &png, err);
}

static mg_status write_image(const job *j, mg_phantom_renderer *r, const mg_phantom_patient *p,
                             int image, mg_error *err) {
    char path[PATH_SIZE];
    const char *folder = p->test ? "test_images" : "train_images";
    mg_status status = build_path(path, err, j->out, folder, p->id);
    if (status) return status;
    size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/%u.dcm", p->image[image].id);
    mg_phantom_pixels pixels;
    mg_phantom_render(r, p, image, &pixels);
    status = mg_phantom_write_dicom(j->settings, p, image, &pixels, path, err);
    if (!status && pixels.has_lesion)
        status = write_mask(j->out, p, p->image[image].id, &pixels, err);
    return status;
}

/* Counts an image (or keeps the first failure) and says whether to go on. */
static bool report(job *j, mg_status status, const mg_error *err) {
    pthread_mutex_lock(&j->mutex);
    if (status && !j->status) {
        j->status = status;
        j->error = *err;
    }
    if (!status) j->done++;
    if (!j->status && j->progress && !j->progress(j->arg, j->done, j->images))
        j->status = mg_fail(&j->error, MG_ERR_INTERRUPTED, "%s: stopped after %lld of %lld images",
                            j->out, (long long)j->done, (long long)j->images);
    bool go_on = !j->status;
    pthread_mutex_unlock(&j->mutex);
    return go_on;
}

static bool stopped(job *j) {
    pthread_mutex_lock(&j->mutex);
    bool stop = j->status != MG_OK;
    pthread_mutex_unlock(&j->mutex);
    return stop;
}

static void write_patient(void *arg, int64_t chunk, int thread) {
    job *j = arg;
    const mg_phantom_patient *p = &j->patient[chunk];
    if (stopped(j)) return;
    for (int i = 0; i < p->images; i++) {
        mg_error err = {0};
        mg_status status = write_image(j, j->renderer[thread], p, i, &err);
        if (!report(j, status, &err)) return;
    }
}

/* --- tables ------------------------------------------------------------------------------------*/

static void put_train_row(mg_csv_writer *w, const mg_phantom_patient *p, int image) {
    const mg_phantom_image *i = &p->image[image];
    const mg_phantom_breast *b = &p->breast[i->breast];
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    char laterality[2] = {b->laterality, 0}, density[2] = {p->density, 0};
    mg_csv_put_int(w, m->site);
    mg_csv_put_int(w, p->id);
    mg_csv_put_int(w, i->id);
    mg_csv_put_text(w, laterality);
    mg_csv_put_text(w, mg_phantom_view_name(i->view));
    if (p->age < 0) mg_csv_put_text(w, NULL);
    else mg_csv_put_int(w, p->age);
    mg_csv_put_int(w, b->cancer);
    mg_csv_put_int(w, b->biopsy);
    mg_csv_put_int(w, b->invasive);
    if (b->birads < 0) mg_csv_put_text(w, NULL);
    else mg_csv_put_int(w, b->birads);
    mg_csv_put_int(w, 0); /* implant */
    mg_csv_put_text(w, p->density_known ? density : NULL);
    mg_csv_put_int(w, m->id);
    mg_csv_put_text(w, b->difficult_negative ? "True" : "False");
    mg_csv_end_row(w);
}

static void put_test_row(mg_csv_writer *w, const mg_phantom_patient *p, int image) {
    const mg_phantom_image *i = &p->image[image];
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    char laterality[2] = {p->breast[i->breast].laterality, 0}, id[32];
    snprintf(id, sizeof id, "%u_%s", p->id, laterality);
    mg_csv_put_int(w, m->site);
    mg_csv_put_int(w, p->id);
    mg_csv_put_int(w, i->id);
    mg_csv_put_text(w, laterality);
    mg_csv_put_text(w, mg_phantom_view_name(i->view));
    if (p->age < 0) mg_csv_put_text(w, NULL);
    else mg_csv_put_int(w, p->age);
    mg_csv_put_int(w, 0); /* implant */
    mg_csv_put_int(w, m->id);
    mg_csv_put_text(w, id);
    mg_csv_end_row(w);
}

static const char *const train_columns[] = {
    "site_id",    "patient_id",
    "image_id",   "laterality",
    "view",       "age",
    "cancer",     "biopsy",
    "invasive",   "BIRADS",
    "implant",    "density",
    "machine_id", "difficult_negative_case",
};
static const char *const test_columns[] = {
    "site_id", "patient_id", "image_id",   "laterality",    "view",
    "age",     "implant",    "machine_id", "prediction_id",
};

static mg_status write_table(const job *j, const char *name, bool test, bool truth, mg_error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", j->out, name);
    mg_csv_writer w;
    mg_status status = mg_csv_open(&w, path, err);
    if (status) return status;
    const char *const *column = truth ? train_columns : test_columns;
    size_t columns = truth ? sizeof train_columns / sizeof *train_columns
                           : sizeof test_columns / sizeof *test_columns;
    for (size_t c = 0; c < columns; c++) mg_csv_put_text(&w, column[c]);
    mg_csv_end_row(&w);
    int n = j->settings->patients + j->settings->test_patients;
    for (int i = 0; i < n; i++) {
        const mg_phantom_patient *p = &j->patient[i];
        if (p->test != test) continue;
        for (int k = 0; k < p->images; k++) {
            if (truth) put_train_row(&w, p, k);
            else put_test_row(&w, p, k);
        }
    }
    return mg_csv_close(&w, err);
}

static const char *const tables[] = {"train.csv", "test.csv", "test_truth.csv"};

static mg_status remove_file(const char *path, mg_error *err) {
    if (unlink(path) && errno != ENOENT)
        return mg_fail(err, MG_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return MG_OK;
}

/* The image, its mask, and their folders when nothing else is in them. */
static mg_status remove_image(const char *out, const char *path, mg_error *err) {
    char folder[PATH_SIZE], stem[64], mask[PATH_SIZE + 80], masks[PATH_SIZE + 8];
    mg_path_folder(path, folder, sizeof folder);
    mg_path_stem(path, stem, sizeof stem);
    snprintf(masks, sizeof masks, "%s/masks/%.64s", out, mg_path_name(folder));
    snprintf(mask, sizeof mask, "%s/%s.png", masks, stem);
    mg_status status = remove_file(path, err);
    if (!status) status = remove_file(mask, err);
    (void)rmdir(folder); /* fails where something is left */
    (void)rmdir(masks);
    return status;
}

/* Images of an earlier, larger set would lie beside the new tables: they go, with their masks. What
 * is not a phantom of ours is not touched, and then nothing is. */
static mg_status remove_images(const char *out, mg_error *err) {
    static const char *const folders[] = {"train_images", "test_images"};
    mg_path_list old = {0};
    mg_status status = MG_OK;
    for (int k = 0; k < 2 && !status; k++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", out, folders[k]);
        if (mg_is_folder(path)) status = mg_list_files(path, &old, err);
    }
    for (size_t i = 0; i < old.count && !status; i++)
        if (!mg_phantom_is_ours(old.path[i]))
            status = mg_fail(err, MG_ERR_IO,
                             "%s is not a phantom, and a new set would mix with it; choose another "
                             "folder or move it away",
                             old.path[i]);
    for (size_t i = 0; i < old.count && !status; i++) status = remove_image(out, old.path[i], err);
    mg_path_list_free(&old);
    return status;
}

/* Until the new tables are written the folder must not look complete. */
static mg_status remove_tables(const char *out, mg_error *err) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", out, tables[i]);
        mg_status status = remove_file(path, err);
        if (status) return status;
    }
    return MG_OK;
}

static mg_status write_tables(const job *j, mg_error *err) {
    mg_status status = MG_OK;
    if (j->settings->test_patients) {
        status = write_table(j, "test.csv", true, false, err);
        if (!status) status = write_table(j, "test_truth.csv", true, true, err);
    }
    if (!status && j->settings->patients) status = write_table(j, "train.csv", false, true, err);
    return status;
}

/* --- the whole ---------------------------------------------------------------------------------*/

static mg_status render_all(job *j, mg_pool *pool, mg_error *err) {
    int threads = mg_pool_threads(pool), n = j->settings->patients + j->settings->test_patients;
    j->renderer = calloc((size_t)threads, sizeof *j->renderer);
    bool ok = j->renderer != NULL;
    for (int t = 0; t < threads && ok; t++)
        ok = (j->renderer[t] = mg_phantom_renderer_create(j->settings)) != NULL;
    if (ok) {
        pthread_mutex_init(&j->mutex, NULL);
        mg_parallel_for(pool, n, write_patient, j);
        pthread_mutex_destroy(&j->mutex);
    } else {
        j->status = mg_fail(&j->error, MG_ERR_MEMORY,
                            "no memory for %d images of %d x %d at a time; use fewer "
                            "threads or a smaller size",
                            threads, j->settings->columns, j->settings->rows);
    }
    for (int t = 0; j->renderer && t < threads; t++) mg_phantom_renderer_destroy(j->renderer[t]);
    free(j->renderer);
    return j->status ? mg_fail(err, j->status, "%s", j->error.message) : MG_OK;
}

mg_status mg_phantom_write(const mg_phantom_settings *s, const char *out, mg_pool *pool,
                           mg_phantom_progress *progress, void *arg, mg_error *err) {
    if (strlen(out) > PATH_SIZE - 128)
        return mg_fail(err, MG_ERR_ARG, "%.100s…: the path is too long", out);
    int64_t n = (int64_t)s->patients + s->test_patients;
    mg_phantom_patient *patient = n > 0 ? malloc((size_t)n * sizeof *patient) : NULL;
    if (n > 0 && !patient)
        return mg_fail(err, MG_ERR_MEMORY, "no memory to plan %lld patients", (long long)n);
    mg_status status = mg_phantom_plan(s, patient, err);
    if (!status) status = mg_make_folders(out, err);
    if (!status) status = remove_images(out, err);
    if (!status) status = remove_tables(out, err);
    job j = {.settings = s, .out = out, .patient = patient, .progress = progress, .arg = arg};
    for (int64_t i = 0; i < n && !status; i++) j.images += patient[i].images;
    if (!status) status = render_all(&j, pool, err);
    if (!status) status = write_tables(&j, err);
    free(patient);
    return status;
}
