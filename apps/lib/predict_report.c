/* predict_report.c: report.html of a prediction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/gallery.h"
#include "apps/lib/predictor.h"
#include "data/files.h"
#include "data/phantom_dicom.h"
#include "data/text.h"

enum { BREASTS_WITH_PICTURES = 24 };

/* Pictures of the breasts that stand at the top of the page. */
typedef struct pictures {
    mg_predictor *p;
    mg_report_picture *picture; /* in image order, so a breast's pictures stand together */
    mg_png *overlay;
    int32_t *group;
    size_t count;
} pictures;

static mg_status take(void *arg, mg_cam_item *item, mg_error *err) {
    (void)err;
    pictures *a = arg;
    const mg_manifest_image *image = &a->p->manifest.image[item->image];
    size_t k = a->count++;
    a->overlay[k] = item->overlay;
    item->overlay = (mg_png){0};
    a->group[k] = image->group;
    a->picture[k] = (mg_report_picture){.id = a->p->manifest.group[image->group].id,
                                        .view = image->view,
                                        .probability = item->probability,
                                        .calibrated = item->calibrated,
                                        .label = image->cancer,
                                        .threshold = a->p->image_threshold,
                                        .overlay = &a->overlay[k]};
    return MG_OK;
}

static int by_probability(const void *x, const void *y) {
    const double *a = *(const double *const *)x, *b = *(const double *const *)y;
    return *a > *b ? -1 : *a < *b ? 1 : a < b ? -1 : a > b;
}

static mg_status make_pictures(mg_predictor *p, pictures *a, mg_error *err) {
    const mg_level *l = &p->assessment.level[MG_LEVEL_BREAST];
    const double **order = malloc((l->count + 1) * sizeof *order);
    size_t room = (size_t)p->manifest.image_count + 1;
    mg_cam_item *items = calloc(room, sizeof *items);
    *a = (pictures){p, calloc(room, sizeof *a->picture), calloc(room, sizeof *a->overlay),
                    calloc(room, sizeof *a->group), 0};
    mg_status s = order && items && a->picture && a->overlay && a->group
                      ? MG_OK
                      : mg_fail(err, MG_ERR_MEMORY, "out of memory");
    int32_t n = 0;
    for (size_t i = 0; i < l->count && !s; i++) order[i] = &l->probability[i];
    if (!s) qsort(order, l->count, sizeof *order, by_probability);
    for (size_t i = 0; i < l->count && i < BREASTS_WITH_PICTURES && !s; i++) {
        const mg_manifest_group *g = &p->manifest.group[l->source[order[i] - l->probability]];
        for (int32_t k = 0; k < g->count; k++) {
            int32_t image = p->manifest.group_image[g->first + k];
            if (p->reason[image]) continue;
            items[n++] =
                (mg_cam_item){.image = image,
                              .probability = p->probability[image],
                              .want_overlay = true,
                              .calibrated = mg_predictor_calibrated(p, p->probability[image])};
        }
    }
    mg_cam_pass pass = {.ctx = p->model[0].ctx,
                        .net = p->model[0].net,
                        .card = &p->model[0].card,
                        .loader = mg_predictor_loader(p, 0),
                        .max_side = 420,
                        .no_caption = true,
                        .on_item = take,
                        .arg = a,
                        .progress = "pictures"};
    if (!s) s = mg_cam_run(&pass, items, n, err);
    free(order);
    free(items);
    return s;
}

/* The report's rows; each points at its breast's run of pictures. */
static mg_report_breast *make_rows(const mg_predictor *p, const pictures *a) {
    const mg_level *l = &p->assessment.level[MG_LEVEL_BREAST];
    mg_report_breast *rows = calloc(l->count + 1, sizeof *rows);
    for (size_t i = 0; rows && i < l->count; i++) {
        const mg_manifest_group *g = &p->manifest.group[l->source[i]];
        int64_t used = 0, unreadable = 0;
        for (int32_t k = 0; k < g->count; k++) {
            int outcome = p->outcome[p->manifest.group_image[g->first + k]];
            used += outcome == MG_OUTCOME_OK;
            unreadable += outcome == MG_OUTCOME_FAILED;
        }
        rows[i] = (mg_report_breast){.prediction_id = g->id,
                                     .patient_id = p->manifest.patient[g->patient].id,
                                     .laterality = g->laterality == 'L'   ? "L"
                                                   : g->laterality == 'R' ? "R"
                                                                          : "",
                                     .images = used,
                                     .unreadable = unreadable,
                                     .probability = l->probability[i],
                                     .calibrated = mg_predictor_calibrated_breast(p, g),
                                     .flagged = l->probability[i] >= p->breast_threshold,
                                     .label = g->cancer};
        for (size_t k = 0; k < a->count; k++) {
            if (a->group[k] != l->source[i]) continue;
            if (!rows[i].picture_count) rows[i].pictures = &a->picture[k];
            rows[i].picture_count++;
        }
    }
    return rows;
}

static mg_report_counts counts_of(const mg_predictor *p) {
    mg_report_counts c = {.images = p->manifest.image_count,
                          .breasts = p->manifest.group_count,
                          .patients = p->manifest.patient_count};
    for (int32_t i = 0; p->labelled && i < p->manifest.image_count; i++)
        c.positive_images += p->manifest.image[i].cancer == 1;
    for (int32_t i = 0; p->labelled && i < p->manifest.group_count; i++)
        c.positive_breasts += p->manifest.group[i].cancer == 1;
    return c;
}

