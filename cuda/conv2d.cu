/* conv2d on the GPU: the stem, 3x3 at stride 2 over one or three channels, and any other size.
 *
 *     y[n,i,j,o] = act(sum_{a,b,ch} x[n, i s + a - top, j s + b - left, ch] w[a,b,ch,o] + bias[o])
 *
 * The stem turns few channels into many: y holds 12 times (Cin 1, Cout 48, stride 2) the bytes of
 * x, so writing y is the cost, and 9 or 27 products per output are little. A block makes 4 x 32
 * outputs of 32 channels (lanes.h). Its 9 x 65 input pixels lie in rows of 65 Cin contiguous
 * floats, which it copies to shared memory whole; a thread then makes 4 outputs in a row for its L
 * channels, and each weight, read once from shared memory, serves the four. Bias and SiLU end the
 * sum in registers: no second pass over y.
 *
 * Block: 8 x 8 x 4 threads (L = 4) or 32 x 8 x 1 (L = 1): lane, columns, rows. Shared memory: 6.9
 * KiB of input + 3.4 KiB of weights for three channels. The lanes of a pixel read one word: a
 * broadcast. Bytes: x (with a halo from the L2 cache), w and y once. Gradients: conv2d_gradient.h;
 * other sizes: conv2d_any.h. Source: LeCun et al. 1998. */
#include "cuda/activation.h"
#include "cuda/conv2d_any.h"
#include "cuda/conv2d_gradient.h"

template <int L> struct stem_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        T = 4, /* outputs of a thread, side by side */
        ACROSS = 8,
        DOWN = L == 4 ? 4 : 1,
        THREADS = LANES * ACROSS * DOWN,
        COLUMNS = ACROSS * T,
        IN_ROWS = (DOWN - 1) * 2 + 3,
        IN_COLUMNS = (COLUMNS - 1) * 2 + 3
    };
};

template <int CIN, int L> __global__ void __launch_bounds__((stem_block<L>::THREADS))
    stem_kernel(mg_conv2d g, int down, int across, const float *__restrict__ x,
                const float *__restrict__ w, const float *__restrict__ bias, bool silu,
                float *__restrict__ y) {
    using B = stem_block<L>;
    enum { LINE = B::IN_COLUMNS * CIN };
    MG_SHARED(float, tile, [B::IN_ROWS][LINE]);
    MG_SHARED(mg_lanes<L>, filter, [9 * CIN][B::LANES]);
    const int lane = (int)threadIdx.x, tiles = (g.out + MG_TILE_CHANNELS - 1) / MG_TILE_CHANNELS;
    const int channel = (int)(blockIdx.x % tiles) * MG_TILE_CHANNELS + lane * L;
    const int64_t piece = blockIdx.x / tiles, image = piece / ((int64_t)down * across);
    const int row = (int)(piece / across % down) * B::DOWN;
    const int column = (int)(piece % across) * B::COLUMNS;
    const bool used = channel < g.out;

    const int thread = (int)((threadIdx.z * B::ACROSS + threadIdx.y) * B::LANES + threadIdx.x);
    for (int k = thread; k < B::IN_ROWS * LINE; k += B::THREADS) {
        const int p = row * 2 - g.top + k / LINE;
        const int64_t e = (int64_t)(column * 2 - g.left) * CIN + k % LINE,
                      width = (int64_t)g.width * CIN;
        const bool inside = p >= 0 && p < g.height && e >= 0 && e < width;
        tile[k / LINE][k % LINE] = inside ? x[(image * g.height + p) * width + e] : 0.0f;
    }
    for (int k = thread / B::LANES; k < 9 * CIN; k += B::ACROSS * B::DOWN)
        filter[k][lane] = mg_load_if<L>(used, w + (int64_t)k * g.out + channel);
    __syncthreads();

    const int i = row + (int)threadIdx.z, j = column + (int)threadIdx.y * B::T;
    mg_lanes<L> sum[B::T];
    const mg_lanes<L> first = mg_load_if<L>(used && bias, bias + channel);
#pragma unroll
    for (int t = 0; t < B::T; t++) sum[t] = first;
#pragma unroll
    for (int a = 0; a < 3; a++) {
        const float *line = &tile[threadIdx.z * 2 + a][threadIdx.y * B::T * 2 * CIN];
#pragma unroll
        for (int k = 0; k < 3 * CIN; k++) { /* tap column and channel together: k = b CIN + ch */
            const mg_lanes<L> tap = filter[a * 3 * CIN + k][lane];
#pragma unroll
            for (int t = 0; t < B::T; t++) mg_fma(sum[t], mg_splat<L>(line[t * 2 * CIN + k]), tap);
        }
    }
    float *to = y + ((image * g.rows + i) * g.columns + j) * g.out + channel;
#pragma unroll
    for (int t = 0; t < B::T; t++) {
        if (!used || i >= g.rows || j + t >= g.columns) continue;
        if (silu) mg_silu_lanes(sum[t]);
        mg_store(to + (int64_t)t * g.out, sum[t]);
    }
}

