/* depthwise_conv on the GPU: bound by memory, so every input is brought close once and used k²
 * times.
 *
 *     y[n,i,j,c]  = sum_{a,b} x[n, i s + a - top, j s + b - left, c] w[a,b,c]
 *     dx[n,p,q,c] += sum over the taps that reach (p,q) of dy[n,i,j,c] w[a,b,c]
 *     dw[a,b,c]   += sum_{n,i,j} dy[n,i,j,c] x[n, i s + a - top, j s + b - left, c]
 *
 * 3x3 and 5x5 at strides 1 and 2 have kernels of their own, any padding, any N, H, W, C; other
 * filters take the plain ones of depthwise_any.h. Forward: depthwise.h; dx: below; dw:
 * depthwise_weights.h.
 *
 * dx gathers, so that each of its elements is written by one thread. In coordinates u = p + top the
 * outputs that reach u are i with u = s i + a: of s neighbouring u one sees taps 0, s, 2s …, the
 * next 1, s + 1, … . A thread makes 2 x 4 elements, its block 16 x 8, from a tile of
 * (16/s + (k-1)/s) x (8/s + (k-1)/s) values of dy in shared memory: 30 KiB at most. Which tap meets
 * which value is decided by the compiler: no division and no test is left in the loop.
 *
 * Bytes: forward x and y once, dx pass dy once and dx read (but where it holds nothing yet) and
 * written, dw pass x and dy once and
 * partial filters. Flops per byte are at most 2 k² / 8 = 6: far below what a GPU could compute.
 * Source: Howard et al. 2017. */
#include "cuda/depthwise.h"
#include "cuda/depthwise_any.h"
#include "cuda/depthwise_weights.h"

/* --- forward ---------------------------------------------------------------------------------- */

/* Bytes of x, y and w together; a gradient pass reads and writes what it adds to. */
static double bytes_of(const mg_op_call *c, bool twice_x) {
    const double x = (double)mg_shape_elements(&c->x_shape[0]);
    const double y = (double)mg_shape_elements(&c->y_shape);
    return 4 * (x * (twice_x ? 2 : 1) + y + (double)mg_shape_elements(&c->x_shape[1]));
}

static double flops_of(const mg_op_call *c) {
    return 2.0 * c->attr.kernel * c->attr.kernel * (double)mg_shape_elements(&c->y_shape);
}

static void forward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    const bool wide = mg_lane_width(g.channels, c->x[0], c->x[1], c->y, NULL) == 4;
    mg_cuda_cost(bytes_of(c, false), flops_of(c));
    const mg_depthwise_tiles<MG_INPUT_AS_IS> tiles = {
        g, (const float *)c->x[0], (const float *)c->x[1], (float *)c->y, mg_depthwise_fusion{}};
    if (mg_depthwise_special(&g)) mg_depthwise_dispatch(&g, wide, tiles);
    else mg_depthwise_any_forward(c, &g);
}

/* --- dx --------------------------------------------------------------------------------------- */

enum { DX_R = 2, DX_T = 4, DX_ROWS = 16, DX_COLUMNS = 8 }; /* elements of a thread and of a block */

