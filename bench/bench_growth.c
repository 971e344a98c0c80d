/* bench_growth.c: draws the log of bench/growth.sh: how the forward pass's time grows with the
 * image's side and with the batch.
 *
 *     bench_growth LOG SIDE.png BATCH.png
 *
 * Lines of the log that count: "side N PRECISION seconds", "batch N PRECISION seconds". */
#include <stdio.h>
#include <string.h>

#include "data/plot_charts.h"

enum { MOST = 32, F32 = 0, BF16 = 1 };

typedef struct line {
    double x[MOST], y[MOST];
    size_t count;
} line;

static line sides[2], batches[2];

static void add(line *l, double x, double y) {
    if (l->count == MOST) return;
    l->x[l->count] = x;
    l->y[l->count++] = y;
}

static int read_log(const char *path) {
    FILE *f = fopen(path, "r");
    char row[256], kind[16], precision[16];
    double n, seconds;
    if (!f) return 1;
    while (fgets(row, sizeof row, f)) {
        if (sscanf(row, "%15s %lf %15s %lf", kind, &n, precision, &seconds) != 4) continue;
        int which = strcmp(precision, "bf16") == 0 ? BF16 : F32;
        if (strcmp(kind, "side") == 0) add(&sides[which], n * n * 1e-6, seconds);
        if (strcmp(kind, "batch") == 0) add(&batches[which], n, 1e3 * seconds / n);
    }
    fclose(f);
    return sides[F32].count == 0;
}

static int draw(const mg_chart *chart, const line lines[2], bool proportional, const char *path) {
    const line *f = &lines[F32];
    double straight[MOST];
    for (size_t i = 0; i < f->count; i++) straight[i] = f->y[0] * f->x[i] / f->x[0];
    mg_chart_series series[3] = {
        {.name = "f32", .count = f->count, .x = f->x, .y = f->y, .color = MG_PLOT_FIRST, .dots = 1},
        {.name = "bf16",
         .count = lines[BF16].count,
         .x = lines[BF16].x,
         .y = lines[BF16].y,
         .color = MG_PLOT_SECOND,
         .dots = 1},
        {.name = "f32 at the first point's time per pixel",
         .count = proportional ? f->count : 0,
         .x = f->x,
         .y = straight,
         .color = MG_PLOT_SOFT,
         .dashed = true}};
    if (!lines[BF16].count) series[1] = series[2];
    size_t count = 1 + (lines[BF16].count > 0) + (size_t)proportional;
    mg_error err = {0};
    mg_plot *plot = mg_chart_lines(chart, series, count);
    mg_status s = plot ? mg_plot_write_png(plot, 2, path, &err) : MG_ERR_MEMORY;
    if (s) fprintf(stderr, "bench_growth: %s\n", err.message);
    mg_plot_destroy(plot);
    return s != MG_OK;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        printf("bench_growth: draws the log of bench/growth.sh\n");
        return 0;
    }
    if (read_log(argv[1])) {
        fprintf(stderr, "bench_growth: %s: no figures\n", argv[1]);
        return 1;
    }
    mg_chart side = {.title = "Forward pass, one square image",
                     .x_label = "megapixels (sides of 500, 1000, 2000 are 0.25, 1, 4)",
                     .y_label = "seconds"};
    mg_chart batch = {.title = "Forward pass, 955 × 500",
                      .x_label = "images at once",
                      .y_label = "ms an image",
                      .y_low = 0,
                      .y_high = 1.2 * batches[F32].y[0],
                      .x_whole = true};
    return draw(&side, sides, true, argv[2]) | draw(&batch, batches, false, argv[3]);
}
