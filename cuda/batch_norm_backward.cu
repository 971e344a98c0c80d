/* Backward of batch_norm (cuda/batch_norm.cu has the formulas): two sums per channel, then dx.
 *
 * The walk is forward's (cuda/batch_norm.h says which): whole columns do everything in one launch,
 * chunks in three. Either way a thread sums dy and dy h of its rows, h recomputed from x, which
 * costs two flops instead of four bytes; row lanes are added by a fixed tree.
 *
 * Whole columns: 512 threads, 16 KiB of shared memory; row lane 0 updates dgamma and dbeta and
 * leaves the means of dy and dy h for all; dx follows from the last row to the first.
 * Bytes: x and dy once, dx read and written, 16 R C; 12 where dx holds nothing yet.
 *
 * Chunks: (1) gradient_sums, 8 KiB of shared memory; (2) finish: chunks in f64, dgamma and dbeta
 * are updated, their means go to scratch; (3) dx, chunks in reverse for the L2 cache. Bytes: (1)
 * 8 R C, (3) 16 R C in training.
 *
 * In inference dx needs neither sums nor x: without dgamma and dbeta, one launch of (3). */
#include "cuda/batch_norm.h"

enum { X, GAMMA, BETA };

/* --- sums of a block's rows ------------------------------------------------------------------- */

/* Row lane 0 finds sum dy and sum dy h of the block's rows in its places; no barrier follows. */
template <int V, int THREADS>
__device__ __forceinline__ void sum_rows(const mg_columns &g, const mg_column_place &p,
                                         const float *__restrict__ x, const float *__restrict__ dy,
                                         const float *__restrict__ save, float (&sums)[V][THREADS],
                                         float (&sums_h)[V][THREADS]) {
    enum { AHEAD = THREADS == MG_WHOLE_THREADS ? 4 : 2 }; /* fewer blocks: more loads each */
    const int t = (int)threadIdx.x;
    const bool mine = p.begin < p.end;
    const mg_lanes<V> mean = mg_load_if<V>(mine, save + p.channel);
    const mg_lanes<V> inverse = mg_load_if<V>(mine, save + g.channels + p.channel);
    mg_lanes<V> sum = mg_splat<V>(0), sum_h = mg_splat<V>(0);
#pragma unroll AHEAD
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const mg_lanes<V> a = mg_load<V>(x + r * g.channels + p.channel);
        const mg_lanes<V> d = mg_load<V>(dy + r * g.channels + p.channel);
        mg_add(sum, d);
#pragma unroll
        for (int k = 0; k < V; k++)
            sum_h.v[k] = fmaf(d.v[k], (a.v[k] - mean.v[k]) * inverse.v[k], sum_h.v[k]);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        sums[k][t] = sum.v[k];
        sums_h[k][t] = sum_h.v[k];
    }
    for (int half = mg_half_of(g.row_lanes); half > 0; half /= 2) {
        __syncthreads();
        if (p.row_lane >= half || p.row_lane + half >= g.row_lanes) continue;
        const int other = t + half * g.lanes;
#pragma unroll
        for (int k = 0; k < V; k++) {
            sums[k][t] += sums[k][other];
            sums_h[k][t] += sums_h[k][other];
        }
    }
}

/* --- dx of a thread's rows -------------------------------------------------------------------- */

/* mean_dy and mean_dy_h count in training alone. fresh: dx holds nothing yet. */
template <int V, bool TRAINING> __device__ __forceinline__ void
dx_rows(const mg_columns &g, const mg_column_place &p, bool reverse, const float *__restrict__ x,
        const float *__restrict__ dy, const float *__restrict__ gamma,
        const float *__restrict__ save, const mg_lanes<V> &mean_dy, const mg_lanes<V> &mean_dy_h,
        float *__restrict__ dx, bool fresh) {
    const mg_column_walk w = mg_column_walk_of(g, p, reverse);
    float scale[V], mean[V], shift[V], slope[V]; /* dx += scale (dy - shift - (x - mean) slope) */
    int64_t r = w.first;
#pragma unroll
    for (int k = 0; k < V; k++) {
        const int64_t channel = p.channel + k;
        const float inverse = save[g.channels + channel];
        scale[k] = gamma[channel] * inverse;
        mean[k] = TRAINING ? save[channel] : 0;
        shift[k] = TRAINING ? mean_dy.v[k] : 0;
        slope[k] = TRAINING ? mean_dy_h.v[k] * inverse : 0;
    }
#pragma unroll 2
    for (int64_t n = 0; n < w.count; n++, r += w.step) {
        const int64_t i = r * g.channels + p.channel;
        const mg_lanes<V> a = mg_load_if<V>(TRAINING, x + i);
        mg_lanes<V> d = mg_load<V>(dy + i), sum = mg_load_if<V>(!fresh, dx + i);
#pragma unroll
        for (int k = 0; k < V; k++) {
            if (TRAINING) d.v[k] = fmaf(mean[k] - a.v[k], slope[k], d.v[k] - shift[k]);
            sum.v[k] = fmaf(scale[k], d.v[k], sum.v[k]);
        }
        mg_store(dx + i, sum);
    }
}

