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
 *
 * An A that was rounded to bfloat16 in memory (round_line) has no low halves: two products, and
 * half of the bytes.
 * Source: Henry, Tang & Heinecke 2019 (Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations). */
#ifndef MG_OPS_CPU_GEMM_HALVES_H
#define MG_OPS_CPU_GEMM_HALVES_H

/* A step of one row: sixteen cells of high halves, sixteen of low ones. Halves are cut off, not
 * rounded: that takes fewer instructions, and the other half makes up for it. */
MG_INLINE void store_halves(v16 a, v16 b, float *to) {
    v16 high_a = v16_cut_half(a), high_b = v16_cut_half(b);
    v16_store(to, v16_halves(high_a, high_b));
    v16_store(to + TILE_SIDE, v16_halves(v16_sub(a, high_a), v16_sub(b, high_b)));
}

/* Step k of a row of `depth` numbers, zeros beyond. */
MG_INLINE void load_step(const float *from, int64_t k, int64_t depth, v16 step[2]) {
    int left = (int)min64(depth - k, DEPTH_STEP);
    step[0] = v16_load_some(from + k, left < V16 ? left : V16);
    step[1] = left > V16 ? v16_load_some(from + k + V16, left - V16) : v16_zero();
}

/* A row of A taken apart, padded to whole steps. */
static inline void ready_line(const float *from, int64_t depth, float *to) {
    for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
        v16 step[2];
        load_step(from, k, depth, step);
        store_halves(step[0], step[1], to + k);
    }
}

/* A row of A rounded to bfloat16 (gemm_a.rounded), padded likewise. */
static inline void round_line(const float *from, int64_t depth, float *to, bool stream) {
    for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
        v16 step[2];
        load_step(from, k, depth, step);
        v16_put(stream, to + k / 2, v16_halves(step[0], step[1]), V16);
    }
}

/* Takes a packed panel apart in place, zero-padded to whole steps. */
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
                even = v16_sub(even, v16_low(cells));
                odd = v16_sub(odd, v16_high(cells));
                v16_store(to + TILE_SIDE * PANEL, v16_cells(even, odd));
            }
    }
}

/* How many rows of A are taken apart together: 64 KiB, a small part of L2. */
static inline int64_t ready_rows(int64_t depth) {
    return READY_FLOATS / padded_depth(depth) / TILE_BLOCK * TILE_BLOCK;
}

/* Sixteen rows of one step, taken apart, of an A that lies transposed in memory. */
static inline void transpose_halves(const gemm_a *a, int rows, int64_t depth, float *to,
                                    int64_t to_row) {
    v16 high[TILE_SIDE], low[TILE_SIDE];
    for (int i = 0; i < TILE_SIDE; i++) {
        v16 even = 2 * i < depth ? v16_load_n(a->data + 2 * i * a->step, rows) : v16_zero();
        v16 odd =
            2 * i + 1 < depth ? v16_load_n(a->data + (2 * i + 1) * a->step, rows) : v16_zero();
        high[i] = v16_cells(even, odd);
        low[i] = v16_cells(v16_sub(even, v16_low(high[i])), v16_sub(odd, v16_high(high[i])));
    }
    v16_transpose(high);
    v16_transpose(low);
    for (int i = 0; i < rows; i++) {
        v16_store(to + i * to_row, high[i]);
        v16_store(to + i * to_row + TILE_SIDE, low[i]);
    }
}

/* Takes `rows` rows of A apart into buffer, in rows of padded_depth(depth). */
static inline gemm_a gemm_ready(gemm_a a, int64_t rows, int64_t depth, float *buffer) {
    int64_t padded = padded_depth(depth);
    if (a.ready) return a;
    for (int64_t i = 0; a.step > 1 && i < rows; i += TILE_SIDE)
        for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
            gemm_a at = {a.data + i + k * a.step, 1, a.step, .ready = false};
            transpose_halves(&at, (int)min64(TILE_SIDE, rows - i), depth - k,
                             buffer + i * padded + k, padded);
        }
    if (a.step > 1) return (gemm_a){buffer, padded, 1, .ready = true};
    for (int64_t i = 0; i < rows; i++) ready_line(a.data + i * a.row, depth, buffer + i * padded);
    return (gemm_a){buffer, padded, 1, .ready = true};
}

#endif
