/* gate_gradient.h: backward through the small network of squeeze-and-excitation (gate.h).
 *
 *     dt = a (1 - a) sum_{h,w} dy x     du = silu'(u) (dt w2^T)     dmean = du w1^T
 *     dw1 += mean^T du,  db1 += sum_n du,  dw2 += h^T dt,  db2 += sum_n dt
 *
 * Here the rows of both weight matrices are the summed axes, so a row is read by neighbouring
 * threads and added by shuffles: a warp per u, eight threads per channel of dmean (S is about C /
 * 24, a row of w1 is short). The weight gradients are products of [N,C] and [N,S]: cuBLAS. */
#ifndef MG_CUDA_GATE_GRADIENT_H
#define MG_CUDA_GATE_GRADIENT_H

#include "cuda/gate.h"

typedef struct mg_gate_slopes {
    float *dt, *du, *dmean; /* [N,C], [N,S], [N,C] */
} mg_gate_slopes;

enum { MG_SLOPE_THREADS = 256, MG_SLOPE_WARPS = MG_SLOPE_THREADS / MG_WARP, MG_ROW_THREADS = 8 };

/* dt holds sums of dy x on entry; copy becomes the gate on a 16-byte boundary. */
static __global__ void __launch_bounds__(MG_SLOPE_THREADS)
    gate_slope_kernel(const float *gate, float *copy, float *dt, int64_t count) {
    const int64_t i = (int64_t)blockIdx.x * MG_SLOPE_THREADS + threadIdx.x;
    if (i >= count) return;
    const float a = gate[i];
    dt[i] *= a * (1 - a);
    if (copy != gate) copy[i] = a;
}

/* A warp per element of du; also h, which the forward did not keep. */
static __global__ void __launch_bounds__(MG_SLOPE_THREADS)
    squeeze_slope_kernel(mg_gate g, mg_gate_slopes d) {
    const int64_t i = (int64_t)blockIdx.x * MG_SLOPE_WARPS + threadIdx.x / MG_WARP;
    if (i >= g.images * g.squeezed) return; /* whole warps */
    const int lane = (int)threadIdx.x % MG_WARP;
    const float *dt = d.dt + i / g.squeezed * g.channels;
    const float *row = g.w2 + i % g.squeezed * g.channels;
    float sum = 0;
#pragma unroll 4
    for (int c = lane; c < g.channels; c += MG_WARP) sum = fmaf(dt[c], row[c], sum);
    sum = mg_warp_sum(sum);
    if (lane != 0) return;
    d.du[i] = sum * mg_silu_slope(g.u[i]);
    g.h[i] = mg_silu(g.u[i]);
}

/* Eight threads per element of dmean. */
static __global__ void __launch_bounds__(MG_SLOPE_THREADS)
    mean_slope_kernel(mg_gate g, mg_gate_slopes d) {
    const int64_t i =
        (int64_t)blockIdx.x * (MG_SLOPE_THREADS / MG_ROW_THREADS) + threadIdx.x / MG_ROW_THREADS;
    const int lane = (int)threadIdx.x % MG_ROW_THREADS;
    float sum = 0;
    if (i < g.images * g.channels) {
        const float *du = d.du + i / g.channels * g.squeezed;
        const float *row = g.w1 + i % g.channels * g.squeezed;
        for (int s = lane; s < g.squeezed; s += MG_ROW_THREADS) sum = fmaf(du[s], row[s], sum);
    }
#pragma unroll
    for (int offset = MG_ROW_THREADS / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(MG_FULL_WARP, sum, offset);
    if (lane == 0 && i < g.images * g.channels) d.dmean[i] = sum;
}

/* to[m,n] += a^T b over images. */
static inline void mg_gate_weights(const float *a, int64_t m, const float *b, int64_t n,
                                   int64_t images, float *to) {
    mg_gemm p = {};
    p.m = m, p.n = n, p.k = images;
    p.a = a, p.lda = m, p.transpose_a = true;
    p.b = b, p.ldb = n;
    p.c = to, p.ldc = n;
    p.alpha = 1, p.beta = 1;
    mg_cuda_gemm(&p);
}

/* partial: sums of dy x, [images][chunks][channels]. dw1 … db2 may be NULL. Fills d, g->h and
 * g->copy. */
static inline void mg_gate_backward(const mg_gate *g, const mg_gate_slopes *d, const float *partial,
                                    int64_t chunks, float *dw1, float *db1, float *dw2,
                                    float *db2) {
    const int64_t c = g->channels, s = g->squeezed, n = g->images;
    const double products = (double)n * (double)c * (double)s, weights = (double)c * (double)s;
    mg_combine(partial, n, chunks, c, 1, false, d->dt);
    mg_cuda_cost(16.0 * (double)(n * c), 3.0 * (double)(n * c));
    MG_LAUNCH(gate_slope_kernel, (unsigned)mg_ceil_div(n * c, MG_SLOPE_THREADS), MG_SLOPE_THREADS,
              0, g->gate, g->copy, d->dt, n * c);
    mg_cuda_cost(4 * (weights + (double)(n * c) + 3.0 * (double)(n * s)), 2 * products);
    MG_LAUNCH(squeeze_slope_kernel, (unsigned)mg_ceil_div(n * s, MG_SLOPE_WARPS), MG_SLOPE_THREADS,
              0, *g, *d);
    mg_cuda_cost(4 * (weights + (double)(n * c) + (double)(n * s)), 2 * products);
    MG_LAUNCH(mean_slope_kernel, (unsigned)mg_ceil_div(n * c, MG_SLOPE_THREADS / MG_ROW_THREADS),
              MG_SLOPE_THREADS, 0, *g, *d);
    if (dw1) mg_gate_weights(g->mean, c, d->du, s, n, dw1);
    if (dw2) mg_gate_weights(g->h, s, d->dt, c, n, dw2);
    if (db1) mg_combine(d->du, 1, n, s, 1, true, db1);
    if (db2) mg_combine(d->dt, 1, n, c, 1, true, db2);
}

#endif
