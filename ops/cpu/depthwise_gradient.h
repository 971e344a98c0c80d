/* depthwise_gradient.h: both gradients of a depthwise convolution, row by row.
 *
 * dx of an input row. An input position p = s m + r of an axis (s the stride) is read by outputs
 * m - before_r, m - before_r + 1, … through taps last_r, last_r - s, …: within one class r of
 * positions that is a convolution of dy with stride 1 and ceil(k / s) taps or fewer. So dx is the
 * forward row kernel once per class of columns, its results s pixels apart, over the filter sorted
 * by class; at stride 1 there is one class and the filter is turned by 180 degrees.
 *
 * dw of an output row against one row of taps. A block of COLUMNS gradients stays in registers
 * beside the k sums while the inputs under it pass by once: for 5x5, stride 1, 8 columns that is 20
 * loads for 40 fused multiply-adds; two vectors of channels at a time hide their latency. Each sum
 * goes over the columns left to right, whatever the block. */
#ifndef MG_OPS_CPU_DEPTHWISE_GRADIENT_H
#define MG_OPS_CPU_DEPTHWISE_GRADIENT_H

#include "ops/cpu/depthwise.h"

/* --- dx --------------------------------------------------------------------------------------- */

typedef struct depthwise_gradient {
    const float *dy; /* of one image: [rows, columns, channels] */
    float *taps;     /* k k channels, sorted by class (depthwise_sort_taps) */
    int64_t width, rows, columns, channels, top, left;
    int kernel, stride;
} depthwise_gradient;

/* How one class of positions along an axis is read. */
typedef struct position_class {
    int last, count;
    int64_t before;
    int sorted; /* taps of the classes before this one */
} position_class;

static inline position_class position_class_of(int r, int64_t padding, int kernel, int stride) {
    position_class p = {.last = -1};
    for (int c = 0; c <= r; c++) {
        int rest = (int)((c + padding) % stride);
        p.sorted += p.count;
        p.last = rest < kernel ? rest + (kernel - 1 - rest) / stride * stride : -1;
        p.count = p.last < 0 ? 0 : p.last / stride + 1;
        p.before = (p.last - c - padding) / stride;
    }
    return p;
}

/* Tap [t, u] of row class a and column class b, in g->taps. */
static inline float *sorted_tap(const depthwise_gradient *g, const position_class *a,
                                const position_class *b, int t, int u) {
    int64_t at = (int64_t)a->sorted * g->kernel + (int64_t)a->count * b->sorted;
    return g->taps + (at + (int64_t)t * b->count + u) * g->channels;
}

static inline void depthwise_sort_taps(const depthwise_gradient *g, const float *w) {
    for (int r = 0; r < g->stride; r++)
        for (int q = 0; q < g->stride; q++) {
            position_class a = position_class_of(r, g->top, g->kernel, g->stride);
            position_class b = position_class_of(q, g->left, g->kernel, g->stride);
            for (int t = 0; t < a.count; t++)
                for (int u = 0; u < b.count; u++) {
                    int64_t tap = (int64_t)(a.last - t * g->stride) * g->kernel + b.last -
                                  (int64_t)u * g->stride;
                    memcpy(sorted_tap(g, &a, &b, t, u), w + tap * g->channels,
                           (size_t)g->channels * sizeof *w);
                }
        }
}

static void depthwise_columns_1(const depthwise_row *r) {
    depthwise_blocks(r, r->kernel_rows, 1, 1);
}
static void depthwise_columns_2(const depthwise_row *r) {
    depthwise_blocks(r, r->kernel_rows, 2, 1);
}
static void depthwise_columns_3(const depthwise_row *r) {
    depthwise_blocks(r, r->kernel_rows, 3, 1);
}

/* Row p of dx (+= when accumulate) for `count` channels from `ch` on; dx_step floats a pixel. */
static inline void depthwise_gradient_row(const depthwise_gradient *g, int64_t p, int64_t ch,
                                          int64_t count, float *dx, int64_t dx_step,
                                          bool accumulate) {
    const float *rows[MG_MAX_KERNEL];
    int64_t line = g->columns * g->channels;
    position_class down = position_class_of((int)(p % g->stride), g->top, g->kernel, g->stride);
    depthwise_rows(g->dy + ch, g->rows, line, p / g->stride - down.before, down.count, rows);
    for (int q = 0; q < g->stride && q < g->width; q++) {
        position_class across = position_class_of(q, g->left, g->kernel, g->stride);
        depthwise_row r = {.rows = rows,
                           .width = g->columns,
                           .columns = ceil_div(g->width - q, g->stride),
                           .channels = count,
                           .x_step = g->channels,
                           .w_step = g->channels,
                           .y_step = g->stride * dx_step,
                           .left = across.before,
                           .kernel_rows = across.count ? down.count : 0,
                           .kernel = across.count,
                           .stride = 1,
                           .w = sorted_tap(g, &down, &across, 0, 0) + ch,
                           .accumulate = accumulate,
                           .y = dx + q * dx_step};
        if (r.kernel == r.kernel_rows && (r.kernel == 3 || r.kernel == 5)) depthwise_row_run(&r);
        else if (r.kernel == 1) depthwise_columns_1(&r);
        else if (r.kernel == 2) depthwise_columns_2(&r);
        else if (r.kernel == 3) depthwise_columns_3(&r);
        else
            for (int64_t j = 0; j < r.columns; j++) depthwise_pixel(&r, j);
    }
}

