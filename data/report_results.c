/* Sections on how good the model is; shared by the training and the prediction report. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/report_page.h"

const mg_report_evaluation *mg_report_main_evaluation(const mg_report_evaluation *evaluations,
                                                      size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(evaluations[i].unit, "breasts") == 0) return &evaluations[i];
    return count ? &evaluations[0] : NULL;
}

/* --- key figures ------------------------------------------------------------------------------ */

static void key_figure(mg_page *page, const char *name, const char *value, const char *detail) {
    mg_page_raw(page, "<div><dt>");
    mg_page_text(page, name);
    mg_page_raw(page, "</dt><dd>");
    mg_page_text(page, value);
    mg_page_raw(page, "<small>");
    mg_page_text(page, detail);
    mg_page_raw(page, "</small></dd></div>\n");
}

static void key_interval(mg_page *page, const char *name, const mg_interval *v, const char *tail) {
    char detail[96] = "";
    if (!isnan(v->low)) snprintf(detail, sizeof detail, "%.3f–%.3f%s", v->low, v->high, tail);
    key_figure(page, name, mg_say_figure(v->value), detail);
}

/* The threshold of the words, the key figures and the matrices. */
static double shown_threshold(const mg_report_evaluation *e) {
    return e->evaluation->view[MG_NATURAL][e->shown].metrics.threshold;
}

void mg_report_key_figures(mg_page *page, const mg_report_evaluation *main) {
    const mg_evaluation *e = main->evaluation;
    const mg_interval *natural = e->view[MG_NATURAL][main->shown].interval;
    char text[96], threshold[48];
    snprintf(threshold, sizeof threshold, ", threshold %.3g", shown_threshold(main));
    mg_page_raw(page, "<dl class=\"key\">\n");
    snprintf(text, sizeof text, "ROC-AUC %c%s", main->name[0] | 0x20, main->name + 1);
    key_interval(page, text, &natural[MG_METRIC_ROC_AUC], "");
    key_interval(page, "Sensitivity at 90% specificity", &natural[MG_METRIC_SENSITIVITY_AT_90], "");
    key_interval(page, "F1 at natural prevalence", &natural[MG_METRIC_F1], threshold);
    key_interval(page, "F1 on balanced classes",
                 &e->view[MG_BALANCED][main->shown].interval[MG_METRIC_F1], threshold);
    mg_page_raw(page, "</dl>\n");
    mg_page_raw(page, "<p class=\"soft\"><small>");
    mg_page_format(page,
                   "%s: %s with cancer among %s %s, a prevalence of %s. Ranges are 95%% "
                   "intervals.",
                   main->name, mg_say_count((double)e->positives), mg_say_count((double)e->items),
                   main->unit, mg_say_percent(e->prevalence));
    mg_page_raw(page, "</small></p>\n");
}

/* "1 healthy breast", "456 healthy breasts" */
static void some_units(mg_page *page, double count, const char *kind, const char *unit) {
    int size = (int)strlen(unit) - (count == 1);
    mg_page_format(page, "%s %s%.*s", mg_say_count(count), kind, size, unit);
}

void mg_report_plain_words(mg_page *page, const mg_report_evaluation *main) {
    const mg_evaluation *e = main->evaluation;
    const mg_metrics *m = &e->view[MG_NATURAL][main->shown].metrics;
    const mg_confusion *c = &m->confusion;
    if (e->positives == 0 || e->positives == e->items) {
        mg_page_raw(page, "<p>");
        mg_page_format(page,
                       "All %s evaluated %s have the same label, so that most figures have "
                       "no meaning.",
                       mg_say_count((double)e->items), main->unit);
        mg_page_raw(page, "</p>\n");
        return;
    }
    mg_page_raw(page, "<p>");
    mg_page_format(page,
                   "Given one %.*s with cancer and one without, the model ranks the one with "
                   "cancer higher in %s of cases. ",
                   (int)strlen(main->unit) - 1, main->unit,
                   mg_say_percent(m->value[MG_METRIC_ROC_AUC]));
    mg_page_format(page,
                   "At a threshold of %.3g it finds %s of %s cancers and raises %s false "
                   "%s among ",
                   shown_threshold(main), mg_say_count(c->tp), mg_say_count(c->tp + c->fn),
                   mg_say_count(c->fp), c->fp == 1 ? "alarm" : "alarms");
    some_units(page, c->fp + c->tn, "healthy ", main->unit);
    mg_page_text(page, ". ");
    if (c->tp + c->fp > 0)
        mg_page_format(page, "Of those it calls cancer, %s are.",
                       mg_say_percent(m->value[MG_METRIC_PRECISION]));
    mg_page_raw(page, "</p>\n");
}

