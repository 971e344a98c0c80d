/* global_average_pool on the CPU: column sums (columns.h), and a broadcast back. */
#include "ops/cpu/columns.h"

static image_sums sums_of(const mg_op_call *c) {
    const int64_t *d = c->x_shape[0].dim;
    return (image_sums){.x = c->x[0],
                        .images = d[0],
                        .pixels = d[1] * d[2],
                        .channels = d[3],
                        .partial = c->scratch};
}

static void forward(const mg_op_call *c) {
    image_sums s = sums_of(c);
    image_sums_run(c, &s);
    for (int64_t n = 0; n < s.images; n++)
        for (int64_t ch = 0; ch < s.channels; ch++)
            ((float *)c->y)[n * s.channels + ch] = (float)(image_sum(&s, n, ch) / (double)s.pixels);
}

static void backward_row_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    image_sums s = sums_of(c);
    int64_t chunks = ceil_div(s.pixels, ROW_CHUNK), image = piece / chunks;
    int64_t first = piece % chunks * ROW_CHUNK, rows = min64(ROW_CHUNK, s.pixels - first);
    const float *dy = (const float *)c->dy + image * s.channels;
    float *dx = (float *)c->dx[0] + (image * s.pixels + first) * s.channels;
    v16 pixels = v16_set((float)s.pixels);
    for (int64_t ch = 0; ch < s.channels; ch += V16) {
        int n = (int)min64(V16, s.channels - ch);
        v16 share = v16_div(v16_load_n(dy + ch, n), pixels);
        for (int64_t r = 0; r < rows; r++) {
            float *to = dx + r * s.channels + ch;
            v16_store_some(to, v16_add(v16_load_onto(c->overwrite & 1, to, n), share), n);
        }
    }
}

static void backward(const mg_op_call *c) {
    image_sums s = sums_of(c);
    mg_parallel_for(c->pool, s.images * ceil_div(s.pixels, ROW_CHUNK), backward_row_chunk,
                    (void *)c);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    (void)threads;
    image_sums s = sums_of(c);
    return back ? 0 : (size_t)image_sums_floats(s.images, s.pixels, s.channels) * sizeof(float);
}

extern MG_CPU_KERNELS(global_average_pool);
MG_CPU_KERNELS(global_average_pool) = {forward, backward, scratch_bytes, 1};
