/* conv2d_gradient.h: dw[a,b,ch,o] += sum_{n,i,j} dy[n,i,j,o] x[n, i s + a - top, j s + b - left, ch].
 *
 * 9 Cin Cout sums over all output positions. Stage 1 for a stem: a block owns 32 output channels and
 * a chunk of output rows; thread (lane, a, part) walks every part-th row with tap row a. A step
 * takes one value of dy per channel and 3 Cin values of x, which all lanes share (a broadcast), for
 * 3 Cin products per channel. The three threads that share dy meet in L1. The parts are added in
 * shared memory by a tree. Stage 2 adds the chunks (sums.h).
 *
 * Block: 8 x 3 x 8 threads (L = 4), 32 x 3 x 4 (L = 1). Shared memory: 8 x 27 x 128 bytes = 27 KiB
 * for three channels. Bytes: dy and x once, and a partial filter per chunk of 1024 or more outputs. */
#ifndef MG_CUDA_CONV2D_GRADIENT_H
#define MG_CUDA_CONV2D_GRADIENT_H

#include "cuda/conv2d_any.h"
#include "cuda/sums.h"

template <int L> struct mg_stem_filter_block {
    enum { LANES = MG_TILE_CHANNELS / L, PARTS = L == 4 ? 8 : 4, THREADS = LANES * 3 * PARTS };
};

template <int CIN, int L> __global__ void __launch_bounds__((mg_stem_filter_block<L>::THREADS))
    stem_filter_kernel(mg_conv2d g, int chunk, const float *__restrict__ x,
                       const float *__restrict__ dy, float *__restrict__ partial) {
    using B = mg_stem_filter_block<L>;
    enum { TAPS = 3 * CIN }; /* of a tap row */
    MG_SHARED(mg_lanes<L>, parts, [B::PARTS][3 * TAPS][B::LANES]);
    const int lane = (int)threadIdx.x, a = (int)threadIdx.y, part = (int)threadIdx.z;
    const int tiles = (g.out + MG_TILE_CHANNELS - 1) / MG_TILE_CHANNELS;
    const int channel = (int)(blockIdx.x % tiles) * MG_TILE_CHANNELS + lane * L;
    const int64_t piece = blockIdx.x / tiles, all = g.images * g.rows;
    const int64_t end = (piece + 1) * chunk < all ? (piece + 1) * chunk : all;
    mg_lanes<L> sum[TAPS];
#pragma unroll
    for (int k = 0; k < TAPS; k++) sum[k] = mg_splat<L>(0);
    for (int64_t r = piece * chunk + part; r < end && channel < g.out; r += B::PARTS) {
        const int p = (int)(r % g.rows) * 2 + a - g.top;
        if (p < 0 || p >= g.height) continue;
        const float *line = x + (r / g.rows * g.height + p) * g.width * CIN;
        const float *slope = dy + r * g.columns * g.out + channel;
#pragma unroll 4
        for (int j = 0; j < g.columns; j++) {
            const mg_lanes<L> s = mg_load<L>(slope + (int64_t)j * g.out);
#pragma unroll
            for (int k = 0; k < TAPS; k++) {
                const int q = j * 2 + k / CIN - g.left;
                const bool inside = q >= 0 && q < g.width;
                mg_fma(sum[k], s, mg_splat<L>(inside ? line[(int64_t)q * CIN + k % CIN] : 0.0f));
            }
        }
    }
#pragma unroll
    for (int k = 0; k < TAPS; k++) parts[part][a * TAPS + k][lane] = sum[k];
#pragma unroll
    for (int half = B::PARTS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (part >= half) continue; /* to the next barrier */
#pragma unroll
        for (int k = 0; k < TAPS; k++) {
            const mg_lanes<L> other = parts[part + half][a * TAPS + k][lane];
            mg_add(sum[k], other);
            parts[part][a * TAPS + k][lane] = sum[k];
        }
    }
    if (part != 0 || channel >= g.out) return;
#pragma unroll
    for (int k = 0; k < TAPS; k++)
        mg_store(partial + (piece * 3 * TAPS + a * TAPS + k) * g.out + channel, sum[k]);
}

/* --- host side --------------------------------------------------------------------------------- */

static inline int64_t mg_conv2d_chunk(const mg_conv2d *g) {
    const int64_t least = mg_ceil_div(1024, g->columns);
    const int64_t even = mg_ceil_div(g->images * g->rows, 512);
    return even > least ? even : least;
}
static inline int64_t mg_conv2d_chunks(const mg_conv2d *g) {
    return mg_ceil_div(g->images * g->rows, mg_conv2d_chunk(g));
}
static inline int64_t mg_conv2d_weight_count(const mg_conv2d *g) {
    return (int64_t)g->kernel * g->kernel * g->in * g->out;
}
static inline size_t mg_conv2d_weights_bytes(const mg_conv2d *g) {
    return (size_t)(mg_conv2d_chunks(g) * mg_conv2d_weight_count(g)) * sizeof(float);
}

template <int CIN, int L>
static void mg_stem_filter(const mg_op_call *c, const mg_conv2d *g, float *partial) {
    using B = mg_stem_filter_block<L>;
    MG_LAUNCH((stem_filter_kernel<CIN, L>),
              (unsigned)(mg_conv2d_chunks(g) * mg_channel_tiles(g->out)),
              dim3(B::LANES, 3, B::PARTS), 0, *g, (int)mg_conv2d_chunk(g), (const float *)c->x[0],
              (const float *)c->dy, partial);
}

/* dw += …; partial has mg_conv2d_weights_bytes(). */
static inline void mg_conv2d_weights(const mg_op_call *c, const mg_conv2d *g, float *partial) {
    const int64_t weights = mg_conv2d_weight_count(g), chunks = mg_conv2d_chunks(g);
    const bool wide = mg_lane_width(g->out, c->dy, partial, NULL, NULL) == 4;
    mg_cuda_cost(mg_conv2d_bytes(c, false) + 4.0 * (double)(weights * (chunks - 1)),
                 mg_conv2d_flops(c));
    if (mg_conv2d_stem(g) && g->in == 1)
        wide ? mg_stem_filter<1, 4>(c, g, partial) : mg_stem_filter<1, 1>(c, g, partial);
    else if (mg_conv2d_stem(g))
        wide ? mg_stem_filter<3, 4>(c, g, partial) : mg_stem_filter<3, 1>(c, g, partial);
    else {
        const int64_t groups = mg_ceil_div(weights, MG_CONV_THREADS);
        MG_LAUNCH(conv2d_any_filter_kernel, (unsigned)(chunks * groups), MG_CONV_THREADS, 0, *g,
                  (int)mg_conv2d_chunk(g), (int)groups, (int)weights, (const float *)c->x[0],
                  (const float *)c->dy, partial);
    }
    mg_combine(partial, 1, chunks, weights, 1, true, (float *)c->dx[1]);
}

#endif
