/* add on the CPU: memory-bound. */
#include "ops/cpu/chunks.h"

static void forward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *a = c->x[0], *b = c->x[1];
    float *y = c->y;
    for (int64_t i = begin; i < end; i += V16) {
        int n = (int)min64(V16, end - i);
        v16_store_some(y + i, v16_add(v16_load_some(a + i, n), v16_load_some(b + i, n)), n);
    }
}

static void backward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *dy = c->dy;
    for (int input = 0; input < 2; input++) {
        float *dx = c->dx[input];
        bool fresh = c->overwrite >> input & 1;
        for (int64_t i = begin; dx && i < end; i += V16) {
            int n = (int)min64(V16, end - i);
            v16 onto = v16_load_onto(fresh, dx + i, n);
            v16_store_some(dx + i, v16_add(onto, v16_load_some(dy + i, n)), n);
        }
    }
}

static void forward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), forward_span);
}

static void backward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), backward_span);
}

extern MG_CPU_KERNELS(add);
MG_CPU_KERNELS(add) = {forward, backward, NULL, 3};
