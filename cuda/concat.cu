/* concat on the GPU: two tensors joined along one axis; nothing but copies.
 *
 *     y = [a b] along the axis;   da += the part of dy that came from a,  db += the rest
 *
 * Seen from the axis on, all three tensors are matrices with the same number of rows; a row of y is
 * a row of a, then a row of b. Forward moves 8 bytes per element, backward 12, in one launch for
 * both inputs.
 *
 * Fours: both row lengths are multiples of 4 and the arrays aligned. A thread moves 16 bytes; a
 * block takes as many rows as its 256 threads cover, or 256 vectors of one row where rows are
 * longer (x counts groups of rows, y slices of a row). No shared memory.
 *
 * Any other length: rows start anywhere, and a warp that walked y would pick from a and b a few
 * floats at a time. But a range of y that lies together comes from one range of a and one of b. A
 * block owns 2048 elements of y: it copies both ranges to shared memory (8 KiB), 16 bytes a thread
 * from the first aligned address to the last, and writes y from there, a warp 128 bytes. Backward
 * copies the range of dy and adds to the ranges of da and db; their warps, too, start on lines.
 *
 * Source: Szegedy et al. 2014. */
#include "cuda/lanes.h"

enum { THREADS = 256, TILE = 2048 };
static const int64_t most_slices = 65535; /* limit of the grid's y; longer rows loop */

/* --- rows in fours ---------------------------------------------------------------------------- */

typedef struct geometry {
    int64_t rows, first, second; /* vectors in a row of a and of b */
    int lanes, row_lanes;        /* of a block */
} geometry;

/* Calls body(row, at) for the vectors of this thread: at < first lies in a, the rest in b. */
template <class F> __device__ __forceinline__ void each_vector(const geometry &g, F body) {
    const int row_lane = (int)threadIdx.x / g.lanes, lane = (int)threadIdx.x - row_lane * g.lanes;
    const int64_t row = (int64_t)blockIdx.x * g.row_lanes + row_lane;
    if (row_lane >= g.row_lanes || row >= g.rows) return;
    for (int64_t at = (int64_t)blockIdx.y * g.lanes + lane; at < g.first + g.second;
         at += (int64_t)gridDim.y * g.lanes)
        body(row, at);
}

static __global__ void __launch_bounds__(THREADS)
    concat_fours_kernel(geometry g, const float *__restrict__ a, const float *__restrict__ b,
                        float *__restrict__ y) {
    each_vector(g, [=](int64_t row, int64_t at) {
        const float *from =
            at < g.first ? a + (row * g.first + at) * 4 : b + (row * g.second + at - g.first) * 4;
        mg_store(y + (row * (g.first + g.second) + at) * 4, mg_load<4>(from));
    });
}

static __global__ void __launch_bounds__(THREADS)
    split_fours_kernel(geometry g, const float *__restrict__ dy, float *da, float *db) {
    each_vector(g, [=](int64_t row, int64_t at) {
        const bool left = at < g.first;
        float *to = left ? da : db;
        if (!to) return;
        to += (left ? row * g.first + at : row * g.second + at - g.first) * 4;
        mg_lanes<4> sum = mg_load<4>(to);
        mg_add(sum, mg_load<4>(dy + (row * (g.first + g.second) + at) * 4));
        mg_store(to, sum);
    });
}

static geometry geometry_of(int64_t rows, int64_t first, int64_t second) {
    geometry g = {rows, first / 4, second / 4, 0, 0};
    const int64_t width = g.first + g.second;
    g.lanes = (int)(width < (int64_t)THREADS ? width : (int64_t)THREADS);
    g.row_lanes = THREADS / g.lanes;
    return g;
}

static dim3 grid_of(const geometry *g) {
    const int64_t slices = mg_ceil_div(g->first + g->second, g->lanes);
    return dim3((unsigned)mg_ceil_div(g->rows, g->row_lanes),
                (unsigned)(slices < most_slices ? slices : most_slices));
}

/* --- rows of any length ----------------------------------------------------------------------- */

typedef struct lengths {
    int64_t first, second, total; /* floats in a row of a and of b; of y in all */
    bool aligned;                 /* what is copied to shared memory starts on 16 bytes */
} lengths;

/* A block's range of y, and where its parts start in a and b. */
typedef struct range {
    int64_t begin, row, at; /* of y: first element, its row, its place in that row */
    int count, a_count, b_count;
    int64_t a_skip, b_skip; /* elements of that row of a and of b that lie before the range */
} range;

__device__ __forceinline__ range range_of(const lengths &n) {
    const int64_t width = n.first + n.second, begin = (int64_t)blockIdx.x * TILE;
    const int64_t end = begin + TILE < n.total ? begin + TILE : n.total;
    range r;
    r.begin = begin, r.row = begin / width, r.at = begin - r.row * width;
    r.count = (int)(end - begin);
    r.a_skip = r.at < n.first ? r.at : n.first;
    r.b_skip = r.at - r.a_skip;
    const int64_t row = end / width, at = end - row * width;
    r.a_count = (int)((row - r.row) * n.first + (at < n.first ? at : n.first) - r.a_skip);
    r.b_count = r.count - r.a_count;
    return r;
}

/* i = row * length + at for an i that is less than TILE past the end of row 0. */
__device__ __forceinline__ int64_t row_of(int64_t i, int64_t length, int64_t *at) {
    const int64_t row = length < TILE ? (int64_t)((unsigned)i / (unsigned)length) : i >= length;
    *at = i - row * length;
    return row;
}

/* count floats from `from + begin` to tile + begin % 4, which is on a 16-byte boundary when begin %
 * 4 is 0. Warps start on lines of 128 bytes. */
