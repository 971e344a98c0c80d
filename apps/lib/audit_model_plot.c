/* audit_model_plot.c: time per layer as a picture (audit_model.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/audit_model.h"
#include "data/plot.h"

/* All ops and both passes of one scope. */
typedef struct bar {
    const char *scope;
    double seconds, floor;
} bar;

enum { LEFT = 112, RIGHT = 96, TOP = 62, STEP = 17, THICK = 11, WIDTH = 720 };

static size_t collect(const mg_audit_profile *p, const mg_machine *m, bar *bars) {
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const mg_audit_layer *l = &p->layer[i];
        size_t k = 0;
        while (k < count && strcmp(bars[k].scope, l->scope) != 0) k++;
        if (k == count) bars[count++] = (bar){.scope = l->scope};
        bars[k].seconds += l->median;
        bars[k].floor += fmin(mg_machine_floor(m, l->flops, l->bytes), l->median);
    }
    return count;
}

/* 1, 2 or 5 times a power of ten, about five to the axis. */
static double tick_of(double most) {
    double unit = pow(10, floor(log10(most / 5)));
    double times = most / 5 / unit;
    return unit * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

static void draw_axis(mg_plot *plot, double most, double scale, double bottom) {
    double tick = tick_of(most);
    for (int i = 0; i * tick <= most * 1.0001; i++) {
        char text[32];
        double x = LEFT + i * tick * scale;
        snprintf(text, sizeof text, "%g", i * tick * 1e3);
        mg_plot_line(plot, x, TOP - 4, x, bottom, (mg_plot_style){MG_PLOT_RULE, 0.7, 0, 1});
        mg_plot_text(plot, x, bottom + 12, 9, MG_PLOT_MIDDLE, MG_PLOT_SOFT, false, false, text);
    }
    mg_plot_text(plot, WIDTH - RIGHT + 6, bottom + 12, 9, MG_PLOT_START, MG_PLOT_SOFT, false, false,
                 "ms");
}

static void draw_legend(mg_plot *plot) {
    mg_plot_rect(plot, LEFT, 34, 18, 9, (mg_plot_style){MG_PLOT_FIRST, 0, 0, 1});
    mg_plot_text(plot, LEFT + 23, 42, 10, MG_PLOT_START, MG_PLOT_SOFT, false, false,
                 "least time by peak and copy speed");
    mg_plot_rect(plot, LEFT + 222, 34, 18, 9, (mg_plot_style){MG_PLOT_FIRST, 0, 0, 0.3});
    mg_plot_text(plot, LEFT + 245, 42, 10, MG_PLOT_START, MG_PLOT_SOFT, false, false,
                 "what it takes beyond that");
    mg_plot_text(plot, WIDTH - 8, 42, 10, MG_PLOT_END, MG_PLOT_SOFT, false, false,
                 "ms, share of roofline");
}

static void draw_bar(mg_plot *plot, const bar *b, double y, double scale) {
    char text[48];
    mg_plot_text(plot, LEFT - 8, y + THICK - 2, 10, MG_PLOT_END, MG_PLOT_INK, false, false,
                 b->scope);
    mg_plot_rect(plot, LEFT, y, b->floor * scale, THICK, (mg_plot_style){MG_PLOT_FIRST, 0, 0, 1});
    mg_plot_rect(plot, LEFT + b->floor * scale, y, (b->seconds - b->floor) * scale, THICK,
                 (mg_plot_style){MG_PLOT_FIRST, 0, 0, 0.3});
    snprintf(text, sizeof text, "%.2f", b->seconds * 1e3);
    mg_plot_text(plot, WIDTH - 42, y + THICK - 2, 10, MG_PLOT_END, MG_PLOT_INK, false, false, text);
    snprintf(text, sizeof text, "%.0f%%", b->seconds > 0 ? 100 * b->floor / b->seconds : 0);
    mg_plot_text(plot, WIDTH - 8, y + THICK - 2, 10, MG_PLOT_END, MG_PLOT_SOFT, false, false, text);
}

mg_status mg_audit_model_plot(const mg_audit_profile *p, const mg_machine *m, const char *title,
                              const char *path, mg_error *err) {
    bar *bars = calloc(p->count ? p->count : 1, sizeof *bars);
    if (!bars) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
    size_t count = collect(p, m, bars);
    double most = 1e-9, bottom = TOP + (double)count * STEP;
    for (size_t i = 0; i < count; i++) most = fmax(most, bars[i].seconds);
    double scale = (WIDTH - LEFT - RIGHT) / most;
    mg_plot *plot = mg_plot_create(WIDTH, bottom + 20);
    mg_status s = MG_OK;
    if (plot) {
        char text[224];
        snprintf(text, sizeof text, "%s: %.1f ms", title, p->median * 1e3);
        mg_plot_text(plot, 8, 16, 13, MG_PLOT_START, MG_PLOT_INK, true, false, text);
        draw_legend(plot);
        draw_axis(plot, most, scale, bottom);
        for (size_t i = 0; i < count; i++) draw_bar(plot, &bars[i], TOP + (double)i * STEP, scale);
        s = mg_plot_write_png(plot, 2, path, err);
        mg_plot_destroy(plot);
    } else {
        s = mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
    }
    free(bars);
    return s;
}
