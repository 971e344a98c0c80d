/* gemm_halves.h: products of f32 matrices on a unit that multiplies bfloat16 (gemm_tiles.h).
 *
 * Each number is taken as the sum of two bfloat16, high + low, which keep 16 of its 24 bits. Of the
 * four products of the halves
 *
 *     a b  =  a_high b_high + a_high b_low + a_low b_high  (+ a_low b_low, 2^-16 of it)
 *
 * the first three are made: the result is good to about 2^-16 at a third of the rate of bfloat16,
 * which on AMX is five times that of f32. A step of the depth is 32 numbers: 16 cells of high
 * halves, then 16 of low ones, as many floats as the numbers took. Panels of B are taken apart when
 * they have been packed (panel_ready), blocks of A when they are read (gemm_ready).
 * Source: Henry, Tang & Heinecke 2019 (Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations). */
#ifndef MG_OPS_CPU_GEMM_HALVES_H
#define MG_OPS_CPU_GEMM_HALVES_H

/* Sixteen numbers as halves. */
MG_INLINE void store_halves(v16 x, uint16_t *high, uint16_t *low) {
    v16_store_half(high, x);
    v16_store_half(low, v16_sub(x, v16_load_half(high)));
}

/* Splits a packed panel in place, zero-padded to whole steps. */
static inline void panel_ready(float *panel, int64_t depth) {
    float step[DEPTH_STEP * PANEL];
    for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
        int64_t rows = depth - k < DEPTH_STEP ? depth - k : DEPTH_STEP;
        memset(step, 0, sizeof step);
        memcpy(step, panel + k * PANEL, (size_t)(rows * PANEL) * sizeof *step);
        for (int i = 0; i < TILE_SIDE; i++)
            for (int v = 0; v < PANEL; v += V16) {
                v16 even = v16_load(step + 2 * i * PANEL + v);
                v16 odd = v16_load(step + (2 * i + 1) * PANEL + v), cells = v16_cells(even, odd);
                float *to = panel + (k + i) * PANEL + v;
                v16_store(to, cells);
                v16_store(to + TILE_SIDE * PANEL,
                          v16_cells(v16_sub(even, v16_low(cells)), v16_sub(odd, v16_high(cells))));
            }
    }
}

/* How many rows of A are split together: what fits into half of L2's share of a thread. */
static inline int64_t ready_rows(int64_t depth) {
    int64_t rows = READY_FLOATS / (ceil_div(depth, DEPTH_STEP) * DEPTH_STEP);
    return rows / TILE_BLOCK * TILE_BLOCK;
}

/* Splits `rows` rows of A into buffer, in rows of `depth` rounded up to whole steps. */
static inline gemm_a gemm_ready(gemm_a a, int64_t rows, int64_t depth, float *buffer) {
    int64_t padded = ceil_div(depth, DEPTH_STEP) * DEPTH_STEP;
    MG_ASSERT(a.step == 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < padded; k += V16) {
            int n = (int)min64(V16, depth - k);
            uint16_t *high =
                (uint16_t *)(void *)(buffer + i * padded + k / DEPTH_STEP * DEPTH_STEP);
            high += k % DEPTH_STEP;
            v16 x = n <= 0 ? v16_zero() : v16_load_some(a.data + i * a.row + k, n);
            store_halves(x, high, high + 2 * TILE_SIDE);
        }
    return (gemm_a){buffer, padded, 1, false};
}

#endif