__device__ __forceinline__ void copy_in(float *tile, const float *__restrict__ from, int64_t begin,
                                        int count, bool aligned) {
    const int64_t end = begin + count, base = begin - begin % 4; /* tile[i - base] is from[i] */
    for (int64_t i = begin / 32 * 32 + 4 * (int64_t)threadIdx.x; i < end; i += 4 * THREADS) {
        if (aligned && i >= begin && i + 4 <= end) {
            mg_store(tile + (i - base), mg_load<4>(from + i));
        } else {
            for (int k = 0; k < 4; k++)
                if (i + k >= begin && i + k < end) tile[i + k - base] = from[i + k];
        }
    }
}

static __global__ void __launch_bounds__(THREADS)
    concat_kernel(lengths n, const float *__restrict__ a, const float *__restrict__ b,
                  float *__restrict__ y) {
    MG_SHARED(mg_lanes<4>, tile, [TILE / 4 + 3]); /* each part may start 3 floats late */
    const range r = range_of(n);
    const int64_t a_begin = r.row * n.first + r.a_skip, b_begin = r.row * n.second + r.b_skip;
    float *a_part = tile[0].v, *b_part = a_part + ((int)(a_begin % 4) + r.a_count + 3) / 4 * 4;
    copy_in(a_part, a, a_begin, r.a_count, n.aligned);
    copy_in(b_part, b, b_begin, r.b_count, n.aligned);
    const int64_t a_first = r.a_skip - a_begin % 4; /* of a, counted from row r.row, in a_part[0] */
    const int64_t b_first = r.b_skip - b_begin % 4;
    __syncthreads();
    for (int k = (int)threadIdx.x; k < r.count; k += THREADS) {
        int64_t at;
        const int64_t row = row_of(r.at + k, n.first + n.second, &at);
        y[r.begin + k] = at < n.first ? a_part[row * n.first + at - a_first]
                                      : b_part[row * n.second + at - n.first - b_first];
    }
}

/* to += the part of the tile that came from rows of `length` floats, `offset` floats into y's. */
__device__ __forceinline__ void add_part(const lengths &n, const range &r, const float *tile,
                                         int64_t length, int64_t offset, int64_t skip, int count,
                                         float *to) {
    const int64_t start = r.row * length, begin = start + skip, end = begin + count;
    for (int64_t k = begin / 32 * 32 + threadIdx.x; k < end; k += THREADS) {
        if (k < begin) continue;
        int64_t at;
        const int64_t row = row_of(k - start, length, &at);
        to[k] += tile[row * (n.first + n.second) + offset + at - r.at];
    }
}

static __global__ void __launch_bounds__(THREADS)
    split_kernel(lengths n, const float *__restrict__ dy, float *da, float *db) {
    MG_SHARED(mg_lanes<4>, tile, [TILE / 4]);
    const range r = range_of(n);
    if ((!da || r.a_count == 0) && (!db || r.b_count == 0)) return; /* the whole block */
    copy_in(tile[0].v, dy, r.begin, r.count, n.aligned);
    __syncthreads();
    if (da) add_part(n, r, tile[0].v, n.first, 0, r.a_skip, r.a_count, da);
    if (db) add_part(n, r, tile[0].v, n.second, n.first, r.b_skip, r.b_count, db);
}

/* --- host side -------------------------------------------------------------------------------- */

/* Elements from one step along the dims before the axis to the next. */
static int64_t row_length(const mg_shape *shape, int axis) {
    int64_t n = 1;
    for (int i = axis; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

static lengths lengths_of(const mg_op_call *c, const void *p, const void *q) {
    return {row_length(&c->x_shape[0], c->attr.axis), row_length(&c->x_shape[1], c->attr.axis),
            mg_shape_elements(&c->y_shape), mg_aligned16(p) && mg_aligned16(q)};
}

static void forward(const mg_op_call *c) {
    const float *a = (const float *)c->x[0], *b = (const float *)c->x[1];
    const lengths n = lengths_of(c, a, b);
    mg_cuda_cost(8.0 * (double)n.total, 0);
    if (mg_lane_width(n.first | n.second, a, b, c->y, NULL) == 4) {
        const geometry g = geometry_of(n.total / (n.first + n.second), n.first, n.second);
        MG_LAUNCH(concat_fours_kernel, grid_of(&g), THREADS, 0, g, a, b, (float *)c->y);
    } else {
        MG_LAUNCH(concat_kernel, (unsigned)mg_ceil_div(n.total, TILE), THREADS, 0, n, a, b,
                  (float *)c->y);
    }
}

static void backward(const mg_op_call *c) {
    const float *dy = (const float *)c->dy;
    float *da = (float *)c->dx[0], *db = (float *)c->dx[1];
    const lengths n = lengths_of(c, dy, NULL);
    double count = 0;
    for (int i = 0; i < 2; i++)
        if (c->dx[i]) count += (double)mg_shape_elements(&c->x_shape[i]);
    if (count == 0) return;
    mg_cuda_cost(12.0 * count, count);
    if (mg_lane_width(n.first | n.second, da, db, dy, NULL) == 4) {
        const geometry g = geometry_of(n.total / (n.first + n.second), n.first, n.second);
        MG_LAUNCH(split_fours_kernel, grid_of(&g), THREADS, 0, g, dy, da, db);
    } else {
        MG_LAUNCH(split_kernel, (unsigned)mg_ceil_div(n.total, TILE), THREADS, 0, n, dy, da, db);
    }
}

MG_CUDA_OP(concat, forward, backward, NULL);