template <int CIN, int L> static void stem(const mg_op_call *c, const mg_conv2d *g) {
    using B = stem_block<L>;
    const int64_t down = mg_ceil_div(g->rows, B::DOWN),
                  across = mg_ceil_div(g->columns, B::COLUMNS);
    const float *bias = mg_has_input(c, 2) ? (const float *)c->x[2] : NULL;
    MG_LAUNCH(
        (stem_kernel<CIN, L>), (unsigned)(g->images * down * across * mg_channel_tiles(g->out)),
        dim3(B::LANES, B::ACROSS, B::DOWN), 0, *g, (int)down, (int)across, (const float *)c->x[0],
        (const float *)c->x[1], bias, c->attr.activation == MG_ACTIVATION_SILU, (float *)c->y);
}

static void forward(const mg_op_call *c) {
    const mg_conv2d g = mg_conv2d_of(c);
    const void *bias = mg_has_input(c, 2) ? c->x[2] : NULL;
    const bool wide = mg_lane_width(g.out, c->x[1], c->y, bias, NULL) == 4;
    mg_cuda_cost(mg_conv2d_bytes(c, false), mg_conv2d_flops(c));
    if (!mg_conv2d_stem(&g)) mg_conv2d_any_forward(c, &g);
    else if (g.in == 1) wide ? stem<1, 4>(c, &g) : stem<1, 1>(c, &g);
    else wide ? stem<3, 4>(c, &g) : stem<3, 1>(c, &g);
}

static void backward(const mg_op_call *c) {
    const mg_conv2d g = mg_conv2d_of(c);
    if (c->dx[0] && c->dx[1] && mg_conv2d_stem(&g)) {
        mg_conv2d_stem_gradients(c, &g, (float *)c->scratch);
    } else {
        if (c->dx[0]) mg_conv2d_dx(c, &g);
        if (c->dx[1]) mg_conv2d_weights(c, &g, (float *)c->scratch);
    }
    if (!mg_has_input(c, 2) || !c->dx[2]) return;
    const int64_t pixels = g.images * g.rows * g.columns;
    float *partial = (float *)c->scratch;
    mg_pixel_sums((const float *)c->dy, NULL, 1, pixels, g.out, partial);
    mg_combine(partial, 1, mg_sum_chunks(pixels), g.out, 1, true, (float *)c->dx[2]);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    if (!backward) return 0;
    const mg_conv2d g = mg_conv2d_of(c);
    const size_t weights = mg_conv2d_weights_bytes(&g);
    const size_t bias = mg_pixel_sums_bytes(1, g.images * g.rows * g.columns, g.out);
    return weights > bias ? weights : bias; /* one after the other, in the same memory */
}

MG_CUDA_OP(conv2d, forward, backward, scratch_bytes);