/* The pointing game over the positives that have masks. */
static mg_status play(mg_predictor *p, mg_report_pointing *out, mg_error *err) {
    char folder[4096];
    const char *base = mg_predict.data;
    if (!base && mg_predict.csv)
        mg_path_folder(mg_predict.csv, folder, sizeof folder), base = folder;
    char *masks = base ? mg_path_join(base, "masks") : NULL;
    mg_status s = MG_OK;
    if (p->labelled && masks && mg_is_folder(masks)) {
        mg_gallery none;
        mg_cam_pass pass = {.ctx = p->model[0].ctx,
                            .net = p->model[0].net,
                            .card = &p->model[0].card,
                            .loader = mg_predictor_loader(p, 0),
                            .masks = masks,
                            .progress = "pointing game"};
        s = mg_gallery_make(&pass, &p->assessment, p->image_threshold, p->prevalence, 0, &none,
                            err);
        *out = none.pointing;
        mg_gallery_free(&none);
    }
    free(masks);
    return s;
}

/* "EfficientNet-B0"; of an ensemble "The mean logit of 2 models, EfficientNet-B0, …". */
static void name_models(const mg_predictor *p, mg_text *model, mg_text *files) {
    if (p->models > 1) mg_text_format(model, "The mean logit of %d models, ", p->models);
    for (int k = 0; k < p->models; k++) {
        const char *arch = p->model[k].card.arch, *file = mg_predict.model.item[k];
        mg_text_format(model, "%sEfficientNet-%c%s", k ? ", " : "", arch[0] == 'b' ? 'B' : 'p',
                       arch + 1);
        mg_text_format(files, "%s%s", k ? ", " : "", p->models > 1 ? file : mg_path_name(file));
    }
}

/* What needs no memory of its own. */
static void fill_facts(const mg_predictor *p, mg_report_predict *report) {
    const mg_assessment *a = &p->assessment;
    report->data = mg_predict.csv ? mg_predict.csv : "files";
    report->phantom = mg_phantom_recognise(&p->manifest);
    report->threshold = p->breast_threshold;
    report->threshold_name = p->threshold_name;
    /* Else nothing was corrected. */
    report->prevalence = p->model[0].card.balanced ? p->prevalence : 0;
    report->aggregation = mg_aggregation_name(p->aggregation);
    report->counts = counts_of(p);
    report->breast_count = a->level[MG_LEVEL_BREAST].count;
    report->evaluation_count = a->evaluation[0].items ? MG_LEVELS : 0;
    report->subgroups = a->subgroup;
    report->subgroup_count = (size_t)a->subgroups;
    report->subgroup_unit = "images";
}

/* What is not in the figures: unusable files, repeats. NULL without memory. */
static mg_report_skipped *list_skipped(const mg_predictor *p, size_t *count) {
    mg_report_skipped *skipped = calloc((size_t)p->manifest.image_count + 1, sizeof *skipped);
    *count = 0;
    for (int32_t i = 0; i < p->manifest.image_count && skipped; i++) {
        const mg_manifest_image *image = &p->manifest.image[i];
        if (!p->reason[i]) continue;
        skipped[(*count)++] =
            (mg_report_skipped){image->path ? image->path : image->image_id, p->reason[i]};
    }
    return skipped;
}

/* The page itself, from facts, rows and pictures. */
static mg_status write_page(const mg_predictor *p, mg_report_predict *report, mg_error *err) {
    char input[160], unknown[160];
    mg_text model = {0}, files = {0};
    const mg_card *card = &p->model[0].card;
    mg_report_pair settings[] = {{"Input", input},
                                 {"Trained on", card->data},
                                 {"Mirrored copies", mg_predict.flips},
                                 {"Version", MG_VERSION}};
    mg_report_evaluation levels[MG_LEVELS] = {
        {.name = "Per image", .unit = "images"},
        {.name = "Per breast", .unit = "breasts"},
        {.name = "Per patient", .unit = "patients"},
    };
    for (int k = 0; k < MG_LEVELS; k++) {
        levels[k].evaluation = &p->assessment.evaluation[k];
        levels[k].threshold_name = p->threshold_name;
        levels[k].shown = MG_AT_BEST; /* what verdicts are made with */
    }
    const mg_level *images = &p->assessment.level[MG_LEVEL_IMAGE];
    const char *notes[] = {unknown};
    snprintf(unknown, sizeof unknown,
             "%zu of %zu scored images have no label in the table; the figures are of the others.",
             images->unknown, images->count);
    mg_preprocess_text(&card->input, input, sizeof input);
    name_models(p, &model, &files);
    report->model = model.data;
    report->model_file = files.data;
    report->evaluations = levels;
    report->settings = settings;
    report->setting_count = sizeof settings / sizeof *settings;
    report->notes = notes;
    report->note_count = p->labelled && images->unknown;
    mg_status s = model.failed || files.failed
                      ? mg_fail(err, MG_ERR_MEMORY, "out of memory")
                      : mg_report_write_predict(mg_predict_path("report.html"), report, err);
    mg_text_free(&model);
    mg_text_free(&files);
    return s;
}

mg_status mg_predict_write_report(mg_predictor *p, mg_error *err) {
    pictures a = {0};
    mg_report_predict report = {0};
    fill_facts(p, &report);
    mg_status s = make_pictures(p, &a, err);
    if (!s) s = play(p, &report.pointing, err);
    mg_report_breast *rows = s ? NULL : make_rows(p, &a);
    mg_report_skipped *skipped = list_skipped(p, &report.skipped_count);
    if (!s && (!rows || !skipped)) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    report.breasts = rows;
    report.skipped = skipped;
    if (!s) s = write_page(p, &report, err);
    for (size_t i = 0; i < a.count; i++) mg_png_free(&a.overlay[i]);
    free(a.overlay);
    free(a.picture);
    free(a.group);
    free(rows);
    free(skipped);
    return s;
}
