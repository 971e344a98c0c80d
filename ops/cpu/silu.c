/* silu on the CPU: elementwise, memory-bound once the exp is vectorised. */
#include "ops/cpu/chunks.h"

static void forward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *x = c->x[0];
    float *y = c->y;
    for (int64_t i = begin; i < end; i += V16) {
        int n = end - i < V16 ? (int)(end - i) : V16;
        v16 a = v16_load_n(x + i, n);
        v16_store_n(y + i, v16_mul(a, v16_sigmoid(a)), n);
    }
}

static void backward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *x = c->x[0], *dy = c->dy;
    float *dx = c->dx[0];
    const v16 one = v16_set(1);
    for (int64_t i = begin; i < end; i += V16) {
        int n = end - i < V16 ? (int)(end - i) : V16;
        v16 a = v16_load_n(x + i, n), s = v16_sigmoid(a);
        v16 slope = v16_mul(s, v16_fma(a, v16_sub(one, s), one));
        v16_store_n(dx + i, v16_fma(v16_load_n(dy + i, n), slope, v16_load_n(dx + i, n)), n);
    }
}

static void forward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), forward_span);
}

static void backward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), backward_span);
}

extern MG_CPU_KERNELS(silu);
MG_CPU_KERNELS(silu) = {forward, backward, NULL};
