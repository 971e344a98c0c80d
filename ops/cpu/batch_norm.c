/* batch_norm on the CPU: statistics of chunks, combined, then one pass that normalises.
 *
 * The variance is two-pass without reading memory twice: a chunk of 256 rows is summed around its
 * own first row, and while it is still in cache its squared distances from its own mean are summed.
 * Chunks are combined in double, in order: M2 = sum M2_k + n_k (m_k - mean)². A mean of 1000 with
 * spread 1 loses nothing. Source: Chan, Golub & LeVeque 1983. */
#include "ops/cpu/columns.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR };

typedef struct job {
    const mg_op_call *c;
    int64_t rows, channels, chunks;
    float *first, *second; /* chunks x channels each: mean and M2, or sum dy and sum dy h */
    float *mean_dy, *mean_dy_h;
} job;

static job job_of(const mg_op_call *c) {
    job j = {.c = c, .channels = c->x_shape[GAMMA].dim[0]};
    j.rows = mg_shape_elements(&c->x_shape[X]) / j.channels;
    j.chunks = ceil_div(j.rows, ROW_CHUNK);
    j.first = c->scratch;
    if (!j.first) return j;
    j.second = j.first + j.chunks * j.channels;
    j.mean_dy = j.second + j.chunks * j.channels;
    j.mean_dy_h = j.mean_dy + j.channels;
    return j;
}

typedef struct rows_of {
    int64_t begin, count;
} rows_of;

static rows_of rows_of_chunk(const job *j, int64_t chunk) {
    int64_t begin = chunk * ROW_CHUNK;
    return (rows_of){begin, min64(ROW_CHUNK, j->rows - begin)};
}

/* Mean and M2 of `vectors` x n channels of one chunk. */
MG_INLINE void statistics_block(const float *x, int64_t rows, int64_t channels, const int vectors,
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

static void statistics_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    rows_of r = rows_of_chunk(j, chunk);
    const float *x = (const float *)j->c->x[X] + r.begin * j->channels;
    float *mean = j->first + chunk * j->channels, *m2 = j->second + chunk * j->channels;
    int64_t ch = 0;
    for (; ch + COLUMN_VECTORS * V16 <= j->channels; ch += COLUMN_VECTORS * V16)
        statistics_block(x + ch, r.count, j->channels, COLUMN_VECTORS, V16, mean + ch, m2 + ch);
    for (; ch < j->channels; ch += V16)
        statistics_block(x + ch, r.count, j->channels, 1, (int)min64(V16, j->channels - ch),
                         mean + ch, m2 + ch);
}

static void combine_channel(const job *j, int64_t ch, double *mean, double *variance) {
    double m = 0, m2 = 0;
    for (int64_t k = 0; k < j->chunks; k++)
        m += (double)rows_of_chunk(j, k).count * (double)j->first[k * j->channels + ch];
    m /= (double)j->rows;
    for (int64_t k = 0; k < j->chunks; k++) {
        double d = (double)j->first[k * j->channels + ch] - m;
        m2 += (double)j->second[k * j->channels + ch] + (double)rows_of_chunk(j, k).count * (d * d);
    }
    *mean = m;
    *variance = m2 / (double)j->rows;
}

/* save, and in training the running statistics, of sixteen channels. */
static void finish_channels(void *arg, int64_t block, int thread) {
    (void)thread;
    const job *j = arg;
    const mg_op_call *c = j->c;
    float *save = c->save, *running_mean = c->x[RUNNING_MEAN], *running_var = c->x[RUNNING_VAR];
    double rows = (double)j->rows;
    float k = (float)c->attr.momentum;
    for (int64_t ch = block * V16; ch < min64((block + 1) * V16, j->channels); ch++) {
        double mean = (double)running_mean[ch], variance = (double)running_var[ch];
        if (c->attr.training) combine_channel(j, ch, &mean, &variance);
        save[ch] = (float)mean;
        save[j->channels + ch] = (float)(1.0 / sqrt(variance + c->attr.eps));
        if (!c->attr.training || !(k > 0)) continue;
        double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
        running_mean[ch] = (1 - k) * running_mean[ch] + k * (float)mean;
        running_var[ch] = (1 - k) * running_var[ch] + k * (float)unbiased;
    }
}

