/* columns.h: walking a [rows, channels] matrix so that a thread keeps its columns.
 *
 * An NHWC tensor is a matrix of N·H·W rows. What belongs to a channel (scale, mean, running sums)
 * then stays in a thread's registers while it walks down the rows, and no index is divided in the
 * loop.
 *
 *     lane      0   1   2   3  | 0   1   2   3      a block: `lanes` vectors across,
 *     row lane  0   0   0   0  | 1   1   1   1               `row_lanes` rows at once
 *
 * Neighbouring threads read neighbouring vectors, and where the rows are narrow the next row lane
 * continues where the last one ended, so that warps ask for whole sectors at any channel count. A
 * block takes `chunk` rows of one slice of columns. All sizes depend on the shape alone, not on the
 * GPU: partial sums, and with them every bit of a result, are the same on any device. */
#ifndef MG_CUDA_COLUMNS_H
#define MG_CUDA_COLUMNS_H

#include "cuda/lanes.h"

enum {
    MG_COLUMN_THREADS = 256,
    MG_COLUMN_BYTES = 256,   /* widest slice: whole sectors, and row lanes enough to share sums */
    MG_COLUMN_BLOCKS = 1024, /* aimed at: a few per multiprocessor of today's largest GPUs */
    MG_COLUMN_PASSES = 16,   /* rows a thread should see at least: partial sums stay below 1% */
    MG_WHOLE_THREADS = 512   /* of a block that owns whole columns: 64 KiB of loads in flight */
};

typedef struct mg_columns {
    int64_t rows, channels;
    int64_t chunk, chunks; /* rows of a block; blocks down */
    int width;             /* vectors in a row */
    int lanes, row_lanes;  /* of a block: vectors across, rows at once */
    int slices;            /* blocks across */
} mg_columns;

/* vector: 4 (channels a multiple of 4, arrays aligned) or 1. */
static inline mg_columns mg_columns_of(int64_t rows, int64_t channels, int vector) {
    mg_columns g = {rows, channels, 0, 0, (int)(channels / vector), 0, 0, 0};
    const int most = MG_COLUMN_BYTES / (4 * vector);
    g.slices = (int)mg_ceil_div(g.width, most);
    g.lanes = (int)mg_ceil_div(g.width, g.slices);
    g.row_lanes = MG_COLUMN_THREADS / g.lanes;
    const int64_t down = MG_COLUMN_BLOCKS / g.slices > 1 ? MG_COLUMN_BLOCKS / g.slices : 1;
    const int64_t least = (int64_t)MG_COLUMN_PASSES * g.row_lanes;
    const int64_t even = mg_ceil_div(mg_ceil_div(rows, down), g.row_lanes) * g.row_lanes;
    g.chunk = even > least ? even : least;
    g.chunks = mg_ceil_div(rows, g.chunk);
    return g;
}

/* Channels of a slice whose block walks all rows: one 32-byte sector of each row. Where rows do not
 * start on sectors, slices of 32 or more, of which at most one sector in five is shared. */
static inline int64_t mg_whole_slices(int64_t channels) {
    const int64_t slices = channels % 8 == 0 ? channels / 8 : channels / 32;
    return slices > 0 ? slices : 1;
}

/* One chunk: block x owns slice x of the columns from the first row to the last. */
static inline mg_columns mg_columns_whole(int64_t rows, int64_t channels, int vector) {
    mg_columns g = {rows, channels, rows, 1, (int)(channels / vector), 0, 0, 0};
    g.slices = (int)mg_whole_slices(channels);
    g.lanes = (int)mg_ceil_div(g.width, g.slices);
    g.row_lanes = MG_WHOLE_THREADS / g.lanes;
    if (g.row_lanes > rows) g.row_lanes = (int)rows;
    return g;
}

/* x counts slices, y chunks: at most MG_COLUMN_BLOCKS of them, well below the limit of y. */
static inline dim3 mg_columns_grid(const mg_columns *g) {
    return dim3((unsigned)g->slices, (unsigned)g->chunks);
}
static inline unsigned mg_columns_threads(const mg_columns *g) {
    return (unsigned)(g->lanes * g->row_lanes);
}

/* Where a thread stands: its first channel, its rows begin, begin + row_lanes, … below end. A
 * thread past the last column has no rows but takes part in barriers. */
typedef struct mg_column_place {
    int lane, row_lane;
    int64_t channel, begin, end;
} mg_column_place;

template <int V> __device__ __forceinline__ mg_column_place mg_column_place_at(const mg_columns &g,
                                                                               int64_t chunk,
                                                                               int slice) {
    mg_column_place p;
    p.row_lane = (int)threadIdx.x / g.lanes;
    p.lane = (int)threadIdx.x - p.row_lane * g.lanes;
    const int column = slice * g.lanes + p.lane;
    p.channel = (int64_t)column * V;
    p.begin = chunk * g.chunk + p.row_lane;
    p.end = (chunk + 1) * g.chunk < g.rows ? (chunk + 1) * g.chunk : g.rows;
    if (column >= g.width) p.end = 0;
    return p;
}

/* In mg_columns_grid. */
template <int V>
__device__ __forceinline__ mg_column_place mg_column_place_of(const mg_columns &g, int64_t chunk) {
    return mg_column_place_at<V>(g, chunk, (int)blockIdx.x);
}

/* A thread's rows in order, or from the last to the first: what was read last is likeliest to be in
 * a cache still. */
typedef struct mg_column_walk {
    int64_t first, step, count;
} mg_column_walk;

__device__ __forceinline__ mg_column_walk mg_column_walk_of(const mg_columns &g,
                                                            const mg_column_place &p,
                                                            bool reverse) {
    mg_column_walk w = {p.begin, g.row_lanes, 0};
    if (p.begin < p.end) w.count = (p.end - p.begin + g.row_lanes - 1) / g.row_lanes;
    if (!reverse) return w;
    w.first += (w.count - 1) * w.step;
    w.step = -w.step;
    return w;
}

/* First step of a tree over `lanes` lanes: the largest power of two below `lanes`; 0 for one. */
__device__ __forceinline__ int mg_half_of(int lanes) {
    int half = 0;
    for (int next = 1; next < lanes; next *= 2) half = next;
    return half;
}

#endif
