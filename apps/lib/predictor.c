#include "apps/lib/predictor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/scoring.h"
#include "data/files.h"
#include "data/text_store.h"

const char *mg_predict_path(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", mg_predict.out, name);
    return path;
}

double mg_predictor_calibrated(const mg_predictor *p, double probability) {
    if (!p->model[0].card.balanced || !(p->prevalence > 0 && p->prevalence < 1)) return probability;
    return mg_prior_correct(probability, p->prevalence);
}

double mg_predictor_calibrated_breast(const mg_predictor *p, const mg_manifest_group *breast) {
    double *corrected = malloc(((size_t)breast->count + 1) * sizeof *corrected);
    size_t n = 0;
    for (int32_t k = 0; k < breast->count && corrected; k++) {
        double one = p->probability[p->manifest.group_image[breast->first + k]];
        if (!isnan(one)) corrected[n++] = mg_predictor_calibrated(p, one);
    }
    double all = n ? mg_aggregate(p->aggregation, corrected, n) : NAN;
    free(corrected);
    return all;
}

/* The model's contract: options that say otherwise are refused, not obeyed. */
static mg_status check_contract(const mg_model *m, const char *path, mg_error *err) {
    int reduce = m->card.input.reduce;
    if (mg_predict.j2k_reduce) {
        mg_status s = mg_reduce_from_name(mg_predict.j2k_reduce, &reduce, err);
        if (s) return s;
    }
    mg_window_mode window = m->card.input.window;
    mg_crop_mode crop = m->card.input.crop;
    if (mg_predict.window) mg_window_from_name(mg_predict.window, &window, NULL);
    if (mg_predict.crop) mg_crop_from_name(mg_predict.crop, &crop, NULL);
    if (window != m->card.input.window)
        return mg_fail(err, MG_ERR_ARG,
                       "%s was trained with --window %s; another one would feed it "
                       "images it has never seen",
                       path, mg_window_name(m->card.input.window));
    if (crop != m->card.input.crop)
        return mg_fail(err, MG_ERR_ARG,
                       "%s was trained with --crop %s; another one would feed it "
                       "images it has never seen",
                       path, mg_crop_name(m->card.input.crop));
    char name[12];
    if (reduce != m->card.input.reduce)
        return mg_fail(err, MG_ERR_ARG,
                       "%s was trained with --j2k-reduce %s; another one would feed it "
                       "images that differ in detail",
                       path, mg_reduce_name(m->card.input.reduce, name));
    return MG_OK;
}

static mg_status open_models(mg_predictor *p, mg_error *err) {
    for (int i = 0; i < mg_predict.model.count; i++) {
        mg_status s =
            mg_model_open(mg_predict.model.item[i], mg_predict.device, p->pool, &p->model[i], err);
        if (!s) p->model[i].net->bf16 = strcmp(mg_predict.precision, "bf16") == 0;
        if (!s) p->models++, s = check_contract(&p->model[i], mg_predict.model.item[i], err);
        if (s) return s;
    }
    const mg_card *card = &p->model[0].card;
    mg_status s =
        mg_preprocess_choose(mg_predict.preprocess, p->model[0].ctx->plugin, &p->preprocess, err);
    if (s) return s;
    p->aggregation = card->aggregation;
    p->image_threshold = card->image_threshold;
    p->breast_threshold = card->breast_threshold;
    p->patient_threshold = card->patient_threshold;
    p->threshold_name = p->models > 1 ? "the first model's threshold" : "the model's threshold";
    if (mg_predict.aggregation) {
        mg_aggregation_parse(mg_predict.aggregation, &p->aggregation);
        if (p->aggregation != card->aggregation) {
            p->breast_threshold = p->patient_threshold = 0.5;
            p->threshold_name = "0.5, the model's threshold per image";
        }
    }
    if (mg_predict.threshold >= 0) {
        p->image_threshold = p->breast_threshold = p->patient_threshold = mg_predict.threshold;
        p->threshold_name = "the given threshold";
    }
    p->prevalence = mg_predict.prevalence > 0 ? mg_predict.prevalence : card->prevalence;
    return MG_OK;
}

