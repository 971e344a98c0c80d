/* batch_norm.h: what batch_norm.cu (forward) and batch_norm_backward.cu share. */
#ifndef MG_CUDA_BATCH_NORM_H
#define MG_CUDA_BATCH_NORM_H

#include "cuda/columns.h"

enum { MG_FINISH_WARPS = 8, MG_FINISH_THREADS = MG_FINISH_WARPS * MG_WARP };

/* 4 or 1 channels per access. Vectors of channels (gamma, save) are aligned as their arrays. */
static inline int mg_batch_norm_vector(const mg_op_call *c) {
    const void *const arrays[] = {c->x[0], c->x[1], c->x[2],    c->y,
                                  c->save, c->dy,   c->scratch, c->dx[0]};
    if (c->x_shape[1].dim[0] % 4 != 0) return 1;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!mg_aligned16(arrays[i])) return 1; /* NULL counts as aligned */
    return 4;
}

static inline mg_columns mg_batch_norm_columns(const mg_op_call *c) {
    const int64_t channels = c->x_shape[1].dim[0];
    return mg_columns_of(mg_shape_elements(&c->x_shape[0]) / channels, channels,
                         mg_batch_norm_vector(c));
}

/* Two partial sums per chunk and channel, then mean(dy) and mean(dy h). Enough for either vector
 * width: addresses are not known yet when scratch is asked for. */
static inline size_t mg_batch_norm_scratch(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    const int64_t channels = c->x_shape[1].dim[0];
    const int64_t rows = mg_shape_elements(&c->x_shape[0]) / channels;
    const int64_t narrow = mg_columns_of(rows, channels, 1).chunks;
    const int64_t wide = channels % 4 ? 0 : mg_columns_of(rows, channels, 4).chunks;
    return (size_t)((2 * (narrow > wide ? narrow : wide) + 2) * channels) * sizeof(float);
}

void mg_batch_norm_backward(const mg_op_call *c);

#ifdef __cplusplus
/* First step of a tree over `lanes` lanes: the largest power of two below `lanes`; 0 for one. */
__device__ __forceinline__ int mg_half_of(int lanes) {
    int half = 0;
    for (int next = 1; next < lanes; next *= 2) half = next;
    return half;
}

__device__ __forceinline__ double mg_chunk_rows(const mg_columns &g, int64_t chunk) {
    const int64_t left = g.rows - chunk * g.chunk;
    return (double)(left < g.chunk ? left : g.chunk);
}

/* Sum over the warps of a finishing block, lane by lane, in a fixed tree; every thread gets its
 * lane's sum. Starts and ends with a barrier, so that `sums` can be used again. */
__device__ __forceinline__ double mg_across_warps(double *sums, double mine) {
    const int t = (int)threadIdx.x;
    sums[t] = mine;
    for (int half = MG_FINISH_THREADS / 2; half >= MG_WARP; half /= 2) {
        __syncthreads();
        if (t < half) sums[t] += sums[t + half];
    }
    __syncthreads();
    const double sum = sums[t % MG_WARP];
    __syncthreads();
    return sum;
}
#endif

#endif
