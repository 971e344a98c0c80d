/* batch_norm on the GPU: two passes over x, bound by memory.
 *
 *     training:  m = mean(x), v = mean((x - m)²) over the R = N·H·W rows;   inference: running
 *     h = (x - m) r,  r = 1 / sqrt(v + eps),  y = gamma h + beta
 *     dbeta += sum dy,  dgamma += sum dy h
 *     dx += gamma r (dy - mean(dy) - h mean(dy h));   inference: dx += gamma r dy
 *
 * Sizes: any rows and channels; 16-byte accesses when channels are a multiple of 4.
 *
 * Forward, three launches. (1) statistics: a block walks `chunk` rows of up to 64 channels
 * (cuda/columns.h). Each thread keeps mean and M2 of its rows by Welford's update, which subtracts
 * the running mean before it squares: mean 1000 with spread 1 loses nothing. The row lanes of a
 * block are merged by Chan's formula in a fixed tree (shared memory: 9 KiB), one mean and M2 per
 * channel and chunk go to scratch. (2) finish: chunks are merged in f64, in a fixed order.
 * (3) normalise, with the chunks in reverse: those read last are still in the L2 cache.
 *
 * Bytes: x twice and y once, 12 R C, where 8 R C is what any method must move: y needs statistics
 * that need all of x, so that nothing less is possible unless x fits on the chip. Scratch adds 2/r
 * of the 8 R C for chunks of r rows. Backward reads x and dy twice and updates dx.
 * No atomics: partial sums have fixed places, and their number depends on the shape alone.
 * Sources: Ioffe & Szegedy 2015; Welford 1962; Chan, Golub & LeVeque 1983. */
#include "cuda/batch_norm.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR };

/* --- (1) statistics of chunks ----------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    statistics_kernel(mg_columns g, const float *__restrict__ x, float *__restrict__ chunk_mean,
                      float *__restrict__ chunk_m2) {
    MG_SHARED(float, means, [V][MG_COLUMN_THREADS]);
    MG_SHARED(float, squares, [V][MG_COLUMN_THREADS]);
    MG_SHARED(int, counts, [MG_COLUMN_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, blockIdx.y);
    const int t = (int)threadIdx.x;
    mg_lanes<V> mean = mg_splat<V>(0), m2 = mg_splat<V>(0);
    int n = 0;
#pragma unroll 4
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
    if (p.row_lane > 0 || p.end == 0) return; /* lane 0 wrote its own sums last: no barrier */
    const int64_t out = (int64_t)blockIdx.y * g.channels + p.channel;
#pragma unroll
    for (int k = 0; k < V; k++) {
        mean.v[k] = means[k][t];
        m2.v[k] = squares[k][t];
    }
    mg_store(chunk_mean + out, mean);
    mg_store(chunk_m2 + out, m2);
}

/* --- (2) chunks to statistics ----------------------------------------------------------------- */

/* A block owns 32 channels; its eight warps take the chunks in turn, so that a warp reads 32
 * neighbouring channels of one chunk. f64 for the few sums whose terms may cancel. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    finish_statistics_kernel(mg_columns g, const float *__restrict__ chunk_mean,
                             const float *__restrict__ chunk_m2, double eps, float momentum,
                             float *__restrict__ running_mean, float *__restrict__ running_var,
                             float *__restrict__ save) {
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
    if (!mine || warp > 0) return;
    save[channel] = (float)mean;
    save[g.channels + channel] = (float)(1.0 / sqrt(variance + eps));
    if (!(momentum > 0)) return; /* recomputation leaves the running statistics alone */
    const double rows = (double)g.rows;
    const float unbiased = (float)(rows > 1 ? variance * rows / (rows - 1) : variance);
    running_mean[channel] = (1 - momentum) * running_mean[channel] + momentum * (float)mean;
    running_var[channel] = (1 - momentum) * running_var[channel] + momentum * unbiased;
}

/* Inference: the running statistics in the form that normalise and backward read. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    running_statistics_kernel(int64_t channels, const float *__restrict__ running_mean,
                              const float *__restrict__ running_var, double eps,
                              float *__restrict__ save) {
    const int64_t channel = (int64_t)blockIdx.x * MG_FINISH_THREADS + threadIdx.x;
    if (channel >= channels) return;
    save[channel] = running_mean[channel];
    save[channels + channel] = (float)(1.0 / sqrt((double)running_var[channel] + eps));
}

/* --- (3) normalise ---------------------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    normalise_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ gamma,
                     const float *__restrict__ beta, const float *__restrict__ save,
                     float *__restrict__ y) {
    const mg_column_place p = mg_column_place_of<V>(g, gridDim.y - 1 - blockIdx.y);
    if (p.begin >= p.end) return;
    const mg_lanes<V> mean = mg_load<V>(save + p.channel), shift = mg_load<V>(beta + p.channel);
    const mg_lanes<V> inverse = mg_load<V>(save + g.channels + p.channel);
    mg_lanes<V> scale = mg_load<V>(gamma + p.channel);
#pragma unroll
    for (int k = 0; k < V; k++) scale.v[k] *= inverse.v[k];
#pragma unroll 4
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const int64_t i = r * g.channels + p.channel;
        mg_lanes<V> a = mg_load<V>(x + i);
#pragma unroll
        for (int k = 0; k < V; k++) a.v[k] = fmaf(a.v[k] - mean.v[k], scale.v[k], shift.v[k]);
        mg_store(y + i, a);
    }
}

template <int V> static void forward_of(const mg_op_call *c, const mg_columns *g) {
    const double n = 4.0 * (double)g->rows * (double)g->channels;
    const float *x = (const float *)c->x[X];
    float *mean = (float *)c->scratch, *m2 = mean + g->chunks * g->channels;
    float *running_mean = (float *)c->x[RUNNING_MEAN], *running_var = (float *)c->x[RUNNING_VAR];
    const unsigned warps = (unsigned)mg_ceil_div(g->channels, MG_WARP);
    if (c->attr.training) {
        mg_cuda_cost(n, n);
        MG_LAUNCH((statistics_kernel<V>), mg_columns_grid(g), mg_columns_threads(g), 0, *g, x, mean,
                  m2);
        MG_LAUNCH(finish_statistics_kernel, warps, MG_FINISH_THREADS, 0, *g, (const float *)mean,
                  (const float *)m2, c->attr.eps, (float)c->attr.momentum, running_mean,
                  running_var, (float *)c->save);
    } else {
        MG_LAUNCH(running_statistics_kernel, (unsigned)mg_ceil_div(g->channels, MG_FINISH_THREADS),
                  MG_FINISH_THREADS, 0, g->channels, (const float *)running_mean,
                  (const float *)running_var, c->attr.eps, (float *)c->save);
    }
    mg_cuda_cost(2 * n, n / 2);
    MG_LAUNCH((normalise_kernel<V>), mg_columns_grid(g), mg_columns_threads(g), 0, *g, x,
              (const float *)c->x[GAMMA], (const float *)c->x[BETA], (const float *)c->save,
              (float *)c->y);
}

static void forward(const mg_op_call *c) {
    const mg_columns g = mg_batch_norm_columns(c);
    if (mg_batch_norm_vector(c) == 4) forward_of<4>(c, &g);
    else forward_of<1>(c, &g);
}

MG_CUDA_OP(batch_norm, forward, mg_batch_norm_backward, mg_batch_norm_scratch);
