/* x-y charts: learning curves, ROC, precision-recall. */
#include "data/plot_charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/plot_axis.h"
#include "data/plot_font.h"

static const double page_width = MG_CHART_WIDTH, left_margin = 56, right_margin = 16,
                    text_size = 12, title_size = 14, legend_row = 18;

/* A chart under way: its place on the page and what values mean there. */
typedef struct frame {
    mg_plot *plot;
    mg_axis x, y;
} frame;

/* --- ranges ----------------------------------------------------------------------------------- */

static void widen(double *low, double *high, const double *v, size_t n, bool positive_only) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i]) || (positive_only && v[i] <= 0)) continue;
        *low = fmin(*low, v[i]);
        *high = fmax(*high, v[i]);
    }
}

static void set_range(mg_axis *axis, double low, double high, const mg_chart_series *series,
                      size_t count, bool vertical) {
    axis->low = low;
    axis->high = high;
    if (low != 0 || high != 0) return;
    axis->low = INFINITY;
    axis->high = -INFINITY;
    for (size_t s = 0; s < count; s++)
        widen(&axis->low, &axis->high, vertical ? series[s].y : series[s].x, series[s].count,
              axis->log);
    if (!(axis->low <= axis->high)) { /* nothing to show */
        axis->low = axis->log ? 0.1 : 0;
        axis->high = 1;
    }
    mg_axis_round(axis);
}

/* --- parts ------------------------------------------------------------------------------------ */

/* Legend entries flow into rows below the title; returns where the chart may begin. */
static double draw_legend(mg_plot *plot, const mg_chart_series *series, size_t count, double y) {
    double x = left_margin, row = y;
    bool any = false;
    for (size_t s = 0; s < count; s++) {
        if (!series[s].name) continue;
        double width = 26 + mg_font_width(series[s].name, text_size) + 14;
        if (any && x + width > page_width) {
            x = left_margin;
            row += legend_row;
        }
        any = true;
        mg_plot_style style = {
            .color = series[s].color, .width = 2.2, .dash = series[s].dashed ? 4 : 0};
        mg_plot_line(plot, x, row - 4, x + 20, row - 4, style);
        mg_plot_text(plot, x + 26, row, text_size, MG_PLOT_START, MG_PLOT_INK, false, false,
                     series[s].name);
        x += width;
    }
    return any ? row + 14 : y - 4;
}

static void draw_axes(const frame *f, const char *x_label, const char *y_label) {
    double ticks[MG_AXIS_MAX_TICKS];
    char label[24];
    mg_plot_style rule = {.color = MG_PLOT_RULE, .width = 1};
    int n = mg_axis_ticks(&f->y, 5, ticks);
    for (int i = 0; i < n; i++) {
        double y = mg_axis_place(&f->y, ticks[i]);
        mg_plot_line(f->plot, f->x.from, y, f->x.to, y, rule);
        mg_axis_label(&f->y, ticks[i], n > 1 ? ticks[1] - ticks[0] : 1, label);
        mg_plot_text(f->plot, f->x.from - 8, y + 4, text_size, MG_PLOT_END, MG_PLOT_SOFT, false,
                     false, label);
    }
    n = mg_axis_ticks(&f->x, 6, ticks);
    for (int i = 0; i < n; i++) {
        double x = mg_axis_place(&f->x, ticks[i]);
        mg_plot_line(f->plot, x, f->y.from, x, f->y.from + 4, rule);
        mg_axis_label(&f->x, ticks[i], n > 1 ? ticks[1] - ticks[0] : 1, label);
        mg_plot_text(f->plot, x, f->y.from + 18, text_size, MG_PLOT_MIDDLE, MG_PLOT_SOFT, false,
                     false, label);
    }
    mg_plot_style axis = {.color = MG_PLOT_SOFT, .width = 1};
    mg_plot_line(f->plot, f->x.from, f->y.from, f->x.to, f->y.from, axis);
    if (x_label)
        mg_plot_text(f->plot, (f->x.from + f->x.to) / 2, f->y.from + 37, text_size, MG_PLOT_MIDDLE,
                     MG_PLOT_INK, false, false, x_label);
    if (y_label)
        mg_plot_text(f->plot, 13, (f->y.from + f->y.to) / 2, text_size, MG_PLOT_MIDDLE, MG_PLOT_INK,
                     false, true, y_label);
}

