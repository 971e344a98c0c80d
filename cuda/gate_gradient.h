/* gate_gradient.h: backward through the small network of squeeze-and-excitation (gate.h).
 *
 *     dt = a (1 - a) sum_{h,w} dy x     du = silu'(u) (dt w2^T)     dmean = du w1^T
 *     dw1 += mean^T du,  db1 += sum_n du,  dw2 += h^T dt,  db2 += sum_n dt
 *
 * dt: the launch that adds the chunks of the sums (sums.h) multiplies by the slope. du: the rows of
 * w2 are the summed axis, so a row is read by the neighbouring threads of a warp and added by
 * shuffles, a warp per element; h, which forward did not keep, comes with it. dmean is left to the
 * pass that needs it. The weight gradients are products of [N,C] and [N,S]: cuBLAS; both bias
 * gradients are sums over images, one thread each, in one launch. */
#ifndef MG_CUDA_GATE_GRADIENT_H
#define MG_CUDA_GATE_GRADIENT_H

#include "cuda/gate.h"

typedef struct mg_gate_slopes {
    float *dt, *du; /* [N,C], [N,S] */
} mg_gate_slopes;

enum { MG_SLOPE_THREADS = 256, MG_SLOPE_WARPS = MG_SLOPE_THREADS / MG_WARP };

/* dt from a sum of dy x. */
struct mg_gate_slope {
    const float *gate;
    float *dt;
    __device__ __forceinline__ void operator()(int64_t i, float sum) const {
        const float a = gate[i];
        dt[i] = sum * (a * (1 - a));
    }
};

/* A warp per element of du. */
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

/* db1 += sum of du, db2 += sum of dt over images, in their order; either may be NULL. */
static __global__ void __launch_bounds__(MG_SLOPE_THREADS)
    gate_biases_kernel(int64_t images, int squeezed, int channels, mg_gate_slopes d, float *db1,
                       float *db2) {
    const int t = (int)(blockIdx.x * MG_SLOPE_THREADS + threadIdx.x);
    const bool first = t < squeezed;
    const int i = first ? t : t - squeezed, length = first ? squeezed : channels;
    float *to = first ? db1 : db2;
    const float *from = first ? d.du : d.dt;
    if (i >= length || !to) return;
    float sum = 0;
#pragma unroll 4
    for (int64_t n = 0; n < images; n++) sum += from[n * length + i];
    to[i] += sum;
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

/* partial: sums of dy x, [images][chunks][channels]. dw1 … db2 may be NULL. Fills d and g->h. */
static inline void mg_gate_backward(const mg_gate *g, const mg_gate_slopes *d, const float *partial,
                                    int64_t chunks, float *dw1, float *db1, float *dw2,
                                    float *db2) {
    const int64_t c = g->channels, s = g->squeezed, n = g->images;
    const double products = (double)n * (double)c * (double)s, weights = (double)c * (double)s;
    mg_combine_to(partial, n, chunks, c, mg_gate_slope{g->gate, d->dt}, 2);
    mg_cuda_cost(4 * (weights + (double)(n * c) + 3.0 * (double)(n * s)), 2 * products);
    MG_LAUNCH(squeeze_slope_kernel, (unsigned)mg_ceil_div(n * s, MG_SLOPE_WARPS), MG_SLOPE_THREADS,
              0, *g, *d);
    if (dw1) mg_gate_weights(g->mean, c, d->du, s, n, dw1);
    if (dw2) mg_gate_weights(g->h, s, d->dt, c, n, dw2);
    if (!db1 && !db2) return;
    mg_cuda_cost(4.0 * (double)((n + 2) * (s + c)), (double)(n * (s + c)));
    MG_LAUNCH(gate_biases_kernel, (unsigned)mg_ceil_div(s + c, MG_SLOPE_THREADS), MG_SLOPE_THREADS,
              0, n, (int)s, (int)c, *d, db1, db2);
}

#endif
