/* resize.h: resize_bilinear and resize_bicubic on the GPU, which differ in their taps only.
 *
 *     y[n,i,j,c]   = sum over TAPS x TAPS taps (a,b) of wy(i,a) wx(j,b) x[n, ty(i,a), tx(j,b), c]
 *     dx[n,p,q,c] += sum over outputs (i,j) that read pixel (p,q) of their weight times dy[n,i,j,c]
 *
 * Positions and weights of an axis need f64 and are shared by a whole row or column of the image.
 * A first launch with one thread per output row and column puts them into tables in scratch: four
 * positions and four f32 weights, 32 bytes, one sector (rules: ops/resize.h, the same code as on
 * the CPU). A thread of the second launch then makes L = 4 or 1 channels of one output pixel.
 *
 * Backward gathers instead of scattering, so that it needs no atomics and adds in a fixed order:
 * positions grow with the output index, hence the outputs that read input p are one range, found by
 * bisection once per row and column (a third table). A thread that gathered all outputs of one
 * input pixel would read far from its neighbours: an image enlarged 30 times has 30 columns of dy
 * between them. So the two axes take turns. A block owns one row of dx, `columns` of its pixels and
 * up to 32 vectors of channels. Its threads stand on neighbouring columns of dy, add the rows that
 * read this line (whole sectors), and leave the sums in shared memory; then they stand on the
 * pixels of dx and add the columns that read these. Order: rows of dy, then columns, both upwards.
 *
 * Grid: forward x covers the vectors of one image row, backward pieces of it, y rows of all images.
 * Bytes: x and y once from memory; taps of neighbouring pixels meet in the caches, where few
 * channels enlarged much make a warp ask for a handful of words that may lie across two sectors.
 * Shared memory: forward none, backward 10 or 13 KiB. */
#ifndef MG_CUDA_RESIZE_H
#define MG_CUDA_RESIZE_H

#include "cuda/lanes.h"
extern "C" {
#include "ops/resize.h"
}

enum { MG_RESIZE_THREADS = 256 };
static const int64_t mg_most_rows = 65535; /* limit of the grid's y; more rows loop */

typedef struct __align__(16) mg_tap_row {
    int at[MG_RESIZE_TAPS];
    float weight[MG_RESIZE_TAPS];
}
mg_tap_row;

typedef struct mg_tap_range { /* outputs begin … end - 1 may read an input */
    int begin, end;
} mg_tap_range;

/* Sizes and tables; rows and columns index the tables. */
typedef struct mg_resize_plan {
    int64_t images, in_h, in_w, out_h, out_w, channels;
    bool align_corners;
    mg_tap_row *rows, *columns;
    mg_tap_range *row_ranges, *column_ranges; /* backward */
} mg_resize_plan;

static inline mg_resize_plan mg_resize_plan_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    mg_resize_plan p = {x[0], x[1], x[2], y[1], y[2], x[3], c->attr.align_corners,
                        NULL, NULL, NULL, NULL};
    p.rows = (mg_tap_row *)c->scratch;
    p.columns = p.rows + p.out_h;
    p.row_ranges = (mg_tap_range *)(p.columns + p.out_w);
    p.column_ranges = p.row_ranges + p.in_h;
    return p;
}

static inline size_t mg_resize_scratch(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    return (size_t)(y[1] + y[2]) * sizeof(mg_tap_row) +
           (backward ? (size_t)(x[1] + x[2]) * sizeof(mg_tap_range) : 0);
}

