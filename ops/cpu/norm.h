/* norm.h: batch norm on the CPU, in the pieces that batch_norm and the ops that contain it share:
 * statistics, the affine map of one vector, and the gradient.
 *
 * The variance is two-pass without reading memory twice: a chunk of 256 rows is summed around its
 * own first row, and while it is still in cache its squared distances from its own mean are summed.
 * Chunks are combined in double, in order: M2 = sum M2_k + n_k (m_k - mean)². A mean of 1000 with
 * spread 1 loses nothing. Source: Chan, Golub & LeVeque 1983. */
#ifndef MG_OPS_CPU_NORM_H
#define MG_OPS_CPU_NORM_H

#include "ops/cpu/columns.h"
#include "ops/cpu/stream.h"

/* The first inputs of every op that normalises. */
enum { NORM_X, NORM_GAMMA, NORM_BETA, NORM_RUNNING_MEAN, NORM_RUNNING_VAR };

typedef struct norm {
    const mg_op_call *c;
    const float *x;
    int64_t rows, channels, chunks;
    float *chunk_mean, *chunk_m2; /* statistics: chunks x channels each; norm_floats() in all */
    float *mean_dy, *mean_dy_h;   /* backward: channels each */
    const float *dy;              /* backward: the gradient at the normalised x */
    bool streams;                 /* what is written now: y, or dx from a dy elsewhere */
} norm;

static inline norm norm_of(const mg_op_call *c) {
    norm n = {.c = c, .x = c->x[NORM_X], .channels = c->x_shape[NORM_GAMMA].dim[0]};
    n.rows = mg_shape_elements(&c->x_shape[NORM_X]) / n.channels;
    n.chunks = ceil_div(n.rows, ROW_CHUNK);
    return n;
}

/* Floats of scratch for the statistics. */
static inline int64_t norm_floats(const norm *n) { return 2 * n->chunks * n->channels; }

static inline int64_t norm_chunk_rows(const norm *n, int64_t chunk) {
    return min64(ROW_CHUNK, n->rows - chunk * ROW_CHUNK);
}

/* --- statistics ------------------------------------------------------------------------------- */

/* Mean and M2 of `vectors` x n channels of one chunk. */
MG_INLINE void norm_chunk_block(const float *x, int64_t rows, int64_t channels, const int vectors,
                                int n, float *mean, float *m2) {
    v16 pivot[COLUMN_VECTORS], sum[COLUMN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        pivot[v] = v16_load_some(x + v * V16, n);
        sum[v] = v16_zero();
    }
    for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] =
                v16_add(sum[v], v16_sub(v16_load_some(x + r * channels + v * V16, n), pivot[v]));
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        pivot[v] = v16_add(pivot[v], v16_div(sum[v], v16_set((float)rows)));
        sum[v] = v16_zero();
    }
    for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            v16 d = v16_sub(v16_load_some(x + r * channels + v * V16, n), pivot[v]);
            sum[v] = v16_fma(d, d, sum[v]);
        }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        v16_store_some(mean + v * V16, pivot[v], n);
        v16_store_some(m2 + v * V16, sum[v], n);
    }
}

static inline void norm_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const norm *n = arg;
    int64_t rows = norm_chunk_rows(n, chunk), all = n->channels, ch = 0;
    const float *x = n->x + chunk * ROW_CHUNK * all;
    float *mean = n->chunk_mean + chunk * all, *m2 = n->chunk_m2 + chunk * all;
    for (; ch + COLUMN_VECTORS * V16 <= all; ch += COLUMN_VECTORS * V16)
        norm_chunk_block(x + ch, rows, all, COLUMN_VECTORS, V16, mean + ch, m2 + ch);
    for (; ch < all; ch += V16)
        norm_chunk_block(x + ch, rows, all, 1, (int)min64(V16, all - ch), mean + ch, m2 + ch);
}

static inline void norm_combine(const norm *n, int64_t ch, double *mean, double *variance) {
    double m = 0, m2 = 0;
    for (int64_t k = 0; k < n->chunks; k++)
        m += (double)norm_chunk_rows(n, k) * (double)n->chunk_mean[k * n->channels + ch];
    m /= (double)n->rows;
    for (int64_t k = 0; k < n->chunks; k++) {
        double d = (double)n->chunk_mean[k * n->channels + ch] - m;
        m2 += (double)n->chunk_m2[k * n->channels + ch] + (double)norm_chunk_rows(n, k) * (d * d);
    }
    *mean = m;
    *variance = m2 / (double)n->rows;
}

/* save, and in training the running statistics, of sixteen channels. */
static inline void norm_finish(void *arg, int64_t block, int thread) {
    (void)thread;
    const norm *n = arg;
    const mg_op_call *c = n->c;
    float *save = c->save;
    float *running_mean = c->x[NORM_RUNNING_MEAN], *running_var = c->x[NORM_RUNNING_VAR];
    double rows = (double)n->rows;
    float k = (float)c->attr.momentum;
    for (int64_t ch = block * V16; ch < min64((block + 1) * V16, n->channels); ch++) {
        double mean = (double)running_mean[ch], variance = (double)running_var[ch];
        if (c->attr.training) norm_combine(n, ch, &mean, &variance);
        save[ch] = (float)mean;
        save[n->channels + ch] = (float)(1.0 / sqrt(variance + c->attr.eps));
        if (!c->attr.training || !(k > 0)) continue;
        double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
        running_mean[ch] = (1 - k) * running_mean[ch] + k * (float)mean;
        running_var[ch] = (1 - k) * running_var[ch] + k * (float)unbiased;
    }
}

