/* trainer_data.c: the table, who of it is for training and who for validation. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "apps/lib/trainer.h"
#include "data/files.h"
#include "dicom/writer.h"

/* Not one row with a file is a wrong folder rather than bad images: say what was looked for. */
static mg_status find_any_file(const mg_trainer *t, mg_manifest_options from, mg_error *err) {
    if (!t->manifest.image_count)
        return mg_fail(err, MG_ERR_FORMAT, "the table of images in %s has no rows", from.data);
    for (int32_t i = 0; i < t->manifest.image_count; i++)
        if (t->manifest.image[i].path) return MG_OK;
    mg_manifest again;
    from.missing = MG_MISSING_ERROR;
    mg_status s = mg_manifest_read(&from, &again, err);
    if (!s) mg_manifest_free(&again); /* they have just appeared */
    mg_error_prefix(err, "not one image of the table was found; say with --images DIR where they "
                         "are. The first");
    return s;
}

static mg_status open_table(mg_trainer *t, mg_error *err) {
    mg_manifest_options from = {.data = mg_train.data,
                                .csv = mg_train.csv,
                                .images = mg_train.images,
                                .labels = true,
                                .missing = mg_train.strict ? MG_MISSING_ERROR : MG_MISSING_KEEP};
    mg_status s = mg_manifest_read(&from, &t->manifest, err);
    return s ? s : find_any_file(t, from, err);
}

/* A resumed run keeps the split it began with, whatever has become of the file given to --split. */
static mg_status open_split(mg_trainer *t, mg_error *err) {
    mg_status s;
    if (mg_train.resume)
        s = mg_split_read(&t->manifest, mg_trainer_path("split.csv"), &t->split, err);
    else if (mg_train.split) s = mg_split_read(&t->manifest, mg_train.split, &t->split, err);
    else
        s = mg_split_make(&t->manifest, mg_train.validation_fraction, (uint64_t)mg_train.seed,
                          &t->split, err);
    for (int side = 0; side < 2 && !s; side++)
        s = mg_split_groups(&t->manifest, &t->split, side, &t->groups[side], &t->group_count[side],
                            err);
    return s;
}

static int32_t count_positive(const mg_trainer *t, int side) {
    int32_t positive = 0;
    for (int32_t i = 0; i < t->group_count[side]; i++)
        positive += t->manifest.group[t->groups[side][i]].cancer == 1;
    return positive;
}

static mg_status look_at_training(mg_trainer *t, mg_error *err) {
    if (!t->group_count[0])
        return mg_fail(err, MG_ERR_ARG, "%s: no patients left for training", mg_train.data);
    t->class_weight[0] = t->class_weight[1] = 1;
    if (mg_train.class_weight)
        mg_class_weights(&t->manifest, t->groups[0], t->group_count[0], t->class_weight);
    int32_t positive = count_positive(t, 0);
    t->card.prevalence = (double)positive / t->group_count[0];
    if (!positive || positive == t->group_count[0])
        mg_trainer_say(t, "warning: all training breasts are %s; nothing can be learned from them",
                       positive ? "positive" : "negative");
    return MG_OK;
}

/* The prediction ids that drive plateau and stopping: all positives and as many negatives; without
 * positives, all there are, so that there is a loss to watch. */
static mg_status choose_validation(mg_trainer *t, int32_t *set, int32_t *chosen, mg_error *err) {
    int32_t n = t->group_count[1], positive = count_positive(t, 1);
    if (!positive || positive == n)
        mg_trainer_say(t,
                       "warning: all validation breasts are %s; the validation loss is watched, "
                       "but F1 and AUC cannot be told from them",
                       positive ? "positive" : "negative");
    if (positive)
        return mg_sampler_balanced_set(&t->manifest, t->groups[1], n, (uint64_t)mg_train.seed, set,
                                       chosen, err);
    memcpy(set, t->groups[1], (size_t)n * sizeof *set);
    *chosen = n;
    return MG_OK;
}

static mg_status plan_validation(mg_trainer *t, mg_error *err) {
    int32_t n = t->group_count[1], chosen = 0, images = 0;
    if (!n) {
        mg_trainer_say(t, "no validation patients: the training loss is watched instead");
        return MG_OK;
    }
    int32_t *set = malloc((size_t)n * sizeof *set);
    int32_t *list = malloc((size_t)t->manifest.image_count * sizeof *list);
    mg_status s = set && list ? choose_validation(t, set, &chosen, err)
                              : mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int32_t i = 0; i < chosen && !s; i++) {
        const mg_manifest_group *g = &t->manifest.group[set[i]];
        for (int32_t k = 0; k < g->count; k++)
            list[images++] = t->manifest.group_image[g->first + k];
    }
    if (!s && images) s = mg_plan_images(&t->manifest, list, images, 8, &t->validation_plan, err);
    free(set);
    free(list);
    return s;
}

mg_status mg_trainer_open_data(mg_trainer *t, mg_error *err) {
    mg_status s = open_table(t, err);
    if (!s) s = open_split(t, err);
    if (!s) s = look_at_training(t, err);
    return s ? s : plan_validation(t, err);
}

static void add_text(mg_dicom_sha256 *hash, const char *text) {
    mg_dicom_sha256_add(hash, text, strlen(text) + 1);
}

void mg_trainer_data_hash(const mg_trainer *t, char out[MG_HASH_TEXT]) {
    const mg_manifest *m = &t->manifest;
    mg_dicom_sha256 hash;
    mg_dicom_sha256_begin(&hash);
    for (int32_t i = 0; i < m->image_count; i++) {
        const mg_manifest_image *image = &m->image[i];
        struct stat file;
        bool there = image->path && stat(image->path, &file) == 0;
        char facts[64];
        snprintf(facts, sizeof facts, "%d %d %lld", image->cancer,
                 t->split.validation[image->patient], there ? (long long)file.st_size : -1LL);
        add_text(&hash, image->patient_id);
        add_text(&hash, image->image_id);
        add_text(&hash, m->group[image->group].id);
        add_text(&hash, facts);
    }
    uint8_t digest[32];
    mg_dicom_sha256_end(&hash, digest);
    for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
