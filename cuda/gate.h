/* gate.h: the small network inside squeeze-and-excitation, from sums over pixels to gates.
 *
 *     mean = sum / pixels              combine_kernel (sums.h)
 *     u    = mean w1 + b1, h = silu(u) squeeze_kernel
 *     a    = sigmoid(h w2 + b2)        excite_kernel
 *
 * The work is tiny (2 C S products per image) but serial: means before u before a. One block per
 * image could do all of it behind barriers, but it would have to pull both weight matrices, up to
 * 2.4 MB, through one multiprocessor, while 131 others wait. Three launches with many blocks each
 * cost less (cuda/lab/squeeze_excite shows both).
 *
 * squeeze_kernel: 8 columns s x 32 rows of threads per block: a row of threads reads 8 adjacent
 * weights, one full sector, and strides over c; the rows are added by a tree in 1 KiB of shared
 * memory. excite_kernel: one thread per channel, so that w2's rows are read contiguously; h is the
 * same address for all threads of a block, a broadcast. */
#ifndef MG_CUDA_GATE_H
#define MG_CUDA_GATE_H

#include "cuda/activation.h"
#include "cuda/sums.h"

typedef struct mg_gate {
    int64_t images;
    int channels, squeezed;
    const float *w1, *b1, *w2, *b2; /* [C,S], [S], [S,C], [C] */
    float *mean, *u, *h;            /* [N,C], [N,S] (may be NULL), [N,S] */
    float *gate,
        *copy; /* [N,C]; copy is on a 16-byte boundary, which gate, kept for backward behind
                           u, need not be. The same pointer: no copy */
} mg_gate;

enum { MG_SQUEEZE_COLUMNS = 8, MG_SQUEEZE_ROWS = 32, MG_EXCITE_THREADS = 128 };

static __global__ void __launch_bounds__(MG_SQUEEZE_COLUMNS *MG_SQUEEZE_ROWS)
    squeeze_kernel(mg_gate g, int groups) {
    MG_SHARED(mg_lanes<1>, rows, [MG_SQUEEZE_ROWS][MG_SQUEEZE_COLUMNS]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    const int64_t image = blockIdx.x / groups;
    const int s = (int)(blockIdx.x % groups) * MG_SQUEEZE_COLUMNS + lane;
    mg_lanes<1> sum = mg_splat<1>(0);
    if (s < g.squeezed) {
        const float *mean = g.mean + image * g.channels;
#pragma unroll 4
        for (int c = row; c < g.channels; c += MG_SQUEEZE_ROWS)
            sum.v[0] = fmaf(mean[c], g.w1[(int64_t)c * g.squeezed + s], sum.v[0]);
    }
    rows[row][lane] = sum;
    mg_add_rows(rows, row, lane);
    if (row == 0 && s < g.squeezed) {
        const float u = rows[0][lane].v[0] + g.b1[s];
        if (g.u) g.u[image * g.squeezed + s] = u;
        g.h[image * g.squeezed + s] = mg_silu(u);
    }
}

static __global__ void __launch_bounds__(MG_EXCITE_THREADS) excite_kernel(mg_gate g, int groups) {
    const int64_t image = blockIdx.x / groups;
    const int c = (int)(blockIdx.x % groups) * MG_EXCITE_THREADS + (int)threadIdx.x;
    if (c >= g.channels) return;
    const float *h = g.h + image * g.squeezed;
    float t = g.b2[c];
#pragma unroll 8
    for (int s = 0; s < g.squeezed; s++) t = fmaf(h[s], g.w2[(int64_t)s * g.channels + c], t);
    g.gate[image * g.channels + c] = mg_sigmoid(t);
    if (g.copy != g.gate) g.copy[image * g.channels + c] = mg_sigmoid(t);
}

/* partial: sums over pixels, [images][chunks][channels], of `pixels` in all. */
static inline void mg_gate_forward(const mg_gate *g, const float *partial, int64_t chunks,
                                   int64_t pixels) {
    const double products = (double)g->images * g->channels * g->squeezed;
    const double weights = (double)g->channels * g->squeezed, n = (double)g->images;
    mg_combine(partial, g->images, chunks, g->channels, 1.0f / (float)pixels, false, g->mean);
    const int squeezes = (int)mg_ceil_div(g->squeezed, MG_SQUEEZE_COLUMNS);
    mg_cuda_cost(4 * (weights + n * g->channels + 2 * n * g->squeezed), 2 * products);
    MG_LAUNCH(squeeze_kernel, (unsigned)(g->images * squeezes),
              dim3(MG_SQUEEZE_COLUMNS, MG_SQUEEZE_ROWS), 0, *g, squeezes);
    const int excites = (int)mg_ceil_div(g->channels, MG_EXCITE_THREADS);
    mg_cuda_cost(4 * (weights + n * g->channels + n * g->squeezed), 2 * products);
    MG_LAUNCH(excite_kernel, (unsigned)(g->images * excites), MG_EXCITE_THREADS, 0, *g, excites);
}

#endif
