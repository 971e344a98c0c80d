/* batch_norm on the GPU, forward: statistics of columns, then a pass that normalises.
 *
 *     training:  m = mean(x), v = mean((x - m)²) over the R = N·H·W rows;   inference: running
 *     h = (x - m) r,  r = 1 / sqrt(v + eps),  y = gamma h + beta
 *     dbeta += sum dy,  dgamma += sum dy h
 *     dx += gamma r (dy - mean(dy) - h mean(dy h));   inference: dx += gamma r dy
 *
 * Sizes: any rows and channels; 16-byte accesses when channels are a multiple of 4. Bound by
 * memory: x and y once, 8 R C bytes, is the least. cuda/batch_norm.h says when a call walks whole
 * columns and when chunks of rows, and what that costs.
 *
 * Statistics, either way: a thread keeps mean and M2 of its rows by Welford's update, which
 * subtracts the running mean before it squares: mean 1000 with spread 1 loses nothing. The row
 * lanes of a block are merged by Chan's formula in a fixed tree.
 *
 * Whole columns, one launch: 512 threads a block, one block per 8 channels (whole_kernel); 18 KiB
 * of shared memory. Row lane 0 makes the statistics of its channels, all others wait, then
 * everybody normalises, from the last row to the first.
 *
 * Chunks, three launches: (1) a block of 256 threads walks `chunk` rows of up to 64 channels
 * (cuda/columns.h), 9 KiB of shared memory; one mean and M2 per channel and chunk go to scratch.
 * (2) finish: chunks are merged in f64, in a fixed order. (3) normalise, with the chunks in
 * reverse: those read last are still in the L2 cache. Bytes: 12 R C, and 2 / chunk of 8 R C.
 *
 * No atomics: partial sums have fixed places, and their number depends on the shape alone.
 * Sources: Ioffe & Szegedy 2015; Welford 1962; Chan, Golub & LeVeque 1983. */
#include "cuda/batch_norm.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR };

/* --- statistics of a block's rows ------------------------------------------------------------- */

