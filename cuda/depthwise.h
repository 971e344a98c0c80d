/* depthwise.h: the tile that depthwise_conv, mbconv and norm_depthwise_conv share.
 *
 * A block makes 16 x 8 outputs (stride 2: 8 x 4) of 32 channels. It copies the inputs under them,
 * halo included, into shared memory, each once; then a thread makes R x T outputs (2 x 4; 1 x 2) of
 * its L channels. Per output of a 5x5 filter that reads 6 inputs and 6.25 weights from shared
 * memory instead of 25 and 25: a window of inputs serves T columns, a weight T products, and a row
 * of inputs both of the thread's rows.
 *
 * Block: 8 x 2 x 8 threads (L = 4) or 32 x 2 x 8 (L = 1): lane, column group, row group. Eight
 * neighbours read 128 adjacent bytes of shared memory, all 32 banks once: no conflicts. Shared
 * memory, 5x5: 20 x 12 pixels x 128 bytes + weights 3.1 KiB = 33 KiB at stride 1, 29 KiB at stride
 * 2; 3x3: 24 KiB and 20 KiB. The halo is read again by the neighbouring blocks, from the L2 cache:
 * 1.9 times the tile for 5x5 at stride 1, 1.4 times for 3x3. */
#ifndef MG_CUDA_DEPTHWISE_H
#define MG_CUDA_DEPTHWISE_H

#include "cuda/norm_lanes.h"
#include "cuda/sums.h"

/* Sizes of a call; passed to kernels by value. */
typedef struct mg_depthwise {
    int64_t images;
    int height, width, channels; /* input */
    int rows, columns;           /* output */
    int top, left, kernel, stride;
    int down, across, tiles; /* blocks per image: down x across x tiles of channels */
    bool reverse; /* from the last block to the first: what an earlier kernel read last may still be
                     in the L2 cache */
} mg_depthwise;

/* The block's shape as a function of stride and lanes. */
template <int S, int L> struct mg_depthwise_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        GROUPS_ACROSS = 2,
        GROUPS_DOWN = 8,
        GROUPS = GROUPS_ACROSS * GROUPS_DOWN,
        THREADS = LANES * GROUPS,
        R = S == 1 ? 2 : 1, /* outputs of a thread */
        T = S == 1 ? 4 : 2,
        ROWS = GROUPS_DOWN * R, /* outputs of the block */
        COLUMNS = GROUPS_ACROSS * T
    };
};

/* Which part of which image this block makes. */
typedef struct mg_depthwise_place {
    int64_t image, piece; /* piece counts tiles of all images, channels aside */
    int down, across, channel;
} mg_depthwise_place;

template <int L>
__device__ __forceinline__ mg_depthwise_place mg_depthwise_here(const mg_depthwise &g) {
    mg_depthwise_place at;
    const unsigned block = g.reverse ? gridDim.x - 1 - blockIdx.x : blockIdx.x;
    at.piece = block / g.tiles;
    at.across = (int)(at.piece % g.across);
    at.down = (int)(at.piece / g.across % g.down);
    at.image = at.piece / ((int64_t)g.across * g.down);
    at.channel = (int)(block % g.tiles) * MG_TILE_CHANNELS + (int)threadIdx.x * L;
    return at;
}

/* What other ops add to the convolution; all NULL in the plain one. */
typedef struct mg_depthwise_fusion {
    const float *input_bias; /* MG_INPUT_SILU */
    const float *bias;       /* y = silu(y + bias) … */
    float *sums;             /* … and its sums over the block's outputs: [piece, channel] */
    mg_norm norm;            /* MG_INPUT_NORM */
} mg_depthwise_fusion;

/* What becomes of an input on its way to the filter: nothing, silu(x + input_bias) or
 * silu(batch_norm(x)). The first two are false and true for those who know of no third. */
enum { MG_INPUT_AS_IS, MG_INPUT_SILU, MG_INPUT_NORM };

/* What that needs of a thread's channels; f may be NULL for MG_INPUT_AS_IS. */
template <int L, int INPUT> __device__ __forceinline__ mg_norm_lanes<L>
mg_input_at(const mg_depthwise_fusion *f, int channel, bool used) {
    mg_norm_lanes<L> a = {};
    if constexpr (INPUT == MG_INPUT_SILU) a.shift = mg_load_if<L>(used, f->input_bias + channel);
    if constexpr (INPUT == MG_INPUT_NORM) a = mg_norm_at<L>(f->norm, channel, used);
    return a;
}