static mg_status open_manifest(mg_predictor *p, char **files, int count, mg_error *err) {
    if (mg_predict.csv) {
        mg_manifest_options from = {.data = mg_predict.data,
                                    .csv = mg_predict.csv,
                                    .images = mg_predict.images,
                                    .missing =
                                        mg_predict.strict ? MG_MISSING_ERROR : MG_MISSING_KEEP};
        return mg_manifest_read(&from, &p->manifest, err);
    }
    mg_path_list list = {0};
    mg_status s = MG_OK;
    const char *own[] = {mg_predict.out, mg_predict.dicom_out, mg_predict.trace, mg_predict.cache};
    for (int i = 0; i < count && !s; i++) s = mg_list_files_except(files[i], own, 4, &list, err);
    char first[300] = "";
    size_t again = s ? 0 : mg_path_list_unique(&list, first, sizeof first);
    if (again)
        fprintf(stderr, "%zu files were named more than once and count once; the first: %s\n",
                again, first);
    if (!s && !list.count) s = mg_fail(err, MG_ERR_ARG, "%s: no files in there", files[0]);
    if (!s) s = mg_manifest_from_files(&list, &p->manifest, err);
    mg_path_list_free(&list);
    return s;
}

mg_status mg_predictor_open(mg_predictor *p, char **files, int count, mg_error *err) {
    *p = (mg_predictor){0};
    mg_status s = mg_make_folders(mg_predict.out, err);
    p->pool = mg_pool_create((int)mg_predict.threads);
    if (!s && !p->pool) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    if (!s) s = open_models(p, err);
    if (!s) s = open_manifest(p, files, count, err);
    if (s) return s;
    if (mg_predict.cache) {
        p->cache = mg_cache_open(mg_predict.cache, &p->model[0].card.input,
                                 &(mg_cache_options){.full_content = mg_predict.full_content}, err);
        if (!p->cache) return err->code;
    }
    size_t n = (size_t)p->manifest.image_count;
    p->logit = malloc((n + 1) * sizeof *p->logit);
    p->probability = malloc((n + 1) * sizeof *p->probability);
    p->reason = calloc(n + 1, sizeof *p->reason);
    p->outcome = calloc(n + 1, sizeof *p->outcome);
    if (!p->outcome || !p->logit || !p->probability || !p->reason)
        return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        p->logit[i] = p->probability[i] = NAN;
        p->labelled |= p->manifest.image[i].cancer >= 0;
    }
    return MG_OK;
}

mg_loader_options mg_predictor_loader(const mg_predictor *p, int model) {
    int workers = (int)(mg_predict.workers ? mg_predict.workers : mg_pool_threads(p->pool));
    return (mg_loader_options){.manifest = &p->manifest,
                               .workers = workers,
                               .settings = p->model[model].card.input,
                               .device = p->preprocess,
                               .cache = model == 0 ? p->cache : NULL,
                               .strict = mg_predict.strict};
}

typedef struct pass {
    mg_predictor *p;
    int views; /* mirrored copies of each image times models */
    int *seen; /* per image: how many of them there were */
} pass;

static bool add_logit(void *arg, const mg_scored *one) {
    pass *a = arg;
    double *z = &a->p->logit[one->image];
    *z = (isnan(*z) ? 0 : *z) + (double)one->logit / a->views;
    a->seen[one->image]++;
    return true;
}

static void note_bad(void *arg, const mg_bad_item *bad) {
    pass *a = arg;
    if (a->p->reason[bad->image]) return; /* its mirrored copies fail alike */
    const mg_manifest_image *image = &a->p->manifest.image[bad->image];
    const char *name = image->path ? image->path : image->image_id, *reason = bad->reason;
    size_t n = strlen(name); /* most reasons begin with the path; once is enough */
    if (strncmp(reason, name, n) == 0 && strncmp(reason + n, ": ", 2) == 0) reason += n + 2;
    a->p->reason[bad->image] = strdup(reason);
    a->p->outcome[bad->image] = MG_OUTCOME_FAILED;
    a->p->bad++;
    fprintf(stderr, "skipped %s: %s\n", name, reason);
}

static mg_status leave_out(mg_predictor *p, int32_t i, mg_outcome why, const char *reason,
                           mg_error *err) {
    p->outcome[i] = (uint8_t)why;
    p->reason[i] = strdup(reason);
    return p->reason[i] ? MG_OK : mg_fail(err, MG_ERR_MEMORY, "out of memory");
}