/* Mean, M2 and count of every thread's rows go to its places in shared memory. */
template <int V, int THREADS> __device__ __forceinline__ void
welford_rows(const mg_columns &g, const mg_column_place &p, const float *__restrict__ x,
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
merge_row_lanes(const mg_columns &g, const mg_column_place &p, float (&means)[V][THREADS],
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

/* Where statistics go. */
typedef struct statistics {
    double eps;
    float momentum;
    float *running_mean, *running_var, *save;
} statistics;

/* Keeps mean and variance of one channel; 1 / sqrt(variance + eps) comes back. */
__device__ __forceinline__ float keep(const statistics &s, int64_t rows, int64_t channels,
                                      int64_t channel, double mean, double variance) {
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

/* --- normalising a thread's rows -------------------------------------------------------------- */

template <int V> __device__ __forceinline__ void
normalise_rows(const mg_columns &g, const mg_column_place &p, bool reverse, const mg_lanes<V> &mean,
               const mg_lanes<V> &inverse, const float *__restrict__ x,
               const float *__restrict__ gamma, const float *__restrict__ beta,
               float *__restrict__ y) {
    const mg_column_walk w = mg_column_walk_of(g, p, reverse);
    const mg_lanes<V> shift = mg_load<V>(beta + p.channel);
    mg_lanes<V> scale = mg_load<V>(gamma + p.channel);
    int64_t r = w.first;
#pragma unroll
    for (int k = 0; k < V; k++) scale.v[k] *= inverse.v[k];
#pragma unroll 4
    for (int64_t n = 0; n < w.count; n++, r += w.step) {
        const int64_t i = r * g.channels + p.channel;
        mg_lanes<V> a = mg_load<V>(x + i);
#pragma unroll
        for (int k = 0; k < V; k++) a.v[k] = fmaf(a.v[k] - mean.v[k], scale.v[k], shift.v[k]);
        mg_store(y + i, a);
    }
}

/* --- whole columns ---------------------------------------------------------------------------- */

/* Row lane 0 keeps the statistics of its channels and finds mean and 1 / sqrt(v + eps) in its
 * places of means and squares; no barrier follows. */
template <int V> __device__ __forceinline__ void
whole_statistics(const mg_columns &g, const mg_column_place &p, const float *__restrict__ x,
                 const statistics &s, float (&means)[V][MG_WHOLE_THREADS],
                 float (&squares)[V][MG_WHOLE_THREADS], int (&counts)[MG_WHOLE_THREADS]) {
    welford_rows<V>(g, p, x, means, squares, counts);
    merge_row_lanes<V>(g, p, means, squares, counts);
    if (p.row_lane == 0 && p.end > 0) /* its place is its lane */
#pragma unroll
        for (int k = 0; k < V; k++)
            squares[k][p.lane] = keep(s, g.rows, g.channels, p.channel + k, means[k][p.lane],
                                      (double)squares[k][p.lane] / (double)g.rows);
}

template <int V> static __global__ void __launch_bounds__(MG_WHOLE_THREADS)
    whole_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ gamma,
                 const float *__restrict__ beta, statistics s, float *__restrict__ y) {
    MG_SHARED(float, means, [V][MG_WHOLE_THREADS]);
    MG_SHARED(float, squares, [V][MG_WHOLE_THREADS]);
    MG_SHARED(int, counts, [MG_WHOLE_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, 0);
    whole_statistics<V>(g, p, x, s, means, squares, counts);
    __syncthreads();
    if (p.begin >= p.end) return;
    mg_lanes<V> mean, inverse;
#pragma unroll
    for (int k = 0; k < V; k++) {
        mean.v[k] = means[k][p.lane];
        inverse.v[k] = squares[k][p.lane];
    }
    normalise_rows<V>(g, p, true, mean, inverse, x, gamma, beta, y);
}

/* The first half alone. */
template <int V> static __global__ void __launch_bounds__(MG_WHOLE_THREADS)
    whole_statistics_kernel(mg_columns g, const float *__restrict__ x, statistics s) {
    MG_SHARED(float, means, [V][MG_WHOLE_THREADS]);
    MG_SHARED(float, squares, [V][MG_WHOLE_THREADS]);
    MG_SHARED(int, counts, [MG_WHOLE_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, 0);
    whole_statistics<V>(g, p, x, s, means, squares, counts);
}

/* --- chunks (1): statistics of chunks --------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    statistics_kernel(mg_columns g, const float *__restrict__ x, float *__restrict__ chunk_mean,
                      float *__restrict__ chunk_m2) {
    MG_SHARED(float, means, [V][MG_COLUMN_THREADS]);
    MG_SHARED(float, squares, [V][MG_COLUMN_THREADS]);
    MG_SHARED(int, counts, [MG_COLUMN_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, blockIdx.y);
    welford_rows<V>(g, p, x, means, squares, counts);
    merge_row_lanes<V>(g, p, means, squares, counts);
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

/* --- chunks (2): to statistics ---------------------------------------------------------------- */

/* A block owns 32 channels; its eight warps take the chunks in turn, so that a warp reads 32
 * neighbouring channels of one chunk. f64 for the few sums whose terms may cancel. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    finish_statistics_kernel(mg_columns g, const float *__restrict__ chunk_mean,
                             const float *__restrict__ chunk_m2, statistics s) {
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
    if (mine && warp == 0) keep(s, g.rows, g.channels, channel, mean, variance);
}

/* Inference: the running statistics in the form that normalise and backward read. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    running_statistics_kernel(int64_t channels, statistics s) {
    const int64_t channel = (int64_t)blockIdx.x * MG_FINISH_THREADS + threadIdx.x;
    if (channel >= channels) return;
    s.save[channel] = s.running_mean[channel];
    s.save[channels + channel] = (float)(1.0 / sqrt((double)s.running_var[channel] + s.eps));
}

/* --- chunks (3): normalise -------------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    normalise_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ gamma,
                     const float *__restrict__ beta, const float *__restrict__ save,
                     float *__restrict__ y) {
    const mg_column_place p = mg_column_place_of<V>(g, gridDim.y - 1 - blockIdx.y);
    if (p.begin >= p.end) return;
    const mg_lanes<V> mean = mg_load<V>(save + p.channel);
    const mg_lanes<V> inverse = mg_load<V>(save + g.channels + p.channel);
    normalise_rows<V>(g, p, false, mean, inverse, x, gamma, beta, y);
}

/* --- host side -------------------------------------------------------------------------------- */

static statistics statistics_of(const mg_op_call *c) {
    return statistics{c->attr.eps, (float)c->attr.momentum, (float *)c->x[RUNNING_MEAN],
                      (float *)c->x[RUNNING_VAR], (float *)c->save};
}

static double bytes_of(const mg_columns *g) { return 4.0 * (double)g->rows * (double)g->channels; }

/* Fills save: of whole columns in one launch, of chunks in two. */
template <int V> static void keep_statistics(const mg_op_call *c, const mg_columns *g, bool whole) {
    const float *x = (const float *)c->x[X];
    const dim3 grid = mg_columns_grid(g);
    const unsigned threads = mg_columns_threads(g);
    const statistics s = statistics_of(c);
    mg_cuda_cost(c->attr.training ? bytes_of(g) : 0, c->attr.training ? bytes_of(g) : 0);
    if (!c->attr.training) {
        MG_LAUNCH(running_statistics_kernel, (unsigned)mg_ceil_div(g->channels, MG_FINISH_THREADS),
                  MG_FINISH_THREADS, 0, g->channels, s);
    } else if (whole) {
        MG_LAUNCH((whole_statistics_kernel<V>), grid, threads, 0, *g, x, s);
    } else {
        float *mean = (float *)c->scratch, *m2 = mean + g->chunks * g->channels;
        MG_LAUNCH((statistics_kernel<V>), grid, threads, 0, *g, x, mean, m2);
        MG_LAUNCH(finish_statistics_kernel, (unsigned)mg_ceil_div(g->channels, MG_WARP),
                  MG_FINISH_THREADS, 0, *g, (const float *)mean, (const float *)m2, s);
    }
}

template <int V> static void forward_of(const mg_op_call *c, const mg_columns *g, bool whole) {
    const double n = bytes_of(g);
    const float *x = (const float *)c->x[X];
    const float *gamma = (const float *)c->x[GAMMA], *beta = (const float *)c->x[BETA];
    const dim3 grid = mg_columns_grid(g);
    const unsigned threads = mg_columns_threads(g);
    if (whole) {
        mg_cuda_cost(2 * n, 3 * n / 2);
        MG_LAUNCH((whole_kernel<V>), grid, threads, 0, *g, x, gamma, beta, statistics_of(c),
                  (float *)c->y);
        return;
    }
    keep_statistics<V>(c, g, false);
    mg_cuda_cost(2 * n, n / 2);
    MG_LAUNCH((normalise_kernel<V>), grid, threads, 0, *g, x, gamma, beta, (const float *)c->save,
              (float *)c->y);
}

static void forward(const mg_op_call *c) {
    const bool whole = c->attr.training && mg_batch_norm_whole(c);
    const mg_columns g = mg_batch_norm_columns(c, whole);
    if (mg_batch_norm_vector(c) == 4) forward_of<4>(c, &g, whole);
    else forward_of<1>(c, &g, whole);
}

void mg_batch_norm_statistics(const mg_op_call *c) {
    const bool whole = c->attr.training && mg_batch_norm_whole(c);
    const mg_columns g = mg_batch_norm_columns(c, whole);
    if (mg_batch_norm_vector(c) == 4) keep_statistics<4>(c, &g, whole);
    else keep_statistics<1>(c, &g, whole);
}

MG_CUDA_OP(batch_norm, forward, mg_batch_norm_backward, mg_batch_norm_scratch, 1);
