/* trainer_report.c: what the best weights are worth: the whole validation split at its natural
 * prevalence, thresholds for the checkpoint, report.html and plots. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/gallery.h"
#include "apps/lib/scoring.h"
#include "apps/lib/trainer.h"
#include "data/files.h"
#include "data/phantom_dicom.h"

typedef struct scores {
    mg_trainer *t;
    double *probability; /* per image of the manifest; NaN: none */
} scores;

static bool keep_score(void *arg, const mg_scored *one) {
    scores *s = arg;
    s->probability[one->image] = 1 / (1 + exp(-(double)one->logit));
    return true;
}

static void say_bad(void *arg, const mg_bad_item *bad) {
    scores *s = arg;
    const mg_manifest_image *image = &s->t->manifest.image[bad->image];
    mg_trainer_say(s->t, "skipped %s_%s: %s", image->patient_id, image->image_id, bad->reason);
}

/* Images of the validation patients. */
static mg_status score_validation(mg_trainer *t, double *probability, mg_error *err) {
    const mg_manifest *m = &t->manifest;
    int32_t *list = malloc(((size_t)m->image_count + 1) * sizeof *list), n = 0;
    if (!list) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int32_t i = 0; i < m->image_count; i++) {
        probability[i] = NAN;
        if (t->split.validation[m->image[i].patient]) list[n++] = i;
    }
    mg_plan plan = {0};
    mg_status s = mg_plan_images(m, list, n, 8, &plan, err);
    free(list);
    scores keep = {t, probability};
    mg_scoring scoring = {.ctx = t->ctx,
                          .net = t->net,
                          .card = &t->card,
                          .loader = mg_trainer_loader(t, &plan),
                          .on_image = keep_score,
                          .on_bad = say_bad,
                          .arg = &keep,
                          .progress = "final evaluation"};
    if (!s) s = mg_score(&scoring, err);
    mg_plan_free(&plan);
    return s;
}

static mg_report_counts count_side(const mg_trainer *t, int side) {
    const mg_manifest *m = &t->manifest;
    mg_report_counts c = {.patients = t->split.patients[side], .breasts = t->group_count[side]};
    for (int32_t i = 0; i < m->image_count; i++)
        if (t->split.validation[m->image[i].patient] == side) {
            c.images++;
            c.positive_images += m->image[i].cancer == 1;
        }
    for (int32_t i = 0; i < t->group_count[side]; i++)
        c.positive_breasts += m->group[t->groups[side][i]].cancer == 1;
    return c;
}

/* The learning curves from metrics.csv. */
static mg_report_epoch *read_curves(size_t *count) {
    mg_metrics_table table;
    *count = 0;
    if (mg_metrics_csv_read(mg_trainer_path("metrics.csv"), &table, NULL)) return NULL;
    mg_report_epoch *e = calloc(table.rows + 1, sizeof *e);
    static const char *const names[] = {"epoch", "train_loss", "val_loss", "lr", "val_f1"};
    int column[5];
    for (int i = 0; i < 5; i++) column[i] = mg_metrics_table_column(&table, names[i]);
    for (size_t r = 0; e && r < table.rows; r++) {
        const double *v = table.value + r * table.columns;
        e[r] = (mg_report_epoch){(int)v[column[0]], v[column[1]], v[column[2]], v[column[3]],
                                 v[column[4]]};
    }
    *count = e ? table.rows : 0;
    mg_metrics_table_free(&table);
    return e;
}

static mg_status write_pages(mg_trainer *t, const mg_assessment *a, const mg_gallery *g,
                             mg_error *err) {
    size_t epochs = 0;
    mg_report_epoch *curve = read_curves(&epochs);
    char model[64], part[120], epochs_text[24], batch[24], lr[24], input[160];
    double share =
        (double)mg_efficientnet_count(t->net, true) / (double)mg_efficientnet_count(t->net, false);
    snprintf(model, sizeof model, "EfficientNet-%c%s", t->card.arch[0] == 'b' ? 'B' : 'p',
             t->card.arch + 1);
    if (mg_train.unfreeze == 0) snprintf(part, sizeof part, "all stages");
    else if (mg_train.unfreeze > 8) snprintf(part, sizeof part, "the classifier alone");
    else
        snprintf(part, sizeof part,
                 "stages %lld and up with the classifier (%.1f%% of the parameters)",
                 (long long)mg_train.unfreeze, 100 * share);
    snprintf(epochs_text, sizeof epochs_text, "%lld", (long long)t->state.epoch);
    snprintf(batch, sizeof batch, "%lld breasts", (long long)mg_train.batch_ids);
    snprintf(lr, sizeof lr, "%g", mg_train.lr);
    mg_preprocess_text(&t->card.input, input, sizeof input);
    mg_report_pair settings[] = {{"Input", input},       {"Epochs", epochs_text},
                                 {"Batch", batch},       {"Optimizer", mg_train.optimizer},
                                 {"Learning rate", lr},  {"Draws per epoch", mg_train.epoch_draws},
                                 {"Version", MG_VERSION}};
    mg_report_evaluation levels[MG_LEVELS] = {
        {.name = "Per image", .unit = "images", .evaluation = &a->evaluation[0]},
        {.name = "Per breast", .unit = "breasts", .evaluation = &a->evaluation[1]},
        {.name = "Per patient", .unit = "patients", .evaluation = &a->evaluation[2]}};
    mg_report_train report = {.run = mg_path_name(mg_train.out),
                              .data = t->card.data,
                              .phantom = mg_phantom_recognise(&t->manifest),
                              .model = model,
                              .start = t->start,
                              .trained_part = part,
                              .input_height = (int)t->card.input.height,
                              .input_width = (int)t->card.input.width,
                              .train = count_side(t, 0),
                              .validation = count_side(t, 1),
                              .epochs = curve,
                              .epoch_count = epochs,
                              .best_epoch = t->card.best_epoch,
                              .stop_reason = t->stop_reason,
                              .aggregation = mg_aggregation_name(t->card.aggregation),
                              .evaluations = levels,
                              .evaluation_count = MG_LEVELS,
                              .subgroups = a->subgroup,
                              .subgroup_count = (size_t)a->subgroups,
                              .subgroup_unit = "images",
                              .pictures = g->picture,
                              .picture_count = g->count,
                              .pointing = g->pointing,
                              .settings = settings,
                              .setting_count = sizeof settings / sizeof *settings};
    mg_status s = mg_report_write_train(mg_trainer_path("report.html"), &report, err);
    if (!s) s = mg_report_write_plots(mg_train.out, &report, err);
    free(curve);
    return s;
}

