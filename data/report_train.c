#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/report_page.h"

/* --- summary ---------------------------------------------------------------------------------- */

static void data_words(mg_page *page, const char *what, const mg_report_counts *c) {
    if (c->images == 0) return;
    mg_page_format(page, "%s: %s images of %s patients, %s of %s breasts with cancer. ", what,
                   mg_say_count((double)c->images), mg_say_count((double)c->patients),
                   mg_say_count((double)c->positive_breasts), mg_say_count((double)c->breasts));
}

static const mg_report_epoch *find_epoch(const mg_report_train *r, int epoch) {
    for (size_t i = 0; i < r->epoch_count; i++)
        if (r->epochs[i].epoch == epoch) return &r->epochs[i];
    return NULL;
}

static void summary(mg_page *page, const mg_report_train *r) {
    const mg_report_epoch *best = find_epoch(r, r->best_epoch);
    mg_page_section(page, "summary", "Summary");
    mg_page_raw(page, "<p>");
    mg_page_format(page, "%s", r->model ? r->model : "The network");
    if (r->start) mg_page_format(page, ", starting from %s,", r->start);
    mg_page_format(page, " was trained to tell mammograms with cancer from those without");
    if (r->input_height)
        mg_page_format(page, ", on images of %d × %d pixels", r->input_height, r->input_width);
    mg_page_raw(page, ". ");
    if (r->trained_part) mg_page_format(page, "Trained: %s. ", r->trained_part);
    data_words(page, "Training set", &r->train);
    data_words(page, "Validation set, of other patients", &r->validation);
    mg_page_raw(page, "</p>\n");
    if (best) {
        mg_page_raw(page, "<p>");
        bool validated = !isnan(best->validation_loss);
        mg_page_format(page,
                       "The weights of epoch %d of %zu are kept: they have the lowest "
                       "%s loss, %.4f%s.",
                       r->best_epoch, r->epoch_count, validated ? "validation" : "training",
                       validated ? best->validation_loss : best->train_loss,
                       validated ? "" : " (there was no validation loss to go by)");
        if (r->stop_reason) mg_page_format(page, " Training ended: %s.", r->stop_reason);
        mg_page_raw(page, "</p>\n");
    }
    const mg_report_evaluation *main =
        mg_report_main_evaluation(r->evaluations, r->evaluation_count);
    if (main) {
        mg_report_plain_words(page, main);
        mg_report_key_figures(page, main);
    }
    mg_page_section_end(page);
}

/* --- learning curves -------------------------------------------------------------------------- */

typedef struct curves {
    double *epoch, *train, *validation, *rate, *f1;
} curves;

static bool curves_create(const mg_report_train *r, curves *c) {
    size_t n = r->epoch_count;
    c->epoch = malloc(5 * n * sizeof(double));
    if (!c->epoch) return false;
    c->train = c->epoch + n;
    c->validation = c->train + n;
    c->rate = c->validation + n;
    c->f1 = c->rate + n;
    for (size_t i = 0; i < n; i++) {
        c->epoch[i] = r->epochs[i].epoch;
        c->train[i] = r->epochs[i].train_loss;
        c->validation[i] = r->epochs[i].validation_loss;
        c->rate[i] = r->epochs[i].learning_rate;
        c->f1[i] = r->epochs[i].validation_f1;
    }
    return true;
}

static mg_plot *loss_chart(const mg_report_train *r, const curves *c) {
    char mark[32];
    snprintf(mark, sizeof mark, "epoch %d kept", r->best_epoch);
    bool dots = r->epoch_count <= 30;
    mg_chart chart = {.title = "Loss",
                      .x_label = "Epoch",
                      .y_label = "Binary cross-entropy",
                      .x_whole = true,
                      .mark_x = r->best_epoch,
                      .mark = find_epoch(r, r->best_epoch) ? mark : NULL};
    mg_chart_series series[] = {{.name = "training",
                                 .count = r->epoch_count,
                                 .x = c->epoch,
                                 .y = c->train,
                                 .color = MG_PLOT_FIRST,
                                 .dots = dots},
                                {.name = "validation",
                                 .count = r->epoch_count,
                                 .x = c->epoch,
                                 .y = c->validation,
                                 .color = MG_PLOT_SECOND,
                                 .dots = dots}};
    return mg_chart_lines(&chart, series, 2);
}

