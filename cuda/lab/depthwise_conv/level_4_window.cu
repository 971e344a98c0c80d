/* Level 4: four outputs in a row from one window of inputs in registers.
 *
 * Side by side, outputs share most of their inputs: four columns of a 5x5 filter at stride 1 need a
 * window of 8 inputs a row, not 20, and each weight is loaded once for the four. Loads per output
 * fall from 2 k² to (3 s + k) k / 4 + k² / 4: from 50 to 16 for 5x5. The window's indices must be
 * constants to stay in registers, so filter and stride become template arguments; other sizes use
 * the production kernels for any size. */
#include "cuda/lab/depthwise_conv/common.h"

enum { COLUMNS = 4 };

template <int K, int S, int L> __global__ void __launch_bounds__(LAB_THREADS, 2)
    depthwise_window_kernel(mg_depthwise g, int64_t count, const float *__restrict__ x,
                            const float *__restrict__ w, float *__restrict__ y) {
    enum { WINDOW = (COLUMNS - 1) * S + K };
    const int64_t t = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (t >= count) return;
    const int lanes = g.channels / L, groups = (g.columns + COLUMNS - 1) / COLUMNS;
    const int c = (int)(t % lanes) * L, j = (int)(t / lanes % groups) * COLUMNS;
    const int64_t line = t / lanes / groups, n = line / g.rows;
    const int i = (int)(line % g.rows);
    mg_lanes<L> sum[COLUMNS];
#pragma unroll
    for (int k = 0; k < COLUMNS; k++) sum[k] = mg_splat<L>(0);
#pragma unroll 1
    for (int a = 0; a < K; a++) {
        const int p = i * S + a - g.top;
        if (p < 0 || p >= g.height) continue;
        const float *row = x + (n * g.height + p) * g.width * g.channels + c;
        mg_lanes<L> window[WINDOW];
#pragma unroll
        for (int q = 0; q < WINDOW; q++) {
            const int column = j * S + q - g.left;
            window[q] =
                mg_load_if<L>(column >= 0 && column < g.width, row + (int64_t)column * g.channels);
        }
#pragma unroll
        for (int b = 0; b < K; b++) {
            const mg_lanes<L> tap = mg_load<L>(w + (a * K + b) * g.channels + c);
#pragma unroll
            for (int k = 0; k < COLUMNS; k++) mg_fma(sum[k], window[k * S + b], tap);
        }
    }
#pragma unroll
    for (int k = 0; k < COLUMNS; k++)
        if (j + k < g.columns) mg_store(y + (line * g.columns + j + k) * g.channels + c, sum[k]);
}

struct window_launch {
    const mg_op_call *c;
    mg_depthwise g;
    template <int K, int S, int L> void run() const {
        const int64_t lines = g.images * g.rows;
        const int64_t count = lines * mg_ceil_div(g.columns, COLUMNS) * (g.channels / L);
        MG_LAUNCH((depthwise_window_kernel<K, S, L>), lab_blocks(count), LAB_THREADS, 0, g, count,
                  (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
    }
};

extern "C" const mg_kernels mg_cuda_depthwise_conv;

static void forward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    lab_cost(c);
    if (mg_depthwise_special(&g)) mg_depthwise_dispatch(&g, lab_wide(c), window_launch{c, g});
    else mg_cuda_depthwise_conv.forward(c);
}

MG_LAB_BORROW(depthwise_conv, 0)
MG_LAB_LEVEL(depthwise_conv, 4, "window", "four columns a thread share a window in registers");