template <int TAPS> static __global__ void __launch_bounds__(MG_RESIZE_THREADS)
    resize_taps_kernel(mg_resize_plan p) {
    const int64_t k = (int64_t)blockIdx.x * MG_RESIZE_THREADS + threadIdx.x;
    if (k >= p.out_h + p.out_w) return;
    const bool row = k < p.out_h;
    const int64_t o = row ? k : k - p.out_h;
    const int64_t in = row ? p.in_h : p.in_w, out = row ? p.out_h : p.out_w;
    const mg_resize_taps taps = TAPS == 2 ? mg_bilinear_taps(p.align_corners, o, in, out)
                                          : mg_bicubic_taps(p.align_corners, o, in, out);
    mg_tap_row r;
#pragma unroll
    for (int a = 0; a < MG_RESIZE_TAPS; a++) {
        r.at[a] = (int)taps.at[a];
        r.weight[a] = (float)taps.weight[a];
    }
    p.rows[k] = r; /* columns follow rows */
}

/* The first output whose tap `which` is at or past input `p`; `out` when there is none. */
__device__ __forceinline__ int first_at(const mg_tap_row *table, int out, int which, int64_t p) {
    int low = 0, high = out;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (table[middle].at[which] >= p) high = middle;
        else low = middle + 1;
    }
    return low;
}

template <int TAPS> static __global__ void __launch_bounds__(MG_RESIZE_THREADS)
    resize_ranges_kernel(mg_resize_plan p) {
    const int64_t k = (int64_t)blockIdx.x * MG_RESIZE_THREADS + threadIdx.x;
    if (k >= p.in_h + p.in_w) return;
    const bool row = k < p.in_h;
    const int64_t i = row ? k : k - p.in_h;
    const mg_tap_row *table = row ? p.rows : p.columns;
    const int out = (int)(row ? p.out_h : p.out_w);
    mg_tap_range r;
    r.begin = first_at(table, out, TAPS - 1, i); /* its last tap has come to i */
    r.end = first_at(table, out, 0, i + 1);      /* its first tap has passed i */
    p.row_ranges[k] = r;
}

template <int TAPS, int L> static __global__ void __launch_bounds__(MG_RESIZE_THREADS)
    resize_forward_kernel(mg_resize_plan p, const float *__restrict__ x, float *__restrict__ y) {
    const unsigned lanes = (unsigned)(p.channels / L);
    const unsigned e = blockIdx.x * MG_RESIZE_THREADS + threadIdx.x;
    const unsigned j = e / lanes, channel = (e - j * lanes) * L;
    if (j >= p.out_w) return;
    const mg_tap_row across = p.columns[j];
    for (int64_t row = blockIdx.y; row < p.images * p.out_h; row += gridDim.y) {
        const int64_t image = row / p.out_h;
        const mg_tap_row down = p.rows[row - image * p.out_h];
        mg_lanes<L> sum = mg_splat<L>(0);
#pragma unroll
        for (int a = 0; a < TAPS; a++)
#pragma unroll
            for (int b = 0; b < TAPS; b++) {
                const int64_t pixel = (image * p.in_h + down.at[a]) * p.in_w + across.at[b];
                mg_fma(sum, mg_splat<L>(down.weight[a] * across.weight[b]),
                       mg_load<L>(x + pixel * p.channels + channel));
            }
        mg_store(y + (row * p.out_w + j) * p.channels + channel, sum);
    }
}

/* What an output with these taps gives input i along one axis; clamped taps can meet in one
 * pixel. */
template <int TAPS>
__device__ __forceinline__ float weight_on(const int *at, const float *weight, int i) {
    float sum = 0;
#pragma unroll
    for (int a = 0; a < TAPS; a++) sum += at[a] == i ? weight[a] : 0.0f;
    return sum;
}

/* A block of the backward kernel: `lanes` vectors of channels by `columns`, which stand for outputs
 * while rows are added, for inputs while columns are. */
typedef struct mg_resize_block {
    int lanes, columns;
    unsigned slices; /* blocks across the channels */
} mg_resize_block;

/* Taps of a column in shared memory; nine words, so that threads who read far apart meet in few
 * banks. */
typedef struct mg_tap_column {
    int at[MG_RESIZE_TAPS];
    float weight[MG_RESIZE_TAPS];
    int pad;
} mg_tap_column;

