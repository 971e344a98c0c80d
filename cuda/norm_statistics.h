/* norm_statistics.h: mean and variance of the columns of x [rows, channels], the first half of
 * batch norm; norm_gate_project shares them.
 *
 * A thread keeps mean and M2 of its rows by Welford's update, which subtracts the running mean
 * before it squares: mean 1000 with spread 1 loses nothing. The row lanes of a block are merged by
 * Chan's formula in a fixed tree. A block that owns whole columns (columns.h) is then done; else
 * one mean and M2 per channel and chunk of rows go to scratch, and a second launch merges the
 * chunks in f64, in a fixed order. Bytes: x once, 2 / chunk of that for the chunks.
 * Sources: Welford 1962; Chan, Golub & LeVeque 1983. */
#ifndef MG_CUDA_NORM_STATISTICS_H
#define MG_CUDA_NORM_STATISTICS_H

#include "cuda/batch_norm.h" /* finishing blocks */

/* Where statistics go. */
typedef struct mg_statistics {
    double eps;
    float momentum;
    float *running_mean, *running_var, *save; /* save: mean, then 1 / sqrt(variance + eps) */
} mg_statistics;

/* Of a call whose first five inputs are batch_norm's. */
static inline mg_statistics mg_statistics_of(const mg_op_call *c) {
    return {c->attr.eps, (float)c->attr.momentum, (float *)c->x[3], (float *)c->x[4],
            (float *)c->save};
}

/* --- a block's rows --------------------------------------------------------------------------- */

/* Mean, M2 and count of every thread's rows go to its places in shared memory. */
template <int V, int THREADS> __device__ __forceinline__ void
mg_welford_rows(const mg_columns &g, const mg_column_place &p, const float *__restrict__ x,
                float (&means)[V][THREADS], float (&squares)[V][THREADS], int (&counts)[THREADS]) {
    enum { AHEAD = THREADS == MG_WHOLE_THREADS ? 8 : 4 }; /* fewer blocks: more loads each */
    const int t = (int)threadIdx.x;
    mg_lanes<V> mean = mg_splat<V>(0), m2 = mg_splat<V>(0);
    int n = 0;
#pragma unroll AHEAD
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const mg_lanes<V> a = mg_load<V>(x + r * g.channels + p.channel);
        const float share = __fdividef(1.0f, (float)++n); /* 2 ulp do no harm here */
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float d = a.v[k] - mean.v[k];
            mean.v[k] += d * share;
            m2.v[k] += d * (a.v[k] - mean.v[k]);
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        means[k][t] = mean.v[k];
        squares[k][t] = m2.v[k];
    }
    counts[t] = n;
}

/* Row lane 0 finds mean and M2 of the block's rows in its places; it wrote them last itself, so
 * that no barrier follows. */
template <int V, int THREADS> __device__ __forceinline__ void
mg_merge_row_lanes(const mg_columns &g, const mg_column_place &p, float (&means)[V][THREADS],
                   float (&squares)[V][THREADS], int (&counts)[THREADS]) {
    const int t = (int)threadIdx.x;
    /* Row lanes need not be a power of two: the tree starts at the next one. */
    for (int half = mg_half_of(g.row_lanes); half > 0; half /= 2) {
        __syncthreads();
        if (p.row_lane >= half || p.row_lane + half >= g.row_lanes) continue;
        const int other = t + half * g.lanes, a = counts[t], b = counts[other];
        if (b == 0) continue;
        const float part = __fdividef((float)b, (float)(a + b));
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float d = means[k][other] - means[k][t];
            means[k][t] += d * part;
            squares[k][t] += squares[k][other] + d * d * (float)a * part;
        }
        counts[t] = a + b;
    }
}

/* Keeps mean and variance of one channel; 1 / sqrt(variance + eps) comes back. */
__device__ __forceinline__ float mg_keep_statistics(const mg_statistics &s, int64_t rows,
                                                    int64_t channels, int64_t channel, double mean,
                                                    double variance) {
    const float inverse = (float)(1.0 / sqrt(variance + s.eps));
    s.save[channel] = (float)mean;
    s.save[channels + channel] = inverse;
    if (s.momentum > 0) { /* recomputation leaves the running statistics alone */
        const double n = (double)rows;
        const float unbiased = (float)(n > 1 ? variance * n / (n - 1) : variance);
        const float rest = 1 - s.momentum;
        s.running_mean[channel] = rest * s.running_mean[channel] + s.momentum * (float)mean;
        s.running_var[channel] = rest * s.running_var[channel] + s.momentum * unbiased;
    }
    return inverse;
}

