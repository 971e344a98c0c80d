/* depthwise.h: one output row of a depthwise convolution; depthwise_conv and mbconv share it.
 *
 * Vectors run across channels. Inside the image, a block of COLUMNS output pixels of 16 channels
 * keeps its sums in registers; each input vector is loaded once per kernel row and serves every
 * output it touches, and the kernel row's weights stay in registers: for 5x5, stride 1, 8 columns
 * that is 17 loads for 40 fused multiply-adds. Pixels near the left and right border, whose taps
 * may fall outside, go one at a time. Each output sums its taps row by row, left to right, from the
 * bias (or zero), whatever the block: so block sizes may differ between instruction sets. */
#ifndef MG_OPS_CPU_DEPTHWISE_H
#define MG_OPS_CPU_DEPTHWISE_H

#include "ops/cpu/chunks.h"

#if defined(MG_ISA_AVX512)
enum { COLUMNS = 8 };
#else
enum { COLUMNS = 2 };
#endif

typedef struct depthwise_row {
    const float *const *rows;       /* `kernel` input rows; NULL: outside the image */
    int64_t width, columns;         /* input and output pixels of a row */
    int64_t channels;               /* how many are computed */
    int64_t x_step, w_step, y_step; /* floats from one input pixel, tap, output pixel to the next */
    int64_t left;                   /* padding before the first column */
    int kernel, stride;
    const float *w;    /* kernel x kernel taps */
    const float *bias; /* or NULL */
    bool silu, accumulate;
    float *y;
} depthwise_row;

MG_INLINE v16 depthwise_start(const depthwise_row *r, int64_t ch, int n) {
    return r->bias ? v16_load_some(r->bias + ch, n) : v16_zero();
}

MG_INLINE void depthwise_finish(const depthwise_row *r, int64_t j, int64_t ch, v16 sum, int n) {
    float *y = r->y + j * r->y_step + ch;
    if (r->accumulate) sum = v16_add(v16_load_some(y, n), sum);
    if (r->silu) sum = v16_mul(sum, v16_sigmoid(sum));
    v16_store_some(y, sum, n);
}

/* `count` output pixels from column j, n channels from ch, all taps inside. */
MG_INLINE void depthwise_block(const depthwise_row *r, const int kernel, const int stride,
                               const int count, const int n, int64_t j, int64_t ch) {
    v16 sum[COLUMNS];
#pragma GCC unroll 8
    for (int o = 0; o < count; o++) sum[o] = depthwise_start(r, ch, n);
    for (int a = 0; a < kernel; a++) {
        if (!r->rows[a]) continue;
        const float *x = r->rows[a] + (j * stride - r->left) * r->x_step + ch;
        const float *w = r->w + a * kernel * r->w_step + ch;
        v16 tap[5];
#pragma GCC unroll 5
        for (int b = 0; b < kernel; b++) tap[b] = v16_load_some(w + b * r->w_step, n);
#pragma GCC unroll 20
        for (int q = 0; q < (count - 1) * stride + kernel; q++) {
            v16 in = v16_load_some(x + q * r->x_step, n);
#pragma GCC unroll 8
            for (int o = 0; o < count; o++) {
                int b = q - o * stride;
                if (b >= 0 && b < kernel) sum[o] = v16_fma(in, tap[b], sum[o]);
            }
        }
    }
#pragma GCC unroll 8
    for (int o = 0; o < count; o++) depthwise_finish(r, j + o, ch, sum[o], n);
}

/* One output pixel, any kernel, taps checked. */
static void depthwise_pixel(const depthwise_row *r, int64_t j) {
    int64_t q = j * r->stride - r->left;
    int first = q < 0 ? (int)-q : 0;
    int end = q + r->kernel > r->width ? (int)(r->width - q) : r->kernel;
    for (int64_t ch = 0; ch < r->channels; ch += V16) {
        int n = (int)min64(V16, r->channels - ch);
        v16 sum = depthwise_start(r, ch, n);
        for (int a = 0; a < r->kernel; a++)
            for (int b = first; r->rows[a] && b < end; b++)
                sum = v16_fma(v16_load_n(r->rows[a] + (q + b) * r->x_step + ch, n),
                              v16_load_n(r->w + (a * r->kernel + b) * r->w_step + ch, n), sum);
        depthwise_finish(r, j, ch, sum, n);
    }
}

/* Columns [begin, end), whose taps are all inside, for a constant kernel and stride. */
MG_INLINE void depthwise_inside(const depthwise_row *r, const int kernel, const int stride,
                                int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + COLUMNS <= end; j += COLUMNS) {
        int64_t ch = 0;
        for (; ch + V16 <= r->channels; ch += V16)
            depthwise_block(r, kernel, stride, COLUMNS, V16, j, ch);
        if (ch < r->channels)
            depthwise_block(r, kernel, stride, COLUMNS, (int)(r->channels - ch), j, ch);
    }
    for (; j < end; j++) depthwise_pixel(r, j);
}

static void depthwise_inside_3x1(const depthwise_row *r, int64_t begin, int64_t end) {
    depthwise_inside(r, 3, 1, begin, end);
}
static void depthwise_inside_3x2(const depthwise_row *r, int64_t begin, int64_t end) {
    depthwise_inside(r, 3, 2, begin, end);
}
static void depthwise_inside_5x1(const depthwise_row *r, int64_t begin, int64_t end) {
    depthwise_inside(r, 5, 1, begin, end);
}
static void depthwise_inside_5x2(const depthwise_row *r, int64_t begin, int64_t end) {
    depthwise_inside(r, 5, 2, begin, end);
}

/* The whole row. */
static inline void depthwise_row_run(const depthwise_row *r) {
    int64_t begin = min64(ceil_div(r->left, r->stride), r->columns);
    int64_t room = r->width + r->left - r->kernel;
    int64_t end = room < 0 ? begin : min64(room / r->stride + 1, r->columns);
    if (end < begin) end = begin;
    for (int64_t j = 0; j < begin; j++) depthwise_pixel(r, j);
    if (r->kernel == 3 && r->stride == 1) depthwise_inside_3x1(r, begin, end);
    else if (r->kernel == 3 && r->stride == 2) depthwise_inside_3x2(r, begin, end);
    else if (r->kernel == 5 && r->stride == 1) depthwise_inside_5x1(r, begin, end);
    else if (r->kernel == 5 && r->stride == 2) depthwise_inside_5x2(r, begin, end);
    else
        for (int64_t j = begin; j < end; j++) depthwise_pixel(r, j);
    for (int64_t j = end; j < r->columns; j++) depthwise_pixel(r, j);
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
