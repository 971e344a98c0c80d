/* Confusion matrix, reliability diagram, distribution of probabilities. */
#include <math.h>
#include <stdio.h>

#include "data/plot_axis.h"
#include "data/plot_charts.h"

static const double page_width = MG_CHART_WIDTH, text_size = 12, title_size = 14;

/* A count with thousands separators; one decimal where it is no whole number. */
static void count_text(char out[40], double count) {
    char digits[32];
    double tenths = round(count * 10);
    bool whole = fabs(count - round(count)) < 1e-6;
    int size = snprintf(digits, sizeof digits, "%.0f", whole ? round(count) : floor(tenths / 10));
    int n = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) out[n++] = ',';
        out[n++] = digits[i];
    }
    out[n] = 0;
    if (!whole) snprintf(out + n, (size_t)(40 - n), ".%d", (int)fmod(tenths, 10));
}

static void draw_cell(mg_plot *plot, double x, double y, double width, double height, double count,
                      double total, const char *name, bool right) {
    double share = total > 0 ? count / total : 0;
    char text[64], number[40];
    mg_plot_style tint = {.color = right ? MG_PLOT_FIRST : MG_PLOT_SECOND,
                          .opacity = 0.05 + 0.4 * share};
    mg_plot_rect(plot, x, y, width, height, tint);
    double middle = x + width / 2;
    snprintf(text, sizeof text, total > 0 ? "%.1f%%" : "–", 100 * share);
    mg_plot_text(plot, middle, y + height / 2 + 2, 20, MG_PLOT_MIDDLE, MG_PLOT_INK, true, false,
                 text);
    count_text(number, count);
    snprintf(text, sizeof text, "%s: %s", name, number);
    mg_plot_text(plot, middle, y + height / 2 + 21, text_size, MG_PLOT_MIDDLE, MG_PLOT_INK, false,
                 false, text);
}

mg_plot *mg_chart_confusion(const mg_metrics *metrics, const char *title) {
    const double left = 92, top = 66, wide = (page_width - left - 8) / 2, tall = 74, space = 4;
    mg_plot *plot = mg_plot_create(page_width, top + 2 * tall + space + 8);
    if (!plot) return NULL;
    const mg_confusion *c = &metrics->confusion;
    double yes = c->tp + c->fn, no = c->fp + c->tn;
    if (title)
        mg_plot_text(plot, 0, 17, title_size, MG_PLOT_START, MG_PLOT_INK, true, false, title);
    double x[2] = {left, left + wide + space}, y[2] = {top, top + tall + space};
    const char *columns[2] = {"called cancer", "called clear"}, *rows[2] = {"cancer", "no cancer"};
    for (int i = 0; i < 2; i++) {
        char number[40], text[64];
        mg_plot_text(plot, x[i] + wide / 2, top - 10, text_size, MG_PLOT_MIDDLE, MG_PLOT_SOFT,
                     false, false, columns[i]);
        mg_plot_text(plot, left - 12, y[i] + tall / 2, text_size, MG_PLOT_END, MG_PLOT_INK, true,
                     false, rows[i]);
        count_text(number, i ? no : yes);
        snprintf(text, sizeof text, "n = %s", number);
        mg_plot_text(plot, left - 12, y[i] + tall / 2 + 16, text_size, MG_PLOT_END, MG_PLOT_SOFT,
                     false, false, text);
    }
    char note[96];
    snprintf(note, sizeof note, "threshold %.3f, prevalence %.3g%%", metrics->threshold,
             100 * metrics->prevalence);
    mg_plot_text(plot, 0, 35, text_size, MG_PLOT_START, MG_PLOT_SOFT, false, false, note);
    draw_cell(plot, x[0], y[0], wide, tall, c->tp, yes, "found", true);
    draw_cell(plot, x[1], y[0], wide, tall, c->fn, yes, "missed", false);
    draw_cell(plot, x[0], y[1], wide, tall, c->fp, no, "false alarms", false);
    draw_cell(plot, x[1], y[1], wide, tall, c->tn, no, "rightly clear", true);
    return plot;
}

/* Bars with their counts: how many items each bin rests on. */
static void draw_counts(mg_plot *plot, const mg_reliability *r, const mg_axis *x, double base,
                        double height) {
    size_t most = 1;
    for (int b = 0; b < r->bins; b++) most = r->bin[b].count > most ? r->bin[b].count : most;
    for (int b = 0; b < r->bins; b++) {
        const mg_reliability_bin *bin = &r->bin[b];
        if (bin->count == 0) continue;
        double from = mg_axis_place(x, bin->low) + 1.5, to = mg_axis_place(x, bin->high) - 1.5;
        double tall = fmax(1, height * (double)bin->count / (double)most);
        mg_plot_rect(plot, from, base - tall, to - from, tall,
                     (mg_plot_style){.color = MG_PLOT_FIRST, .opacity = 0.35});
        char text[40];
        if (r->bins > 12) continue;
        if (bin->count < 10000) count_text(text, (double)bin->count);
        else snprintf(text, sizeof text, "%zuk", (bin->count + 500) / 1000);
        mg_plot_text(plot, (from + to) / 2, base - tall - 3, 9.5, MG_PLOT_MIDDLE, MG_PLOT_SOFT,
                     false, false, text);
    }
}

