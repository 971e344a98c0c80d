/* squeeze_excite on the CPU: column sums (columns.h), the small network of one image at a time
 * (gate.h), and a pass that scales. The weight gradients are sums over images, in order. */
#include "ops/cpu/columns.h"
#include "ops/cpu/gate.h"

enum { X, W1, B1, W2, B2 };

typedef struct job {
    const mg_op_call *c;
    int64_t images, pixels, channels, squeezed, chunks;
    float *mean, *u, *gate;     /* in save: [N,C], [N,S], [N,C] */
    float *partial;             /* column sums */
    float *h, *dt, *du, *dmean; /* [N,S], [N,C], [N,S], [N,C] */
} job;

static job job_of(const mg_op_call *c) {
    const int64_t *d = c->x_shape[X].dim;
    job j = {.c = c,
             .images = d[0],
             .pixels = d[1] * d[2],
             .channels = d[3],
             .squeezed = c->x_shape[W1].dim[1]};
    j.chunks = ceil_div(j.pixels, ROW_CHUNK);
    return j;
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    (void)threads;
    job j = job_of(c);
    int64_t floats = image_sums_floats(j.images, j.pixels, j.channels) + j.images * j.squeezed;
    if (back) floats += j.images * (2 * j.channels + j.squeezed);
    return (size_t)floats * sizeof(float);
}

static job job_in(const mg_op_call *c) {
    job j = job_of(c);
    j.mean = c->save;
    j.u = j.mean + j.images * j.channels;
    j.gate = j.u + j.images * j.squeezed;
    j.partial = c->scratch;
    j.h = j.partial + image_sums_floats(j.images, j.pixels, j.channels);
    j.dt = j.h + j.images * j.squeezed;
    j.dmean = j.dt + j.images * j.channels;
    j.du = j.dmean + j.images * j.channels;
    return j;
}

static image_sums sums_of(const job *j, const float *x, const float *z) {
    return (image_sums){x, z, j->images, j->pixels, j->channels, j->partial};
}

/* --- forward ---------------------------------------------------------------------------------- */

static void gate_image(void *arg, int64_t n, int thread) {
    (void)thread;
    const job *j = arg;
    const mg_op_call *c = j->c;
    image_sums s = sums_of(j, c->x[X], NULL);
    float *mean = j->mean + n * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch++)
        mean[ch] = (float)(image_sum(&s, n, ch) / (double)j->pixels);
    gate_weights w = {c->x[W1], c->x[B1], c->x[W2], c->x[B2], j->channels, j->squeezed};
    gate_forward(&w, mean, j->u + n * j->squeezed, j->h + n * j->squeezed,
                 j->gate + n * j->channels);
}

/* y = x gate, or dx += dy gate + dmean / pixels, over one chunk of rows of one image. */
static void scale_chunk(const job *j, const float *in, const float *dmean, float *out,
                        int64_t piece) {
    int64_t image = piece / j->chunks, first = piece % j->chunks * ROW_CHUNK;
    int64_t rows = min64(ROW_CHUNK, j->pixels - first);
    int64_t at = (image * j->pixels + first) * j->channels;
    const float *gate = j->gate + image * j->channels;
    v16 pixels = v16_set((float)j->pixels);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t ch = 0; ch < j->channels; ch += V16) {
            int n = (int)min64(V16, j->channels - ch);
            int64_t i = at + r * j->channels + ch;
            v16 y = v16_mul(v16_load_some(in + i, n), v16_load_some(gate + ch, n));
            if (dmean) {
                v16 share = v16_div(v16_load_some(dmean + image * j->channels + ch, n), pixels);
                y = v16_add(v16_load_some(out + i, n), v16_add(y, share));
            }
            v16_store_some(out + i, y, n);
        }
}

static void forward_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    scale_chunk(j, j->c->x[X], NULL, j->c->y, piece);
}

static void forward(const mg_op_call *c) {
    job j = job_in(c);
    image_sums s = sums_of(&j, c->x[X], NULL);
    image_sums_run(c, &s);
    mg_parallel_for(c->pool, j.images, gate_image, &j);
    mg_parallel_for(c->pool, j.images * j.chunks, forward_chunk, &j);
}