template <int L, int INPUT>
__device__ __forceinline__ void mg_prepare(const mg_norm_lanes<L> &a, mg_lanes<L> &v) {
    if constexpr (INPUT == MG_INPUT_SILU) {
        mg_add(v, a.shift);
        mg_silu_lanes(v);
    } else if constexpr (INPUT == MG_INPUT_NORM) {
        v = mg_norm_apply(a, v);
#pragma unroll
        for (int l = 0; l < L; l++) v.v[l] = mg_norm_silu(v.v[l]);
    }
}

/* Rows [row, row + ROWS) and columns [column, …) of an image [height, width, channels] into tile;
 * zeros outside. What is inside is prepared on the way, once per element and block instead of once
 * per use. */
template <int L, int ROWS, int COLUMNS, int GROUPS, int INPUT> __device__ __forceinline__ void
mg_load_tile(const float *image, int height, int width, int channels, int row, int column,
             int channel, const mg_depthwise_fusion *f,
             mg_lanes<L> (&tile)[ROWS][COLUMNS][MG_TILE_CHANNELS / L]) {
    const int lane = (int)threadIdx.x, group = (int)(threadIdx.z * blockDim.y + threadIdx.y);
    const bool used = channel < channels;
    const mg_norm_lanes<L> of_channel = mg_input_at<L, INPUT>(f, channel, used);
#pragma unroll 4
    for (int k = group; k < ROWS * COLUMNS; k += GROUPS) {
        const int r = k / COLUMNS, q = k % COLUMNS, y = row + r, x = column + q;
        const bool inside = used && y >= 0 && y < height && x >= 0 && x < width;
        mg_lanes<L> v =
            mg_load_if<L>(inside, image + ((int64_t)y * width + x) * channels + channel);
        if (inside) mg_prepare<L, INPUT>(of_channel, v);
        tile[r][q][lane] = v;
    }
}

/* The filters of the block's channels into shared memory. */
template <int L, int TAPS, int GROUPS>
__device__ __forceinline__ void mg_load_filters(const float *w, int channels, int channel,
                                                mg_lanes<L> (&filter)[TAPS][MG_TILE_CHANNELS / L]) {
    const int lane = (int)threadIdx.x, group = (int)(threadIdx.z * blockDim.y + threadIdx.y);
#pragma unroll
    for (int k = group; k < TAPS; k += GROUPS)
        filter[k][lane] = mg_load_if<L>(channel < channels, w + (int64_t)k * channels + channel);
}

/* y = x * w. INPUT: what inputs pass through; FUSED: outputs pass through bias and SiLU, and are
 * summed. */
template <int K, int S, int L, int INPUT, bool FUSED>
__global__ void __launch_bounds__((mg_depthwise_block<S, L>::THREADS), L)
    depthwise_tile_kernel(mg_depthwise g, const float *__restrict__ x, const float *__restrict__ w,
                          float *__restrict__ y, mg_depthwise_fusion f) {
    using B = mg_depthwise_block<S, L>;
    enum { WINDOW = (B::T - 1) * S + K, IN_ROWS = (B::R - 1) * S + K };
    MG_SHARED(mg_lanes<L>, tile, [(B::ROWS - 1) * S + K][(B::COLUMNS - 1) * S + K][B::LANES]);
    MG_SHARED(mg_lanes<L>, filter, [K * K][B::LANES]);
    const mg_depthwise_place at = mg_depthwise_here<L>(g);
    const int lane = (int)threadIdx.x, row = at.down * B::ROWS, column = at.across * B::COLUMNS;
    mg_load_tile<L, (B::ROWS - 1) * S + K, (B::COLUMNS - 1) * S + K, B::GROUPS, INPUT>(
        x + at.image * g.height * g.width * g.channels, g.height, g.width, g.channels,
        row * S - g.top, column * S - g.left, at.channel, &f, tile);
    mg_load_filters<L, K * K, B::GROUPS>(w, g.channels, at.channel, filter);
    __syncthreads();

    const int down = (int)threadIdx.z * B::R, across = (int)threadIdx.y * B::T;
    mg_lanes<L> sum[B::R][B::T];
#pragma unroll
    for (int i = 0; i < B::R * B::T; i++) sum[i / B::T][i % B::T] = mg_splat<L>(0);
#pragma unroll(K == 5 ? 1 : IN_ROWS)    /* 5x5: a loop, unrolled it needs too many registers */
    for (int r = 0; r < IN_ROWS; r++) { /* input rows, top down */
        mg_lanes<L> window[WINDOW];
#pragma unroll
        for (int q = 0; q < WINDOW; q++) window[q] = tile[down * S + r][across * S + q][lane];
#pragma unroll
        for (int i = 0; i < B::R; i++) {
            const int a = r - i * S; /* the tap through which output row i sees input row r */
            if (a < 0 || a >= K) continue;
#pragma unroll
            for (int b = 0; b < K; b++) {
                const mg_lanes<L> tap = filter[a * K + b][lane];
#pragma unroll
                for (int t = 0; t < B::T; t++) mg_fma(sum[i][t], window[t * S + b], tap);
            }
        }
    }

    mg_lanes<L> total = mg_splat<L>(0);
    const mg_lanes<L> bias = mg_load_if<L>(FUSED && at.channel < g.channels, f.bias + at.channel);
    const int i0 = row + down, j0 = column + across;
    float *to = y + ((at.image * g.rows + i0) * g.columns + j0) * g.channels + at.channel;
#pragma unroll
    for (int i = 0; i < B::R; i++)
#pragma unroll
        for (int t = 0; t < B::T; t++) {
            if (i0 + i >= g.rows || j0 + t >= g.columns || at.channel >= g.channels) continue;
            if (FUSED) {
                mg_add(sum[i][t], bias);
                mg_silu_lanes(sum[i][t]);
                mg_add(total, sum[i][t]);
            }
            mg_store(to + ((int64_t)i * g.columns + t) * g.channels, sum[i][t]);
        }
    if constexpr (FUSED) {
        MG_SHARED(mg_lanes<L>, groups, [B::GROUPS][B::LANES]);
        const int group = (int)(threadIdx.z * B::GROUPS_ACROSS + threadIdx.y);
        groups[group][lane] = total;
        mg_add_rows(groups, group, lane);
        if (group == 0 && at.channel < g.channels)
            mg_store(f.sums + at.piece * g.channels + at.channel, groups[0][lane]);
    }
}