static void draw_bins(mg_plot *plot, const mg_reliability *r, const mg_axis *x, const mg_axis *y) {
    mg_plot_style line = {.color = MG_PLOT_FIRST, .width = 1.5}, dot = {.color = MG_PLOT_FIRST};
    double path[2 * MG_METRIC_MAX_BINS];
    size_t points = 0;
    for (int b = 0; b < r->bins; b++) {
        const mg_reliability_bin *bin = &r->bin[b];
        if (bin->count == 0) continue;
        double at = mg_axis_place(x, bin->predicted);
        double low = mg_axis_place(y, bin->observed_low),
               high = mg_axis_place(y, bin->observed_high);
        mg_plot_line(plot, at, low, at, high, line);
        mg_plot_line(plot, at - 3, low, at + 3, low, line);
        mg_plot_line(plot, at - 3, high, at + 3, high, line);
        path[2 * points] = at;
        path[2 * points++ + 1] = mg_axis_place(y, bin->observed);
    }
    mg_plot_polyline(plot, path, points, (mg_plot_style){.color = MG_PLOT_FIRST, .width = 2});
    for (size_t i = 0; i < points; i++) mg_plot_disc(plot, path[2 * i], path[2 * i + 1], 3.2, dot);
}

mg_plot *mg_chart_reliability(const mg_reliability *r, const char *title) {
    const double left = 56, top = 50, side = page_width - left - 16, bars = 56;
    mg_plot *plot = mg_plot_create(page_width, top + side + 50 + bars + 18);
    if (!plot) return NULL;
    mg_axis x = {.low = 0, .high = 1, .from = left, .to = left + side};
    mg_axis y = {.low = 0, .high = 1, .from = top + side, .to = top};
    mg_plot_style rule = {.color = MG_PLOT_RULE, .width = 1};
    for (int i = 0; i <= 5; i++) {
        char label[16];
        double px = mg_axis_place(&x, i / 5.0), py = mg_axis_place(&y, i / 5.0);
        snprintf(label, sizeof label, "%.1f", i / 5.0);
        mg_plot_line(plot, left, py, left + side, py, rule);
        mg_plot_text(plot, left - 8, py + 4, text_size, MG_PLOT_END, MG_PLOT_SOFT, false, false,
                     label);
        mg_plot_text(plot, px, y.from + 18, text_size, MG_PLOT_MIDDLE, MG_PLOT_SOFT, false, false,
                     label);
    }
    mg_plot_line(plot, x.from, y.from, x.to, y.to,
                 (mg_plot_style){.color = MG_PLOT_SOFT, .width = 1, .dash = 3});
    mg_plot_line(plot, x.from, y.from, x.to, y.from,
                 (mg_plot_style){.color = MG_PLOT_SOFT, .width = 1});
    draw_bins(plot, r, &x, &y);
    draw_counts(plot, r, &x, top + side + 50 + bars + 8, bars);
    char note[96];
    snprintf(note, sizeof note, "calibration error %.3f; bars: items per bin", r->expected_error);
    if (title)
        mg_plot_text(plot, left, 17, title_size, MG_PLOT_START, MG_PLOT_INK, true, false, title);
    mg_plot_text(plot, left, 36, text_size, MG_PLOT_START, MG_PLOT_SOFT, false, false, note);
    mg_plot_text(plot, left + side / 2, y.from + 36, text_size, MG_PLOT_MIDDLE, MG_PLOT_INK, false,
                 false, "Predicted probability");
    mg_plot_text(plot, 13, top + side / 2, text_size, MG_PLOT_MIDDLE, MG_PLOT_INK, false, true,
                 "Observed share of cancer");
    return plot;
}

/* One class's bars, in half of each bin's width. */
static void draw_shares(mg_plot *plot, const mg_reliability *r, const mg_axis *x, const mg_axis *y,
                        bool positive, double total) {
    for (int b = 0; b < r->bins && total > 0; b++) {
        const mg_reliability_bin *bin = &r->bin[b];
        size_t count = positive ? bin->positives : bin->count - bin->positives;
        if (count == 0) continue;
        double low = mg_axis_place(x, bin->low), wide = mg_axis_place(x, bin->high) - low;
        double top = mg_axis_place(y, (double)count / total);
        mg_plot_rect(plot, low + (positive ? 0.51 : 0.07) * wide, top, 0.42 * wide, y->from - top,
                     (mg_plot_style){.color = positive ? MG_PLOT_SECOND : MG_PLOT_FIRST});
    }
}

mg_plot *mg_chart_distribution(const mg_reliability *r, const char *title) {
    double total[2] = {0, 0}, most = 0.2;
    for (int b = 0; b < r->bins; b++) {
        total[1] += (double)r->bin[b].positives;
        total[0] += (double)(r->bin[b].count - r->bin[b].positives);
    }
    for (int b = 0; b < r->bins; b++) {
        double positives = (double)r->bin[b].positives;
        if (total[1] > 0) most = fmax(most, positives / total[1]);
        if (total[0] > 0) most = fmax(most, ((double)r->bin[b].count - positives) / total[0]);
    }
    const double nowhere[] = {NAN};
    mg_chart chart = {.title = title,
                      .x_label = "Predicted probability",
                      .y_label = "Share of the class",
                      .x_high = 1,
                      .y_high = fmin(1, ceil(most * 10) / 10),
                      .square = true};
    mg_chart_series series[] = {
        {.name = "no cancer", .count = 1, .x = nowhere, .y = nowhere, .color = MG_PLOT_FIRST},
        {.name = "cancer", .count = 1, .x = nowhere, .y = nowhere, .color = MG_PLOT_SECOND}};
    mg_plot *plot = mg_chart_lines(&chart, series, 2);
    if (!plot) return NULL;
    /* The same place as in mg_chart_lines(): one row of legend. */
    const double left = 56, top = 52, side = page_width - left - 16;
    mg_axis x = {.low = 0, .high = 1, .from = left, .to = left + side};
    mg_axis y = {.low = 0, .high = chart.y_high, .from = top + side, .to = top};
    draw_shares(plot, r, &x, &y, false, total[0]);
    draw_shares(plot, r, &x, &y, true, total[1]);
    return plot;
}
