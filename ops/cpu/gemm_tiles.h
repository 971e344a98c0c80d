/* gemm_tiles.h: the inner part of the matrix product (gemm.h) on tiles (tiles.h).
 *
 * A block is 32 rows by one panel of 32 columns: 2 x 2 tiles of sums, and of the four tiles left
 * two each for A and B. A step loads four tiles for four products: by the instructions' rates, 32
 * cycles of loads under 64 of the matrix unit.
 *
 * The products of 160 channels are 320 cycles a block, and SiLU alone of its 64 vectors is more.
 * The sums therefore go through two buffers: between the products of one block, rows of the one
 * before are finished (tile_rest), a few at a time, as the processor looks only some hundred
 * instructions ahead for work for its other units.
 *
 * MG_GEMM_CELLS: A and B are bfloat16. A depth of whole steps needs no blocking: a block reads each
 * number once. Rows of A beyond the last are multiplied too and thrown away: up to 31 of them must
 * be readable.
 *
 * MG_GEMM_HALVES: every number is two bfloat16; a step is 16 cells of high halves and 16 of low
 * ones, and three of their four products are made, or the two that an A of high halves alone has
 * (gemm_halves.h). */
#ifndef MG_OPS_CPU_GEMM_TILES_H
#define MG_OPS_CPU_GEMM_TILES_H

#include "ops/cpu/tiles.h"

enum { TILE_BLOCK = 2 * TILE_SIDE };
#if defined(MG_GEMM_HALVES)
enum { BY_HALVES = true };
#else
enum { BY_HALVES = false };
#endif

/* One product each for the tiles of sums; high: more than 16 rows, broad: more than 16 columns. */
MG_INLINE void tile_dots(const bool high, const bool broad) {
    TILE_DOT(0, 4, 6);
    if (broad) TILE_DOT(1, 4, 7);
    if (high) TILE_DOT(2, 5, 6);
    if (high && broad) TILE_DOT(3, 5, 7);
}
MG_INLINE void tile_load_a(const bool high, const float *a, int64_t row) {
    TILE_LOAD(4, a, row * 4);
    if (high) TILE_LOAD(5, a + TILE_SIDE * row, row * 4);
}
MG_INLINE void tile_load_b(const bool broad, const float *panel) {
    TILE_LOAD(6, panel, PANEL * 4);
    if (broad) TILE_LOAD(7, panel + TILE_SIDE, PANEL * 4);
}

/* Asks for the lines of the next block that lie where this step reads: `floats` from `at` on. */
MG_INLINE void prefetch_block(const gemm_a *a, int64_t at, int64_t floats) {
    for (int i = 0; i < TILE_BLOCK; i++)
        for (int64_t line = 0; line < floats; line += V16)
            __builtin_prefetch(a->data + (TILE_BLOCK + i) * a->row + at + line, 0, 2);
}

/* What is left of the block before: rows [row, end) of C, whose sums lie at `sums`. */
typedef struct tile_rest {
    const gemm_c *c;
    const float *sums;
    int64_t row, end;
    int columns;
    bool first, last; /* block of the depth */
} tile_rest;

/* Whether all there is to do is the expansion's work: bias and the cheaper SiLU, whole vectors. */
MG_INLINE bool tile_expands(const tile_rest *r) {
    const gemm_c *c = r->c;
    return r->first && r->last && c->bias && c->silu && c->silu_half && r->columns == PANEL &&
           !c->half && !c->residual && !c->accumulate && !c->stream;
}

/* Finishes `count` more rows. */
static __attribute__((noinline)) void tile_finish(tile_rest *r, int64_t count) {
    const gemm_c *c = r->c;
    const int64_t end = min64(r->row + count, r->end);
    if (tile_expands(r)) {
        const v16 bias[] = {v16_load(c->bias), v16_load(c->bias + V16)};
        for (; r->row < end; r->row++, r->sums += PANEL) {
            float *to = c->data + r->row * c->row;
            v16_store(to, v16_silu_half(v16_add(v16_load(r->sums), bias[0])));
            v16_store(to + V16, v16_silu_half(v16_add(v16_load(r->sums + V16), bias[1])));
        }
        return;
    }
    const int vectors = r->columns > V16 ? 2 : 1;
    for (; r->row < end; r->row++, r->sums += PANEL) {
        v16 sum[] = {v16_load(r->sums), v16_load(r->sums + V16)};
        tile_finish_row(c, r->row, sum, vectors, r->columns, r->first, r->last);
    }
}