static void say_level(mg_trainer *t, const char *name, const mg_evaluation *e) {
    const mg_evaluation_view *v = &e->view[MG_NATURAL][MG_AT_BEST];
    const mg_interval *auc = &v->interval[MG_METRIC_ROC_AUC];
    if (!e->items) return;
    mg_trainer_say(t,
                   "%-12s AUC %.3f (%.3f-%.3f), F1 %.3f at threshold %.3f (the best for these very "
                   "data), %zu of %zu positive",
                   name, v->metrics.value[MG_METRIC_ROC_AUC], auc->low, auc->high,
                   v->metrics.value[MG_METRIC_F1], e->threshold, e->positives, e->items);
}

static mg_status assess_and_write(mg_trainer *t, const double *probability, mg_error *err) {
    mg_assess_options how = {.aggregation = t->card.aggregation,
                             .bootstrap = (int)mg_train.bootstrap,
                             .seed = (uint64_t)mg_train.seed};
    mg_assessment a;
    mg_gallery g = {0};
    mg_status s = mg_assess(&t->manifest, probability, &how, &a, err);
    if (!s && !a.level[MG_LEVEL_IMAGE].count)
        s = mg_fail(err, MG_ERR_IO,
                    "no validation image could be read; there is nothing to report");
    if (!s) {
        t->card.image_threshold = a.evaluation[MG_LEVEL_IMAGE].threshold;
        t->card.breast_threshold = a.evaluation[MG_LEVEL_BREAST].threshold;
        t->card.patient_threshold = a.evaluation[MG_LEVEL_PATIENT].threshold;
        s = mg_trainer_save_best(t, err);
    }
    char *masks = mg_path_join(mg_train.data, "masks");
    mg_cam_pass pass = {.ctx = t->ctx,
                        .net = t->net,
                        .card = &t->card,
                        .loader = mg_trainer_loader(t, NULL),
                        .progress = "activation maps",
                        .masks = masks && mg_is_folder(masks) ? masks : NULL};
    if (!s) s = mg_gallery_make(&pass, &a, t->card.image_threshold, t->card.prevalence, 3, &g, err);
    if (!s) s = write_pages(t, &a, &g, err);
    if (!s) {
        say_level(t, "per image:", &a.evaluation[MG_LEVEL_IMAGE]);
        say_level(t, "per breast:", &a.evaluation[MG_LEVEL_BREAST]);
        say_level(t, "per patient:", &a.evaluation[MG_LEVEL_PATIENT]);
        mg_trainer_say(t, "report: %s", mg_trainer_path("report.html"));
    }
    free(masks);
    mg_gallery_free(&g);
    mg_assessment_free(&a);
    return s;
}

mg_status mg_trainer_report(mg_trainer *t, mg_error *err) {
    mg_status s = mg_trainer_load_best(t, err);
    if (s) return s;
    bool validated = !isnan(t->card.validation_loss);
    mg_trainer_say(t, "best weights: epoch %d, %s loss %.4f", t->card.best_epoch,
                   validated ? "validation" : "training",
                   validated ? t->card.validation_loss : t->state.best_loss);
    if (!t->group_count[1]) {
        mg_trainer_say(t, "no validation patients: no report");
        return MG_OK;
    }
    double *probability = malloc((size_t)t->manifest.image_count * sizeof *probability);
    if (!probability) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    s = score_validation(t, probability, err);
    if (!s) s = assess_and_write(t, probability, err);
    free(probability);
    return s;
}
