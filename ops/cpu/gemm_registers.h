/* gemm_registers.h: the inner part of the matrix product (gemm.h) on vector registers.
 *
 * Register tile: ROWS x PANEL sums stay in registers while one step of the depth adds the outer
 * product of a column of A (ROWS broadcasts) and a row of B (PANEL floats).
 *     AVX-512: 14 x 32 = 28 registers of sums, 2 of B, 1 broadcast: 31 of 32; per step 28 fused
 *              multiply-adds against 16 loads, so two of each per cycle leave the loads half idle.
 *     AVX2:    6 x 16 = 12 of 16 registers, 2 of B, 1 broadcast.
 * Cache blocking: DEPTH_BLOCK = 256 steps of one panel are 32 KiB (AVX-512) and stay in L1 while
 * all row tiles of a chunk pass by; the chunk's slice of A (112 x 256 floats = 112 KiB) stays in
 * L2.
 *
 * Summation order, the same for every tile shape and instruction set: each output element sums the
 * products of a block from zero, in order, with fused multiply-adds; the block sums are added to C
 * in order. */
#ifndef MG_OPS_CPU_GEMM_REGISTERS_H
#define MG_OPS_CPU_GEMM_REGISTERS_H

/* With MG_GEMM_CELLS a multiply-add takes two steps of the depth. */
#if defined(MG_GEMM_CELLS)
#define MULTIPLY_ADD v16_dot2
#else
#define MULTIPLY_ADD v16_fma
#endif

#if defined(MG_ISA_AVX512)
enum { TILE_ROWS = 14 };
#else
enum { TILE_ROWS = 6 };
#endif

/* Nothing to do around the products of a piece of work. */
static inline void tiles_begin(void) {}
static inline void tiles_end(void) {}

/* Fourteen rows are more streams than the hardware follows, so a tile asks for the one below it, a
 * cache line a step: at step k for what row k % 16 of it will read there. The multiply-adds leave
 * room for one prefetch a step; fourteen together, every sixteenth step, held them up (3% of a
 * block). Beyond the last row a prefetch does nothing; where nothing is to be asked for, it names a
 * line of the panel. */
typedef struct next_tile {
    const float *at;
    int64_t row, back; /* to the next row, and from row 16 to the next line of row 0 */
} next_tile;

static inline next_tile next_tile_of(const gemm_a *a, int rows, const float *panel) {
    if (!a->ahead) return (next_tile){.at = panel};
    return (next_tile){a->data + rows * a->row, a->row, V16 - V16 * a->row};
}
MG_INLINE void next_tile_ask(next_tile *next, int64_t k) {
    __builtin_prefetch(next->at);
    next->at += next->row;
    if (k % V16 == V16 - 1) next->at += next->back;
}

/* Rows of A by threes from one pointer each, with offsets 0, row and 2 row: the fourteen rows of a
 * tile take five pointers and three offsets, all in registers. Left alone, the compiler keeps an
 * offset per row, half of them in memory. */
enum { ROW_GROUP = 3, ROW_GROUPS = (TILE_ROWS + ROW_GROUP - 1) / ROW_GROUP };
MG_INLINE void row_pointers(const gemm_a *a, const int rows, const float **from) {
#pragma GCC unroll 8
    for (int g = 0; g * ROW_GROUP < rows; g++) {
        from[g] = a->data + g * ROW_GROUP * a->row;
        __asm__("" : "+r"(from[g])); /* hides from the compiler how they are related */
    }
}

/* Bias, activation and the rest for the sums of a tile. Unrolled with the tile they were 24 KiB of
 * code, run through once each time: more than the processor keeps decoded. In a loop, from the
 * stack, B4's block 2.1 became 15% faster, 3.1 8%, 4.1 5%, 5.1 2%. */
