/* gate.h: the small network inside squeeze-and-excitation, from sums over pixels to gates.
 *
 *     mean = sum / pixels
 *     u    = mean w1 + b1, h = silu(u) squeeze_kernel
 *     a    = sigmoid(h w2 + b2)        excite_kernel, or the pass that uses it
 *
 * The work is tiny (2 C S products per image) but serial: means before u before a. One block per
 * image could do all of it behind barriers, but it would have to pull both weight matrices, up to
 * 2.4 MB, through one multiprocessor, while 131 others wait. Launches with many blocks each cost
 * less (cuda/lab/squeeze_excite shows both).
 *
 * squeeze_kernel: a block of 256 threads makes 8 columns of u for one image. Up to 256 channels at
 * a time, its threads add the chunks of the partial sums (fewer channels: several threads share the
 * chunks of one) and leave the sums in 1 KiB of shared memory; then 32 rows of 8 threads multiply:
 * a row reads 8 adjacent weights, one full sector, and strides over the channels; a tree adds the
 * rows in another 1 KiB. Every block of an image adds the same chunks in the same order; they are
 * few, and a launch for them alone costs more. excite_kernel: one thread per channel, so that w2's
 * rows are read contiguously; h is the same address for all threads of a block, a broadcast. */
#ifndef MG_CUDA_GATE_H
#define MG_CUDA_GATE_H

#include "cuda/activation.h"
#include "cuda/sums.h"

typedef struct mg_gate {
    int64_t images;
    int channels, squeezed;
    const float *w1, *b1, *w2, *b2; /* [C,S], [S], [S,C], [C] */
    float *mean, *u, *h, *gate;     /* [N,C], [N,S] (may be NULL), [N,S], [N,C] */
} mg_gate;

/* Partial sums over pixels, [images][chunks][channels], of `pixels` in all. */
typedef struct mg_gate_sums {
    const float *partial;
    int chunks;
    float share; /* 1 / pixels */
} mg_gate_sums;

enum {
    MG_SQUEEZE_COLUMNS = 8,
    MG_SQUEEZE_ROWS = 32,
    MG_SQUEEZE_THREADS = MG_SQUEEZE_COLUMNS * MG_SQUEEZE_ROWS,
    MG_EXCITE_THREADS = 128
};

/* across: channels at a time, a power of two from 32 to 256; the others of 256 threads share the
 * chunks of a channel. */
static __global__ void __launch_bounds__(MG_SQUEEZE_THREADS)
    squeeze_kernel(mg_gate g, mg_gate_sums p, int across, int groups) {
    MG_SHARED(float, sums, [MG_SQUEEZE_THREADS]);
    MG_SHARED(mg_lanes<1>, rows, [MG_SQUEEZE_ROWS][MG_SQUEEZE_COLUMNS]);
    const int t = (int)threadIdx.x, lane = t % MG_SQUEEZE_COLUMNS, row = t / MG_SQUEEZE_COLUMNS;
    const int64_t image = blockIdx.x / groups;
    const int group = (int)(blockIdx.x % groups), s = group * MG_SQUEEZE_COLUMNS + lane;
    const int at = t % across, part = t / across, parts = MG_SQUEEZE_THREADS / across;
    mg_lanes<1> sum = mg_splat<1>(0);
    for (int first = 0; first < g.channels; first += across) {
        const float *from = p.partial + image * p.chunks * g.channels + first + at;
        float mean = 0;
        if (first + at < g.channels)
#pragma unroll 8
            for (int k = part; k < p.chunks; k += parts) mean += from[(int64_t)k * g.channels];
        __syncthreads(); /* nobody reads the last channels any more */
        sums[t] = mean;
        for (int half = parts / 2; half > 0; half /= 2) {
            __syncthreads();
            if (part < half) sums[t] += sums[t + half * across];
        }
        if (part == 0) sums[t] *= p.share;
        __syncthreads();
        const int count = first + across < g.channels ? across : g.channels - first;
        if (group == 0 && t < count) g.mean[image * g.channels + first + t] = sums[t];
        if (s >= g.squeezed) continue; /* to the next barrier */
#pragma unroll 4
        for (int c = row; c < count; c += MG_SQUEEZE_ROWS)
            sum.v[0] = fmaf(sums[c], g.w1[(int64_t)(first + c) * g.squeezed + s], sum.v[0]);
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
}

/* Means, u and h from partial sums. */
static inline void mg_gate_squeeze(const mg_gate *g, const float *partial, int64_t chunks,
                                   int64_t pixels) {
    const double sums = (double)(g->images * chunks) * g->channels;
    const double weights = (double)g->channels * g->squeezed, n = (double)g->images;
    const mg_gate_sums p = {partial, (int)chunks, 1.0f / (float)pixels};
    const int groups = (int)mg_ceil_div(g->squeezed, MG_SQUEEZE_COLUMNS);
    int across = MG_WARP;
    while (across < g->channels && across < MG_SQUEEZE_THREADS) across *= 2;
    mg_cuda_cost(4 * (sums + weights + n * (g->channels + 2 * g->squeezed)),
                 sums + 2 * n * weights);
    MG_LAUNCH(squeeze_kernel, (unsigned)(g->images * groups), MG_SQUEEZE_THREADS, 0, *g, p, across,
              groups);
}

/* All the way to gates. */
static inline void mg_gate_forward(const mg_gate *g, const float *partial, int64_t chunks,
                                   int64_t pixels) {
    const double weights = (double)g->channels * g->squeezed, n = (double)g->images;
    mg_gate_squeeze(g, partial, chunks, pixels);
    const int excites = (int)mg_ceil_div(g->channels, MG_EXCITE_THREADS);
    mg_cuda_cost(4 * (weights + n * g->channels + n * g->squeezed), 2 * n * weights);
    MG_LAUNCH(excite_kernel, (unsigned)(g->images * excites), MG_EXCITE_THREADS, 0, *g, excites);
}

#endif