/* Copies the taps of `count` columns word by word: neighbouring threads read neighbouring words. */
__device__ __forceinline__ void copy_taps(mg_tap_column *to, const mg_tap_row *from, int count) {
    enum { WORDS = 2 * MG_RESIZE_TAPS };
    const int *words = reinterpret_cast<const int *>(from);
    for (int k = (int)threadIdx.x; k < count * WORDS; k += (int)blockDim.x) {
        const int word = words[k], a = k % WORDS;
        if (a < MG_RESIZE_TAPS) to[k / WORDS].at[a] = word;
        else to[k / WORDS].weight[a - MG_RESIZE_TAPS] = __int_as_float(word);
    }
}

/* sum over the rows of dy that read line `line`, at one column and vector of channels; `from` is
 * the first of them. */
template <int TAPS, int L>
__device__ __forceinline__ mg_lanes<L> add_rows_of(const mg_tap_row *rows, const mg_tap_range &down,
                                                   int line, const float *__restrict__ from,
                                                   int64_t stride) {
    mg_lanes<L> sum = mg_splat<L>(0);
#pragma unroll 4
    for (int i = down.begin; i < down.end; i++, from += stride)
        mg_fma(sum, mg_splat<L>(weight_on<TAPS>(rows[i].at, rows[i].weight, line)),
               mg_load<L>(from));
    return sum;
}

template <int TAPS, int L> static __global__ void __launch_bounds__(MG_RESIZE_THREADS)
    resize_backward_kernel(mg_resize_plan p, mg_resize_block b, const float *__restrict__ dy,
                           float *__restrict__ dx) {
    MG_SHARED(mg_lanes<L>, sums, [MG_RESIZE_THREADS]);
    MG_SHARED(mg_tap_column, taps, [MG_RESIZE_THREADS]);
    const int column = (int)threadIdx.x / b.lanes, lane = (int)threadIdx.x - column * b.lanes;
    const int64_t channel = ((int64_t)(blockIdx.x % b.slices) * b.lanes + lane) * L;
    const int64_t first = (int64_t)(blockIdx.x / b.slices) * b.columns, q = first + column;
    const bool used = channel < p.channels, mine = used && q < p.in_w;
    const int64_t last = (first + b.columns < p.in_w ? first + b.columns : p.in_w) - 1;
    const int begin = p.column_ranges[first].begin, end = p.column_ranges[last].end;
    mg_tap_range across = {0, 0};
    if (mine) across = p.column_ranges[q];
    for (int64_t row = blockIdx.y; row < p.images * p.in_h; row += gridDim.y) {
        const int64_t image = row / p.in_h;
        const int line = (int)(row - image * p.in_h);
        const mg_tap_range down = p.row_ranges[line];
        const float *above = dy + (image * p.out_h + down.begin) * p.out_w * p.channels + channel;
        float *to = dx + (row * p.in_w + q) * p.channels + channel;
        mg_lanes<L> total = mg_load_if<L>(mine, to);
        for (int j = begin; j < end; j += b.columns) {
            mg_lanes<L> sum = mg_splat<L>(0);
            if (used && j + column < end)
                sum = add_rows_of<TAPS, L>(p.rows, down, line, above + (j + column) * p.channels,
                                           p.out_w * p.channels);
            __syncthreads(); /* nobody reads the last columns any more */
            sums[threadIdx.x] = sum;
            copy_taps(taps, p.columns + j, end - j < b.columns ? end - j : b.columns);
            __syncthreads();
            const int until = across.end - j < b.columns ? across.end - j : b.columns;
            for (int k = across.begin > j ? across.begin - j : 0; k < until; k++)
                mg_fma(total, mg_splat<L>(weight_on<TAPS>(taps[k].at, taps[k].weight, (int)q)),
                       sums[k * b.lanes + lane]);
        }
        if (mine) mg_store(to, total);
    }
}

