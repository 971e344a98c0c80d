/* depthwise_weights.h: the gradient of depthwise filters, dw[a,b,c] += sum dy[n,i,j,c] x[n,p,q,c].
 *
 * k² sums over all output positions of all images. Stage 1: a block owns 32 channels and a chunk
 * of output rows. Thread (lane, a, part) walks every part-th row of the chunk with tap row a: it
 * slides a window of inputs along the row in registers, so that a step of four columns loads 4
 * values of dy and 4 s of x for 4 k products. The k threads that share dy, and rows that share x,
 * meet in L1. Then the parts are added in shared memory by a tree and the block stores its partial
 * filters. Stage 2 adds the chunks (sums.h).
 *
 * Block: 8 x k x 8 threads (L = 4), 32 x k x 4 (L = 1). Shared memory: at most 25 KiB. Chunks cover
 * at least 1024 outputs and are at most 256: partial filters cost at most 2 k²/1024 of dy's
 * bytes. */
#ifndef MG_CUDA_DEPTHWISE_WEIGHTS_H
#define MG_CUDA_DEPTHWISE_WEIGHTS_H

#include "cuda/depthwise.h"
#include "cuda/depthwise_any.h"

template <int K, int L> struct mg_filter_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        PARTS = L == 4 ? 8 : 4,
        THREADS = LANES * K * PARTS,
        STEP = 4 /* columns */
    };
};

/* One output row against one input row: sum[b] += dy[j] x[j S + b - left] over j. */
template <int K, int S, int L> __device__ __forceinline__ void
filter_row(const mg_depthwise &g, const float *x, const float *dy, mg_lanes<L> (&sum)[K]) {
    enum { STEP = mg_filter_block<K, L>::STEP, KEPT = K - S, WINDOW = (STEP - 1) * S + K };
    mg_lanes<L> window[WINDOW];
#pragma unroll
    for (int q = 0; q < KEPT; q++) {
        const int column = q - g.left;
        window[q] =
            mg_load_if<L>(column >= 0 && column < g.width, x + (int64_t)column * g.channels);
    }
    for (int j = 0; j < g.columns; j += STEP) {
        mg_lanes<L> slope[STEP];
#pragma unroll
        for (int q = KEPT; q < WINDOW; q++) {
            const int column = j * S + q - g.left;
            window[q] =
                mg_load_if<L>(column >= 0 && column < g.width, x + (int64_t)column * g.channels);
        }
#pragma unroll
        for (int t = 0; t < STEP; t++)
            slope[t] = mg_load_if<L>(j + t < g.columns, dy + (int64_t)(j + t) * g.channels);
#pragma unroll
        for (int b = 0; b < K; b++)
#pragma unroll
            for (int t = 0; t < STEP; t++) mg_fma(sum[b], slope[t], window[t * S + b]);
#pragma unroll
        for (int q = 0; q < KEPT; q++) window[q] = window[q + STEP * S];
    }
}

template <int K, int S, int L> __global__ void __launch_bounds__((mg_filter_block<K, L>::THREADS))
    depthwise_filter_kernel(mg_depthwise g, int chunk, const float *__restrict__ x,
                            const float *__restrict__ dy, float *__restrict__ partial) {
    using B = mg_filter_block<K, L>;
    MG_SHARED(mg_lanes<L>, parts, [B::PARTS][K * K][B::LANES]);
    const int lane = (int)threadIdx.x, a = (int)threadIdx.y, part = (int)threadIdx.z;
    const int channel = (int)(blockIdx.x % g.tiles) * MG_TILE_CHANNELS + lane * L;
    const int64_t piece = blockIdx.x / g.tiles, all = g.images * g.rows;
    const int64_t end = (piece + 1) * chunk < all ? (piece + 1) * chunk : all;
    mg_lanes<L> sum[K];
#pragma unroll
    for (int b = 0; b < K; b++) sum[b] = mg_splat<L>(0);
    for (int64_t r = piece * chunk + part; r < end && channel < g.channels; r += B::PARTS) {
        const int64_t image = r / g.rows;
        const int p = (int)(r % g.rows) * S + a - g.top;
        if (p < 0 || p >= g.height) continue;
        filter_row<K, S, L>(g, x + (image * g.height + p) * g.width * g.channels + channel,
                            dy + r * g.columns * g.channels + channel, sum);
    }
#pragma unroll
    for (int b = 0; b < K; b++) parts[part][a * K + b][lane] = sum[b];
#pragma unroll
    for (int half = B::PARTS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (part >= half) continue; /* to the next barrier */
#pragma unroll
        for (int b = 0; b < K; b++) {
            const mg_lanes<L> other = parts[part + half][a * K + b][lane];
            mg_add(sum[b], other);
            parts[part][a * K + b][lane] = sum[b];
        }
    }
    if (part != 0 || channel >= g.channels) return;
#pragma unroll
    for (int b = 0; b < K; b++)
        mg_store(partial + (piece * K * K + a * K + b) * g.channels + channel, sum[b]);
}

/* --- host side -------------------------------------------------------------------------------- */

/* Output rows of a chunk, over all images. */
static inline int64_t mg_filter_chunk(const mg_depthwise *g) {
    const int64_t least = mg_ceil_div(1024, g->columns);
    const int64_t even = mg_ceil_div(g->images * g->rows, 256);
    return even > least ? even : least;
}
static inline int64_t mg_filter_chunks(const mg_depthwise *g) {
    return mg_ceil_div(g->images * g->rows, mg_filter_chunk(g));
}
static inline size_t mg_depthwise_weights_bytes(const mg_depthwise *g) {
    return (size_t)(mg_filter_chunks(g) * g->kernel * g->kernel * g->channels) * sizeof(float);
}

struct depthwise_filter {
    const mg_op_call *c;
    mg_depthwise g;
    float *partial;
    template <int K, int S, int L> void run() const {
        using B = mg_filter_block<K, L>;
        MG_LAUNCH((depthwise_filter_kernel<K, S, L>), (unsigned)(mg_filter_chunks(&g) * g.tiles),
                  dim3(B::LANES, K, B::PARTS), 0, g, (int)mg_filter_chunk(&g),
                  (const float *)c->x[0], (const float *)c->dy, partial);
    }
};

/* dw += …; partial has mg_depthwise_weights_bytes(). */
static inline void mg_depthwise_weights(const mg_op_call *c, const mg_depthwise *g,
                                        float *partial) {
    const int64_t taps = (int64_t)g->kernel * g->kernel, chunks = mg_filter_chunks(g);
    const double x = (double)mg_shape_elements(&c->x_shape[0]);
    const double y = (double)mg_shape_elements(&c->y_shape);
    mg_cuda_cost(4 * (x + y + (double)(chunks * taps * g->channels)), 2.0 * (double)taps * y);
    const bool wide = mg_lane_width(g->channels, c->x[0], c->dy, partial, NULL) == 4;
    if (mg_depthwise_special(g)) mg_depthwise_dispatch(g, wide, depthwise_filter{c, *g, partial});
    else mg_depthwise_any_weights(c, g, mg_filter_chunk(g), chunks, partial);
    mg_combine(partial, 1, chunks, taps * g->channels, 1, true, (float *)c->dx[1]);
}

#endif
