/* gemm_tiles.h: the inner part of the matrix product (gemm.h) on tiles (tiles.h).
 *
 * A block is 32 rows by one panel of 32 columns: 2 x 2 tiles of sums, and of the four tiles left
 * two each for A and B. A step loads four tiles for four products: by the instructions' rates, 32
 * cycles of loads under 64 of the matrix unit.
 *
 * The products of 160 channels are 320 cycles a block, and SiLU alone of its 64 vectors is more.
 * The sums therefore go through two buffers, so that the matrix unit can work on one block while
 * the vector units finish the one before.
 *
 * MG_GEMM_CELLS: A and B are bfloat16. A depth of whole steps needs no blocking: a block reads each
 * number once. Rows of A beyond the last are multiplied too and thrown away: up to 31 of them must
 * be readable.
 *
 * MG_GEMM_HALVES: every number is two bfloat16; a step is 16 cells of high halves and 16 of low
 * ones, and three of their four products are made (gemm_halves.h). */
#ifndef MG_OPS_CPU_GEMM_TILES_H
#define MG_OPS_CPU_GEMM_TILES_H

#include "ops/cpu/tiles.h"

enum { TILE_BLOCK = 2 * TILE_SIDE };

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

/* Sums of one block. */
MG_INLINE void tile_products(const bool high, const bool broad, const gemm_a *a, const float *panel,
                             int64_t depth, float *sums) {
    TILE_ZERO(0);
    if (broad) TILE_ZERO(1);
    if (high) TILE_ZERO(2);
    if (high && broad) TILE_ZERO(3);
    for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
        tile_load_b(broad, panel + k * PANEL);
#if defined(MG_GEMM_HALVES)
        tile_load_a(high, a->data + k + TILE_SIDE, a->row);
        tile_dots(high, broad);
#endif
        tile_load_a(high, a->data + k, a->row);
        tile_dots(high, broad);
#if defined(MG_GEMM_HALVES)
        tile_load_b(broad, panel + (k + TILE_SIDE) * PANEL);
        tile_dots(high, broad);
#endif
    }
    TILE_STORE(0, sums, PANEL * 4);
    if (broad) TILE_STORE(1, sums + TILE_SIDE, PANEL * 4);
    if (high) TILE_STORE(2, sums + TILE_SIDE * PANEL, PANEL * 4);
    if (high && broad) TILE_STORE(3, sums + TILE_SIDE * PANEL + TILE_SIDE, PANEL * 4);
}

static __attribute__((noinline)) void tile_block(const gemm_a *a, int64_t rows, const float *panel,
                                                 int64_t depth, int columns, float *sums) {
    bool high = rows > TILE_SIDE, broad = columns > TILE_SIDE;
    if (high && broad) tile_products(true, true, a, panel, depth, sums);
    else if (high) tile_products(true, false, a, panel, depth, sums);
    else if (broad) tile_products(false, true, a, panel, depth, sums);
    else tile_products(false, false, a, panel, depth, sums);
}

MG_INLINE void tile_block_finish(const gemm_c *c, int64_t row, int64_t rows, const float *sums,
                                 int columns, bool first, bool last) {
    const int vectors = columns > V16 ? 2 : 1;
    for (int64_t i = 0; i < rows; i++) {
        v16 sum[] = {v16_load(sums + i * PANEL), v16_load(sums + i * PANEL + V16)};
        tile_finish_row(c, row + i, sum, vectors, columns, first, last);
    }
}

/* All rows of one panel and one depth block. */
static inline void gemm_panel(gemm_a a, int64_t rows, const float *panel, int64_t depth, gemm_c c,
                              int columns, bool first, bool last) {
    float sums[2][TILE_BLOCK * PANEL] __attribute__((aligned(64)));
    MG_ASSERT(a.step == 1);
    tiles_see_memory(a.data);
    int64_t done = 0;
    for (int64_t row = 0; row < rows; row += TILE_BLOCK) {
        tile_block(&a, rows - row, panel, depth, columns, sums[row / TILE_BLOCK & 1]);
        a.data += TILE_BLOCK * a.row;
        for (; done < row; done += TILE_BLOCK)
            tile_block_finish(&c, done, TILE_BLOCK, sums[done / TILE_BLOCK & 1], columns, first,
                              last);
    }
    tile_block_finish(&c, done, rows - done, sums[done / TILE_BLOCK & 1], columns, first, last);
}

#endif
