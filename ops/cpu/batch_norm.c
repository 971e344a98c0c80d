/* batch_norm on the CPU: statistics of chunks, combined, then one pass that normalises (norm.h). */
#include "ops/cpu/norm.h"

typedef struct job {
    norm n;
    float *sum_dy, *sum_dy_h; /* chunks x channels each */
} job;

static job job_of(const mg_op_call *c) {
    job j = {.n = norm_of(c)};
    if (!c->scratch) return j;
    j.sum_dy = c->scratch;
    j.sum_dy_h = j.sum_dy + j.n.chunks * j.n.channels;
    j.n.mean_dy = j.sum_dy_h + j.n.chunks * j.n.channels;
    j.n.mean_dy_h = j.n.mean_dy + j.n.channels;
    return j;
}

MG_INLINE void normalise_lanes(const norm *n, int64_t row, int64_t ch, int count) {
    int64_t i = row * n->channels + ch;
    norm_lanes l = norm_load(n, ch, count);
    v16_put(n->streams, (float *)n->c->y + i, norm_apply(&l, v16_load_some(n->x + i, count)),
            count);
}

static void normalise_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const norm *n = arg;
    int64_t first = chunk * ROW_CHUNK, end = first + norm_chunk_rows(n, chunk);
    for (int64_t row = first; row < end; row++) {
        int64_t ch = 0;
        for (; ch + V16 <= n->channels; ch += V16) normalise_lanes(n, row, ch, V16);
        if (ch < n->channels) normalise_lanes(n, row, ch, (int)(n->channels - ch));
    }
    if (n->streams) stream_end();
}

static void forward(const mg_op_call *c) {
    norm n = norm_of(c);
    norm_statistics(&n, c->scratch);
    n.streams = stream_wanted(c->y, n.channels, mg_shape_elements(&c->y_shape));
    mg_parallel_for(c->pool, n.chunks, normalise_chunk, &n);
}

/* --- backward --------------------------------------------------------------------------------- */

/* sum dy and sum dy h of `vectors` x n channels of one chunk. */
MG_INLINE void gradient_sums_block(const job *j, int64_t chunk, int64_t ch, const int vectors,
                                   int count) {
    const norm *n = &j->n;
    int64_t begin = chunk * ROW_CHUNK * n->channels + ch, rows = norm_chunk_rows(n, chunk);
    const float *x = n->x + begin, *dy = (const float *)n->c->dy + begin;
    norm_lanes l[COLUMN_VECTORS];
    v16 sum[COLUMN_VECTORS], sum_h[COLUMN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        l[v] = norm_load(n, ch + v * V16, count);
        sum[v] = sum_h[v] = v16_zero();
    }
    for (int64_t i = 0; i < rows * n->channels; i += n->channels)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            v16 g = v16_load_some(dy + i + v * V16, count);
            v16 h = norm_unit(&l[v], v16_load_some(x + i + v * V16, count));
            sum[v] = v16_add(sum[v], g);
            sum_h[v] = v16_fma(g, h, sum_h[v]);
        }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        v16_store_n(j->sum_dy + chunk * n->channels + ch + v * V16, sum[v], count);
        v16_store_n(j->sum_dy_h + chunk * n->channels + ch + v * V16, sum_h[v], count);
    }
}

static void gradient_sums_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t ch = 0, channels = j->n.channels;
    for (; ch + COLUMN_VECTORS * V16 <= channels; ch += COLUMN_VECTORS * V16)
        gradient_sums_block(j, chunk, ch, COLUMN_VECTORS, V16);
    for (; ch < channels; ch += V16)
        gradient_sums_block(j, chunk, ch, 1, (int)min64(V16, channels - ch));
}

static void finish_gradient_sums(void *arg, int64_t block, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t channels = j->n.channels;
    for (int64_t ch = block * V16; ch < min64((block + 1) * V16, channels); ch++) {
        double sum = 0, sum_h = 0;
        for (int64_t k = 0; k < j->n.chunks; k++) {
            sum += (double)j->sum_dy[k * channels + ch];
            sum_h += (double)j->sum_dy_h[k * channels + ch];
        }
        norm_note_sums(&j->n, ch, sum, sum_h);
    }
}

static void backward(const mg_op_call *c) {
    job j = job_of(c);
    mg_parallel_for(c->pool, j.n.chunks, gradient_sums_chunk, &j);
    mg_parallel_for(c->pool, ceil_div(j.n.channels, V16), finish_gradient_sums, &j);
    norm_dx(&j.n, c->dy);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    (void)threads;
    norm n = norm_of(c);
    return (size_t)(norm_floats(&n) + (back ? 2 * n.channels : 0)) * sizeof(float);
}

extern MG_CPU_KERNELS(batch_norm);
MG_CPU_KERNELS(batch_norm) = {forward, backward, scratch_bytes, 1};