template <int K, int S, int L>
__global__ void __launch_bounds__((mg_depthwise_block<S, L>::THREADS), L)
    depthwise_dx_kernel(mg_depthwise g, const float *__restrict__ dy, const float *__restrict__ w,
                        float *__restrict__ dx, bool fresh) {
    using B = mg_depthwise_block<S, L>;
    enum { HALO = (K - 1) / S, WINDOW = DX_T / S + HALO };
    MG_SHARED(mg_lanes<L>, tile, [DX_ROWS / S + HALO][DX_COLUMNS / S + HALO][B::LANES]);
    MG_SHARED(mg_lanes<L>, filter, [K * K][B::LANES]);
    const mg_depthwise_place at = mg_depthwise_here<L>(g);
    const int lane = (int)threadIdx.x, down = (int)threadIdx.z * DX_R;
    const int across = (int)threadIdx.y * DX_T;
    mg_load_tile<L, DX_ROWS / S + HALO, DX_COLUMNS / S + HALO, B::GROUPS, false>(
        dy + at.image * g.rows * g.columns * g.channels, g.rows, g.columns, g.channels,
        at.down * (DX_ROWS / S) - HALO, at.across * (DX_COLUMNS / S) - HALO, at.channel, NULL,
        tile);
    mg_load_filters<L, K * K, B::GROUPS>(w, g.channels, at.channel, filter);
    __syncthreads();

    mg_lanes<L> sum[DX_R][DX_T];
#pragma unroll
    for (int i = 0; i < DX_R * DX_T; i++) sum[i / DX_T][i % DX_T] = mg_splat<L>(0);
#pragma unroll(K == 5 ? 1 : DX_R / S + HALO) /* 5x5: a loop, unrolled it needs too many registers */
    for (int r = 0; r < DX_R / S + HALO; r++) { /* rows of dy under the thread's elements */
        mg_lanes<L> window[WINDOW];
#pragma unroll
        for (int q = 0; q < WINDOW; q++) window[q] = tile[down / S + r][across / S + q][lane];
#pragma unroll
        for (int u = 0; u < DX_R; u++) {
            const int a = u + S * (HALO - r);
            if (a < 0 || a >= K) continue;
#pragma unroll
            for (int b = 0; b < K; b++) {
                const mg_lanes<L> tap = filter[a * K + b][lane];
#pragma unroll
                for (int v = 0; v < DX_T; v++) {
                    const int e = v - b + S * HALO; /* S times the place in the window */
                    if (e >= 0 && e % S == 0 && e / S < WINDOW)
                        mg_fma(sum[u][v], window[e / S], tap);
                }
            }
        }
    }
    const int p = at.down * DX_ROWS + down - g.top, q = at.across * DX_COLUMNS + across - g.left;
    const int64_t line = (int64_t)g.width * g.channels;
    float *to = dx + (at.image * g.height + p) * line + (int64_t)q * g.channels + at.channel;
#pragma unroll
    for (int u = 0; u < DX_R; u++)
#pragma unroll
        for (int v = 0; v < DX_T; v++) {
            if (p + u < 0 || p + u >= g.height || q + v < 0 || q + v >= g.width) continue;
            if (at.channel >= g.channels) continue;
            float *here = to + u * line + v * g.channels;
            if (!fresh) mg_add(sum[u][v], mg_load<L>(here));
            mg_store(here, sum[u][v]);
        }
}

struct depthwise_dx {
    const mg_op_call *c;
    mg_depthwise g;
    template <int K, int S, int L> void run() const {
        using B = mg_depthwise_block<S, L>;
        mg_depthwise at = g;
        const unsigned blocks = mg_depthwise_blocks(&at, (int64_t)g.height + g.top,
                                                    (int64_t)g.width + g.left, DX_ROWS, DX_COLUMNS);
        MG_LAUNCH((depthwise_dx_kernel<K, S, L>), blocks,
                  dim3(B::LANES, B::GROUPS_ACROSS, B::GROUPS_DOWN), 0, at, (const float *)c->dy,
                  (const float *)c->x[1], (float *)c->dx[0], (bool)(c->overwrite & 1));
    }
};

static void backward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    if (c->dx[0]) {
        const bool wide = mg_lane_width(g.channels, c->dy, c->x[1], c->dx[0], NULL) == 4;
        mg_cuda_cost(bytes_of(c, !(c->overwrite & 1)), flops_of(c));
        if (mg_depthwise_special(&g)) mg_depthwise_dispatch(&g, wide, depthwise_dx{c, g});
        else mg_depthwise_any_dx(c, &g);
    }
    if (c->dx[1]) mg_depthwise_weights(c, &g, (float *)c->scratch);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    return backward ? mg_depthwise_weights_bytes(&g) : 0;
}

MG_CUDA_OP(depthwise_conv, forward, backward, scratch_bytes, 1);
