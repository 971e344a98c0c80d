/* gate_gradient.h: gradients of the small network inside squeeze-and-excitation (gate.h), for a
 * batch; squeeze_excite and norm_gate_project share it. */
#ifndef MG_OPS_CPU_GATE_GRADIENT_H
#define MG_OPS_CPU_GATE_GRADIENT_H

#include "ops/cpu/gate.h"
#include "ops/cpu/silu.h"

typedef struct gate_gradient {
    const float *w1, *w2;
    int64_t images, channels, squeezed;
    const float *mean, *u, *gate; /* saved by forward: [N,C], [N,S], [N,C] */
    float *dt, *du, *h, *dmean;   /* [N,C], [N,S], [N,S], [N,C]: gate_gradient_floats() in all */
    float *dw1, *dw2;             /* or NULL */
} gate_gradient;

static inline int64_t gate_gradient_floats(int64_t images, int64_t channels, int64_t squeezed) {
    return 2 * images * (channels + squeezed);
}

static inline void gate_gradient_use(gate_gradient *g, float *scratch) {
    g->dt = scratch;
    g->du = g->dt + g->images * g->channels;
    g->h = g->du + g->images * g->squeezed;
    g->dmean = g->h + g->images * g->squeezed;
}

/* sum_i a[i] b[i]: the reduced axis is contiguous, so sixteen sums and a tree. */
static inline float gate_dot(const float *a, const float *b, int64_t count) {
    v16 sum = v16_zero();
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        sum = v16_fma(v16_load_n(a + i, n), v16_load_n(b + i, n), sum);
    }
    return v16_sum(sum);
}

/* h, du and dmean of one image, whose dt holds the gradient at the gate (before its sigmoid's
 * slope) and afterwards that before the sigmoid. */
static inline void gate_gradient_image(const gate_gradient *g, int64_t n) {
    const float *gate = g->gate + n * g->channels, *u = g->u + n * g->squeezed;
    float *dt = g->dt + n * g->channels, *du = g->du + n * g->squeezed;
    float *dmean = g->dmean + n * g->channels;
    for (int64_t ch = 0; ch < g->channels; ch++) dt[ch] *= gate[ch] * (1 - gate[ch]);
    gate_silu(u, g->squeezed, g->h + n * g->squeezed);
    for (int64_t s = 0; s < g->squeezed; s++)
        du[s] = gate_dot(dt, g->w2 + s * g->channels, g->channels);
    for (int64_t s = 0; s < g->squeezed; s += V16) {
        int k = (int)min64(V16, g->squeezed - s);
        v16 slope = v16_silu_slope(v16_load_n(u + s, k));
        v16_store_n(du + s, v16_mul(v16_load_n(du + s, k), slope), k);
    }
    for (int64_t ch = 0; ch < g->channels; ch++)
        dmean[ch] = gate_dot(du, g->w1 + ch * g->squeezed, g->squeezed);
}

/* to[i] += sum over images of scale[n * stride] * rows[n * count + i]; scale NULL: 1. */
static inline void gate_add_over_images(const gate_gradient *g, const float *scale, int64_t stride,
                                        const float *rows, int64_t count, float *to) {
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        v16 sum = v16_zero();
        for (int64_t k = 0; k < g->images; k++)
            sum = v16_fma(v16_set(scale ? scale[k * stride] : 1.0f),
                          v16_load_n(rows + k * count + i, n), sum);
        v16_store_n(to + i, v16_add(v16_load_n(to + i, n), sum), n);
    }
}

/* Row ch of dw1, for ch < channels; then the rows of dw2. */
static inline void gate_weight_row(void *arg, int64_t row, int thread) {
    (void)thread;
    const gate_gradient *g = arg;
    int64_t s = row - g->channels;
    if (s < 0 && g->dw1)
        gate_add_over_images(g, g->mean + row, g->channels, g->du, g->squeezed,
                             g->dw1 + row * g->squeezed);
    if (s >= 0 && g->dw2)
        gate_add_over_images(g, g->h + s, g->squeezed, g->dt, g->channels,
                             g->dw2 + s * g->channels);
}

/* Adds to the gradients of weights and, where given, biases, once all images are done. */
static inline void gate_gradient_weights(gate_gradient *g, mg_pool *pool, float *db1, float *db2) {
    mg_parallel_for(pool, g->channels + g->squeezed, gate_weight_row, g);
    if (db1) gate_add_over_images(g, NULL, 0, g->du, g->squeezed, db1);
    if (db2) gate_add_over_images(g, NULL, 0, g->dt, g->channels, db2);
}

#endif
