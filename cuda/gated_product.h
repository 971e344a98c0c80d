/* gated_product.h: y = (x gate) w, image by image, by cuBLAS; what mbconv and norm_gate_project end
 * with.
 *
 *     x [N, P, E] (P pixels), gate [N, E], w [E, K], y [N, P, K]
 *
 * cuBLAS multiplies what lies in memory, so the gate must be put into one of its operands. Into the
 * weights, w gate: N E K elements written and one product per image; or into x, in place: N P E
 * elements read and written and one product. The first is less where K < P, in all but the last
 * stages of a network. */
#ifndef MG_CUDA_GATED_PRODUCT_H
#define MG_CUDA_GATED_PRODUCT_H

#include "cuda/channels.h"

typedef struct mg_gated_product {
    int64_t images, pixels, wide, out;
    const float *gate, *w;
    float *x, *weights, *y; /* x may be changed; weights: mg_gated_weights_floats() */
} mg_gated_product;

static inline int64_t mg_gated_weights_floats(int64_t images, int64_t pixels, int64_t wide,
                                              int64_t out) {
    return out < pixels ? images * wide * out : 0;
}

enum { MG_GATED_THREADS = 256 };

/* to[n,e,o] = w[e,o] gate[n,e]; L neighbouring o a thread. */
template <int L> static __global__ void __launch_bounds__(MG_GATED_THREADS)
    gated_weights_kernel(const float *__restrict__ w, const float *__restrict__ gate, int wide,
                         int lanes, int64_t count, float *__restrict__ to) {
    const int64_t i = (int64_t)blockIdx.x * MG_GATED_THREADS + threadIdx.x;
    if (i >= count) return;
    const int64_t row = i / lanes, at = i % ((int64_t)wide * lanes);
    mg_lanes<L> v = mg_load<L>(w + at * L);
    const float a = gate[row];
#pragma unroll
    for (int l = 0; l < L; l++) v.v[l] *= a;
    mg_store(to + i * L, v);
}

static inline void mg_gate_weights_of(const mg_gated_product *p) {
    const int width = mg_lane_width(p->out, p->w, p->weights, NULL, NULL);
    const int64_t count = p->images * p->wide * p->out / width;
    const unsigned blocks = (unsigned)mg_ceil_div(count, MG_GATED_THREADS);
    mg_cuda_cost(4.0 * (double)(p->wide * (p->images * p->out + p->out + p->images)),
                 (double)(p->images * p->wide * p->out));
    if (width == 4)
        MG_LAUNCH((gated_weights_kernel<4>), blocks, MG_GATED_THREADS, 0, p->w, p->gate,
                  (int)p->wide, (int)(p->out / 4), count, p->weights);
    else
        MG_LAUNCH((gated_weights_kernel<1>), blocks, MG_GATED_THREADS, 0, p->w, p->gate,
                  (int)p->wide, (int)p->out, count, p->weights);
}

template <int L> struct mg_gate_step {
    const float *gate;
    float *x;
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        mg_lanes<L> v = mg_load<L>(x + i);
        const mg_lanes<L> a = mg_load<L>(gate + s);
#pragma unroll
        for (int l = 0; l < L; l++) v.v[l] *= a.v[l];
        mg_store(x + i, v);
    }
};

static inline void mg_gate_tensor_of(const mg_gated_product *p) {
    const double elements = (double)(p->images * p->pixels * p->wide);
    mg_cuda_cost(8 * elements, elements);
    if (mg_lane_width(p->wide, p->x, p->gate, NULL, NULL) == 4)
        mg_each_channel<4>(mg_gate_step<4>{p->gate, p->x}, p->images, p->pixels, p->wide);
    else mg_each_channel<1>(mg_gate_step<1>{p->gate, p->x}, p->images, p->pixels, p->wide);
}

static inline void mg_multiply_gated(const mg_gated_product *p) {
    mg_gemm g = {};
    g.m = p->pixels, g.k = p->wide, g.n = p->out;
    g.a = p->x, g.lda = p->wide;
    g.b = p->w, g.ldb = p->out;
    g.c = p->y, g.ldc = p->out;
    g.alpha = 1;
    if (mg_gated_weights_floats(p->images, p->pixels, p->wide, p->out)) {
        mg_gate_weights_of(p);
        g.b = p->weights;
        g.batch = p->images;
        g.stride_a = p->pixels * p->wide;
        g.stride_b = p->wide * p->out;
        g.stride_c = p->pixels * p->out;
    } else {
        mg_gate_tensor_of(p);
        g.m *= p->images;
    }
    mg_cuda_gemm(&g);
}

#endif
