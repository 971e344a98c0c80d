/* squeeze_excite on the CPU: column sums (columns.h), the small network of one image at a time
 * (gate.h), and a pass that scales. The weight gradients are sums over images, in order. */
#include "ops/cpu/columns.h"
#include "ops/cpu/gate_gradient.h"

enum { X, W1, B1, W2, B2 };

typedef struct job {
    const mg_op_call *c;
    int64_t images, pixels, channels, squeezed, chunks;
    float *mean, *u, *gate; /* in save: [N,C], [N,S], [N,C] */
    float *partial;         /* column sums */
    float *h;               /* forward: [N,S] */
    gate_gradient gradient;
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
    int64_t floats = image_sums_floats(j.images, j.pixels, j.channels);
    floats += back ? gate_gradient_floats(j.images, j.channels, j.squeezed) : j.images * j.squeezed;
    return (size_t)floats * sizeof(float);
}

static job job_in(const mg_op_call *c) {
    job j = job_of(c);
    j.mean = c->save;
    j.u = j.mean + j.images * j.channels;
    j.gate = j.u + j.images * j.squeezed;
    j.partial = c->scratch;
    j.h = j.partial + image_sums_floats(j.images, j.pixels, j.channels);
    j.gradient = (gate_gradient){.w1 = c->x[W1],
                                 .w2 = c->x[W2],
                                 .images = j.images,
                                 .channels = j.channels,
                                 .squeezed = j.squeezed,
                                 .mean = j.mean,
                                 .u = j.u,
                                 .gate = j.gate,
                                 .dw1 = c->dx[W1],
                                 .dw2 = c->dx[W2]};
    gate_gradient_use(&j.gradient, j.h);
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
MG_INLINE void scale_chunk(const job *j, const float *in, const float *dmean, float *out,
                           bool fresh, int64_t piece) {
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
                y = v16_add(v16_load_onto(fresh, out + i, n), v16_add(y, share));
            }
            v16_store_some(out + i, y, n);
        }
}

static void forward_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    scale_chunk(j, j->c->x[X], NULL, j->c->y, false, piece);
}

static void forward(const mg_op_call *c) {
    job j = job_in(c);
    image_sums s = sums_of(&j, c->x[X], NULL);
    image_sums_run(c, &s);
    mg_parallel_for(c->pool, j.images, gate_image, &j);
    mg_parallel_for(c->pool, j.images * j.chunks, forward_chunk, &j);
}

/* --- backward --------------------------------------------------------------------------------- */

static void gradient_image(void *arg, int64_t n, int thread) {
    (void)thread;
    const job *j = arg;
    image_sums sums = sums_of(j, j->c->dy, j->c->x[X]);
    for (int64_t ch = 0; ch < j->channels; ch++)
        j->gradient.dt[n * j->channels + ch] = (float)image_sum(&sums, n, ch);
    gate_gradient_image(&j->gradient, n);
}

static void dx_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    if (j->c->overwrite & 1) scale_chunk(j, j->c->dy, j->gradient.dmean, j->c->dx[X], true, piece);
    else scale_chunk(j, j->c->dy, j->gradient.dmean, j->c->dx[X], false, piece);
}

static void backward(const mg_op_call *c) {
    job j = job_in(c);
    image_sums s = sums_of(&j, c->dy, c->x[X]);
    image_sums_run(c, &s);
    mg_parallel_for(c->pool, j.images, gradient_image, &j);
    gate_gradient_weights(&j.gradient, c->pool, c->dx[B1], c->dx[B2]);
    if (c->dx[X]) mg_parallel_for(c->pool, j.images * j.chunks, dx_chunk, &j);
}

extern MG_CPU_KERNELS(squeeze_excite);
MG_CPU_KERNELS(squeeze_excite) = {forward, backward, scratch_bytes, 1};
