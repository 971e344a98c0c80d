/* pairs_bf16.h: from f32 to the cells (bf16.h) that the bfloat16 product reads. */
#ifndef MG_OPS_CPU_PAIRS_BF16_H
#define MG_OPS_CPU_PAIRS_BF16_H

#include "ops/cpu/bf16.h"
#include "ops/cpu/gemm.h"

/* Cells of a depth of `count` numbers, in whole steps of the product. */
static inline int64_t pairs_of(int64_t count) {
    return ceil_div(count, 2 * DEPTH_STEP) * DEPTH_STEP;
}
/* Cells of a row of `count` numbers as pairs_from writes it: whole vectors, zero beyond. */
static inline int64_t pairs_row(int64_t count) { return ceil_div(pairs_of(count), 8) * 8; }

/* Rounds `count` floats; writes `padded` numbers (a multiple of 16), the rest zero. */
static inline void pairs_from(const float *x, int64_t count, int64_t padded, float *cells) {
    uint16_t *to = (uint16_t *)(void *)cells;
    for (int64_t i = 0; i < padded; i += V16) {
        int64_t left = count - i;
        int n = left >= V16 ? V16 : left < 0 ? 0 : (int)left;
        v16_store_half(to + i, v16_load_n(n ? x + i : x, n));
    }
}

/* Place of channel ch (0 … 31) among sixteen even channels followed by sixteen odd ones. */
static inline int even_odd_place(int ch) { return ch / 2 + ch % 2 * V16; }

/* One row of a panel: cells of two rows of B, the first of which begins at `even`, times scale[0]
 * and scale[1] if those are given. Rows of B are pages apart, so that nothing fetches them ahead
 * unless it is asked to. */
MG_INLINE void pack_whole_pair(const float *even, int64_t row, const float *scale, float *out) {
    enum { PAIRS_AHEAD = 12 };
    for (int v = 0; v < TILE_VECTORS; v++) {
        const float *at = even + v * V16;
        v16 a = v16_load(at), b = v16_load(at + row);
        __builtin_prefetch(at + 2 * PAIRS_AHEAD * row);
        __builtin_prefetch(at + (2 * PAIRS_AHEAD + 1) * row);
        if (scale) a = v16_mul(a, v16_set(scale[0])), b = v16_mul(b, v16_set(scale[1]));
        v16_store(out + v * V16, v16_cells(a, b));
    }
}
/* The same where B has only `depth` more rows and `columns` more columns, zero beyond. */
static inline void pack_some_pair(const float *even, int64_t row, const float *scale, int64_t depth,
                                  int64_t columns, float *out) {
    for (int v = 0; v < TILE_VECTORS; v++) {
        int64_t left = columns - v * V16;
        int n = left >= V16 ? V16 : left < 0 ? 0 : (int)left;
        v16 half[2] = {v16_zero(), v16_zero()};
        for (int h = 0; h < 2 && h < depth && n; h++) {
            half[h] = v16_load_n(even + h * row + v * V16, n);
            if (scale) half[h] = v16_mul(half[h], v16_set(scale[h]));
        }
        v16_store(out + v * V16, v16_cells(half[0], half[1]));
    }
}

/* Panel p of a depth x columns matrix B[k * row + n], times scale[k] if that is not NULL, for
 * `pairs` pairs of k; zero beyond depth and columns. */
static inline void pack_pairs(const float *b, const float *scale, int64_t row, int64_t depth,
                              int64_t columns, int64_t panel, int64_t pairs, float *out) {
    const int64_t first = panel * PANEL, left = columns - first;
    for (int64_t pair = 0; pair < pairs; pair++, out += PANEL) {
        const int64_t k = 2 * pair;
        const float *even = b + k * row + first;
        if (left >= PANEL && k + 1 < depth)
            pack_whole_pair(even, row, scale ? scale + k : NULL, out);
        else pack_some_pair(even, row, scale ? scale + k : NULL, depth - k, left, out);
    }
}

#endif
