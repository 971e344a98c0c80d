/* activation.h: SiLU inside other kernels, and the pass that ends a matrix product: + b, SiLU, +
 * residual. */
#ifndef MG_CUDA_ACTIVATION_H
#define MG_CUDA_ACTIVATION_H

#include "cuda/channels.h"
#include "cuda/elementwise.h" /* mg_sigmoid */

__device__ __forceinline__ float mg_silu(float x) { return x * mg_sigmoid(x); }
/* d silu / dx = s (1 + x (1 - s)) */
__device__ __forceinline__ float mg_silu_slope(float x) {
    const float s = mg_sigmoid(x);
    return s * (1 + x * (1 - s));
}

template <int L> __device__ __forceinline__ void mg_silu_lanes(mg_lanes<L> &a) {
#pragma unroll
    for (int l = 0; l < L; l++) a.v[l] = mg_silu(a.v[l]);
}

/* y = act(y + b) + residual, in place; b and residual may be NULL. cuBLAS keeps its tiles to
 * itself, so this costs a second trip of y: 8 bytes per element, 12 with a residual. */
template <int L, bool SILU> struct mg_epilogue_step {
    float *y;
    const float *b, *residual;
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        mg_lanes<L> v = mg_load<L>(y + i);
        if (b) mg_add(v, mg_load<L>(b + s));
        if constexpr (SILU) mg_silu_lanes(v);
        if (residual) mg_add(v, mg_load<L>(residual + i));
        mg_store(y + i, v);
    }
};

/* y is [rows, n], b [n]. */
static inline void mg_epilogue(float *y, const float *b, const float *residual, bool silu,
                               int64_t rows, int64_t n) {
    if (!b && !residual && !silu) return;
    const double elements = (double)rows * (double)n;
    mg_cuda_cost(elements * (residual ? 12 : 8), elements * (silu ? 6 : 1));
    const bool wide = mg_lane_width(n, y, b, residual, NULL) == 4;
    if (wide && silu) mg_each_channel<4>(mg_epilogue_step<4, true>{y, b, residual}, 1, rows, n);
    else if (wide) mg_each_channel<4>(mg_epilogue_step<4, false>{y, b, residual}, 1, rows, n);
    else if (silu) mg_each_channel<1>(mg_epilogue_step<1, true>{y, b, residual}, 1, rows, n);
    else mg_each_channel<1>(mg_epilogue_step<1, false>{y, b, residual}, 1, rows, n);
}

#endif
