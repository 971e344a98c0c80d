/* depthwise.h: one output row of a depthwise convolution; depthwise_conv and mbconv share it.
 *
 * Vectors run across channels. A block of COLUMNS output pixels of 16 channels keeps its sums in
 * registers; each input vector is loaded once per kernel row and serves every output it touches,
 * and the kernel row's weights stay in registers: for 5x5, stride 1, 8 columns that is 17 loads for
 * 40 fused multiply-adds. A block whose taps reach over the left or right border, or that sticks
 * out of the row, is the same code with a test per input column (never per multiply-add): rows of
 * the last stages are 16 pixels, two blocks, both at a border. Each output sums its taps row by
 * row, left to right, from the bias (or zero), whatever the block: so block sizes may differ
 * between instruction sets. */
#ifndef MG_OPS_CPU_DEPTHWISE_H
#define MG_OPS_CPU_DEPTHWISE_H

#include "ops/cpu/chunks.h"
#include "ops/cpu/silu.h"
#include "ops/cpu/stream.h"

#if defined(MG_ISA_AVX512)
enum { COLUMNS = 8 };
#else
enum { COLUMNS = 2 };
#endif

typedef struct depthwise_row {
    const float *const *rows;       /* `kernel_rows` input rows; NULL: outside the image */
    int64_t width, columns;         /* input and output pixels of a row */
    int64_t channels;               /* how many are computed */
    int64_t x_step, w_step, y_step; /* floats from one input pixel, tap, output pixel to the next */
    int64_t left;                   /* padding before the first column */
    int kernel_rows, kernel, stride;  /* taps down and across */
    const float *w;                   /* kernel_rows x kernel taps */
    const float *bias;                /* or NULL */
    bool silu, silu_half, accumulate; /* silu_half: to the precision of silu.h */
    bool stream;                      /* y goes past the caches (stream.h) */
    float *y;
    float *sums; /* per channel, or NULL: += the results, column by column */
} depthwise_row;

MG_INLINE v16 depthwise_start(const depthwise_row *r, int64_t ch, int n) {
    return r->bias ? v16_load_some(r->bias + ch, n) : v16_zero();
}

MG_INLINE v16 depthwise_finish(const depthwise_row *r, int64_t j, int64_t ch, v16 sum, int n) {
    float *y = r->y + j * r->y_step + ch;
    if (r->accumulate) sum = v16_add(v16_load_some(y, n), sum);
    if (r->silu) sum = v16_silu_as(r->silu_half, sum);
    v16_put(r->stream, y, sum, n);
    return sum;
}

/* `count` output pixels from column j, n channels from ch. at_border: some of the COLUMNS pixels or
 * of their taps lie outside the image. */
MG_INLINE void depthwise_block(const depthwise_row *r, const int kernel_rows, const int kernel,
                               const int stride, const bool at_border, int count, const int n,
                               int64_t j, int64_t ch) {
    v16 sum[COLUMNS];
    int64_t column = j * stride - r->left;
#pragma GCC unroll 8
    for (int o = 0; o < COLUMNS; o++) sum[o] = depthwise_start(r, ch, n);
    for (int a = 0; a < kernel_rows; a++) {
        if (!r->rows[a]) continue;
        const float *x = r->rows[a] + column * r->x_step + ch;
        const float *w = r->w + a * kernel * r->w_step + ch;
        v16 tap[5];
#pragma GCC unroll 5
        for (int b = 0; b < kernel; b++) tap[b] = v16_load_some(w + b * r->w_step, n);
#pragma GCC unroll 20
        for (int q = 0; q < (COLUMNS - 1) * stride + kernel; q++) {
            if (at_border && (column + q < 0 || column + q >= r->width)) continue;
            v16 in = v16_load_some(x + q * r->x_step, n);
#pragma GCC unroll 8
            for (int o = 0; o < COLUMNS; o++) {
                int b = q - o * stride;
                if (b >= 0 && b < kernel) sum[o] = v16_fma(in, tap[b], sum[o]);
            }
        }
    }
    v16 total = r->sums ? v16_load_some(r->sums + ch, n) : v16_zero();
#pragma GCC unroll 8
    for (int o = 0; o < COLUMNS; o++)
        if (!at_border || o < count)
            total = v16_add(depthwise_finish(r, j + o, ch, sum[o], n), total);
    if (r->sums) v16_store_some(r->sums + ch, total, n);
}

