/* elementwise.h: y = f(x) and dx += dy f'(x or y), or = where dx holds nothing yet, over flat
 * arrays, four elements a thread.
 *
 * Arrays of the framework start on 16-byte boundaries, so that all but the last three elements move
 * as float4: a warp then asks for 512 contiguous bytes at once, sixteen full 32-byte sectors. Views
 * that are not aligned take the scalar path, chosen on the host. */
#ifndef MG_CUDA_ELEMENTWISE_H
#define MG_CUDA_ELEMENTWISE_H

#include "cuda/kernel.h"

enum { MG_MAP_THREADS = 256 };

__device__ __forceinline__ float mg_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <class F> __global__ void __launch_bounds__(MG_MAP_THREADS)
    map_kernel(F f, const float *__restrict__ x, float *__restrict__ y, int64_t n, int64_t quads) {
    const int64_t i = (int64_t)blockIdx.x * MG_MAP_THREADS + threadIdx.x;
    if (i < quads) {
        const float4 v = reinterpret_cast<const float4 *>(x)[i];
        reinterpret_cast<float4 *>(y)[i] = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
    } else if (4 * quads + (i - quads) < n) { /* the tail, one element a thread */
        const int64_t k = 4 * quads + (i - quads);
        y[k] = f(x[k]);
    }
}

template <class F> __global__ void __launch_bounds__(MG_MAP_THREADS)
    map_gradient_kernel(F slope, const float *__restrict__ a, const float *__restrict__ dy,
                        float *__restrict__ dx, int64_t n, int64_t quads, bool fresh) {
    const int64_t i = (int64_t)blockIdx.x * MG_MAP_THREADS + threadIdx.x;
    if (i < quads) {
        const float4 v = reinterpret_cast<const float4 *>(a)[i];
        const float4 g = reinterpret_cast<const float4 *>(dy)[i];
        float4 d = make_float4(0, 0, 0, 0);
        if (!fresh) d = reinterpret_cast<const float4 *>(dx)[i];
        d.x += g.x * slope(v.x);
        d.y += g.y * slope(v.y);
        d.z += g.z * slope(v.z);
        d.w += g.w * slope(v.w);
        reinterpret_cast<float4 *>(dx)[i] = d;
    } else if (4 * quads + (i - quads) < n) {
        const int64_t k = 4 * quads + (i - quads);
        dx[k] = (fresh ? 0 : dx[k]) + dy[k] * slope(a[k]);
    }
}

/* Whole float4s when all three arrays are aligned, else none: everything is tail. */
static inline int64_t mg_quads(int64_t n, const void *a, const void *b, const void *c) {
    return mg_aligned16(a) && mg_aligned16(b) && mg_aligned16(c) ? n / 4 : 0;
}

static inline unsigned mg_map_blocks(int64_t n, int64_t quads) {
    return (unsigned)mg_ceil_div(quads + (n - 4 * quads), MG_MAP_THREADS);
}

template <class F> static void mg_map(F f, const mg_op_call *c) {
    const int64_t n = mg_shape_elements(&c->y_shape);
    const int64_t quads = mg_quads(n, c->x[0], c->y, NULL);
    mg_cuda_cost(8.0 * (double)n, 0);
    MG_LAUNCH((map_kernel<F>), mg_map_blocks(n, quads), MG_MAP_THREADS, 0, f,
              (const float *)c->x[0], (float *)c->y, n, quads);
}

/* a is what the slope is a function of: x or y. Ops that use it declare that they overwrite. */
template <class F> static void mg_map_gradient(F slope, const void *a, const mg_op_call *c) {
    const int64_t n = mg_shape_elements(&c->y_shape);
    const int64_t quads = mg_quads(n, a, c->dy, c->dx[0]);
    if (!c->dx[0]) return;
    const bool fresh = c->overwrite & 1;
    mg_cuda_cost((fresh ? 12.0 : 16.0) * (double)n, 0);
    MG_LAUNCH((map_gradient_kernel<F>), mg_map_blocks(n, quads), MG_MAP_THREADS, 0, slope,
              (const float *)a, (const float *)c->dy, (float *)c->dx[0], n, quads, fresh);
}

#endif
