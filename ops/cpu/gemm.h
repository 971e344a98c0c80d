/* gemm.h: the matrix product of the CPU kernels, C = A B, for row-major matrices as they lie in
 * memory (an NHWC image is a matrix of pixels by channels).
 *
 * Register tile: ROWS x PANEL sums stay in registers while one step of the depth adds the outer
 * product of a column of A (ROWS broadcasts) and a row of B (PANEL floats).
 *     AVX-512: 14 x 32 = 28 registers of sums, 2 of B, 1 broadcast: 31 of 32; per step 28 fused
 *              multiply-adds against 16 loads, so two of each per cycle leave the loads half idle.
 *     AVX2:    6 x 16 = 12 of 16 registers, 2 of B, 1 broadcast.
 * B is packed once per call into panels of PANEL columns, zero-padded on the right, so the tile
 * reads it in order. A is read in place: no packing, no im2col for a 1x1 convolution.
 * Cache blocking: DEPTH = 256 steps of one panel are 32 KiB (AVX-512) and stay in L1 while all row
 * tiles of a chunk pass by; the chunk's slice of A (112 x 256 floats = 112 KiB) stays in L2.
 *
 * Summation order, the same for every tile shape: each output element sums DEPTH products from
 * zero, in order, with fused multiply-adds; the block sums are added to C in order. No split over
 * threads.
 * Source: Goto & van de Geijn 2008 (anatomy of a GEMM); Van Zee & van de Geijn 2015 (BLIS). */
#ifndef MG_OPS_CPU_GEMM_H
#define MG_OPS_CPU_GEMM_H

#include "ops/cpu/chunks.h"
#include "ops/cpu/silu.h"
#include "ops/cpu/stream.h"

/* With MG_GEMM_CELLS the "floats" of A and B are cells of two bfloat16 (bf16.h) and a multiply-add
 * takes two steps of the depth at once; sums, bias and residual stay f32. */
#if defined(MG_GEMM_CELLS)
#include "ops/cpu/bf16.h"
#define MULTIPLY_ADD v16_dot2
#else
#define MULTIPLY_ADD v16_fma
#endif

#if defined(MG_ISA_AVX512) || defined(MG_TILES)
enum { TILE_ROWS = 14, TILE_VECTORS = 2 };
#else
enum { TILE_ROWS = 6, TILE_VECTORS = 1 };
#endif
enum { PANEL = TILE_VECTORS * V16, DEPTH = 256 };
/* Rows that are worked on together: eight register tiles of AVX-512; four blocks of AMX. */
#if defined(MG_TILES)
enum { CHUNK_ROWS = 128 };
#else
enum { CHUNK_ROWS = 112 };
#endif

/* A as the tile reads it: element (row i, depth k) lies at data[i * row + k * step]. */
typedef struct gemm_a {
    const float *data;
    int64_t row, step;
    bool ahead; /* prefetch the rows of the next tile: set for the first panel that meets them */
} gemm_a;

/* What happens to finished sums. */
typedef struct gemm_c {
    float *data;
    int64_t row;           /* floats from one row of C to the next */
    const float *bias;     /* of column 0, or NULL: added with the first block */
    const float *residual; /* laid out like C, or NULL: added after the last block */
    bool accumulate;       /* add to what C holds, else overwrite it */
    bool silu;             /* applied after the last block */
    bool silu_half;        /* and then to the precision of silu.h */
    bool stream;           /* finished sums go past the caches (gemm_streams) */
    uint16_t *half; /* MG_GEMM_CELLS: if not NULL the result is SiLU of the sums in bfloat16, here,
                       `row` of them from row to row; the depth is not cut into blocks then */
} gemm_c;

/* --- packing B -------------------------------------------------------------------------------- */

static inline int64_t panels_of(int64_t columns) { return (columns + PANEL - 1) / PANEL; }

/* Floats of a packed depth x columns matrix. */
static inline int64_t packed_count(int64_t depth, int64_t columns) {
    return depth * panels_of(columns) * PANEL;
}

/* Panel p of B[k * row + n]: out[k * PANEL + j], zero beyond the last column. */
static inline void pack_panel(const float *b, int64_t row, int64_t depth, int64_t columns,
                              int64_t panel, float *out) {
    int64_t first = panel * PANEL;
    for (int64_t k = 0; k < depth; k++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            int64_t left = columns - first - v * V16;
            int n = left >= V16 ? V16 : left < 0 ? 0 : (int)left;
            const float *from = n ? b + k * row + first + v * V16 : b;
            v16_store(out + k * PANEL + v * V16, v16_load_n(from, n));
        }
}

/* The same for the transpose: B[k, n] lies at b[n * row + k]. */
static inline void pack_panel_transposed(const float *b, int64_t row, int64_t depth,
                                         int64_t columns, int64_t panel, float *out) {
    int64_t first = panel * PANEL;
    int count = columns - first < PANEL ? (int)(columns - first) : PANEL;
    for (int64_t k = 0; k < depth; k++) {
        for (int j = 0; j < count; j++) out[k * PANEL + j] = b[(first + j) * row + k];
        for (int j = count; j < PANEL; j++) out[k * PANEL + j] = 0;
    }
}

/* Adds the rows of a packed panel to the sums of its columns (the bias gradient). */
static inline void add_panel_rows(const float *panel, int64_t rows, float *sums, int columns) {
    for (int v = 0; v * V16 < columns; v++) {
        v16 s = v16_zero();
        for (int64_t r = 0; r < rows; r++) s = v16_add(s, v16_load(panel + r * PANEL + v * V16));
        int n = columns - v * V16 < V16 ? columns - v * V16 : V16;
        v16_store_n(sums + v * V16, v16_add(v16_load_n(sums + v * V16, n), s), n);
    }
}