/* One output pixel, any kernel, taps checked. */
static void depthwise_pixel(const depthwise_row *r, int64_t j) {
    int64_t q = j * r->stride - r->left;
    int first = q < 0 ? (int)-q : 0;
    int end = q + r->kernel > r->width ? (int)(r->width - q) : r->kernel;
    for (int64_t ch = 0; ch < r->channels; ch += V16) {
        int n = (int)min64(V16, r->channels - ch);
        v16 sum = depthwise_start(r, ch, n);
        for (int a = 0; a < r->kernel_rows; a++)
            for (int b = first; r->rows[a] && b < end; b++)
                sum = v16_fma(v16_load_n(r->rows[a] + (q + b) * r->x_step + ch, n),
                              v16_load_n(r->w + (a * r->kernel + b) * r->w_step + ch, n), sum);
        sum = depthwise_finish(r, j, ch, sum, n);
        if (r->sums) v16_store_n(r->sums + ch, v16_add(sum, v16_load_n(r->sums + ch, n)), n);
    }
}

/* The whole row for a constant width of the kernel and stride. */
MG_INLINE void depthwise_blocks(const depthwise_row *r, const int kernel_rows, const int kernel,
                                const int stride) {
    const int reach = (COLUMNS - 1) * stride + kernel; /* input columns under a block */
    for (int64_t j = 0; j < r->columns; j += COLUMNS) {
        int64_t column = j * stride - r->left, ch = 0;
        int count = (int)min64(COLUMNS, r->columns - j);
        bool inside = column >= 0 && column + reach <= r->width && count == COLUMNS;
        for (; inside && ch + V16 <= r->channels; ch += V16)
            depthwise_block(r, kernel_rows, kernel, stride, false, COLUMNS, V16, j, ch);
        for (; ch + V16 <= r->channels; ch += V16)
            depthwise_block(r, kernel_rows, kernel, stride, true, count, V16, j, ch);
        if (ch < r->channels)
            depthwise_block(r, kernel_rows, kernel, stride, true, count, (int)(r->channels - ch), j,
                            ch);
    }
}

static void depthwise_3x1(const depthwise_row *r) { depthwise_blocks(r, 3, 3, 1); }
static void depthwise_3x2(const depthwise_row *r) { depthwise_blocks(r, 3, 3, 2); }
static void depthwise_5x1(const depthwise_row *r) { depthwise_blocks(r, 5, 5, 1); }
static void depthwise_5x2(const depthwise_row *r) { depthwise_blocks(r, 5, 5, 2); }

static inline void depthwise_row_run(const depthwise_row *r) {
    MG_ASSERT(r->kernel_rows == r->kernel);
    if (r->kernel == 3 && r->stride == 1) depthwise_3x1(r);
    else if (r->kernel == 3 && r->stride == 2) depthwise_3x2(r);
    else if (r->kernel == 5 && r->stride == 1) depthwise_5x1(r);
    else if (r->kernel == 5 && r->stride == 2) depthwise_5x2(r);
    else
        for (int64_t j = 0; j < r->columns; j++) depthwise_pixel(r, j);
}

/* The input rows under output row i of an image of `height` rows; out[a] is NULL outside. */
static inline void depthwise_rows(const float *image, int64_t height, int64_t row_floats,
                                  int64_t first, int kernel, const float **out) {
    for (int a = 0; a < kernel; a++) {
        int64_t p = first + a;
        out[a] = p >= 0 && p < height ? image + p * row_floats : NULL;
    }
}

#endif