/* Fills the first 2C reals of save: mean and 1/sqrt(v + eps) of the batch, or of the running
 * statistics outside training. scratch: norm_floats(). */
static inline void norm_statistics(norm *n, float *scratch) {
    n->chunk_mean = scratch;
    n->chunk_m2 = scratch + n->chunks * n->channels;
    if (n->c->attr.training) mg_parallel_for(n->c->pool, n->chunks, norm_chunk, n);
    mg_parallel_for(n->c->pool, ceil_div(n->channels, V16), norm_finish, n);
}

/* --- one vector ------------------------------------------------------------------------------- */

/* Everything about n channels from ch on. */
typedef struct norm_lanes {
    v16 mean, inverse, scale, shift;
} norm_lanes;

MG_INLINE norm_lanes norm_load(const norm *n, int64_t ch, int count) {
    const float *save = n->c->save;
    const float *gamma = n->c->x[NORM_GAMMA], *beta = n->c->x[NORM_BETA];
    norm_lanes l = {.mean = v16_load_n(save + ch, count),
                    .inverse = v16_load_n(save + n->channels + ch, count)};
    l.scale = v16_mul(v16_load_n(gamma + ch, count), l.inverse);
    l.shift = beta ? v16_load_n(beta + ch, count) : v16_zero(); /* not every backward has it */
    return l;
}

MG_INLINE v16 norm_apply(const norm_lanes *l, v16 x) {
    return v16_fma(v16_sub(x, l->mean), l->scale, l->shift);
}

/* h = (x - m) / sqrt(v + eps) */
MG_INLINE v16 norm_unit(const norm_lanes *l, v16 x) {
    return v16_mul(v16_sub(x, l->mean), l->inverse);
}

/* --- gradient --------------------------------------------------------------------------------- */

/* What sum dy and sum dy h of a channel mean for dbeta, dgamma and dx. */
static inline void norm_note_sums(const norm *n, int64_t ch, double sum, double sum_h) {
    float *dgamma = n->c->dx[NORM_GAMMA], *dbeta = n->c->dx[NORM_BETA];
    bool training = n->c->attr.training;
    if (dbeta) dbeta[ch] += (float)sum;
    if (dgamma) dgamma[ch] += (float)sum_h;
    n->mean_dy[ch] = training ? (float)(sum / (double)n->rows) : 0;
    n->mean_dy_h[ch] = training ? (float)(sum_h / (double)n->rows) : 0;
}

/* onto + gamma r (g - mean(dy) - h mean(dy h)) */
MG_INLINE v16 norm_gradient(const norm_lanes *l, v16 g, v16 h, v16 mean_dy, v16 mean_dy_h,
                            v16 onto) {
    return v16_fma(l->scale, v16_fnma(h, mean_dy_h, v16_sub(g, mean_dy)), onto);
}

MG_INLINE void norm_dx_lanes(const norm *n, int64_t row, int64_t ch, int count, bool fresh) {
    int64_t i = row * n->channels + ch;
    norm_lanes l = norm_load(n, ch, count);
    v16 mean_dy = v16_load_n(n->mean_dy + ch, count);
    v16 mean_h = v16_load_n(n->mean_dy_h + ch, count);
    v16 h = norm_unit(&l, v16_load_some(n->x + i, count)), g = v16_load_some(n->dy + i, count);
    float *dx = (float *)n->c->dx[NORM_X] + i;
    v16 onto = v16_load_onto(fresh, dx, count);
    v16_put(n->streams, dx, norm_gradient(&l, g, h, mean_dy, mean_h, onto), count);
}

/* Row by row, as memory is read fastest: what belongs to a channel comes from L1 each time. */
MG_INLINE void norm_dx_rows(const norm *n, int64_t chunk, bool fresh) {
    int64_t first = chunk * ROW_CHUNK, end = first + norm_chunk_rows(n, chunk);
    for (int64_t row = first; row < end; row++) {
        int64_t ch = 0;
        for (; ch + V16 <= n->channels; ch += V16) norm_dx_lanes(n, row, ch, V16, fresh);
        if (ch < n->channels) norm_dx_lanes(n, row, ch, (int)(n->channels - ch), fresh);
    }
}

static inline void norm_dx_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const norm *n = arg;
    if (n->c->overwrite & 1) norm_dx_rows(n, chunk, true);
    else norm_dx_rows(n, chunk, false);
    if (n->streams) stream_end();
}

/* The pass over dx, if it is wanted, once mean_dy and mean_dy_h are there. A fresh dx may be dy. */
static inline void norm_dx(norm *n, const float *dy) {
    const float *dx = n->c->dx[NORM_X];
    n->dy = dy;
    n->streams =
        (n->c->overwrite & 1) && dx != dy && stream_wanted(dx, n->channels, n->rows * n->channels);
    if (n->c->dx[NORM_X]) mg_parallel_for(n->c->pool, n->chunks, norm_dx_chunk, n);
}

#endif