/* --- host side -------------------------------------------------------------------------------- */

static inline dim3 mg_resize_grid(const mg_resize_plan *p, int64_t rows, int64_t width, int l) {
    return dim3((unsigned)mg_ceil_div(width * (p->channels / l), MG_RESIZE_THREADS),
                (unsigned)(rows < mg_most_rows ? rows : mg_most_rows));
}

template <int TAPS> static void mg_resize_tables(const mg_resize_plan *p, bool backward) {
    mg_cuda_cost(32.0 * (double)(p->out_h + p->out_w), 0);
    MG_LAUNCH((resize_taps_kernel<TAPS>),
              (unsigned)mg_ceil_div(p->out_h + p->out_w, MG_RESIZE_THREADS), MG_RESIZE_THREADS, 0,
              *p);
    if (!backward) return;
    mg_cuda_cost(8.0 * (double)(p->in_h + p->in_w), 0);
    MG_LAUNCH((resize_ranges_kernel<TAPS>),
              (unsigned)mg_ceil_div(p->in_h + p->in_w, MG_RESIZE_THREADS), MG_RESIZE_THREADS, 0,
              *p);
}

template <int TAPS> static void mg_resize_forward(const mg_op_call *c) {
    const mg_resize_plan p = mg_resize_plan_of(c);
    const double in = (double)mg_shape_elements(&c->x_shape[0]);
    const double out = (double)mg_shape_elements(&c->y_shape);
    const int l = mg_lane_width(p.channels, c->x[0], c->y, NULL, NULL);
    const dim3 grid = mg_resize_grid(&p, p.images * p.out_h, p.out_w, l);
    mg_resize_tables<TAPS>(&p, false);
    mg_cuda_cost(4 * (in + out), 2.0 * TAPS * TAPS * out);
    if (l == 4)
        MG_LAUNCH((resize_forward_kernel<TAPS, 4>), grid, MG_RESIZE_THREADS, 0, p,
                  (const float *)c->x[0], (float *)c->y);
    else
        MG_LAUNCH((resize_forward_kernel<TAPS, 1>), grid, MG_RESIZE_THREADS, 0, p,
                  (const float *)c->x[0], (float *)c->y);
}

template <int TAPS> static void mg_resize_backward(const mg_op_call *c) {
    const mg_resize_plan p = mg_resize_plan_of(c);
    const double in = (double)mg_shape_elements(&c->x_shape[0]);
    const double out = (double)mg_shape_elements(&c->y_shape);
    const int l = mg_lane_width(p.channels, c->dy, c->dx[0], NULL, NULL);
    if (!c->dx[0]) return;
    const int64_t rows = p.images * p.in_h, lanes = p.channels / l;
    const int64_t widest = p.in_w > p.out_w ? p.in_w : p.out_w;
    mg_resize_block b;
    b.slices = (unsigned)mg_ceil_div(lanes, MG_WARP);
    b.lanes = (int)mg_ceil_div(lanes, b.slices);
    b.columns = MG_RESIZE_THREADS / b.lanes;
    if (b.columns > widest) b.columns = (int)widest;
    const dim3 grid(b.slices * (unsigned)mg_ceil_div(p.in_w, b.columns),
                    (unsigned)(rows < mg_most_rows ? rows : mg_most_rows));
    mg_resize_tables<TAPS>(&p, true);
    mg_cuda_cost(4 * (2 * in + out), 2.0 * TAPS * TAPS * out);
    if (l == 4)
        MG_LAUNCH((resize_backward_kernel<TAPS, 4>), grid, b.lanes * b.columns, 0, p, b,
                  (const float *)c->dy, (float *)c->dx[0]);
    else
        MG_LAUNCH((resize_backward_kernel<TAPS, 1>), grid, b.lanes * b.columns, 0, p, b,
                  (const float *)c->dy, (float *)c->dx[0]);
}

#endif