/* --- host side -------------------------------------------------------------------------------- */

/* Of x [N,H,W,C] and y [N,H',W',…] with `channels` channels between them. */
static inline mg_depthwise mg_depthwise_of(const mg_op_call *c, int64_t channels) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    mg_depthwise g = {};
    g.images = x[0], g.height = (int)x[1], g.width = (int)x[2], g.channels = (int)channels;
    g.rows = (int)y[1], g.columns = (int)y[2];
    g.top = (int)mg_conv_output(&c->attr, 0, x[1]).before;
    g.left = (int)mg_conv_output(&c->attr, 1, x[2]).before;
    g.kernel = c->attr.kernel, g.stride = c->attr.stride;
    g.tiles = (int)mg_channel_tiles(channels);
    return g;
}

/* Splits height x width outputs (or inputs) into the blocks of a kernel. */
static inline unsigned mg_depthwise_blocks(mg_depthwise *g, int64_t height, int64_t width, int rows,
                                           int columns) {
    g->down = (int)mg_ceil_div(height, rows);
    g->across = (int)mg_ceil_div(width, columns);
    return (unsigned)(g->images * g->down * g->across * g->tiles);
}

/* Whether a kernel specialised for the filter and stride exists. */
static inline bool mg_depthwise_special(const mg_depthwise *g) {
    return (g->kernel == 3 || g->kernel == 5) && (g->stride == 1 || g->stride == 2);
}

/* Calls f.run<K, S, L>() for a special filter. */
template <class F> static void mg_depthwise_dispatch(const mg_depthwise *g, bool wide, const F &f) {
    if (g->kernel == 3 && g->stride == 1)
        wide ? f.template run<3, 1, 4>() : f.template run<3, 1, 1>();
    else if (g->kernel == 3) wide ? f.template run<3, 2, 4>() : f.template run<3, 2, 1>();
    else if (g->stride == 1) wide ? f.template run<5, 1, 4>() : f.template run<5, 1, 1>();
    else wide ? f.template run<5, 2, 4>() : f.template run<5, 2, 1>();
}

/* Launches y = x * w for all images, inputs as INPUT says; for mg_depthwise_dispatch. */
template <int INPUT> struct mg_depthwise_tiles {
    mg_depthwise g;
    const float *x, *w;
    float *y;
    mg_depthwise_fusion f;
    template <int K, int S, int L> void run() const {
        using B = mg_depthwise_block<S, L>;
        mg_depthwise at = g;
        const unsigned blocks = mg_depthwise_blocks(&at, g.rows, g.columns, B::ROWS, B::COLUMNS);
        MG_LAUNCH((depthwise_tile_kernel<K, S, L, INPUT, false>), blocks,
                  dim3(B::LANES, B::GROUPS_ACROSS, B::GROUPS_DOWN), 0, at, x, w, y, f);
    }
};

#endif