static __attribute__((noinline)) void finish_tile(const gemm_c *shared, int rows, int vectors,
                                                  const float *sums, int columns, bool first,
                                                  bool last) {
    const gemm_c c = *shared; /* our own, so that no store below can have changed it */
    if (columns == PANEL) {
        for (int i = 0; i < rows; i++, sums += PANEL) {
            v16 row[TILE_VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < TILE_VECTORS; v++) row[v] = v16_load(sums + v * V16);
            tile_finish_row(&c, i, row, TILE_VECTORS, PANEL, first, last);
        }
        return;
    }
    for (int v = 0; v < vectors; v++) {
        const gemm_c part = gemm_c_at(c, 0, v * V16);
        int n = columns - v * V16 < V16 ? columns - v * V16 : V16;
        for (int i = 0; i < rows; i++) {
            v16 sum = v16_load(sums + (i * vectors + v) * V16);
            tile_finish_row(&part, i, &sum, 1, n, first, last);
        }
    }
}

/* rows x vectors is a constant wherever this is inlined; then sums lives in registers. */
MG_INLINE void tile_of(const int rows, const int vectors, gemm_a a, const float *panel,
                       int64_t depth, const gemm_c *c, int columns, bool first, bool last) {
    v16 sums[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sums[i][v] = v16_zero();
    const float *from[ROW_GROUPS];
    row_pointers(&a, rows, from);
    next_tile next = next_tile_of(&a, rows, panel);
    for (int64_t k = 0, at = 0; k < depth; k++, at += a.step) {
        v16 b[TILE_VECTORS];
        next_tile_ask(&next, k);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) b[v] = v16_load(panel + k * PANEL + v * V16);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            v16 x = v16_set(from[i / ROW_GROUP][at + i % ROW_GROUP * a.row]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[i][v] = MULTIPLY_ADD(x, b[v], sums[i][v]);
        }
    }
    _Alignas(64) float done[TILE_ROWS * PANEL];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) v16_store(done + (i * vectors + v) * V16, sums[i][v]);
    finish_tile(c, rows, vectors, done, columns, first, last);
}

/* One function per tile shape keeps the compiler's register allocation simple. */
#define MG_TILE(rows, vectors)                                                                     \
    static __attribute__((noinline)) void tile_##rows##x##vectors(                                 \
        gemm_a a, const float *panel, int64_t depth, const gemm_c *c, int columns, bool first,     \
        bool last) {                                                                               \
        tile_of(rows, vectors, a, panel, depth, c, columns, first, last);                          \
    }
MG_TILE(4, 1)
MG_TILE(2, 1)
MG_TILE(1, 1)
#if defined(MG_ISA_AVX512)
MG_TILE(14, 1)
MG_TILE(8, 1)
MG_TILE(14, 2)
MG_TILE(8, 2)
MG_TILE(4, 2)
MG_TILE(2, 2)
MG_TILE(1, 2)
#else
MG_TILE(6, 1)
#endif

typedef void tile_function(gemm_a a, const float *panel, int64_t depth, const gemm_c *c,
                           int columns, bool first, bool last);

/* All row tiles of one panel and one depth block; remainders in ever smaller tiles. */
static inline void gemm_panel(gemm_a a, int64_t rows, const float *panel, int64_t depth, gemm_c c,
                              int columns, bool first, bool last) {
#if defined(MG_ISA_AVX512)
    enum { HEIGHTS = 5 };
    static const int heights[HEIGHTS] = {14, 8, 4, 2, 1};
    static tile_function *const tiles[][HEIGHTS] = {
        {tile_14x1, tile_8x1, tile_4x1, tile_2x1, tile_1x1},
        {tile_14x2, tile_8x2, tile_4x2, tile_2x2, tile_1x2},
    };
#else
    enum { HEIGHTS = 4 };
    static const int heights[HEIGHTS] = {6, 4, 2, 1};
    static tile_function *const tiles[][HEIGHTS] = {{tile_6x1, tile_4x1, tile_2x1, tile_1x1}};
#endif
    tile_function *const *tile = tiles[columns > V16 ? 1 : 0];
    for (int t = 0; t < HEIGHTS; t++)
        for (; rows >= heights[t]; rows -= heights[t]) {
            tile[t](a, panel, depth, &c, columns, first, last);
            a.data += heights[t] * a.row;
            if (c.half) c.half += heights[t] * c.row;
            else c.data += heights[t] * c.row;
            if (c.residual) c.residual += heights[t] * c.row;
        }
}

#endif
