/* stochastic_depth on the CPU: one factor per image. */
#include "ops/cpu/chunks.h"

/* Calls body for the runs of elements of one image inside [begin, end). */
static void for_images(const mg_op_call *c, int64_t begin, int64_t end,
                       void (*body)(const mg_op_call *c, int64_t begin, int64_t end, v16 factor)) {
    int64_t each = mg_shape_elements(&c->y_shape) / c->y_shape.dim[0];
    for (int64_t at = begin; at < end;) {
        int64_t image = at / each, stop = min64((image + 1) * each, end);
        bool keep = (double)mg_rng_uniform(&c->attr.key, (uint32_t)image) >= c->attr.p;
        float factor = keep ? (float)(1 / (1 - c->attr.p)) : 0;
        body(c, at, stop, v16_set(c->attr.training ? factor : 1));
        at = stop;
    }
}

static void forward_run(const mg_op_call *c, int64_t begin, int64_t end, v16 factor) {
    const float *x = c->x[0];
    float *y = c->y;
    for (int64_t i = begin; i < end; i += V16) {
        int n = (int)min64(V16, end - i);
        v16_store_some(y + i, v16_mul(v16_load_some(x + i, n), factor), n);
    }
}

static void backward_run(const mg_op_call *c, int64_t begin, int64_t end, v16 factor) {
    const float *dy = c->dy;
    float *dx = c->dx[0];
    bool fresh = c->overwrite & 1;
    for (int64_t i = begin; i < end; i += V16) {
        int n = (int)min64(V16, end - i);
        v16_store_some(
            dx + i, v16_fma(v16_load_some(dy + i, n), factor, v16_load_onto(fresh, dx + i, n)), n);
    }
}

static void forward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    for_images(c, begin, end, forward_run);
}

static void backward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    for_images(c, begin, end, backward_run);
}

static void forward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), forward_span);
}

static void backward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), backward_span);
}

extern MG_CPU_KERNELS(stochastic_depth);
MG_CPU_KERNELS(stochastic_depth) = {forward, backward, NULL, 1};