static mg_plot *rate_chart(const mg_report_train *r, const curves *c) {
    mg_chart chart = {.title = "Learning rate", .x_label = "Epoch", .x_whole = true, .y_log = true};
    mg_chart_series series = {.name = "learning rate",
                              .count = r->epoch_count,
                              .x = c->epoch,
                              .y = c->rate,
                              .color = MG_PLOT_THIRD,
                              .dots = r->epoch_count <= 30};
    return mg_chart_lines(&chart, &series, 1);
}

static mg_plot *f1_chart(const mg_report_train *r, const curves *c) {
    mg_chart chart = {.title = "Validation F1 (balanced, per image)",
                      .x_label = "Epoch",
                      .y_label = "F1",
                      .x_whole = true,
                      .y_high = 1};
    mg_chart_series series = {.name = "F1 at threshold 0.5",
                              .count = r->epoch_count,
                              .x = c->epoch,
                              .y = c->f1,
                              .color = MG_PLOT_FIRST,
                              .dots = r->epoch_count <= 30};
    return mg_chart_lines(&chart, &series, 1);
}

static bool knows_f1(const mg_report_train *r) {
    for (size_t i = 0; i < r->epoch_count; i++)
        if (!isnan(r->epochs[i].validation_f1)) return true;
    return false;
}

static void learning(mg_page *page, const mg_report_train *r) {
    curves c;
    if (r->epoch_count == 0) return;
    if (!curves_create(r, &c)) {
        page->html.failed = true;
        return;
    }
    mg_page_section(page, "learning", "Learning curves");
    mg_page_raw(page, "<div class=\"plots three\">\n");
    mg_page_plot(page, loss_chart(r, &c), "Training and validation loss per epoch");
    if (knows_f1(r)) mg_page_plot(page, f1_chart(r, &c), "Validation F1 per epoch");
    mg_page_plot(page, rate_chart(r, &c), "Learning rate per epoch");
    mg_page_raw(page, "</div>\n");
    mg_page_section_end(page);
    free(c.epoch);
}

/* --- gallery ---------------------------------------------------------------------------------- */

static bool in_group(const mg_report_picture *p, int label, bool called) {
    return p->label == label && (p->probability >= p->threshold) == called;
}

static void gallery(mg_page *page, const mg_report_train *r) {
    static const struct {
        const char *heading;
        int label;
        bool called;
    } groups[] = {{"True positives: cancer, found", 1, true},
                  {"False negatives: cancer, missed", 1, false},
                  {"False positives: no cancer, called cancer", 0, true},
                  {"True negatives: no cancer, called clear", 0, false}};
    if (r->picture_count == 0 && r->pointing.images == 0) return;
    mg_page_section(page, "gallery", "Class activation maps");
    mg_page_raw(page, "<p>Coloured: where the model's evidence for cancer lies above the mean plus "
                      "one standard deviation of the map. White outline: the lesion, where a mask "
                      "is known. Below each picture: probability, prior-corrected probability in "
                      "brackets, breast and view.</p>\n");
    mg_report_pointing_words(page, &r->pointing);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        bool open = false;
        for (size_t i = 0; i < r->picture_count; i++) {
            if (!in_group(&r->pictures[i], groups[g].label, groups[g].called)) continue;
            if (!open)
                mg_text_format(&page->html, "<h3>%s</h3>\n<div class=\"gallery\">\n",
                               groups[g].heading);
            open = true;
            mg_report_picture_figure(page, &r->pictures[i]);
        }
        if (open) mg_page_raw(page, "</div>\n");
    }
    mg_page_section_end(page);
}