/* --- chunks of rows --------------------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    chunk_statistics_kernel(mg_columns g, const float *__restrict__ x,
                            float *__restrict__ chunk_mean, float *__restrict__ chunk_m2) {
    MG_SHARED(float, means, [V][MG_COLUMN_THREADS]);
    MG_SHARED(float, squares, [V][MG_COLUMN_THREADS]);
    MG_SHARED(int, counts, [MG_COLUMN_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, blockIdx.y);
    mg_welford_rows<V>(g, p, x, means, squares, counts);
    mg_merge_row_lanes<V>(g, p, means, squares, counts);
    if (p.row_lane > 0 || p.end == 0) return;
    const int64_t out = (int64_t)blockIdx.y * g.channels + p.channel;
    mg_lanes<V> mean, m2;
#pragma unroll
    for (int k = 0; k < V; k++) {
        mean.v[k] = means[k][p.lane];
        m2.v[k] = squares[k][p.lane];
    }
    mg_store(chunk_mean + out, mean);
    mg_store(chunk_m2 + out, m2);
}

/* A block owns 32 channels; its eight warps take the chunks in turn, so that a warp reads 32
 * neighbouring channels of one chunk. f64 for the few sums whose terms may cancel. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    merge_statistics_kernel(mg_columns g, const float *__restrict__ chunk_mean,
                            const float *__restrict__ chunk_m2, mg_statistics s) {
    MG_SHARED(double, sums, [MG_FINISH_THREADS]);
    const int warp = (int)threadIdx.x / MG_WARP;
    const int64_t channel = (int64_t)blockIdx.x * MG_WARP + threadIdx.x % MG_WARP;
    const bool mine = channel < g.channels;
    double sum = 0;
    for (int64_t k = warp; mine && k < g.chunks; k += MG_FINISH_WARPS)
        sum += mg_chunk_rows(g, k) * (double)chunk_mean[k * g.channels + channel];
    const double mean = mg_across_warps(sums, sum) / (double)g.rows;
    sum = 0;
    for (int64_t k = warp; mine && k < g.chunks; k += MG_FINISH_WARPS) {
        const double d = (double)chunk_mean[k * g.channels + channel] - mean;
        sum += (double)chunk_m2[k * g.channels + channel] + mg_chunk_rows(g, k) * (d * d);
    }
    const double variance = mg_across_warps(sums, sum) / (double)g.rows;
    if (mine && warp == 0) mg_keep_statistics(s, g.rows, g.channels, channel, mean, variance);
}

/* Inference: the running statistics in the form of those of a batch. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    running_statistics_kernel(int64_t channels, mg_statistics s) {
    const int64_t channel = (int64_t)blockIdx.x * MG_FINISH_THREADS + threadIdx.x;
    if (channel >= channels) return;
    s.save[channel] = s.running_mean[channel];
    s.save[channels + channel] = (float)(1.0 / sqrt((double)s.running_var[channel] + s.eps));
}

/* --- host side -------------------------------------------------------------------------------- */

/* Floats that mg_norm_statistics needs, whichever vector width the addresses will allow. */
static inline int64_t mg_norm_statistics_floats(int64_t rows, int64_t channels) {
    const int64_t narrow = mg_columns_of(rows, channels, 1).chunks;
    const int64_t wide = channels % 4 ? 0 : mg_columns_of(rows, channels, 4).chunks;
    return 2 * (narrow > wide ? narrow : wide) * channels;
}

template <int V> static void mg_norm_statistics(const mg_op_call *c, float *scratch) {
    const int64_t channels = c->x_shape[1].dim[0];
    const mg_columns g = mg_columns_of(mg_shape_elements(&c->x_shape[0]) / channels, channels, V);
    const mg_statistics s = mg_statistics_of(c);
    if (!c->attr.training) {
        MG_LAUNCH(running_statistics_kernel, (unsigned)mg_ceil_div(channels, MG_FINISH_THREADS),
                  MG_FINISH_THREADS, 0, channels, s);
        return;
    }
    const double bytes = 4.0 * (double)g.rows * (double)channels;
    float *mean = scratch, *m2 = mean + g.chunks * channels;
    mg_cuda_cost(bytes, bytes);
    MG_LAUNCH((chunk_statistics_kernel<V>), mg_columns_grid(&g), mg_columns_threads(&g), 0, g,
              (const float *)c->x[0], mean, m2);
    MG_LAUNCH(merge_statistics_kernel, (unsigned)mg_ceil_div(channels, MG_WARP), MG_FINISH_THREADS,
              0, g, (const float *)mean, (const float *)m2, s);
}

#endif
