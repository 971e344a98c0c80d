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

static void normalise_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const norm *n = arg;
    int64_t begin = chunk * ROW_CHUNK * n->channels, rows = norm_chunk_rows(n, chunk);
    const float *x = n->x + begin;
    float *y = (float *)n->c->y + begin;
    for (int64_t ch = 0; ch < n->channels; ch += V16) {
        int count = (int)min64(V16, n->channels - ch);
        norm_lanes l = norm_load(n, ch, count);
        for (int64_t i = ch; i < rows * n->channels; i += n->channels)
            v16_store_some(y + i, norm_apply(&l, v16_load_some(x + i, count)), count);
    }
}

static void forward(const mg_op_call *c) {
    norm n = norm_of(c);
    norm_statistics(&n, c->scratch);
    mg_parallel_for(c->pool, n.chunks, normalise_chunk, &n);
}

/* --- backward --------------------------------------------------------------------------------- */

/* sum dy and sum dy h of one chunk. */
static void gradient_sums_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    const norm *n = &j->n;
    int64_t begin = chunk * ROW_CHUNK * n->channels, rows = norm_chunk_rows(n, chunk);
    const float *x = n->x + begin, *dy = (const float *)n->c->dy + begin;
    for (int64_t ch = 0; ch < n->channels; ch += V16) {
        int count = (int)min64(V16, n->channels - ch);
        norm_lanes l = norm_load(n, ch, count);
        v16 sum = v16_zero(), sum_h = v16_zero();
        for (int64_t i = ch; i < rows * n->channels; i += n->channels) {
            v16 g = v16_load_some(dy + i, count);
            sum = v16_add(sum, g);
            sum_h = v16_fma(g, norm_unit(&l, v16_load_some(x + i, count)), sum_h);
        }
        v16_store_n(j->sum_dy + chunk * n->channels + ch, sum, count);
        v16_store_n(j->sum_dy_h + chunk * n->channels + ch, sum_h, count);
    }
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