/* --- tables ----------------------------------------------------------------------------------- */

typedef struct levels {
    const mg_report_evaluation *item;
    size_t count;
} levels;

static void table_head(mg_page *page, levels l, const char *first) {
    mg_page_raw(page, "<div class=\"scroll\"><table class=\"levels\">\n<thead><tr><th>");
    mg_page_text(page, first);
    mg_page_raw(page, "</th>");
    for (size_t i = 0; i < l.count; i++) {
        mg_page_raw(page, "<th>");
        mg_page_text(page, l.item[i].name);
        mg_page_raw(page, "</th>");
    }
    mg_page_raw(page, "</tr></thead>\n<tbody>\n");
}

static void metric_row(mg_page *page, levels l, const char *name, mg_metric metric, int prevalence,
                       int threshold) {
    mg_page_raw(page, "<tr><th>");
    mg_page_text(page, name);
    mg_page_raw(page, "</th>");
    for (size_t i = 0; i < l.count; i++)
        mg_page_interval_cell(page,
                              &l.item[i].evaluation->view[prevalence][threshold].interval[metric]);
    mg_page_raw(page, "</tr>\n");
}

static void count_rows(mg_page *page, levels l) {
    mg_page_raw(page, "<tr><th>Evaluated</th>");
    for (size_t i = 0; i < l.count; i++) {
        mg_page_raw(page, "<td>");
        mg_page_text(page, mg_say_count((double)l.item[i].evaluation->items));
        mg_page_raw(page, "</td>");
    }
    mg_page_raw(page, "</tr>\n<tr><th>With cancer</th>");
    for (size_t i = 0; i < l.count; i++) {
        const mg_evaluation *e = l.item[i].evaluation;
        mg_page_raw(page, "<td>");
        mg_page_text(page, mg_say_count((double)e->positives));
        mg_page_raw(page, "<small>");
        mg_page_text(page, mg_say_percent(e->prevalence));
        mg_page_raw(page, "</small></td>");
    }
    mg_page_raw(page, "</tr>\n");
}

static void group_row(mg_page *page, levels l, const char *name) {
    mg_text_format(&page->html, "<tr class=\"group\"><th colspan=\"%zu\">", l.count + 1);
    mg_page_text(page, name);
    mg_page_raw(page, "</th></tr>\n");
}

static void ranking_table(mg_page *page, levels l) {
    table_head(page, l, "Without a threshold");
    count_rows(page, l);
    metric_row(page, l, "ROC-AUC", MG_METRIC_ROC_AUC, MG_NATURAL, MG_AT_HALF);
    metric_row(page, l, "Sensitivity at 90% specificity", MG_METRIC_SENSITIVITY_AT_90, MG_NATURAL,
               MG_AT_HALF);
    group_row(page, l, "At natural prevalence");
    metric_row(page, l, "PR-AUC", MG_METRIC_PR_AUC, MG_NATURAL, MG_AT_HALF);
    metric_row(page, l, "Probabilistic F1", MG_METRIC_PROBABILISTIC_F1, MG_NATURAL, MG_AT_HALF);
    metric_row(page, l, "Brier score", MG_METRIC_BRIER, MG_NATURAL, MG_AT_HALF);
    metric_row(page, l, "Calibration error", MG_METRIC_ECE, MG_NATURAL, MG_AT_HALF);
    group_row(page, l, "On balanced classes");
    metric_row(page, l, "PR-AUC", MG_METRIC_PR_AUC, MG_BALANCED, MG_AT_HALF);
    metric_row(page, l, "Probabilistic F1", MG_METRIC_PROBABILISTIC_F1, MG_BALANCED, MG_AT_HALF);
    mg_page_raw(page, "</tbody></table></div>\n");
}

