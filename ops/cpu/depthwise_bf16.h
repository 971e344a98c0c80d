/* depthwise_bf16.h: one output row of a depthwise convolution over cells of bfloat16 (bf16.h).
 *
 * The sums are f32, so the structure is that of depthwise.h. A vector of sixteen cells is 32
 * channels: its low halves are the even channels, its high halves the odd ones, and each has sums
 * of its own; taps, bias and row sums come in the same order, sixteen even channels, then sixteen
 * odd ones. For 5x5 a block of 8 columns holds 16 sums, 10 taps, and the two halves of one input:
 * 28 of 32 registers. Channels are padded to 32, so there are no remainders. */
#ifndef MG_OPS_CPU_DEPTHWISE_BF16_H
#define MG_OPS_CPU_DEPTHWISE_BF16_H

#include "ops/cpu/bf16.h"
#include "ops/cpu/chunks.h"

enum { BLOCK_COLUMNS = 8, BLOCK_CHANNELS = 2 * V16 };

typedef struct depthwise_cells {
    const float *const *rows;       /* `kernel` input rows of cells; NULL: outside the image */
    int64_t width, columns;         /* input and output pixels of a row */
    int64_t channels;               /* a multiple of 32 */
    int64_t x_step, w_step, y_step; /* cells, floats, cells from one pixel or tap to the next */
    int64_t left;                   /* padding before the first column */
    int kernel, stride;
    const float *w, *bias; /* even channels before odd ones in each 32 */
    float *y;              /* cells: SiLU of the result */
    float *sums;           /* += the results before they are rounded, column by column */
} depthwise_cells;

/* SiLU, row sums and rounding of the `count` first columns of a block. */
MG_INLINE void cells_finish(const depthwise_cells *r, int64_t j, int64_t ch, int count,
                            v16 (*sum)[2]) {
    v16 even_total = v16_load(r->sums + ch), odd_total = v16_load(r->sums + ch + V16);
#pragma GCC unroll 8
    for (int o = 0; o < BLOCK_COLUMNS; o++) {
        if (o >= count) continue;
        v16 even = v16_silu_half(sum[o][0]), odd = v16_silu_half(sum[o][1]);
        even_total = v16_add(even_total, even);
        odd_total = v16_add(odd_total, odd);
        v16_store(r->y + (j + o) * r->y_step + ch / 2, v16_cells(even, odd));
    }
    v16_store(r->sums + ch, even_total);
    v16_store(r->sums + ch + V16, odd_total);
}

/* `count` output pixels from column j, 32 channels from ch; at_border as in depthwise.h. */
MG_INLINE void cells_block(const depthwise_cells *r, const int kernel, const int stride,
                           const bool at_border, int count, int64_t j, int64_t ch) {
    v16 sum[BLOCK_COLUMNS][2];
    int64_t column = j * stride - r->left;
#pragma GCC unroll 8
    for (int o = 0; o < BLOCK_COLUMNS; o++) {
        sum[o][0] = v16_load(r->bias + ch);
        sum[o][1] = v16_load(r->bias + ch + V16);
    }
    for (int a = 0; a < kernel; a++) {
        if (!r->rows[a]) continue;
        const float *x = r->rows[a] + column * r->x_step + ch / 2;
        const float *w = r->w + a * kernel * r->w_step + ch;
        v16 tap[5][2];
#pragma GCC unroll 5
        for (int b = 0; b < kernel; b++) {
            tap[b][0] = v16_load(w + b * r->w_step);
            tap[b][1] = v16_load(w + b * r->w_step + V16);
        }
#pragma GCC unroll 20
        for (int q = 0; q < (BLOCK_COLUMNS - 1) * stride + kernel; q++) {
            if (at_border && (column + q < 0 || column + q >= r->width)) continue;
            v16 cells = v16_load(x + q * r->x_step);
            v16 even = v16_low(cells), odd = v16_high(cells);
#pragma GCC unroll 8
            for (int o = 0; o < BLOCK_COLUMNS; o++) {
                int b = q - o * stride;
                if (b < 0 || b >= kernel) continue;
                sum[o][0] = v16_fma(even, tap[b][0], sum[o][0]);
                sum[o][1] = v16_fma(odd, tap[b][1], sum[o][1]);
            }
        }
    }
    cells_finish(r, j, ch, at_border ? count : BLOCK_COLUMNS, sum);
}

MG_INLINE void cells_blocks(const depthwise_cells *r, const int kernel, const int stride) {
    const int reach = (BLOCK_COLUMNS - 1) * stride + kernel;
    for (int64_t j = 0; j < r->columns; j += BLOCK_COLUMNS) {
        int64_t column = j * stride - r->left;
        int count = (int)min64(BLOCK_COLUMNS, r->columns - j);
        bool inside = column >= 0 && column + reach <= r->width && count == BLOCK_COLUMNS;
        for (int64_t ch = 0; ch < r->channels; ch += BLOCK_CHANNELS)
            if (inside) cells_block(r, kernel, stride, false, BLOCK_COLUMNS, j, ch);
            else cells_block(r, kernel, stride, true, count, j, ch);
    }
}

/* One output pixel, any kernel. */
static void cells_pixel(const depthwise_cells *r, int64_t j) {
    int64_t q = j * r->stride - r->left;
    for (int64_t ch = 0; ch < r->channels; ch += BLOCK_CHANNELS) {
        v16 sum[BLOCK_COLUMNS][2] = {{v16_load(r->bias + ch), v16_load(r->bias + ch + V16)}};
        for (int a = 0; a < r->kernel; a++)
            for (int b = 0; r->rows[a] && b < r->kernel; b++) {
                if (q + b < 0 || q + b >= r->width) continue;
                v16 cells = v16_load(r->rows[a] + (q + b) * r->x_step + ch / 2);
                const float *tap = r->w + (a * r->kernel + b) * r->w_step + ch;
                sum[0][0] = v16_fma(v16_low(cells), v16_load(tap), sum[0][0]);
                sum[0][1] = v16_fma(v16_high(cells), v16_load(tap + V16), sum[0][1]);
            }
        cells_finish(r, j, ch, 1, sum);
    }
}

static void cells_3x1(const depthwise_cells *r) { cells_blocks(r, 3, 1); }
static void cells_3x2(const depthwise_cells *r) { cells_blocks(r, 3, 2); }
static void cells_5x1(const depthwise_cells *r) { cells_blocks(r, 5, 1); }
static void cells_5x2(const depthwise_cells *r) { cells_blocks(r, 5, 2); }

/* The whole row. */
static inline void depthwise_cells_run(const depthwise_cells *r) {
    if (r->kernel == 3 && r->stride == 1) cells_3x1(r);
    else if (r->kernel == 3 && r->stride == 2) cells_3x2(r);
    else if (r->kernel == 5 && r->stride == 1) cells_5x1(r);
    else if (r->kernel == 5 && r->stride == 2) cells_5x2(r);
    else
        for (int64_t j = 0; j < r->columns; j++) cells_pixel(r, j);
}

#endif
