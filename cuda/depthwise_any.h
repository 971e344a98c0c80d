/* depthwise_any.h: depthwise convolution for filters and strides that have no kernel of their own.
 *
 * One thread per element of y or dx, neighbouring threads on neighbouring channels: whole lines,
 * but inputs are read k² times, from the caches. No network of the project uses these sizes; they
 * keep the op complete. dw: a block owns 32 channels, one tap and one chunk of output rows. */
#ifndef MG_CUDA_DEPTHWISE_ANY_H
#define MG_CUDA_DEPTHWISE_ANY_H

#include "cuda/depthwise.h"

enum { MG_ANY_THREADS = 256 };

/* Element i of an array [N, rows, columns, channels]. */
typedef struct mg_any_place {
    int64_t image;
    int row, column, channel;
} mg_any_place;

__device__ __forceinline__ mg_any_place mg_any_at(int64_t i, int rows, int columns, int channels) {
    mg_any_place at;
    at.channel = (int)(i % channels), i /= channels;
    at.column = (int)(i % columns), i /= columns;
    at.row = (int)(i % rows);
    at.image = i / rows;
    return at;
}

template <int INPUT> __global__ void __launch_bounds__(MG_ANY_THREADS)
    depthwise_any_kernel(mg_depthwise g, int64_t count, const float *__restrict__ x,
                         const float *__restrict__ w, float *__restrict__ y,
                         mg_depthwise_fusion f) {
    const int64_t i = (int64_t)blockIdx.x * MG_ANY_THREADS + threadIdx.x;
    if (i >= count) return;
    const mg_any_place at = mg_any_at(i, g.rows, g.columns, g.channels);
    const mg_norm_lanes<1> of_channel = mg_input_at<1, INPUT>(&f, at.channel, true);
    float sum = 0;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            const int p = at.row * g.stride + a - g.top, q = at.column * g.stride + b - g.left;
            if (p < 0 || p >= g.height || q < 0 || q >= g.width) continue;
            mg_lanes<1> v =
                mg_load<1>(x + ((at.image * g.height + p) * g.width + q) * g.channels + at.channel);
            mg_prepare<1, INPUT>(of_channel, v);
            sum = fmaf(v.v[0], w[(a * g.kernel + b) * g.channels + at.channel], sum);
        }
    y[i] = sum;
}

/* The gradient of one input of the convolution. */
__device__ __forceinline__ float mg_any_gather(const mg_depthwise &g, const mg_any_place &at,
                                               const float *__restrict__ dy,
                                               const float *__restrict__ w) {
    float sum = 0;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            /* output (u / s, v / s) sees this element through tap (a, b) where s divides both */
            const int u = at.row + g.top - a, v = at.column + g.left - b;
            if (u < 0 || v < 0 || u % g.stride || v % g.stride) continue;
            const int p = u / g.stride, q = v / g.stride;
            if (p >= g.rows || q >= g.columns) continue;
            sum = fmaf(dy[((at.image * g.rows + p) * g.columns + q) * g.channels + at.channel],
                       w[(a * g.kernel + b) * g.channels + at.channel], sum);
        }
    return sum;
}

static __global__ void __launch_bounds__(MG_ANY_THREADS)
    depthwise_any_dx_kernel(mg_depthwise g, int64_t count, const float *__restrict__ dy,
                            const float *__restrict__ w, float *__restrict__ dx, bool fresh) {
    const int64_t i = (int64_t)blockIdx.x * MG_ANY_THREADS + threadIdx.x;
    if (i >= count) return;
    const float sum = mg_any_gather(g, mg_any_at(i, g.height, g.width, g.channels), dy, w);
    dx[i] = fresh ? sum : dx[i] + sum;
}

