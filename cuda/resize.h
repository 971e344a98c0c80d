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
 * bisection once per row and column (a third table). A thread owns L channels of one input pixel.
 *
 * Grid: x covers the vectors of one image row, y rows of all images. Bytes: x and y once from
 * memory; taps of neighbouring pixels meet in the caches. Shared memory: none. */
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

/* What output `row` gives input i along one axis; clamped taps can meet in one pixel. */
template <int TAPS> __device__ __forceinline__ float weight_on(const mg_tap_row &row, int i) {
    float weight = 0;
#pragma unroll
    for (int a = 0; a < TAPS; a++) weight += row.at[a] == i ? row.weight[a] : 0.0f;
    return weight;
}

template <int TAPS, int L> static __global__ void __launch_bounds__(MG_RESIZE_THREADS)
    resize_backward_kernel(mg_resize_plan p, const float *__restrict__ dy, float *__restrict__ dx) {
    const unsigned lanes = (unsigned)(p.channels / L);
    const unsigned e = blockIdx.x * MG_RESIZE_THREADS + threadIdx.x;
    const unsigned q = e / lanes, channel = (e - q * lanes) * L;
    if (q >= p.in_w) return;
    const mg_tap_range across = p.column_ranges[q];
    for (int64_t row = blockIdx.y; row < p.images * p.in_h; row += gridDim.y) {
        const int64_t image = row / p.in_h;
        const int at = (int)(row - image * p.in_h);
        const mg_tap_range down = p.row_ranges[at];
        float *to = dx + (row * p.in_w + q) * p.channels + channel;
        mg_lanes<L> sum = mg_load<L>(to);
#pragma unroll 1
        for (int i = down.begin; i < down.end; i++) {
            const float wy = weight_on<TAPS>(p.rows[i], at);
            const float *from =
                dy + ((image * p.out_h + i) * p.out_w + across.begin) * p.channels + channel;
#pragma unroll 1
            for (int j = across.begin; j < across.end; j++, from += p.channels)
                mg_fma(sum, mg_splat<L>(wy * weight_on<TAPS>(p.columns[j], (int)q)),
                       mg_load<L>(from));
        }
        mg_store(to, sum);
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
    const dim3 grid = mg_resize_grid(&p, p.images * p.in_h, p.in_w, l);
    if (!c->dx[0]) return;
    mg_resize_tables<TAPS>(&p, true);
    mg_cuda_cost(4 * (2 * in + out), 2.0 * TAPS * TAPS * out);
    if (l == 4)
        MG_LAUNCH((resize_backward_kernel<TAPS, 4>), grid, MG_RESIZE_THREADS, 0, p,
                  (const float *)c->dy, (float *)c->dx[0]);
    else
        MG_LAUNCH((resize_backward_kernel<TAPS, 1>), grid, MG_RESIZE_THREADS, 0, p,
                  (const float *)c->dy, (float *)c->dx[0]);
}

#endif