static void normalise_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    rows_of r = rows_of_chunk(j, chunk);
    const float *x = (const float *)j->c->x[X] + r.begin * j->channels, *save = j->c->save;
    const float *gamma = j->c->x[GAMMA], *beta = j->c->x[BETA];
    float *y = (float *)j->c->y + r.begin * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch += V16) {
        int n = (int)min64(V16, j->channels - ch);
        v16 mean = v16_load_n(save + ch, n), shift = v16_load_n(beta + ch, n);
        v16 scale = v16_mul(v16_load_n(gamma + ch, n), v16_load_n(save + j->channels + ch, n));
        for (int64_t i = ch; i < r.count * j->channels; i += j->channels)
            v16_store_some(y + i, v16_fma(v16_sub(v16_load_some(x + i, n), mean), scale, shift), n);
    }
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    if (c->attr.training) mg_parallel_for(c->pool, j.chunks, statistics_chunk, &j);
    mg_parallel_for(c->pool, ceil_div(j.channels, V16), finish_channels, &j);
    mg_parallel_for(c->pool, j.chunks, normalise_chunk, &j);
}

/* --- backward --------------------------------------------------------------------------------- */

/* sum dy and sum dy h of one chunk. */
static void gradient_sums_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    rows_of r = rows_of_chunk(j, chunk);
    const float *x = (const float *)j->c->x[X] + r.begin * j->channels, *save = j->c->save;
    const float *dy = (const float *)j->c->dy + r.begin * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch += V16) {
        int n = (int)min64(V16, j->channels - ch);
        v16 mean = v16_load_n(save + ch, n), inverse = v16_load_n(save + j->channels + ch, n);
        v16 sum = v16_zero(), sum_h = v16_zero();
        for (int64_t i = ch; i < r.count * j->channels; i += j->channels) {
            v16 g = v16_load_some(dy + i, n);
            v16 h = v16_mul(v16_sub(v16_load_some(x + i, n), mean), inverse);
            sum = v16_add(sum, g);
            sum_h = v16_fma(g, h, sum_h);
        }
        v16_store_n(j->first + chunk * j->channels + ch, sum, n);
        v16_store_n(j->second + chunk * j->channels + ch, sum_h, n);
    }
}

static void finish_gradient_sums(void *arg, int64_t block, int thread) {
    (void)thread;
    const job *j = arg;
    float *dgamma = j->c->dx[GAMMA], *dbeta = j->c->dx[BETA];
    for (int64_t ch = block * V16; ch < min64((block + 1) * V16, j->channels); ch++) {
        double sum = 0, sum_h = 0;
        for (int64_t k = 0; k < j->chunks; k++) {
            sum += (double)j->first[k * j->channels + ch];
            sum_h += (double)j->second[k * j->channels + ch];
        }
        if (dbeta) dbeta[ch] += (float)sum;
        if (dgamma) dgamma[ch] += (float)sum_h;
        bool training = j->c->attr.training;
        j->mean_dy[ch] = training ? (float)(sum / (double)j->rows) : 0;
        j->mean_dy_h[ch] = training ? (float)(sum_h / (double)j->rows) : 0;
    }
}

static void dx_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    rows_of r = rows_of_chunk(j, chunk);
    const float *x = (const float *)j->c->x[X] + r.begin * j->channels, *save = j->c->save;
    const float *dy = (const float *)j->c->dy + r.begin * j->channels, *gamma = j->c->x[GAMMA];
    float *dx = (float *)j->c->dx[X] + r.begin * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch += V16) {
        int n = (int)min64(V16, j->channels - ch);
        v16 mean = v16_load_n(save + ch, n), inverse = v16_load_n(save + j->channels + ch, n);
        v16 scale = v16_mul(v16_load_n(gamma + ch, n), inverse);
        v16 mean_dy = v16_load_n(j->mean_dy + ch, n), mean_h = v16_load_n(j->mean_dy_h + ch, n);
        for (int64_t i = ch; i < r.count * j->channels; i += j->channels) {
            v16 h = v16_mul(v16_sub(v16_load_some(x + i, n), mean), inverse);
            v16 g = v16_fnma(h, mean_h, v16_sub(v16_load_some(dy + i, n), mean_dy));
            v16_store_some(dx + i, v16_fma(scale, g, v16_load_some(dx + i, n)), n);
        }
    }
}

static void backward(const mg_op_call *c) {
    job j = job_of(c);
    mg_parallel_for(c->pool, j.chunks, gradient_sums_chunk, &j);
    mg_parallel_for(c->pool, ceil_div(j.channels, V16), finish_gradient_sums, &j);
    if (c->dx[X]) mg_parallel_for(c->pool, j.chunks, dx_chunk, &j);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    (void)back, (void)threads;
    job j = job_of(c);
    return (size_t)((2 * j.chunks + 2) * j.channels) * sizeof(float);
}

extern MG_CPU_KERNELS(batch_norm);
MG_CPU_KERNELS(batch_norm) = {forward, backward, scratch_bytes};