/* Files with the same SOPInstanceUID are one image: it counts once, as the first scored. */
static mg_status find_repeats(mg_predictor *p, mg_error *err) {
    mg_text_map map = {0};
    mg_status s = MG_OK;
    const mg_manifest_image *image = p->manifest.image;
    for (int32_t i = 0; i < p->manifest.image_count && !s; i++) {
        if (!image[i].instance || p->outcome[i] != MG_OUTCOME_OK) continue;
        int32_t first = mg_text_map_add(&map, image[i].instance, i);
        if (first < 0) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
        if (first < 0 || first == i) continue;
        char why[400];
        snprintf(why, sizeof why, "the same image (SOPInstanceUID) as %.300s", image[first].path);
        if (!p->repeats++) fprintf(stderr, "counted once: %s is %s\n", image[i].path, why);
        s = leave_out(p, i, MG_OUTCOME_REPEAT, why, err);
    }
    if (p->repeats > 1)
        fprintf(stderr, "%lld files are such repeats; predictions.csv names them\n",
                (long long)p->repeats);
    mg_text_map_free(&map);
    return s;
}

/* Every image's outcome and probability, after all models or an interruption. */
static mg_status close_scores(const pass *a, mg_error *err) {
    mg_predictor *p = a->p;
    mg_status s = MG_OK;
    for (int32_t i = 0; i < p->manifest.image_count && !s; i++)
        if (p->outcome[i] == MG_OUTCOME_OK && a->seen[i] < a->views)
            s = leave_out(p, i, MG_OUTCOME_NOT_DONE, "interrupted before its turn", err);
    if (!s) s = find_repeats(p, err);
    for (int32_t i = 0; i < p->manifest.image_count; i++) {
        bool ok = p->outcome[i] == MG_OUTCOME_OK;
        p->probability[i] = ok ? 1 / (1 + exp(-p->logit[i])) : NAN;
        p->scored += ok;
    }
    return s;
}

/* Every image once per mirrored form; the forms of an image stand together. */
static mg_status plan_images(const mg_predictor *p, int forms, mg_plan *plan, mg_error *err) {
    size_t n = (size_t)p->manifest.image_count * (size_t)forms;
    int32_t *list = malloc((n + 1) * sizeof *list);
    if (!list) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) list[i] = (int32_t)(i / (size_t)forms);
    mg_status s = mg_plan_images(&p->manifest, list, (int32_t)n, 8, plan, err);
    for (int32_t i = 0; i < plan->item_count && !s; i++) plan->item[i].flip = (uint8_t)(i % forms);
    free(list);
    return s;
}

mg_status mg_predictor_score(mg_predictor *p, mg_error *err) {
    int forms = strcmp(mg_predict.flips, "all") == 0          ? 4
                : strcmp(mg_predict.flips, "horizontal") == 0 ? 2
                                                              : 1;
    mg_plan plan = {0};
    mg_status s = plan_images(p, forms, &plan, err);
    pass a = {p, forms * p->models, calloc((size_t)p->manifest.image_count + 1, sizeof(int))};
    if (!s && !a.seen) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int k = 0; k < p->models && !s; k++) {
        mg_scoring scoring = {.ctx = p->model[k].ctx,
                              .net = p->model[k].net,
                              .card = &p->model[k].card,
                              .loader = mg_predictor_loader(p, k),
                              .on_image = add_logit,
                              .on_bad = note_bad,
                              .arg = &a,
                              .progress = "predicting"};
        scoring.loader.plan = &plan;
        s = mg_score(&scoring, err);
    }
    mg_plan_free(&plan);
    p->interrupted = s == MG_ERR_INTERRUPTED;
    if (!s || p->interrupted) {
        mg_status closed = close_scores(&a, s ? NULL : err);
        if (!s) s = closed;
    }
    free(a.seen);
    if (s) return s;
    mg_assess_options how = {
        .aggregation = p->aggregation,
        .threshold = {p->image_threshold, p->breast_threshold, p->patient_threshold},
        .threshold_given = true,
        .bootstrap = (int)mg_predict.bootstrap,
        .seed = 1};
    return mg_assess(&p->manifest, p->probability, &how, &p->assessment, err);
}

void mg_predictor_close(mg_predictor *p) {
    for (int32_t i = 0; p->reason && i < p->manifest.image_count; i++) free(p->reason[i]);
    free(p->reason);
    free(p->outcome);
    free(p->logit);
    free(p->probability);
    mg_assessment_free(&p->assessment);
    mg_manifest_free(&p->manifest);
    if (p->cache) mg_cache_close(p->cache);
    mg_preprocess_device_destroy(p->preprocess);
    for (int k = 0; k < p->models; k++) mg_model_close(&p->model[k]);
    mg_pool_destroy(p->pool);
    *p = (mg_predictor){0};
}
