/* gemm.h: the matrix product of the CPU kernels, C = A B, for row-major matrices as they lie in
 * memory (an NHWC image is a matrix of pixels by channels).
 *
 * B is packed once per call into panels of PANEL columns, zero-padded on the right, so that the
 * innermost loops read it in order. A is read in place: no packing, no im2col for a 1x1
 * convolution. A piece of work is CHUNK_ROWS rows and some panels, cut into depth blocks; its
 * innermost part, gemm_panel, is one of these:
 *
 *     gemm_registers.h  f32 multiply-adds, sums in vector registers
 *                       with MG_GEMM_CELLS: bfloat16, two steps of the depth at once
 *     gemm_tiles.h      MG_TILES: Intel's matrix unit, sums in its tiles
 *                       with MG_GEMM_CELLS: bfloat16
 *                       with MG_GEMM_HALVES: f32, taken apart into bfloat16 (gemm_halves.h)
 *
 * With MG_GEMM_CELLS the "floats" of A and B are cells of two bfloat16 (bf16.h); sums, bias and
 * residual are f32 always. Each sum belongs to one thread, and its order to the shape of the
 * problem, so results do not depend on threads.
 * Source: Goto & van de Geijn 2008 (anatomy of a GEMM); Van Zee & van de Geijn 2015 (BLIS). */
#ifndef MG_OPS_CPU_GEMM_H
#define MG_OPS_CPU_GEMM_H

#include "ops/cpu/chunks.h"
#include "ops/cpu/dispatch.h"
#include "ops/cpu/silu.h"
#include "ops/cpu/stream.h"
#if defined(MG_GEMM_CELLS) || defined(MG_GEMM_HALVES)
#include "ops/cpu/bf16.h"
#endif

/* PANEL: columns of a panel. CHUNK_ROWS: rows that are worked on together. DEPTH_STEP: the depth is
 * padded with zeros to a multiple. DEPTH_BLOCK: sums of so many steps are added to C. READY_FLOATS:
 * of a buffer for gemm_ready. ROWS_BEYOND: so many rows after the last of A, made ready, are read
 * for nothing. READS_AHEAD: A is read in place, so its rows are always asked for ahead. */
#if defined(MG_TILES)
enum { TILE_VECTORS = 2, CHUNK_ROWS = 128, READS_AHEAD = false };
#if defined(MG_GEMM_CELLS)
enum { DEPTH_STEP = 16, DEPTH_BLOCK = 1 << 20, READY_FLOATS = 1, ROWS_BEYOND = 31 };
#else
enum { DEPTH_STEP = 32, DEPTH_BLOCK = 256, READY_FLOATS = 128 * 128, ROWS_BEYOND = 31 };
#endif
#else
#if defined(MG_ISA_AVX512)
enum { TILE_VECTORS = 2 };
#else
enum { TILE_VECTORS = 1 };
#endif
enum { CHUNK_ROWS = 112, DEPTH_STEP = 1, DEPTH_BLOCK = 256, READY_FLOATS = 1, ROWS_BEYOND = 0 };
enum { READS_AHEAD = true };
#endif
enum { PANEL = TILE_VECTORS * V16 };

/* The kernels of the same op by halves, where the call may be relaxed and the machine has them. */
static inline const mg_kernels *kernels_by_halves(const mg_op_call *c, mg_bf16_kernel kernel) {
#if defined(MG_GEMM_HALVES)
    return (void)c, (void)kernel, NULL; /* these are they */
#else
    return c->attr.relaxed ? mg_cpu_bf16_kernels(kernel) : NULL;
#endif
}

/* A as the tile reads it: element (row i, depth k) lies at data[i * row + k * step]. */
typedef struct gemm_a {
    const float *data;
    int64_t row, step;
    bool ahead;   /* prefetch the rows of the next tile: set for the first panel that meets them;
                   for gemm_rows: A ready lies in memory, not in cache */
    bool ready;   /* gemm_ready has been here */
    bool rounded; /* ready, without low halves: 32 numbers in 16 floats (gemm_halves.h) */
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

/* A depth in whole steps: floats of a row of A made ready. */
static inline int64_t padded_depth(int64_t depth) {
    return ceil_div(depth, DEPTH_STEP) * DEPTH_STEP;
}
/* Floats of a packed panel, and of all panels of a depth x columns matrix. */
static inline int64_t panel_count(int64_t depth) { return padded_depth(depth) * PANEL; }
static inline int64_t packed_count(int64_t depth, int64_t columns) {
    return panel_count(depth) * panels_of(columns);
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

/* C from row `row` and column `column` on. */
static inline gemm_c gemm_c_at(gemm_c c, int64_t row, int64_t column) {
    if (c.half) c.half += row * c.row + column;
    else c.data += row * c.row + column;
    if (c.bias) c.bias += column;
    if (c.residual) c.residual += row * c.row + column;
    return c;
}

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

#if defined(MG_TILES)
#include "ops/cpu/gemm_tiles.h"
#else
#include "ops/cpu/gemm_registers.h"
#endif
#if defined(MG_GEMM_HALVES)
#include "ops/cpu/gemm_halves.h"
#else
/* Nothing to make ready: panels and rows are used as they are. */
static inline void panel_ready(float *panel, int64_t depth) { (void)panel, (void)depth; }
static inline int64_t ready_rows(int64_t depth) { return (void)depth, INT64_MAX; }
static inline void round_line(const float *from, int64_t depth, float *to, bool stream) {
    (void)from, (void)depth, (void)to, (void)stream;
}
static inline gemm_a gemm_ready(gemm_a a, int64_t rows, int64_t depth, float *buffer) {
    return (void)rows, (void)depth, (void)buffer, a;
}
#endif

/* --- all of it -------------------------------------------------------------------------------- */

/* C = A B for one chunk of rows and the panels [panel, panel_end) of packed B. */
static inline void gemm_rows(gemm_a a, int64_t rows, const float *packed, int64_t depth,
                             int64_t columns, int64_t panel, int64_t panel_end, gemm_c c) {
    float buffer[READY_FLOATS];
    int64_t block = c.half ? depth : DEPTH_BLOCK;
    for (int64_t k = 0; k < depth; k += block) {
        int64_t steps = min64(block, depth - k), count = min64(rows, ready_rows(steps));
        int64_t at = a.rounded ? k / 2 : k * a.step;
        for (int64_t row = 0; row < rows; row += count) {
            gemm_a part = a;
            part.data += row * a.row + at;
            gemm_a ready = gemm_ready(part, min64(count, rows - row), steps, buffer);
            for (int64_t p = panel; p < panel_end; p++) {
                ready.ahead = p == panel && (READS_AHEAD ? a.step == 1 : a.ahead);
                gemm_panel(ready, min64(count, rows - row),
                           packed + p * panel_count(depth) + k * PANEL, steps,
                           gemm_c_at(c, row, p * PANEL), (int)min64(PANEL, columns - p * PANEL),
                           k == 0, k + steps == depth);
            }
        }
    }
}

/* Whether C is to be streamed: it is large, starts from nothing and needs a single block. */
static inline bool gemm_streams(const gemm_c *c, int64_t rows, int64_t depth) {
    return depth <= DEPTH_BLOCK && !c->accumulate && stream_wanted(c->data, c->row, rows * c->row);
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