/* --- what is done with the sums --------------------------------------------------------------- */

/* Adds bias, C, residual and activation to the sums of one row and stores `columns` of them. */
MG_INLINE void tile_finish_row(const gemm_c *c, int64_t row, const v16 *sums, int vectors,
                               int columns, bool first, bool last) {
#if defined(MG_GEMM_CELLS)
    for (int v = 0; c->half && v < vectors; v++) {
        v16 s = v16_add(v16_load(c->bias + v * V16), sums[v]);
        v16_store_half(c->half + row * c->row + v * V16, v16_silu_half(s));
    }
    if (c->half) return;
#endif
    float *to = c->data + row * c->row;
    for (int v = 0; v < vectors; v++) {
        int n = columns - v * V16 < V16 ? columns - v * V16 : V16;
        v16 s = sums[v];
        if (!first || c->accumulate) s = v16_add(v16_load_some(to + v * V16, n), s);
        if (first && c->bias) s = v16_add(v16_load_some(c->bias + v * V16, n), s);
        if (last && c->silu) s = v16_silu_as(c->silu_half, s);
        if (last && c->residual)
            s = v16_add(v16_load_some(c->residual + row * c->row + v * V16, n), s);
        v16_put(last && c->stream, to + v * V16, s, n);
    }
}

/* --- the register tile ------------------------------------------------------------------------ */

#if defined(MG_TILES)
#include "ops/cpu/gemm_tiles.h"
#else
/* The depth is a multiple of DEPTH_STEP; ROWS_BEYOND the last row of A there is readable memory. */
enum { DEPTH_STEP = 1, ROWS_BEYOND = 0 };
/* Around all products of a thread's piece of work. */
static inline void tiles_begin(void) {}
static inline void tiles_end(void) {}

/* Asks for the cache lines that the next tile below will read at depth k: fourteen rows are more
 * streams than the hardware follows. Beyond the last row a prefetch does nothing. */
MG_INLINE void prefetch_rows(const gemm_a *a, const int rows, int64_t k) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) __builtin_prefetch(a->data + (rows + i) * a->row + k);
}

/* rows x vectors is a constant wherever this is inlined; then sums lives in registers. */
MG_INLINE void tile_of(const int rows, const int vectors, gemm_a a, const float *panel,
                       int64_t depth, const gemm_c *c, int columns, bool first, bool last) {
    v16 sums[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sums[i][v] = v16_zero();
    for (int64_t k = 0; k < depth; k++) {
        v16 b[TILE_VECTORS];
        if (a.ahead && k % V16 == 0) prefetch_rows(&a, rows, k);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) b[v] = v16_load(panel + k * PANEL + v * V16);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            v16 x = v16_set(a.data[i * a.row + k * a.step]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[i][v] = MULTIPLY_ADD(x, b[v], sums[i][v]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) tile_finish_row(c, i, sums[i], vectors, columns, first, last);
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

/* --- all of it -------------------------------------------------------------------------------- */

/* C = A B for one chunk of rows and the panels [panel, panel_end) of packed B. */
static inline void gemm_rows(gemm_a a, int64_t rows, const float *packed, int64_t depth,
                             int64_t columns, int64_t panel, int64_t panel_end, gemm_c c) {
    int64_t block = c.half || DEPTH_STEP > 1 ? depth : DEPTH;
    for (int64_t k = 0; k < depth; k += block) {
        int64_t steps = depth - k < block ? depth - k : block;
        for (int64_t p = panel; p < panel_end; p++) {
            int64_t n = p * PANEL, left = columns - n;
            gemm_c at = c;
            if (at.half) at.half += n;
            else at.data += n;
            if (at.bias) at.bias += n;
            if (at.residual) at.residual += n;
            gemm_panel((gemm_a){a.data + k * a.step, a.row, a.step, p == panel && a.step == 1},
                       rows, packed + (p * depth + k) * PANEL, steps, at,
                       left < PANEL ? (int)left : PANEL, k == 0, k + steps == depth);
        }
    }
}

/* Whether C is to be streamed: it is large, starts from nothing and needs a single block. */
static inline bool gemm_streams(const gemm_c *c, int64_t rows, int64_t depth) {
    return depth <= DEPTH && !c->accumulate && stream_wanted(c->data, c->row, rows * c->row);
}

/* How a product of rows x columns is handed out: pieces of `rows` rows, times groups of panels
 * where there are few rows (the last stages have 480 pixels and up to 2688 channels). */
typedef struct gemm_split {
    int64_t rows, panels, groups, pieces;
} gemm_split;

static inline gemm_split gemm_split_of(int64_t rows, int64_t columns) {
    gemm_split s = {.rows = CHUNK_ROWS};
    int64_t chunks = ceil_div(rows, s.rows), panels = panels_of(columns);
    s.panels = chunks >= 32 ? panels : ceil_div(panels * chunks, 32);
    s.groups = ceil_div(panels, s.panels);
    s.pieces = chunks * s.groups;
    return s;
}

/* One piece of C = A B: `a` and `c` are those of row 0. */
static inline void gemm_piece(const gemm_split *s, int64_t piece, gemm_a a, int64_t rows,
                              const float *packed, int64_t depth, int64_t columns, gemm_c c) {
    int64_t row = piece / s->groups * s->rows, panel = piece % s->groups * s->panels;
    a.data += row * a.row;
    c.data += row * c.row;
    if (c.residual) c.residual += row * c.row;
    gemm_rows(a, min64(s->rows, rows - row), packed, depth, columns, panel,
              min64(panel + s->panels, panels_of(columns)), c);
    if (c.stream) stream_end();
}

#endif