/* The line, in pieces between gaps; points that no eye could tell apart are left out. */
static void draw_series(const frame *f, const mg_chart_series *s) {
    double *xy = malloc((4 * s->count + 4) * sizeof *xy);
    if (!xy) return; /* the plot reports lost items through its own allocations */
    mg_plot_style style = {.color = s->color, .width = 2, .dash = s->dashed ? 4 : 0};
    size_t n = 0;
    for (size_t i = 0; i <= s->count; i++) {
        bool gap =
            i == s->count || !isfinite(s->x[i]) || !isfinite(s->y[i]) || (f->y.log && s->y[i] <= 0);
        if (gap) {
            if (n == 1) mg_plot_disc(f->plot, xy[0], xy[1], 2.5, style);
            else mg_plot_polyline(f->plot, xy, n, style);
            n = 0;
            continue;
        }
        double x = mg_axis_place(&f->x, s->x[i]), y = mg_axis_place(&f->y, s->y[i]);
        bool last = i + 1 == s->count;
        /* Precision falls from one hit to the next; its steps are as high as they are at a hit. */
        if (s->steps && i && s->x[i] == s->x[i - 1]) continue;
        if (s->steps && n == 0) {
            xy[0] = f->x.from;
            xy[1] = y;
            n = 1;
        }
        if (n > 1 && !last && fabs(x - xy[2 * n - 2]) < 0.3 && fabs(y - xy[2 * n - 1]) < 0.3)
            continue;
        if (s->steps && n) {
            xy[2 * n] = xy[2 * n - 2];
            xy[2 * n++ + 1] = y;
        }
        xy[2 * n] = x;
        xy[2 * n++ + 1] = y;
        if (s->dots) mg_plot_disc(f->plot, x, y, 2.6, style);
    }
    free(xy);
}

static void draw_mark(const frame *f, double value, const char *mark, bool low) {
    double x = mg_axis_place(&f->x, value), width = mg_font_width(mark, text_size);
    mg_plot_style style = {.color = MG_PLOT_SOFT, .width = 1, .dash = 3};
    mg_plot_line(f->plot, x, f->y.from, x, f->y.to, style);
    bool left = x + 6 + width > f->x.to;
    mg_plot_text(f->plot, left ? x - 5 : x + 5, low ? f->y.from - 8 : f->y.to + 12, text_size,
                 left ? MG_PLOT_END : MG_PLOT_START, MG_PLOT_SOFT, false, false, mark);
}

mg_plot *mg_chart_lines(const mg_chart *chart, const mg_chart_series *series, size_t count) {
    double rows = 0, x = left_margin;
    for (size_t s = 0; s < count; s++) { /* the legend's rows decide the height */
        if (!series[s].name) continue;
        double width = 40 + mg_font_width(series[s].name, text_size);
        if (rows == 0 || x + width > page_width) {
            rows++;
            x = left_margin;
        }
        x += width;
    }
    double top = 26 + rows * legend_row + 8, wide = page_width - left_margin - right_margin;
    double tall = chart->square ? wide : 190;
    frame f = {.plot = mg_plot_create(page_width, top + tall + 46)};
    if (!f.plot) return NULL;
    f.x = (mg_axis){.from = left_margin, .to = left_margin + wide, .whole = chart->x_whole};
    f.y = (mg_axis){.from = top + tall, .to = top, .log = chart->y_log};
    set_range(&f.x, chart->x_low, chart->x_high, series, count, false);
    set_range(&f.y, chart->y_low, chart->y_high, series, count, true);
    if (chart->title)
        mg_plot_text(f.plot, left_margin, 17, title_size, MG_PLOT_START, MG_PLOT_INK, true, false,
                     chart->title);
    draw_legend(f.plot, series, count, 40);
    draw_axes(&f, chart->x_label, chart->y_label);
    if (chart->diagonal)
        mg_plot_line(f.plot, f.x.from, f.y.from, f.x.to, f.y.to,
                     (mg_plot_style){.color = MG_PLOT_SOFT, .width = 1, .dash = 3});
    if (chart->mark) draw_mark(&f, chart->mark_x, chart->mark, chart->mark_low);
    for (size_t s = 0; s < count; s++) draw_series(&f, &series[s]);
    return f.plot;
}

