/* lanes.h: neighbouring channels that a thread moves together, and tiles of 32 channels.
 *
 * NHWC puts the channels of a pixel side by side. Kernels are templates over L, the channels of a
 * thread: 4 where the channel count is a multiple of 4 and the arrays are aligned, so that a thread
 * moves 16 bytes at once; else 1. The host chooses (mg_lane_width). A kernel whose sums do not fit
 * in registers for 4 channels may compute on 2 of them, 8 bytes.
 *
 * Convolutions and sums give a block 32 channels of each pixel it visits: one 128-byte line of the
 * L2 cache, four full sectors, and 8 threads abreast (32 when L is 1). Few channels a block mean
 * many pixels, hence little repeated halo; fewer than 32 would split lines. */
#ifndef MG_CUDA_LANES_H
#define MG_CUDA_LANES_H

#include "cuda/kernel.h"

enum { MG_TILE_CHANNELS = 32 };

template <int L> struct __align__(4 * L) mg_lanes { float v[L]; };

template <int L> __device__ __forceinline__ mg_lanes<L> mg_splat(float value) {
    mg_lanes<L> r;
#pragma unroll
    for (int l = 0; l < L; l++) r.v[l] = value;
    return r;
}

/* p is aligned to 4 L bytes. */
template <int L> __device__ __forceinline__ mg_lanes<L> mg_load(const float *p) {
    mg_lanes<L> r;
    if constexpr (L == 4) {
        const float4 q = *reinterpret_cast<const float4 *>(p);
        r.v[0] = q.x, r.v[1] = q.y, r.v[2] = q.z, r.v[3] = q.w;
    } else if constexpr (L == 2) {
        const float2 q = *reinterpret_cast<const float2 *>(p);
        r.v[0] = q.x, r.v[1] = q.y;
    } else {
        r.v[0] = *p;
    }
    return r;
}

/* Zeros where `inside` is false; p is then not read. */
template <int L> __device__ __forceinline__ mg_lanes<L> mg_load_if(bool inside, const float *p) {
    if (inside) return mg_load<L>(p);
    return mg_splat<L>(0);
}

template <int L> __device__ __forceinline__ void mg_store(float *p, const mg_lanes<L> &a) {
    if constexpr (L == 4)
        *reinterpret_cast<float4 *>(p) = make_float4(a.v[0], a.v[1], a.v[2], a.v[3]);
    else if constexpr (L == 2) *reinterpret_cast<float2 *>(p) = make_float2(a.v[0], a.v[1]);
    else *p = a.v[0];
}

/* sum += a b, channel by channel. */
template <int L> __device__ __forceinline__ void mg_fma(mg_lanes<L> &sum, const mg_lanes<L> &a,
                                                        const mg_lanes<L> &b) {
#pragma unroll
    for (int l = 0; l < L; l++) sum.v[l] = fmaf(a.v[l], b.v[l], sum.v[l]);
}

template <int L> __device__ __forceinline__ void mg_add(mg_lanes<L> &sum, const mg_lanes<L> &a) {
#pragma unroll
    for (int l = 0; l < L; l++) sum.v[l] += a.v[l];
}

/* 4 when channels come in fours and every given array is aligned (NULL counts as aligned). */
static inline int mg_lane_width(int64_t channels, const void *a, const void *b, const void *c,
                                const void *d) {
    const bool aligned = mg_aligned16(a) && mg_aligned16(b) && mg_aligned16(c) && mg_aligned16(d);
    return channels % 4 == 0 && aligned ? 4 : 1;
}

static inline int64_t mg_channel_tiles(int64_t channels) {
    return mg_ceil_div(channels, MG_TILE_CHANNELS);
}

#endif