/* --- the page --------------------------------------------------------------------------------- */

mg_status mg_report_write_train(const char *path, const mg_report_train *r, mg_error *err) {
    mg_page page = {.err = err};
    char subtitle[512];
    snprintf(subtitle, sizeof subtitle, "%s%s%s", r->run ? r->run : "",
             r->run && r->data ? " · " : "", r->data ? r->data : "");
    mg_page_open(&page, r->title ? r->title : "Training report", subtitle, r->phantom);
    summary(&page, r);
    learning(&page, r);
    mg_report_results(&page, r->evaluations, r->evaluation_count);
    gallery(&page, r);
    mg_report_subgroups(&page, r->subgroups, r->subgroup_count, r->subgroup_unit);
    mg_report_settings(&page, r->settings, r->setting_count);
    mg_report_notes(&page, &(mg_report_note_facts){.phantom = r->phantom,
                                                   .aggregation = r->aggregation,
                                                   .evaluations = r->evaluations,
                                                   .evaluation_count = r->evaluation_count,
                                                   .notes = r->notes,
                                                   .note_count = r->note_count});
    return mg_page_write(&page, path);
}

/* --- the same as files ------------------------------------------------------------------------ */

static mg_status save(const char *folder, const char *name, mg_plot *plot, mg_error *err) {
    char *path = mg_path_join(folder, name);
    mg_status status = path ? mg_plot_write_png(plot, 3, path, err)
                            : mg_fail(err, MG_ERR_MEMORY, "no memory to write %s", name);
    free(path);
    mg_plot_destroy(plot);
    return status;
}

static mg_status save_curves(const char *folder, const mg_report_train *r, mg_error *err) {
    enum { MAX = 4 };
    const mg_evaluation *e[MAX];
    const char *names[MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->evaluation_count && n < MAX; i++) {
        if (r->evaluations[i].evaluation->roc.count == 0) continue;
        e[n] = r->evaluations[i].evaluation;
        names[n++] = r->evaluations[i].name;
    }
    if (n == 0) return MG_OK;
    mg_status status = save(folder, "roc.png", mg_chart_roc(e, names, n), err);
    if (!status)
        status = save(folder, "precision_recall.png", mg_chart_precision_recall(e, names, n, false),
                      err);
    if (!status)
        status = save(folder, "precision_recall_balanced.png",
                      mg_chart_precision_recall(e, names, n, true), err);
    return status;
}

mg_status mg_report_write_plots(const char *folder, const mg_report_train *r, mg_error *err) {
    mg_status status = MG_OK;
    curves c;
    if (r->epoch_count) {
        if (!curves_create(r, &c)) return mg_fail(err, MG_ERR_MEMORY, "no memory for plots");
        status = save(folder, "learning_curves.png", loss_chart(r, &c), err);
        if (!status) status = save(folder, "learning_rate.png", rate_chart(r, &c), err);
        free(c.epoch);
    }
    if (!status) status = save_curves(folder, r, err);
    for (size_t i = 0; i < r->evaluation_count && !status; i++) {
        const mg_report_evaluation *l = &r->evaluations[i];
        char name[96], title[96];
        snprintf(name, sizeof name, "calibration_%s.png", l->unit);
        status =
            save(folder, name, mg_chart_reliability(&l->evaluation->reliability, l->name), err);
        for (int p = 0; p < MG_PREVALENCES && !status; p++) {
            bool balanced = p == MG_BALANCED;
            snprintf(name, sizeof name, "confusion_%s%s.png", l->unit, balanced ? "_balanced" : "");
            snprintf(title, sizeof title, "%s, %s", l->name,
                     balanced ? "balanced classes" : "as they are");
            status =
                save(folder, name,
                     mg_chart_confusion(&l->evaluation->view[p][MG_AT_HALF].metrics, title), err);
        }
    }
    return status;
}
