/* Level 5: the block fetches its inputs once, into shared memory.
 *
 * Threads above and below each other need the same rows; so far every one loads them itself and
 * hopes for the cache. Here the block copies the inputs under its 16 x 8 outputs (halo included) to
 * shared memory, waits at a barrier, and then reads only from there: global loads per output fall
 * from 25 to 240 / 128 = 1.9 for 5x5. For clarity each thread is back to one output, so shared
 * memory is read 2 k² times per output; level 6 puts the window of level 4 on top.
 * The tile's layout [row][column][lane]: eight neighbours read 128 adjacent bytes, no bank
 * conflict. */
#include "cuda/lab/depthwise_conv/common.h"

/* 16 x 8 outputs (stride 2: 8 x 4), one per thread and channel group. L = 1 would need 32 x 128
 * threads, so there a thread strides over rows. */
template <int S, int L> struct tile_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        ROWS = S == 1 ? 16 : 8,
        COLUMNS = S == 1 ? 8 : 4,
        DOWN = L == 4 ? ROWS : 4, /* thread rows */
        GROUPS = COLUMNS * DOWN,
        THREADS = LANES * GROUPS
    };
};

template <int K, int S, int L> __global__ void __launch_bounds__((tile_block<S, L>::THREADS))
    depthwise_shared_kernel(mg_depthwise g, const float *__restrict__ x,
                            const float *__restrict__ w, float *__restrict__ y) {
    using B = tile_block<S, L>;
    MG_SHARED(mg_lanes<L>, tile, [(B::ROWS - 1) * S + K][(B::COLUMNS - 1) * S + K][B::LANES]);
    MG_SHARED(mg_lanes<L>, filter, [K * K][B::LANES]);
    const mg_depthwise_place at = mg_depthwise_here<L>(g);
    const int lane = (int)threadIdx.x, row = at.down * B::ROWS, column = at.across * B::COLUMNS;
    mg_load_tile<L, (B::ROWS - 1) * S + K, (B::COLUMNS - 1) * S + K, B::GROUPS, false>(
        x + at.image * g.height * g.width * g.channels, g.height, g.width, g.channels,
        row * S - g.top, column * S - g.left, at.channel, NULL, tile);
    mg_load_filters<L, K * K, B::GROUPS>(w, g.channels, at.channel, filter);
    __syncthreads();

    const int across = (int)threadIdx.y, j = column + across;
    for (int down = (int)threadIdx.z; down < B::ROWS; down += B::DOWN) {
        const int i = row + down;
        if (i >= g.rows || j >= g.columns || at.channel >= g.channels) continue;
        mg_lanes<L> sum = mg_splat<L>(0);
#pragma unroll
        for (int a = 0; a < K; a++)
#pragma unroll
            for (int b = 0; b < K; b++) {
                const mg_lanes<L> input = tile[down * S + a][across * S + b][lane];
                const mg_lanes<L> tap = filter[a * K + b][lane];
                mg_fma(sum, input, tap);
            }
        mg_store(y + ((at.image * g.rows + i) * g.columns + j) * g.channels + at.channel, sum);
    }
}

struct tile_launch {
    const mg_op_call *c;
    mg_depthwise g;
    template <int K, int S, int L> void run() const {
        using B = tile_block<S, L>;
        mg_depthwise at = g;
        const unsigned blocks = mg_depthwise_blocks(&at, g.rows, g.columns, B::ROWS, B::COLUMNS);
        MG_LAUNCH((depthwise_shared_kernel<K, S, L>), blocks, dim3(B::LANES, B::COLUMNS, B::DOWN),
                  0, at, (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
    }
};

extern "C" const mg_kernels mg_cuda_depthwise_conv;

static void forward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    lab_cost(c);
    if (mg_depthwise_special(&g)) mg_depthwise_dispatch(&g, lab_wide(c), tile_launch{c, g});
    else mg_cuda_depthwise_conv.forward(c);
}

MG_LAB_BORROW(depthwise_conv, 0)
MG_LAB_LEVEL(depthwise_conv, 5, "tile", "the block's inputs once, in shared memory");
