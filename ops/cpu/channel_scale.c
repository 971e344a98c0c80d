/* channel_scale on the CPU: rows times a vector of factors; ds from column sums (columns.h). */
#include "ops/cpu/columns.h"

static image_sums sums_of(const mg_op_call *c) {
    const int64_t *d = c->x_shape[0].dim;
    return (image_sums){.x = c->dy,
                        .z = c->x[0],
                        .images = d[0],
                        .pixels = d[1] * d[2],
                        .channels = d[3],
                        .partial = c->scratch};
}

/* out = in s, or out += in s, over one chunk of the rows of one image. */
static void scale_chunk(const mg_op_call *c, const float *in, float *out, bool add, int64_t piece) {
    image_sums s = sums_of(c);
    int64_t chunks = ceil_div(s.pixels, ROW_CHUNK), image = piece / chunks;
    int64_t first = piece % chunks * ROW_CHUNK, rows = min64(ROW_CHUNK, s.pixels - first);
    int64_t at = (image * s.pixels + first) * s.channels;
    const float *factors = (const float *)c->x[1] + image * s.channels;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t ch = 0; ch < s.channels; ch += V16) {
            int n = (int)min64(V16, s.channels - ch);
            int64_t i = at + r * s.channels + ch;
            v16 a = v16_load_some(in + i, n), f = v16_load_some(factors + ch, n);
            v16_store_some(out + i, add ? v16_fma(a, f, v16_load_some(out + i, n)) : v16_mul(a, f),
                           n);
        }
}

static void forward_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    scale_chunk(c, c->x[0], c->y, false, piece);
}

static void dx_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    scale_chunk(c, c->dy, c->dx[0], true, piece);
}

static void forward(const mg_op_call *c) {
    image_sums s = sums_of(c);
    mg_parallel_for(c->pool, s.images * ceil_div(s.pixels, ROW_CHUNK), forward_chunk, (void *)c);
}

static void backward(const mg_op_call *c) {
    image_sums s = sums_of(c);
    if (c->dx[0])
        mg_parallel_for(c->pool, s.images * ceil_div(s.pixels, ROW_CHUNK), dx_chunk, (void *)c);
    float *ds = c->dx[1];
    if (!ds) return;
    image_sums_run(c, &s);
    for (int64_t n = 0; n < s.images; n++)
        for (int64_t ch = 0; ch < s.channels; ch++)
            ds[n * s.channels + ch] += (float)image_sum(&s, n, ch);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    (void)threads;
    image_sums s = sums_of(c);
    return back ? (size_t)image_sums_floats(s.images, s.pixels, s.channels) * sizeof(float) : 0;
}

extern MG_CPU_KERNELS(channel_scale);
MG_CPU_KERNELS(channel_scale) = {forward, backward, scratch_bytes, 0};
