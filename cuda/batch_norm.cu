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
 * Statistics, either way: cuda/norm_statistics.h.
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
 * Source: Ioffe & Szegedy 2015. */
#include "cuda/norm_statistics.h"

enum { X, GAMMA, BETA };

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
                 const mg_statistics &s, float (&means)[V][MG_WHOLE_THREADS],
                 float (&squares)[V][MG_WHOLE_THREADS], int (&counts)[MG_WHOLE_THREADS]) {
    mg_welford_rows<V>(g, p, x, means, squares, counts);
    mg_merge_row_lanes<V>(g, p, means, squares, counts);
    if (p.row_lane == 0 && p.end > 0) /* its place is its lane */
#pragma unroll
        for (int k = 0; k < V; k++)
            squares[k][p.lane] =
                mg_keep_statistics(s, g.rows, g.channels, p.channel + k, means[k][p.lane],
                                   (double)squares[k][p.lane] / (double)g.rows);
}

template <int V> static __global__ void __launch_bounds__(MG_WHOLE_THREADS)
    whole_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ gamma,
                 const float *__restrict__ beta, mg_statistics s, float *__restrict__ y) {
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
    whole_statistics_kernel(mg_columns g, const float *__restrict__ x, mg_statistics s) {
    MG_SHARED(float, means, [V][MG_WHOLE_THREADS]);
    MG_SHARED(float, squares, [V][MG_WHOLE_THREADS]);
    MG_SHARED(int, counts, [MG_WHOLE_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, 0);
    whole_statistics<V>(g, p, x, s, means, squares, counts);
}

/* --- chunks: normalise ------------------------------------------------------------------------ */

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

static double bytes_of(const mg_columns *g) { return 4.0 * (double)g->rows * (double)g->channels; }

/* Fills save: of whole columns in one launch, of chunks in two. */
template <int V> static void keep_statistics(const mg_op_call *c, const mg_columns *g, bool whole) {
    if (!whole) {
        mg_norm_statistics<V>(c, (float *)c->scratch);
        return;
    }
    mg_cuda_cost(bytes_of(g), bytes_of(g));
    MG_LAUNCH((whole_statistics_kernel<V>), mg_columns_grid(g), mg_columns_threads(g), 0, *g,
              (const float *)c->x[X], mg_statistics_of(c));
}

template <int V> static void forward_of(const mg_op_call *c, const mg_columns *g, bool whole) {
    const double n = bytes_of(g);
    const float *x = (const float *)c->x[X];
    const float *gamma = (const float *)c->x[GAMMA], *beta = (const float *)c->x[BETA];
    const dim3 grid = mg_columns_grid(g);
    const unsigned threads = mg_columns_threads(g);
    if (whole) {
        mg_cuda_cost(2 * n, 3 * n / 2);
        MG_LAUNCH((whole_kernel<V>), grid, threads, 0, *g, x, gamma, beta, mg_statistics_of(c),
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
