/* norm_depthwise_backward.h: the two kernels behind norm_depthwise_conv's gradients for 3x3 and 5x5
 * filters at strides 1 and 2. Both own inputs, not outputs, and make the same ds of them:
 *
 *     ds[p,q] = sum_{a,b} dy[i,j] w[a,b],  p = i s + a - top,  q = j s + b - left
 *     n, s and silu'(n) from x;  dn = ds silu'(n)
 *
 *     sums    sum dn, sum dn h, and dw[a,b] = sum_{p,q} s[p,q] dy[i,j]
 *     slopes  dx += gamma r (dn - mean(dn) - h mean(dn h))
 *
 * Seen from the inputs, a filter's gradient asks for the very values of dy that ds asks for: one
 * window of dy serves both, x is read once and without a halo, and s never leaves registers.
 *
 * A block makes 16 x 8 inputs of 32 channels from a tile of dy in shared memory, halo included:
 * (16/S + H) x (8/S + H) pixels of 128 bytes with H = (k-1)/S, 30 KiB for 5x5 at stride 1, and the
 * filter, 3 KiB. A thread makes 2 x 4 inputs, one row after the other: per element of a 5x5 filter
 * it reads 10 values of dy and 6.25 weights from shared memory for 25 (sums: 50) products.
 *
 * sums: 16 x 2 x 8 threads of L = 2 channels, not 4: k² + 2 sums a channel stay in registers from
 * the block's first tile to its last, 54 registers for 5x5, where four channels would take 108 and
 * leave none for the window. dy still comes in 16 bytes an access, x in 8, whole lines both. h
 * waits in shared memory while a row is gathered. A block walks at least 8 tiles, so that partial
 * sums, written and read, are at most 2 (k² + 2)/1024 of the bytes of dx, then adds its 16 groups
 * of threads in a fixed order, k values at a time (10 KiB).
 * slopes: 8 x 2 x 8 threads of 4 channels, the blocks in reverse: the tiles that sums read last are
 * first, as far as the L2 cache still has them.
 *
 * Channels that are no multiple of 4, or arrays off 16 bytes: L = 1, 32 threads abreast.
 * Bytes: sums reads x and dy, slopes x and dy again and writes dx (without `fresh` reads it, too):
 * 5 tensors, of which 3 are compulsory, since means over all rows come before the first dx. */
#ifndef MG_CUDA_NORM_DEPTHWISE_BACKWARD_H
#define MG_CUDA_NORM_DEPTHWISE_BACKWARD_H

#include "cuda/depthwise.h"

template <int K, int S, int L> struct mg_inputs_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        GROUPS_ACROSS = 2,
        GROUPS_DOWN = 8,
        GROUPS = GROUPS_ACROSS * GROUPS_DOWN,
        THREADS = LANES * GROUPS,
        R = 2, /* inputs of a thread */
        T = 4,
        ROWS = GROUPS_DOWN * R, /* inputs of the block */
        COLUMNS = GROUPS_ACROSS * T,
        HALO = (K - 1) / S,
        TILE_ROWS = ROWS / S + HALO,
        TILE_COLUMNS = COLUMNS / S + HALO,
        WIDE = L == 1 ? 1 : 4, /* channels an access from memory to the tile */
        VALUES = K * K + 2,    /* sums: dw, then dn, then dn h */
        ROUND = K > T ? K : T  /* of them that are added up at once; T for what a row puts aside */
    };
};

/* Tile and filter in shared memory, each pixel's or tap's 32 channels side by side. */
typedef struct mg_slopes_tile {
    float *dy, *filter;
} mg_slopes_tile;

/* Where a block's inputs begin: in coordinates of x that start on a multiple of the stride of
 * padded x, so that the taps that meet an input are known at compile time. Row and column may be
 * -1, outside. */
typedef struct mg_inputs_place {
    int64_t image;
    int row, column, first_row, first_column; /* of x; of the tile of dy */
} mg_inputs_place;

template <class B, int S>
__device__ __forceinline__ mg_inputs_place mg_inputs_at(const mg_depthwise &g, int64_t image,
                                                        int down, int across) {
    mg_inputs_place at;
    at.image = image;
    at.row = down * B::ROWS - g.top % S;
    at.column = across * B::COLUMNS - g.left % S;
    at.first_row = down * (B::ROWS / S) + g.top / S - B::HALO;
    at.first_column = across * (B::COLUMNS / S) + g.left / S - B::HALO;
    return at;
}