/* Sums of one block; meanwhile the rest of the block before is finished, in equal shares. */
MG_INLINE void tile_products(const bool high, const bool broad, const bool halves, const gemm_a *a,
                             const float *panel, int64_t depth, float *sums, tile_rest *rest) {
    const int products = !BY_HALVES ? 1 : halves ? 3 : 2;
    const int64_t share = ceil_div(TILE_BLOCK, products * ceil_div(depth, DEPTH_STEP));
    const int64_t a_step = BY_HALVES && !halves ? DEPTH_STEP / 2 : DEPTH_STEP;
    TILE_ZERO(0);
    if (broad) TILE_ZERO(1);
    if (high) TILE_ZERO(2);
    if (high && broad) TILE_ZERO(3);
    for (int64_t k = 0, at = 0; k < depth; k += DEPTH_STEP, at += a_step) {
        if (a->ahead) prefetch_block(a, at, a_step);
        tile_load_b(broad, panel + k * PANEL);
        if (halves) {
            tile_load_a(high, a->data + at + TILE_SIDE, a->row);
            tile_dots(high, broad);
            tile_finish(rest, share);
        }
        tile_load_a(high, a->data + at, a->row);
        tile_dots(high, broad);
        tile_finish(rest, share);
        if (BY_HALVES) {
            tile_load_b(broad, panel + (k + TILE_SIDE) * PANEL);
            tile_dots(high, broad);
            tile_finish(rest, share);
        }
    }
    TILE_STORE(0, sums, PANEL * 4);
    if (broad) TILE_STORE(1, sums + TILE_SIDE, PANEL * 4);
    if (high) TILE_STORE(2, sums + TILE_SIDE * PANEL, PANEL * 4);
    if (high && broad) TILE_STORE(3, sums + TILE_SIDE * PANEL + TILE_SIDE, PANEL * 4);
}

MG_INLINE void tile_shape(const bool halves, const gemm_a *a, int64_t rows, const float *panel,
                          int64_t depth, int columns, float *sums, tile_rest *rest) {
    bool high = rows > TILE_SIDE, broad = columns > TILE_SIDE;
    if (high && broad) tile_products(true, true, halves, a, panel, depth, sums, rest);
    else if (high) tile_products(true, false, halves, a, panel, depth, sums, rest);
    else if (broad) tile_products(false, true, halves, a, panel, depth, sums, rest);
    else tile_products(false, false, halves, a, panel, depth, sums, rest);
}

static __attribute__((noinline)) void tile_block(const gemm_a *a, int64_t rows, const float *panel,
                                                 int64_t depth, int columns, float *sums,
                                                 tile_rest *rest) {
    if (BY_HALVES && !a->rounded) tile_shape(true, a, rows, panel, depth, columns, sums, rest);
    else tile_shape(false, a, rows, panel, depth, columns, sums, rest);
}

/* All rows of one panel and one depth block. */
static inline void gemm_panel(gemm_a a, int64_t rows, const float *panel, int64_t depth, gemm_c c,
                              int columns, bool first, bool last) {
    float sums[2][TILE_BLOCK * PANEL] __attribute__((aligned(64)));
    tile_rest rest = {.c = &c, .columns = columns, .first = first, .last = last};
    MG_ASSERT(a.step == 1);
    tiles_see_memory(a.data);
    for (int64_t row = 0; row < rows; row += TILE_BLOCK) {
        float *to = sums[row / TILE_BLOCK & 1];
        tile_block(&a, rows - row, panel, depth, columns, to, &rest);
        a.data += TILE_BLOCK * a.row;
        rest.sums = to;
        rest.row = row;
        rest.end = min64(row + TILE_BLOCK, rows);
    }
    tile_finish(&rest, TILE_BLOCK);
}

#endif