/* --- curves of evaluations -------------------------------------------------------------------- */

enum { MAX_CURVES = 4, NAME_ROOM = 96 };

static const mg_plot_color curve_colors[MAX_CURVES] = {MG_PLOT_FIRST, MG_PLOT_SECOND, MG_PLOT_THIRD,
                                                       MG_PLOT_SOFT};

/* "Per breast: 0.912 (0.871–0.953)" */
static void name_curve(char out[NAME_ROOM], const char *name, const mg_interval *area) {
    if (isnan(area->low)) snprintf(out, NAME_ROOM, "%s: %.3f", name, area->value);
    else snprintf(out, NAME_ROOM, "%s: %.3f (%.3f–%.3f)", name, area->value, area->low, area->high);
}

static mg_plot *evaluation_curves(const mg_chart *chart, const mg_evaluation *const *evaluations,
                                  const char *const *names, size_t count, mg_metric area,
                                  bool balanced) {
    char text[MAX_CURVES][NAME_ROOM];
    mg_chart_series series[MAX_CURVES];
    size_t n = 0;
    for (size_t i = 0; i < count && n < MAX_CURVES; i++) {
        const mg_evaluation *e = evaluations[i];
        const mg_curve *curve = area == MG_METRIC_ROC_AUC ? &e->roc
                                : balanced                ? &e->precision_recall_balanced
                                                          : &e->precision_recall;
        if (!names[i] || curve->count == 0) continue;
        const mg_evaluation_view *view = &e->view[balanced ? MG_BALANCED : MG_NATURAL][MG_AT_HALF];
        name_curve(text[n], names[i], &view->interval[area]);
        series[n] = (mg_chart_series){.name = text[n],
                                      .count = curve->count,
                                      .x = curve->x,
                                      .y = curve->y,
                                      .color = curve_colors[n],
                                      .steps = area == MG_METRIC_PR_AUC};
        n++;
    }
    return mg_chart_lines(chart, series, n);
}

mg_plot *mg_chart_roc(const mg_evaluation *const *evaluations, const char *const *names,
                      size_t count) {
    mg_chart chart = {.title = "ROC: area under the curve",
                      .x_label = "False positive rate (1 − specificity)",
                      .y_label = "True positive rate (sensitivity)",
                      .x_high = 1,
                      .y_high = 1,
                      .square = true,
                      .diagonal = true,
                      .mark_x = 0.1,
                      .mark = "90% specificity",
                      .mark_low = true};
    return evaluation_curves(&chart, evaluations, names, count, MG_METRIC_ROC_AUC, false);
}

mg_plot *mg_chart_precision_recall(const mg_evaluation *const *evaluations,
                                   const char *const *names, size_t count, bool balanced) {
    mg_chart chart = {.title = balanced ? "Precision–recall, balanced classes"
                                        : "Precision–recall, natural prevalence",
                      .x_label = "Recall",
                      .y_label = "Precision",
                      .x_high = 1,
                      .y_high = 1,
                      .square = true};
    return evaluation_curves(&chart, evaluations, names, count, MG_METRIC_PR_AUC, balanced);
}
