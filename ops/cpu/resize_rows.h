/* resize_rows.h: the kernels of resize_bilinear and resize_bicubic, which differ in their taps
 * only.
 *
 * Forward: one piece of work is one output row; vectors run across channels, and the taps of a
 * pixel are summed row by row. Backward scatters, so one piece is 16 channels of one image and goes
 * through the outputs in order: no two pieces touch one element. */
#ifndef MG_OPS_CPU_RESIZE_ROWS_H
#define MG_OPS_CPU_RESIZE_ROWS_H

#include "ops/cpu/chunks.h"
#include "ops/resize.h"

typedef struct resize_job {
    const mg_op_call *c;
    mg_resize_rule *rule;
    int taps;
} resize_job;

static inline mg_resize_taps resize_taps_of(const resize_job *j, int axis, int64_t o) {
    return j->rule(j->c->attr.align_corners, o, j->c->x_shape[0].dim[axis],
                   j->c->y_shape.dim[axis]);
}

static inline void resize_forward_row(void *arg, int64_t piece, int thread) {
    (void)thread;
    const resize_job *j = arg;
    const int64_t *x_dim = j->c->x_shape[0].dim, *y_dim = j->c->y_shape.dim;
    int64_t channels = x_dim[3], line = x_dim[2] * channels;
    const float *x = (const float *)j->c->x[0] + piece / y_dim[1] * x_dim[1] * line;
    float *y = (float *)j->c->y + piece * y_dim[2] * channels;
    mg_resize_taps down = resize_taps_of(j, 1, piece % y_dim[1]);
    for (int64_t o = 0; o < y_dim[2]; o++, y += channels) {
        mg_resize_taps across = resize_taps_of(j, 2, o);
        for (int64_t ch = 0; ch < channels; ch += V16) {
            int n = (int)min64(V16, channels - ch);
            v16 sum = v16_zero();
            for (int a = 0; a < j->taps; a++)
                for (int b = 0; b < j->taps; b++)
                    sum = v16_fma(
                        v16_set((float)(down.weight[a] * across.weight[b])),
                        v16_load_some(x + down.at[a] * line + across.at[b] * channels + ch, n),
                        sum);
            v16_store_some(y + ch, sum, n);
        }
    }
}

/* One output pixel's share of dx, n channels. */
static inline void resize_scatter(const resize_job *j, const mg_resize_taps *down,
                                  const mg_resize_taps *across, v16 dy, float *dx, int n) {
    const int64_t *x_dim = j->c->x_shape[0].dim;
    for (int a = 0; a < j->taps; a++)
        for (int b = 0; b < j->taps; b++) {
            float *to = dx + (down->at[a] * x_dim[2] + across->at[b]) * x_dim[3];
            v16 weight = v16_set((float)(down->weight[a] * across->weight[b]));
            v16_store_some(to, v16_fma(weight, dy, v16_load_some(to, n)), n);
        }
}

static inline void resize_backward_block(void *arg, int64_t piece, int thread) {
    (void)thread;
    const resize_job *j = arg;
    const int64_t *x_dim = j->c->x_shape[0].dim, *y_dim = j->c->y_shape.dim;
    int64_t channels = x_dim[3], blocks = ceil_div(channels, V16), image = piece / blocks;
    int64_t ch = piece % blocks * V16;
    int n = (int)min64(V16, channels - ch);
    const float *dy = (const float *)j->c->dy + image * y_dim[1] * y_dim[2] * channels + ch;
    float *dx = (float *)j->c->dx[0] + image * x_dim[1] * x_dim[2] * channels + ch;
    for (int64_t i = 0; i < y_dim[1]; i++) {
        mg_resize_taps down = resize_taps_of(j, 1, i);
        for (int64_t o = 0; o < y_dim[2]; o++, dy += channels) {
            mg_resize_taps across = resize_taps_of(j, 2, o);
            resize_scatter(j, &down, &across, v16_load_some(dy, n), dx, n);
        }
    }
}

#define MG_CPU_RESIZE(kind, tap_count)                                                             \
    static void forward(const mg_op_call *c) {                                                     \
        resize_job j = {c, mg_##kind##_taps, tap_count};                                           \
        mg_parallel_for(c->pool, c->y_shape.dim[0] * c->y_shape.dim[1], resize_forward_row, &j);   \
    }                                                                                              \
    static void backward(const mg_op_call *c) {                                                    \
        resize_job j = {c, mg_##kind##_taps, tap_count};                                           \
        int64_t blocks = ceil_div(c->y_shape.dim[3], V16);                                         \
        mg_parallel_for(c->pool, c->y_shape.dim[0] * blocks, resize_backward_block, &j);           \
    }                                                                                              \
    extern MG_CPU_KERNELS(resize_##kind);                                                          \
    MG_CPU_KERNELS(resize_##kind) = {forward, backward, NULL, 0};

#endif
