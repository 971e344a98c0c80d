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

/* Panel p of a depth x columns matrix B[k * row + n], times scale[k] if that is not NULL, for
 * `pairs` pairs of k; zero beyond depth and columns. */
static inline void pack_pairs(const float *b, const float *scale, int64_t row, int64_t depth,
                              int64_t columns, int64_t panel, int64_t pairs, float *out) {
    int64_t first = panel * PANEL;
    for (int64_t pair = 0; pair < pairs; pair++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            int64_t left = columns - first - v * V16;
            int n = left >= V16 ? V16 : left < 0 ? 0 : (int)left;
            v16 half[2];
            for (int h = 0; h < 2; h++) {
                int64_t k = 2 * pair + h;
                int count = k < depth ? n : 0;
                half[h] = v16_load_n(count ? b + k * row + first + v * V16 : b, count);
                if (scale && k < depth) half[h] = v16_mul(half[h], v16_set(scale[k]));
            }
            v16_store(out + pair * PANEL + v * V16, v16_cells(half[0], half[1]));
        }
}

#endif