__device__ __forceinline__ int mg_thread_of_block() {
    return (int)((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
}

/* 32 channels from `channel` on of dy under the block's inputs; zeros outside. */
template <class B> __device__ __forceinline__ void mg_load_slopes(const mg_depthwise &g,
                                                                  const float *__restrict__ dy,
                                                                  const mg_inputs_place &at,
                                                                  int channel, float *tile) {
    enum { ABREAST = MG_TILE_CHANNELS / B::WIDE, AT_ONCE = B::THREADS / ABREAST };
    enum { AHEAD = B::LANES == 16 ? 2 : 4 }; /* sums have no registers for more */
    const int t = mg_thread_of_block(), lane = t % ABREAST * B::WIDE;
    const bool used = channel + lane < g.channels;
    const float *from = dy + at.image * g.rows * g.columns * g.channels + channel + lane;
#pragma unroll AHEAD
    for (int k = t / ABREAST; k < B::TILE_ROWS * B::TILE_COLUMNS; k += AT_ONCE) {
        const int i = at.first_row + k / B::TILE_COLUMNS;
        const int j = at.first_column + k % B::TILE_COLUMNS;
        const bool inside = used && i >= 0 && i < g.rows && j >= 0 && j < g.columns;
        mg_store(tile + k * MG_TILE_CHANNELS + lane,
                 mg_load_if<B::WIDE>(inside, from + ((int64_t)i * g.columns + j) * g.channels));
    }
}

template <class B, int TAPS> __device__ __forceinline__ void
mg_load_taps(const mg_depthwise &g, const float *__restrict__ w, int channel, float *filter) {
    enum { ABREAST = MG_TILE_CHANNELS / B::WIDE, AT_ONCE = B::THREADS / ABREAST };
    const int t = mg_thread_of_block(), lane = t % ABREAST * B::WIDE;
    const bool used = channel + lane < g.channels;
    for (int k = t / ABREAST; k < TAPS; k += AT_ONCE)
        mg_store(filter + k * MG_TILE_CHANNELS + lane,
                 mg_load_if<B::WIDE>(used, w + (int64_t)k * g.channels + channel + lane));
}

/* ds of row u of the thread's inputs, and with SUMS dw += s dy. Of taps at stride 2 every other
 * meets a row or column; which is decided by the compiler. */
template <int K, int S, int L, bool SUMS, int VALUES>
__device__ __forceinline__ void mg_gather_row(const mg_slopes_tile &tile, int u,
                                              const mg_lanes<L> (&s)[mg_inputs_block<K, S, L>::T],
                                              mg_lanes<L> (&ds)[mg_inputs_block<K, S, L>::T],
                                              mg_lanes<L> (&sums)[VALUES]) {
    using B = mg_inputs_block<K, S, L>;
    enum { WINDOW = B::T / S + B::HALO };
    const int down = (int)threadIdx.z * B::R, across = (int)threadIdx.y * B::T;
    const int lane = (int)threadIdx.x * L;
#pragma unroll
    for (int v = 0; v < B::T; v++) ds[v] = mg_splat<L>(0);
#pragma unroll(!SUMS && K == 5 && S == 1 ? 1 : K) /* all at once needs too many registers */
    for (int a = 0; a < K; a++) {
        if ((u - a) % S != 0) continue;
        const int row = (down + u - a) / S + B::HALO; /* divides without rest */
        const float *from = tile.dy + (row * B::TILE_COLUMNS + across / S) * MG_TILE_CHANNELS;
        mg_lanes<L> window[WINDOW];
#pragma unroll
        for (int q = 0; q < WINDOW; q++) window[q] = mg_load<L>(from + q * MG_TILE_CHANNELS + lane);
#pragma unroll
        for (int b = 0; b < K; b++) {
            const mg_lanes<L> tap = mg_load<L>(tile.filter + (a * K + b) * MG_TILE_CHANNELS + lane);
#pragma unroll
            for (int v = 0; v < B::T; v++) {
                const int e = v - b + S * B::HALO; /* S times the place in the window */
                if (e % S != 0) continue;
                mg_fma(ds[v], window[e / S], tap);
                if constexpr (SUMS) mg_fma(sums[a * K + b], window[e / S], s[v]);
            }
        }
    }
}

/* --- sums ------------------------------------------------------------------------------------- */

/* One row of the thread's inputs: its part of every sum. `own` are places of the thread alone, for
 * what would take registers while it gathers. */
template <int K, int S, int L> __device__ __forceinline__ void
mg_sum_row(const mg_depthwise &g, const mg_norm_lanes<L> &n, const float *__restrict__ x,
           const mg_inputs_place &at, int channel, const mg_slopes_tile &tile, int u, float *own,
           mg_lanes<L> (&sums)[mg_inputs_block<K, S, L>::VALUES]) {
    using B = mg_inputs_block<K, S, L>;
    const int p = at.row + (int)threadIdx.z * B::R + u;
    const int q = at.column + (int)threadIdx.y * B::T;
    const bool used = channel < g.channels && p >= 0 && p < g.height;
    const float *line = x + ((at.image * g.height + p) * g.width + q) * g.channels + channel;
    mg_lanes<L> s[B::T], ds[B::T], slope[B::T];
#pragma unroll
    for (int v = 0; v < B::T; v++) {
        const bool inside = used && q + v >= 0 && q + v < g.width;
        mg_lanes<L> h = mg_load_if<L>(inside, line + (int64_t)v * g.channels);
        const mg_lanes<L> z = mg_norm_apply(n, h);
#pragma unroll
        for (int l = 0; l < L; l++) {
            const float gate = mg_norm_gate(z.v[l]); /* padding has neither s nor slope */
            s[v].v[l] = inside ? z.v[l] * gate : 0;
            slope[v].v[l] = inside ? gate * (1 + z.v[l] * (1 - gate)) : 0;
            h.v[l] = (h.v[l] - n.mean.v[l]) * n.inverse.v[l];
        }
        mg_store(own + v * MG_TILE_CHANNELS, h);
    }
    __syncwarp(); /* orders nothing: it keeps the compiler from holding all taps across rows */
    mg_gather_row<K, S, L, true>(tile, u, s, ds, sums);
#pragma unroll
    for (int v = 0; v < B::T; v++) {
        const mg_lanes<L> h = mg_load<L>(own + v * MG_TILE_CHANNELS);
#pragma unroll
        for (int l = 0; l < L; l++) {
            const float dn = ds[v].v[l] * slope[v].v[l];
            sums[K * K].v[l] += dn;
            sums[K * K + 1].v[l] = fmaf(dn, h.v[l], sums[K * K + 1].v[l]);
        }
    }
}

/* Adds the groups of threads up, ROUND values at a time, into to[value, channel]. */
template <int K, int S, int L> __device__ __forceinline__ void
mg_store_sums(const mg_depthwise &g, int channel,
              const mg_lanes<L> (&sums)[mg_inputs_block<K, S, L>::VALUES], float *parts,
              float *__restrict__ to) {
    using B = mg_inputs_block<K, S, L>;
    enum { AT_ONCE = B::ROUND * MG_TILE_CHANNELS };
    const int group = (int)(threadIdx.z * B::GROUPS_ACROSS + threadIdx.y);
#pragma unroll
    for (int first = 0; first < B::VALUES; first += B::ROUND) {
        __syncthreads(); /* the round before has been added up */
#pragma unroll
        for (int k = 0; k < B::ROUND; k++)
            if (first + k < B::VALUES)
                mg_store(parts + group * AT_ONCE + k * MG_TILE_CHANNELS + (int)threadIdx.x * L,
                         sums[first + k]);
        __syncthreads();
        for (int i = mg_thread_of_block(); i < AT_ONCE; i += B::THREADS) {
            const int value = first + i / MG_TILE_CHANNELS, at = channel + i % MG_TILE_CHANNELS;
            if (value >= B::VALUES || at >= g.channels) continue;
            float sum = 0;
#pragma unroll
            for (int k = 0; k < B::GROUPS; k++) sum += parts[k * AT_ONCE + i];
            to[(int64_t)value * g.channels + at] = sum;
        }
    }
}

/* partial[chunk, value, channel] of `chunk` tiles in a row. */
template <int K, int S, int L>
__global__ void __launch_bounds__((mg_inputs_block<K, S, L>::THREADS), L)
    norm_depthwise_sums_kernel(mg_depthwise g, int chunk, mg_norm norm, const float *__restrict__ x,
                               const float *__restrict__ dy, const float *__restrict__ w,
                               float *__restrict__ partial) {
    using B = mg_inputs_block<K, S, L>;
    MG_SHARED(mg_lanes<4>, tile, [B::TILE_ROWS][B::TILE_COLUMNS][MG_TILE_CHANNELS / 4]);
    MG_SHARED(mg_lanes<4>, filter, [K * K][MG_TILE_CHANNELS / 4]);
    MG_SHARED(mg_lanes<4>, parts, [B::GROUPS][B::ROUND][MG_TILE_CHANNELS / 4]);
    const mg_slopes_tile shared = {tile[0][0][0].v, filter[0][0].v};
    const int first = (int)(blockIdx.x % g.tiles) * MG_TILE_CHANNELS;
    const int channel = first + (int)threadIdx.x * L;
    const int64_t part = blockIdx.x / g.tiles, all = g.images * g.down * g.across;
    const int64_t end = (part + 1) * chunk < all ? (part + 1) * chunk : all;
    const mg_norm_lanes<L> n = mg_norm_at<L>(norm, channel, channel < g.channels);
    mg_lanes<L> sums[B::VALUES];
#pragma unroll
    for (int k = 0; k < B::VALUES; k++) sums[k] = mg_splat<L>(0);
    const int group = (int)(threadIdx.z * B::GROUPS_ACROSS + threadIdx.y);
    float *own = parts[group][0][0].v + (int)threadIdx.x * L;
    mg_load_taps<B, K * K>(g, w, first, shared.filter);
    for (int64_t piece = part * chunk; piece < end; piece++) {
        const mg_inputs_place at =
            mg_inputs_at<B, S>(g, piece / ((int64_t)g.across * g.down),
                               (int)(piece / g.across % g.down), (int)(piece % g.across));
        __syncthreads(); /* the tile before has been used */
        mg_load_slopes<B>(g, dy, at, first, shared.dy);
        __syncthreads();
#pragma unroll(S == 1 ? 1 : B::R) /* at stride 2 the row decides which taps meet it */
        for (int u = 0; u < B::R; u++)
            mg_sum_row<K, S, L>(g, n, x, at, channel, shared, u, own, sums);
    }
    mg_store_sums<K, S, L>(g, first, sums, parts[0][0][0].v,
                           partial + part * B::VALUES * g.channels);
}

/* --- slopes ----------------------------------------------------------------------------------- */

/* Means [C] of dn and dn h; NULL where statistics are constants. fresh: dx is written, not added
 * to. */
typedef struct mg_norm_means {
    const float *dn, *dn_h;
    bool fresh;
} mg_norm_means;

/* dx of an input, from x, ds and what dx holds. */
template <int L> __device__ __forceinline__ mg_lanes<L>
mg_norm_slope(const mg_norm_lanes<L> &n, const mg_lanes<L> &mean_dn, const mg_lanes<L> &mean_dn_h,
              const mg_lanes<L> &x, const mg_lanes<L> &ds, mg_lanes<L> dx) {
    const mg_lanes<L> z = mg_norm_apply(n, x);
#pragma unroll
    for (int l = 0; l < L; l++) {
        const float h = (x.v[l] - n.mean.v[l]) * n.inverse.v[l];
        const float dn = ds.v[l] * mg_norm_silu_slope(z.v[l]);
        dx.v[l] = fmaf(n.scale.v[l], fmaf(-h, mean_dn_h.v[l], dn - mean_dn.v[l]), dx.v[l]);
    }
    return dx;
}

template <int K, int S, int L>
__global__ void __launch_bounds__((mg_inputs_block<K, S, L>::THREADS), L)
    norm_depthwise_slopes_kernel(mg_depthwise g, mg_norm norm, mg_norm_means means,
                                 const float *__restrict__ x, const float *__restrict__ dy,
                                 const float *__restrict__ w, float *__restrict__ dx) {
    using B = mg_inputs_block<K, S, L>;
    MG_SHARED(mg_lanes<4>, tile, [B::TILE_ROWS][B::TILE_COLUMNS][MG_TILE_CHANNELS / 4]);
    MG_SHARED(mg_lanes<4>, filter, [K * K][MG_TILE_CHANNELS / 4]);
    const mg_slopes_tile shared = {tile[0][0][0].v, filter[0][0].v};
    const mg_depthwise_place here = mg_depthwise_here<L>(g);
    const mg_inputs_place at = mg_inputs_at<B, S>(g, here.image, here.down, here.across);
    const int first = here.channel - (int)threadIdx.x * L, channel = here.channel;
    mg_load_slopes<B>(g, dy, at, first, shared.dy);
    mg_load_taps<B, K * K>(g, w, first, shared.filter);
    __syncthreads();
    if (channel >= g.channels) return;
    const mg_norm_lanes<L> n = mg_norm_at<L>(norm, channel, true);
    const mg_lanes<L> mean_dn = mg_load_if<L>(means.dn != NULL, means.dn + channel);
    const mg_lanes<L> mean_dn_h = mg_load_if<L>(means.dn != NULL, means.dn_h + channel);
    const int p = at.row + (int)threadIdx.z * B::R, q = at.column + (int)threadIdx.y * B::T;
#pragma unroll(S == 1 ? 1 : B::R)
    for (int u = 0; u < B::R; u++) {
        mg_lanes<L> ds[B::T], none[1];
        mg_gather_row<K, S, L, false>(shared, u, ds, ds, none);
        if (p + u < 0 || p + u >= g.height) continue;
        const int64_t line = ((at.image * g.height + p + u) * g.width + q) * g.channels + channel;
#pragma unroll
        for (int v = 0; v < B::T; v++) {
            if (q + v < 0 || q + v >= g.width) continue;
            const int64_t i = line + (int64_t)v * g.channels;
            mg_store(dx + i, mg_norm_slope<L>(n, mean_dn, mean_dn_h, mg_load<L>(x + i), ds[v],
                                              mg_load_if<L>(!means.fresh, dx + i)));
        }
    }
}

#endif