/* --- backward --------------------------------------------------------------------------------- */

/* sum_i a[i] b[i]: the reduced axis is contiguous, so sixteen sums and a tree. */
static float dot(const float *a, const float *b, int64_t count) {
    v16 sum = v16_zero();
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        sum = v16_fma(v16_load_n(a + i, n), v16_load_n(b + i, n), sum);
    }
    return v16_sum(sum);
}

/* silu'(u) = s (1 + u (1 - s)) */
static v16 silu_slope(v16 u) {
    v16 one = v16_set(1), s = v16_sigmoid(u);
    return v16_mul(s, v16_fma(u, v16_sub(one, s), one));
}

/* dt, h, du and dmean of one image. */
static void gate_gradient_image(void *arg, int64_t n, int thread) {
    (void)thread;
    const job *j = arg;
    const float *w1 = j->c->x[W1], *w2 = j->c->x[W2];
    const float *gate = j->gate + n * j->channels, *u = j->u + n * j->squeezed;
    float *dt = j->dt + n * j->channels, *du = j->du + n * j->squeezed;
    float *dmean = j->dmean + n * j->channels;
    image_sums sums = sums_of(j, j->c->dy, j->c->x[X]);
    for (int64_t ch = 0; ch < j->channels; ch++)
        dt[ch] = (float)image_sum(&sums, n, ch) * (gate[ch] * (1 - gate[ch]));
    gate_silu(u, j->squeezed, j->h + n * j->squeezed);
    for (int64_t s = 0; s < j->squeezed; s++) du[s] = dot(dt, w2 + s * j->channels, j->channels);
    for (int64_t s = 0; s < j->squeezed; s += V16) {
        int k = (int)min64(V16, j->squeezed - s);
        v16_store_n(du + s, v16_mul(v16_load_n(du + s, k), silu_slope(v16_load_n(u + s, k))), k);
    }
    for (int64_t ch = 0; ch < j->channels; ch++)
        dmean[ch] = dot(du, w1 + ch * j->squeezed, j->squeezed);
}

/* to[i] += sum over images of scale[n * stride] * rows[n * count + i]; scale NULL: 1. */
static void add_over_images(const job *j, const float *scale, int64_t stride, const float *rows,
                            int64_t count, float *to) {
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        v16 sum = v16_zero();
        for (int64_t k = 0; k < j->images; k++)
            sum = v16_fma(v16_set(scale ? scale[k * stride] : 1.0f),
                          v16_load_n(rows + k * count + i, n), sum);
        v16_store_n(to + i, v16_add(v16_load_n(to + i, n), sum), n);
    }
}

/* Row ch of dw1, for ch < channels; then the rows of dw2. */
static void weight_row(void *arg, int64_t row, int thread) {
    (void)thread;
    const job *j = arg;
    float *dw1 = j->c->dx[W1], *dw2 = j->c->dx[W2];
    int64_t s = row - j->channels;
    if (s < 0 && dw1)
        add_over_images(j, j->mean + row, j->channels, j->du, j->squeezed, dw1 + row * j->squeezed);
    if (s >= 0 && dw2)
        add_over_images(j, j->h + s, j->squeezed, j->dt, j->channels, dw2 + s * j->channels);
}

static void dx_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    scale_chunk(j, j->c->dy, j->dmean, j->c->dx[X], piece);
}

static void backward(const mg_op_call *c) {
    job j = job_in(c);
    image_sums s = sums_of(&j, c->dy, c->x[X]);
    image_sums_run(c, &s);
    mg_parallel_for(c->pool, j.images, gate_gradient_image, &j);
    mg_parallel_for(c->pool, j.channels + j.squeezed, weight_row, &j);
    if (c->dx[B1]) add_over_images(&j, NULL, 0, j.du, j.squeezed, c->dx[B1]);
    if (c->dx[B2]) add_over_images(&j, NULL, 0, j.dt, j.channels, c->dx[B2]);
    if (c->dx[X]) mg_parallel_for(c->pool, j.images * j.chunks, dx_chunk, &j);
}

extern MG_CPU_KERNELS(squeeze_excite);
MG_CPU_KERNELS(squeeze_excite) = {forward, backward, scratch_bytes};