template <int INPUT> __global__ void __launch_bounds__(MG_SUM_THREADS)
    depthwise_any_filter_kernel(mg_depthwise g, int chunk, const float *__restrict__ x,
                                const float *__restrict__ dy, float *__restrict__ partial,
                                mg_depthwise_fusion f) {
    enum { LANES = MG_TILE_CHANNELS, ROWS = MG_SUM_THREADS / LANES };
    MG_SHARED(mg_lanes<1>, rows, [ROWS][LANES]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y, taps = g.kernel * g.kernel;
    const int channel = (int)(blockIdx.x % g.tiles) * LANES + lane;
    const int tap = (int)(blockIdx.x / g.tiles % taps);
    const int64_t piece = blockIdx.x / ((int64_t)g.tiles * taps), all = g.images * g.rows;
    const int64_t end = (piece + 1) * chunk < all ? (piece + 1) * chunk : all;
    const mg_norm_lanes<1> of_channel = mg_input_at<1, INPUT>(&f, channel, channel < g.channels);
    mg_lanes<1> sum = mg_splat<1>(0);
    for (int64_t r = piece * chunk; r < end && channel < g.channels; r++) {
        /* Rows of all images are counted in 32 bits: a division of 64 is a call. */
        const uint32_t image = (uint32_t)r / (uint32_t)g.rows;
        const int p = (int)((uint32_t)r % (uint32_t)g.rows) * g.stride + tap / g.kernel - g.top;
        if (p < 0 || p >= g.height) continue;
        const float *line = x + ((int64_t)image * g.height + p) * g.width * g.channels + channel;
        for (int j = row; j < g.columns; j += ROWS) {
            const int q = j * g.stride + tap % g.kernel - g.left;
            if (q < 0 || q >= g.width) continue;
            mg_lanes<1> v = mg_load<1>(line + (int64_t)q * g.channels);
            mg_prepare<1, INPUT>(of_channel, v);
            sum.v[0] = fmaf(dy[(r * g.columns + j) * g.channels + channel], v.v[0], sum.v[0]);
        }
    }
    rows[row][lane] = sum;
    mg_add_rows(rows, row, lane);
    if (row == 0 && channel < g.channels)
        partial[(piece * taps + tap) * g.channels + channel] = rows[0][lane].v[0];
}

template <int INPUT> static void mg_depthwise_any_as(const mg_depthwise *g, const float *x,
                                                     const float *w, float *y,
                                                     const mg_depthwise_fusion &f) {
    const int64_t count = g->images * g->rows * g->columns * g->channels;
    MG_LAUNCH((depthwise_any_kernel<INPUT>), (unsigned)mg_ceil_div(count, MG_ANY_THREADS),
              MG_ANY_THREADS, 0, *g, count, x, w, y, f);
}

static inline void mg_depthwise_any_run(const mg_depthwise *g, const float *x, const float *w,
                                        float *y) {
    mg_depthwise_any_as<MG_INPUT_AS_IS>(g, x, w, y, mg_depthwise_fusion{});
}

static inline void mg_depthwise_any_forward(const mg_op_call *c, const mg_depthwise *g) {
    mg_depthwise_any_run(g, (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
}

static inline void mg_depthwise_any_dx(const mg_op_call *c, const mg_depthwise *g) {
    const int64_t count = mg_shape_elements(&c->x_shape[0]);
    MG_LAUNCH(depthwise_any_dx_kernel, (unsigned)mg_ceil_div(count, MG_ANY_THREADS), MG_ANY_THREADS,
              0, *g, count, (const float *)c->dy, (const float *)c->x[1], (float *)c->dx[0],
              (bool)(c->overwrite & 1));
}

/* partial[chunk, tap, channel] of `chunks` chunks of `chunk` output rows, over all images. */
template <int INPUT> static void mg_depthwise_any_weights_as(const mg_depthwise *g, const float *x,
                                                             const float *dy, int64_t chunk,
                                                             int64_t chunks, float *partial,
                                                             const mg_depthwise_fusion &f) {
    MG_LAUNCH((depthwise_any_filter_kernel<INPUT>),
              (unsigned)(chunks * g->kernel * g->kernel * g->tiles),
              dim3(MG_TILE_CHANNELS, MG_SUM_THREADS / MG_TILE_CHANNELS), 0, *g, (int)chunk, x, dy,
              partial, f);
}

static inline void mg_depthwise_any_weights(const mg_op_call *c, const mg_depthwise *g,
                                            int64_t chunk, int64_t chunks, float *partial) {
    mg_depthwise_any_weights_as<MG_INPUT_AS_IS>(g, (const float *)c->x[0], (const float *)c->dy,
                                                chunk, chunks, partial, mg_depthwise_fusion{});
}

#endif
