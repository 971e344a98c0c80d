/* compose.h: ops on the GPU that are made of other ops. A composite calls its parts' host functions
 * on calls made from its own, and keeps the tensors between them in its scratch memory instead of
 * on the tape: they exist while the op runs, not until backward. */
#ifndef MG_CUDA_COMPOSE_H
#define MG_CUDA_COMPOSE_H

#include "cuda/activation.h"
#include "cuda/plugin.h"

extern "C" const mg_kernels mg_cuda_batch_norm, mg_cuda_depthwise_conv, mg_cuda_squeeze_excite,
    mg_cuda_channel_scale, mg_cuda_pointwise_conv;

enum { MG_NORM_X, MG_NORM_GAMMA, MG_NORM_BETA, MG_NORM_RUNNING_MEAN, MG_NORM_RUNNING_VAR };

/* batch_norm on the composite's first five inputs; y and dy are the caller's to set. */
static inline mg_op_call mg_norm_part(const mg_op_call *c) {
    mg_op_call part = *c;
    part.inputs = MG_NORM_RUNNING_VAR + 1;
    part.y = NULL;
    part.dy = NULL;
    part.y_shape = c->x_shape[MG_NORM_X];
    return part;
}

/* A part whose input 0 is shaped like the composite's x, with `inputs - 1` more from `first` on;
 * x[0], y and dy are the caller's to set. */
static inline mg_op_call mg_part_after(const mg_op_call *c, int first, int inputs) {
    mg_op_call part = *c;
    part.inputs = inputs;
    part.x[0] = part.dx[0] = part.y = NULL;
    part.dy = NULL;
    part.x_shape[0] = part.y_shape = c->x_shape[MG_NORM_X];
    for (int i = 1; i < inputs; i++) {
        part.x[i] = c->x[first + i - 1];
        part.dx[i] = c->dx[first + i - 1];
        part.x_shape[i] = c->x_shape[first + i - 1];
    }
    part.overwrite = 0;
    return part;
}

/* Floats of a part's scratch memory, to whole 16 bytes. */
static inline int64_t mg_part_floats(const mg_kernels *part, const mg_op_call *c, bool backward) {
    const size_t bytes = part->scratch_bytes ? part->scratch_bytes(c, backward, 1) : 0;
    return mg_ceil_div((int64_t)bytes, 16) * 4;
}

static inline int64_t mg_whole_fours(int64_t floats) { return mg_ceil_div(floats, 4) * 4; }

/* --- passes between the parts ----------------------------------------------------------------- */

/* What turns x into n = gamma (x - mean) inverse + beta. */
typedef struct mg_normaliser {
    const float *x, *mean, *inverse, *gamma, *beta;
} mg_normaliser;

template <int L> __device__ __forceinline__ mg_lanes<L> mg_normalised(const mg_normaliser &n,
                                                                      int64_t i, int64_t channel) {
    mg_lanes<L> a = mg_load<L>(n.x + i);
    const mg_lanes<L> mean = mg_load<L>(n.mean + channel), shift = mg_load<L>(n.beta + channel);
    const mg_lanes<L> inverse = mg_load<L>(n.inverse + channel);
    const mg_lanes<L> gamma = mg_load<L>(n.gamma + channel);
#pragma unroll
    for (int l = 0; l < L; l++)
        a.v[l] = fmaf(a.v[l] - mean.v[l], gamma.v[l] * inverse.v[l], shift.v[l]);
    return a;
}

/* to = silu(n), or to *= silu'(n) */
template <int L, bool SLOPE> struct mg_activate_step {
    mg_normaliser n;
    float *to;
    __device__ __forceinline__ void operator()(int64_t i, int64_t channel) const {
        mg_lanes<L> a = mg_normalised<L>(n, i, channel);
        const mg_lanes<L> g = mg_load_if<L>(SLOPE, to + i);
#pragma unroll
        for (int l = 0; l < L; l++)
            a.v[l] = SLOPE ? g.v[l] * mg_silu_slope(a.v[l]) : mg_silu(a.v[l]);
        mg_store(to + i, a);
    }
};

/* Over the composite's x, whose statistics its save holds: 8 bytes per element, the slope 12. */
template <bool SLOPE> static inline void mg_activate(const mg_op_call *c, float *to) {
    const int64_t channels = c->x_shape[MG_NORM_GAMMA].dim[0];
    const int64_t elements = mg_shape_elements(&c->x_shape[MG_NORM_X]);
    const float *save = (const float *)c->save;
    const mg_normaliser n = {(const float *)c->x[MG_NORM_X], save, save + channels,
                             (const float *)c->x[MG_NORM_GAMMA], (const float *)c->x[MG_NORM_BETA]};
    mg_cuda_cost((SLOPE ? 12.0 : 8.0) * (double)elements, 6.0 * (double)elements);
    if (mg_lane_width(channels, n.x, to, n.gamma, n.beta) == 4 && mg_aligned16(save))
        mg_each_channel<4>(mg_activate_step<4, SLOPE>{n, to}, 1, elements / channels, channels);
    else mg_each_channel<1>(mg_activate_step<1, SLOPE>{n, to}, 1, elements / channels, channels);
}

#endif