/* --- whole columns ---------------------------------------------------------------------------- */

/* dgamma, dbeta and dx may be NULL. */
template <int V, bool TRAINING> static __global__ void __launch_bounds__(MG_WHOLE_THREADS)
    whole_gradient_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ dy,
                          const float *__restrict__ gamma, const float *__restrict__ save,
                          float *__restrict__ dgamma, float *__restrict__ dbeta,
                          float *__restrict__ dx, bool fresh) {
    MG_SHARED(float, sums, [V][MG_WHOLE_THREADS]);
    MG_SHARED(float, sums_h, [V][MG_WHOLE_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, 0);
    sum_rows<V>(g, p, x, dy, save, sums, sums_h);
    if (p.row_lane == 0 && p.end > 0) { /* its place is its lane */
#pragma unroll
        for (int k = 0; k < V; k++) {
            if (dbeta) dbeta[p.channel + k] += sums[k][p.lane];
            if (dgamma) dgamma[p.channel + k] += sums_h[k][p.lane];
        }
    }
    __syncthreads();
    if (!dx || p.begin >= p.end) return;
    const float rows = (float)g.rows;
    mg_lanes<V> mean_dy, mean_dy_h;
#pragma unroll
    for (int k = 0; k < V; k++) {
        mean_dy.v[k] = sums[k][p.lane] / rows;
        mean_dy_h.v[k] = sums_h[k][p.lane] / rows;
    }
    dx_rows<V, TRAINING>(g, p, true, x, dy, gamma, save, mean_dy, mean_dy_h, dx, fresh);
}

/* --- chunks ----------------------------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    gradient_sums_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ dy,
                         const float *__restrict__ save, float *__restrict__ chunk_dy,
                         float *__restrict__ chunk_dy_h) {
    MG_SHARED(float, sums, [V][MG_COLUMN_THREADS]);
    MG_SHARED(float, sums_h, [V][MG_COLUMN_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, blockIdx.y);
    sum_rows<V>(g, p, x, dy, save, sums, sums_h);
    if (p.row_lane > 0 || p.end == 0) return;
    const int64_t out = (int64_t)blockIdx.y * g.channels + p.channel;
    mg_lanes<V> sum, sum_h;
#pragma unroll
    for (int k = 0; k < V; k++) {
        sum.v[k] = sums[k][p.lane];
        sum_h.v[k] = sums_h[k][p.lane];
    }
    mg_store(chunk_dy + out, sum);
    mg_store(chunk_dy_h + out, sum_h);
}

static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    finish_gradient_kernel(mg_columns g, const float *__restrict__ chunk_dy,
                           const float *__restrict__ chunk_dy_h, float *__restrict__ dgamma,
                           float *__restrict__ dbeta, float *__restrict__ mean_dy,
                           float *__restrict__ mean_dy_h) {
    MG_SHARED(double, sums, [MG_FINISH_THREADS]);
    const int warp = (int)threadIdx.x / MG_WARP;
    const int64_t channel = (int64_t)blockIdx.x * MG_WARP + threadIdx.x % MG_WARP;
    const bool mine = channel < g.channels;
    double sum = 0, sum_h = 0;
    for (int64_t k = warp; mine && k < g.chunks; k += MG_FINISH_WARPS) {
        sum += (double)chunk_dy[k * g.channels + channel];
        sum_h += (double)chunk_dy_h[k * g.channels + channel];
    }
    sum = mg_across_warps(sums, sum);
    sum_h = mg_across_warps(sums, sum_h);
    if (!mine || warp > 0) return;
    if (dbeta) dbeta[channel] += (float)sum;
    if (dgamma) dgamma[channel] += (float)sum_h;
    mean_dy[channel] = (float)(sum / (double)g.rows);
    mean_dy_h[channel] = (float)(sum_h / (double)g.rows);
}

template <int V, bool TRAINING> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    dx_kernel(mg_columns g, const float *__restrict__ x, const float *__restrict__ dy,
              const float *__restrict__ gamma, const float *__restrict__ save,
              const float *__restrict__ mean_dy, const float *__restrict__ mean_dy_h,
              float *__restrict__ dx, bool fresh) {
    const mg_column_place p = mg_column_place_of<V>(g, gridDim.y - 1 - blockIdx.y);
    if (p.begin >= p.end) return;
    dx_rows<V, TRAINING>(g, p, false, x, dy, gamma, save,
                         mg_load_if<V>(TRAINING, mean_dy + p.channel),
                         mg_load_if<V>(TRAINING, mean_dy_h + p.channel), dx, fresh);
}

/* --- host side -------------------------------------------------------------------------------- */

static double cost_bytes(const mg_op_call *c, bool sums) {
    const double n = 4.0 * (double)mg_shape_elements(&c->y_shape);
    const double reads = sums || c->attr.training ? 2 * n : n;
    return reads + (!c->dx[X] ? 0 : c->overwrite & 1 ? n : 2 * n);
}

template <int V> static void whole_of(const mg_op_call *c) {
    const mg_columns g = mg_batch_norm_columns(c, true);
    const float *x = (const float *)c->x[X], *dy = (const float *)c->dy;
    const float *gamma = (const float *)c->x[GAMMA], *save = (const float *)c->save;
    float *dgamma = (float *)c->dx[GAMMA], *dbeta = (float *)c->dx[BETA];
    const bool fresh = c->overwrite & 1;
    mg_cuda_cost(cost_bytes(c, true), 9.0 * (double)g.rows * (double)g.channels);
    if (c->attr.training)
        MG_LAUNCH((whole_gradient_kernel<V, true>), mg_columns_grid(&g), mg_columns_threads(&g), 0,
                  g, x, dy, gamma, save, dgamma, dbeta, (float *)c->dx[X], fresh);
    else
        MG_LAUNCH((whole_gradient_kernel<V, false>), mg_columns_grid(&g), mg_columns_threads(&g), 0,
                  g, x, dy, gamma, save, dgamma, dbeta, (float *)c->dx[X], fresh);
}

template <int V> static void chunks_of(const mg_op_call *c, bool wants_sums) {
    const mg_columns g = mg_batch_norm_columns(c, false);
    const double n = 4.0 * (double)g.rows * (double)g.channels;
    const float *x = (const float *)c->x[X], *dy = (const float *)c->dy;
    const float *gamma = (const float *)c->x[GAMMA], *save = (const float *)c->save;
    float *sums = (float *)c->scratch, *sums_h = sums + g.chunks * g.channels;
    float *mean_dy = sums_h + g.chunks * g.channels, *mean_dy_h = mean_dy + g.channels;
    float *dx = (float *)c->dx[X];
    const dim3 grid = mg_columns_grid(&g);
    const unsigned threads = mg_columns_threads(&g);
    if (wants_sums) {
        mg_cuda_cost(2 * n, 5 * n / 4);
        MG_LAUNCH((gradient_sums_kernel<V>), grid, threads, 0, g, x, dy, save, sums, sums_h);
        MG_LAUNCH(finish_gradient_kernel, (unsigned)mg_ceil_div(g.channels, MG_WARP),
                  MG_FINISH_THREADS, 0, g, (const float *)sums, (const float *)sums_h,
                  (float *)c->dx[GAMMA], (float *)c->dx[BETA], mean_dy, mean_dy_h);
    }
    if (!dx) return;
    const bool fresh = c->overwrite & 1;
    mg_cuda_cost(cost_bytes(c, false), c->attr.training ? 6 * n / 4 : n / 2);
    if (c->attr.training)
        MG_LAUNCH((dx_kernel<V, true>), grid, threads, 0, g, x, dy, gamma, save,
                  (const float *)mean_dy, (const float *)mean_dy_h, dx, fresh);
    else
        MG_LAUNCH((dx_kernel<V, false>), grid, threads, 0, g, x, dy, gamma, save,
                  (const float *)NULL, (const float *)NULL, dx, fresh);
}

void mg_batch_norm_backward(const mg_op_call *c) {
    const bool wide = mg_batch_norm_vector(c) == 4;
    const bool wants_sums = c->attr.training || c->dx[GAMMA] || c->dx[BETA];
    if (wants_sums && mg_batch_norm_whole(c)) wide ? whole_of<4>(c) : whole_of<1>(c);
    else wide ? chunks_of<4>(c, wants_sums) : chunks_of<1>(c, wants_sums);
}
