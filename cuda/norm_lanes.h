/* norm_lanes.h: batch norm and SiLU of the channels that a thread holds, for kernels that apply
 * them to what they have loaded anyway. */
#ifndef MG_CUDA_NORM_LANES_H
#define MG_CUDA_NORM_LANES_H

#include "cuda/activation.h"

/* Arrays [C]: statistics as batch_norm saves them (inverse is 1 / sqrt(v + eps)), parameters. */
typedef struct mg_norm {
    const float *mean, *inverse, *gamma, *beta;
} mg_norm;

/* Of L channels: n = (x - mean) scale + shift, h = (x - mean) inverse. */
template <int L> struct mg_norm_lanes { mg_lanes<L> mean, inverse, scale, shift; };

/* Zeros where the channels are not used; nothing is read then. */
template <int L>
__device__ __forceinline__ mg_norm_lanes<L> mg_norm_at(const mg_norm &n, int channel, bool used) {
    mg_norm_lanes<L> a = {
        mg_load_if<L>(used, n.mean + channel), mg_load_if<L>(used, n.inverse + channel),
        mg_load_if<L>(used, n.gamma + channel), mg_load_if<L>(used, n.beta + channel)};
#pragma unroll
    for (int l = 0; l < L; l++) a.scale.v[l] *= a.inverse.v[l];
    return a;
}

/* n; the mean is subtracted first, so that a mean far above the spread costs no digits. */
template <int L>
__device__ __forceinline__ mg_lanes<L> mg_norm_apply(const mg_norm_lanes<L> &a, mg_lanes<L> x) {
#pragma unroll
    for (int l = 0; l < L; l++) x.v[l] = fmaf(x.v[l] - a.mean.v[l], a.scale.v[l], a.shift.v[l]);
    return x;
}

/* Sigmoid with a division that may be 2 ulp off: the exact one has a path for denormals that costs
 * a call, and the kernels here have no registers to spare for it. 0 where e^-x overflows. */
__device__ __forceinline__ float mg_norm_gate(float x) { return __fdividef(1.0f, 1.0f + expf(-x)); }

/* silu(n) and d silu / dn = g (1 + n (1 - g)) */
__device__ __forceinline__ float mg_norm_silu(float n) { return n * mg_norm_gate(n); }
__device__ __forceinline__ float mg_norm_silu_slope(float n) {
    const float gate = mg_norm_gate(n);
    return gate * (1 + n * (1 - gate));
}

#endif
