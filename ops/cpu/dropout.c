/* dropout on the CPU: sixteen draws (four Philox blocks) make one vector of factors. */
#include "ops/cpu/chunks.h"

/* Factors 0 or 1/(1-p) of elements i … i+15; i is a multiple of 16. */
static v16 factors(const mg_op_call *c, int64_t i) {
    float uniform[16];
    for (uint32_t block = 0; block < 4; block++) {
        uint32_t words[4];
        mg_rng_words(&c->attr.key, (uint32_t)(i >> 2) + block, words);
        for (int k = 0; k < 4; k++) uniform[4 * block + k] = (float)(words[k] >> 8) * 0x1p-24f;
    }
    double scale = 1 / (1 - c->attr.p);
    for (int k = 0; k < 16; k++) uniform[k] = (double)uniform[k] >= c->attr.p ? (float)scale : 0.0f;
    return v16_load(uniform);
}

static void forward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *x = c->x[0];
    float *y = c->y;
    for (int64_t i = begin; i < end; i += V16) {
        int n = (int)min64(V16, end - i);
        v16 a = v16_load_some(x + i, n);
        v16_store_some(y + i, c->attr.training ? v16_mul(a, factors(c, i)) : a, n);
    }
}

static void backward_span(const mg_op_call *c, int64_t begin, int64_t end) {
    const float *dy = c->dy;
    float *dx = c->dx[0];
    bool fresh = c->overwrite & 1;
    for (int64_t i = begin; i < end; i += V16) {
        int n = (int)min64(V16, end - i);
        v16 factor = c->attr.training ? factors(c, i) : v16_set(1);
        v16_store_some(
            dx + i, v16_fma(v16_load_some(dy + i, n), factor, v16_load_onto(fresh, dx + i, n)), n);
    }
}

static void forward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), forward_span);
}

static void backward(const mg_op_call *c) {
    mg_for_span(c, mg_shape_elements(&c->y_shape), backward_span);
}

extern MG_CPU_KERNELS(dropout);
MG_CPU_KERNELS(dropout) = {forward, backward, NULL, 1};