static void threshold_table(mg_page *page, levels l, int threshold) {
    char title[96] = "At threshold 0.5";
    const char *name = l.item[0].threshold_name;
    if (threshold == MG_AT_BEST)
        snprintf(title, sizeof title, "At %s", name ? name : "the F1-best threshold");
    table_head(page, l, title);
    if (threshold == MG_AT_BEST) {
        mg_page_raw(page, "<tr><th>Threshold</th>");
        for (size_t i = 0; i < l.count; i++) {
            mg_page_raw(page, "<td>");
            mg_page_text(page, mg_say_figure(l.item[i].evaluation->threshold));
            mg_page_raw(page, "</td>");
        }
        mg_page_raw(page, "</tr>\n");
    }
    metric_row(page, l, "Recall (sensitivity)", MG_METRIC_RECALL, MG_NATURAL, threshold);
    metric_row(page, l, "Specificity", MG_METRIC_SPECIFICITY, MG_NATURAL, threshold);
    group_row(page, l, "At natural prevalence");
    metric_row(page, l, "Precision", MG_METRIC_PRECISION, MG_NATURAL, threshold);
    metric_row(page, l, "F1", MG_METRIC_F1, MG_NATURAL, threshold);
    group_row(page, l, "On balanced classes");
    metric_row(page, l, "Precision", MG_METRIC_PRECISION, MG_BALANCED, threshold);
    metric_row(page, l, "F1", MG_METRIC_F1, MG_BALANCED, threshold);
    mg_page_raw(page, "</tbody></table></div>\n");
}

/* --- charts ----------------------------------------------------------------------------------- */

static void confusion_charts(mg_page *page, levels l) {
    mg_page_section(page, "confusion", "Confusion matrices");
    mg_page_raw(page, "<div class=\"plots\">\n");
    for (size_t i = 0; i < l.count; i++) {
        for (int p = 0; p < MG_PREVALENCES; p++) {
            char title[96];
            snprintf(title, sizeof title, "%s, %s", l.item[i].name,
                     p == MG_BALANCED ? "balanced classes" : "as they are");
            mg_page_plot(
                page,
                mg_chart_confusion(&l.item[i].evaluation->view[p][l.item[i].shown].metrics, title),
                title);
        }
    }
    mg_page_raw(page, "</div>\n");
    mg_page_section_end(page);
}

enum { MAX_LEVELS = 4 };

static void curve_charts(mg_page *page, levels l) {
    const mg_evaluation *evaluations[MAX_LEVELS];
    const char *names[MAX_LEVELS];
    size_t n = 0;
    for (size_t i = 0; i < l.count && n < MAX_LEVELS; i++) {
        if (l.item[i].evaluation->roc.count == 0) continue;
        evaluations[n] = l.item[i].evaluation;
        names[n++] = l.item[i].name;
    }
    if (n == 0) return;
    mg_page_section(page, "curves", "ROC and precision–recall curves");
    mg_page_raw(page, "<div class=\"plots\">\n");
    mg_page_plot(page, mg_chart_roc(evaluations, names, n), "ROC curves");
    mg_page_plot(page, mg_chart_precision_recall(evaluations, names, n, false),
                 "Precision-recall curves at natural prevalence");
    mg_page_plot(page, mg_chart_precision_recall(evaluations, names, n, true),
                 "Precision-recall curves on balanced classes");
    const mg_report_evaluation *main = mg_report_main_evaluation(l.item, l.count);
    char title[96];
    snprintf(title, sizeof title, "Probabilities, %c%s", main->name[0] | 0x20, main->name + 1);
    mg_page_plot(page, mg_chart_distribution(&main->evaluation->reliability, title), title);
    mg_page_raw(page, "</div>\n");
    mg_page_section_end(page);
}

static void calibration_charts(mg_page *page, levels l) {
    mg_page_section(page, "calibration", "Calibration");
    mg_page_raw(page, "<p>On the dashed line a predicted 30% is cancer in 30 of 100. A model "
                      "trained on balanced classes predicts too high at screening prevalence; the "
                      "prior-corrected probability undoes that. Whiskers: 95% (Wilson).</p>\n");
    mg_page_raw(page, l.count == 3 ? "<div class=\"plots three\">\n" : "<div class=\"plots\">\n");
    for (size_t i = 0; i < l.count; i++) {
        char label[96];
        snprintf(label, sizeof label, "Reliability diagram, %s", l.item[i].name);
        mg_page_plot(page, mg_chart_reliability(&l.item[i].evaluation->reliability, l.item[i].name),
                     label);
    }
    mg_page_raw(page, "</div>\n");
    mg_page_section_end(page);
}

void mg_report_results(mg_page *page, const mg_report_evaluation *evaluations, size_t count) {
    if (count == 0) return;
    levels l = {evaluations, count};
    mg_page_section(page, "figures", "Figures with 95% intervals");
    mg_page_raw(page, "<div class=\"plots\">\n");
    ranking_table(page, l);
    mg_page_raw(page, "<div>\n");
    threshold_table(page, l, MG_AT_HALF);
    threshold_table(page, l, MG_AT_BEST);
    mg_page_raw(page, "</div>\n</div>\n");
    mg_page_section_end(page);
    confusion_charts(page, l);
    curve_charts(page, l);
    calibration_charts(page, l);
}