/* --- dw --------------------------------------------------------------------------------------- */

#if defined(MG_ISA_AVX512)
enum { TAP_VECTORS = 2 };
#else
enum { TAP_VECTORS = 1 };
#endif

/* One output row against one row of taps: dw[b] += sum over columns j of dy[j] x[j s + b - left] */
typedef struct depthwise_taps {
    const float *x, *dy;
    int64_t x_step, dy_step, w_step; /* floats from one pixel, pixel, tap to the next */
    int64_t width, columns, channels, left;
    int kernel, stride;
    float *dw;
} depthwise_taps;

/* `count` outputs from column j, vectors x n channels from ch on; at_border as in depthwise.h. */
MG_INLINE void taps_block(const depthwise_taps *t, const int kernel, const int stride,
                          const bool at_border, int count, const int vectors, const int n,
                          int64_t j, int64_t ch, v16 (*sum)[TAP_VECTORS]) {
    v16 g[COLUMNS][TAP_VECTORS];
    int64_t column = j * stride - t->left;
#pragma GCC unroll 8
    for (int o = 0; o < COLUMNS; o++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            g[o][v] = at_border && o >= count
                          ? v16_zero()
                          : v16_load_some(t->dy + (j + o) * t->dy_step + ch + v * V16, n);
#pragma GCC unroll 20
    for (int q = 0; q < (COLUMNS - 1) * stride + kernel; q++) {
        if (at_border && (column + q < 0 || column + q >= t->width)) continue;
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            v16 in = v16_load_some(t->x + (column + q) * t->x_step + ch + v * V16, n);
#pragma GCC unroll 8
            for (int o = 0; o < COLUMNS; o++) {
                int b = q - o * stride;
                if (b >= 0 && b < kernel && !(at_border && o >= count))
                    sum[b][v] = v16_fma(g[o][v], in, sum[b][v]);
            }
        }
    }
}

MG_INLINE void taps_channels(const depthwise_taps *t, const int kernel, const int stride,
                             const int vectors, const int n, int64_t ch) {
    v16 sum[5][TAP_VECTORS];
    const int reach = (COLUMNS - 1) * stride + kernel;
#pragma GCC unroll 5
    for (int b = 0; b < kernel; b++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[b][v] = v16_zero();
    for (int64_t j = 0; j < t->columns; j += COLUMNS) {
        int64_t column = j * stride - t->left;
        int count = (int)min64(COLUMNS, t->columns - j);
        if (column >= 0 && column + reach <= t->width && count == COLUMNS)
            taps_block(t, kernel, stride, false, COLUMNS, vectors, n, j, ch, sum);
        else taps_block(t, kernel, stride, true, count, vectors, n, j, ch, sum);
    }
#pragma GCC unroll 5
    for (int b = 0; b < kernel; b++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            float *to = t->dw + b * t->w_step + ch + v * V16;
            v16_store_some(to, v16_add(v16_load_some(to, n), sum[b][v]), n);
        }
}

MG_INLINE void taps_of(const depthwise_taps *t, const int kernel, const int stride) {
    int64_t ch = 0;
    for (; ch + TAP_VECTORS * V16 <= t->channels; ch += TAP_VECTORS * V16)
        taps_channels(t, kernel, stride, TAP_VECTORS, V16, ch);
    for (; ch + V16 <= t->channels; ch += V16) taps_channels(t, kernel, stride, 1, V16, ch);
    if (ch < t->channels) taps_channels(t, kernel, stride, 1, (int)(t->channels - ch), ch);
}

static void taps_3x1(const depthwise_taps *t) { taps_of(t, 3, 1); }
static void taps_3x2(const depthwise_taps *t) { taps_of(t, 3, 2); }
static void taps_5x1(const depthwise_taps *t) { taps_of(t, 5, 1); }
static void taps_5x2(const depthwise_taps *t) { taps_of(t, 5, 2); }

/* Any kernel, one tap at a time. */
static void taps_any(const depthwise_taps *t) {
    for (int64_t ch = 0; ch < t->channels; ch += V16) {
        int n = (int)min64(V16, t->channels - ch);
        for (int b = 0; b < t->kernel; b++) {
            v16 sum = v16_zero();
            for (int64_t j = 0; j < t->columns; j++) {
                int64_t q = j * t->stride + b - t->left;
                if (q < 0 || q >= t->width) continue;
                sum = v16_fma(v16_load_n(t->dy + j * t->dy_step + ch, n),
                              v16_load_n(t->x + q * t->x_step + ch, n), sum);
            }
            float *to = t->dw + b * t->w_step + ch;
            v16_store_n(to, v16_add(v16_load_n(to, n), sum), n);
        }
    }
}

static inline void depthwise_taps_run(const depthwise_taps *t) {
    if (t->kernel == 3 && t->stride == 1) taps_3x1(t);
    else if (t->kernel == 3 && t->stride == 2) taps_3x2(t);
    else if (t->kernel == 5 && t->stride == 1) taps_5x1(t);
    else if (t->kernel == 5 && t->stride == 2) taps_5x2(t);
    else taps_any(t);
}

#endif
