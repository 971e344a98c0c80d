/* gemm_tiles.h: the inner part of the matrix product (gemm.h) on tiles (tiles.h).
 *
 * A block is 32 rows by one panel of 32 columns: 2 x 2 tiles of sums, and of the four tiles left
 * two each for A and B. A step loads four tiles for four products, 32 cycles of loads under 64 of
 * the matrix unit; a depth of whole steps needs no other blocking, because a block reads each
 * number of A and B once and L2 keeps up with that.
 *
 * Next to the products what follows them is what costs: bias, SiLU and rounding of 64 vectors take
 * 500 cycles, the products of 160 channels 320. The sums therefore go through two buffers, so that
 * the matrix unit works on one block while the vector units finish the one before.
 *
 * Rows of A beyond the last one are multiplied too and thrown away: up to 31 of them must be
 * readable. The depth is zero-padded to whole steps (DEPTH_STEP cells), in A and in B. */
#ifndef MG_OPS_CPU_GEMM_TILES_H
#define MG_OPS_CPU_GEMM_TILES_H

#include "ops/cpu/tiles.h"

enum { TILE_BLOCK = 2 * TILE, DEPTH_STEP = TILE, ROWS_BEYOND = TILE_BLOCK - 1 };

/* Sums of one block; high: more than 16 rows, broad: more than 16 columns. */
MG_INLINE void tile_products(const bool high, const bool broad, const gemm_a *a, const float *panel,
                             int64_t depth, float *sums) {
    const int64_t a_bytes = a->row * 4, panel_bytes = PANEL * 4;
    TILE_ZERO(0);
    if (broad) TILE_ZERO(1);
    if (high) TILE_ZERO(2);
    if (high && broad) TILE_ZERO(3);
    for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
        TILE_LOAD(6, panel + k * PANEL, panel_bytes);
        TILE_LOAD(4, a->data + k, a_bytes);
        TILE_DOT(0, 4, 6);
        if (broad) {
            TILE_LOAD(7, panel + k * PANEL + TILE, panel_bytes);
            TILE_DOT(1, 4, 7);
        }
        if (high) {
            TILE_LOAD(5, a->data + TILE * a->row + k, a_bytes);
            TILE_DOT(2, 5, 6);
            if (broad) TILE_DOT(3, 5, 7);
        }
    }
    TILE_STORE(0, sums, panel_bytes);
    if (broad) TILE_STORE(1, sums + TILE, panel_bytes);
    if (high) TILE_STORE(2, sums + TILE * PANEL, panel_bytes);
    if (high && broad) TILE_STORE(3, sums + TILE * PANEL + TILE, panel_bytes);
}

static __attribute__((noinline)) void tile_block(const gemm_a *a, int64_t rows, const float *panel,
                                                 int64_t depth, int columns, float *sums) {
    bool high = rows > TILE, broad = columns > TILE;
    if (high && broad) tile_products(true, true, a, panel, depth, sums);
    else if (high) tile_products(true, false, a, panel, depth, sums);
    else if (broad) tile_products(false, true, a, panel, depth, sums);
    else tile_products(false, false, a, panel, depth, sums);
}

MG_INLINE void tile_block_finish(const gemm_c *c, int64_t row, int64_t rows, const float *sums,
                                 int columns) {
    const int vectors = columns > V16 ? 2 : 1;
    for (int64_t i = 0; i < rows; i++) {
        v16 sum[] = {v16_load(sums + i * PANEL), v16_load(sums + i * PANEL + V16)};
        tile_finish_row(c, row + i, sum, vectors, columns, true, true);
    }
}

/* All rows of one panel over the whole depth. */
static inline void gemm_panel(gemm_a a, int64_t rows, const float *panel, int64_t depth, gemm_c c,
                              int columns, bool first, bool last) {
    float sums[2][TILE_BLOCK * PANEL] __attribute__((aligned(64)));
    MG_ASSERT(first && last && depth % DEPTH_STEP == 0 && a.step == 1);
    tiles_see_memory();
    int64_t done = 0;
    for (int64_t row = 0; row < rows; row += TILE_BLOCK) {
        tile_block(&a, rows - row, panel, depth, columns, sums[row / TILE_BLOCK & 1]);
        a.data += TILE_BLOCK * a.row;
        for (; done < row; done += TILE_BLOCK)
            tile_block_finish(&c, done, TILE_BLOCK, sums[done / TILE_BLOCK & 1], columns);
    }
    tile_block_finish(&c, done, rows - done, sums[done / TILE_BLOCK & 1], columns);
}

#endif
