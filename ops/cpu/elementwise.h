/* elementwise.h: the two loops of an op that maps one tensor, given one expression each. */
#ifndef MG_OPS_CPU_ELEMENTWISE_H
#define MG_OPS_CPU_ELEMENTWISE_H

#include "ops/cpu/chunks.h"

/* forward: y = value of a = x; backward: dx += g times slope of a = x or y (`from`), g = dy. */
#define MG_CPU_ELEMENTWISE(op, value, from, slope)                                                 \
    static void forward_span(const mg_op_call *c, int64_t begin, int64_t end) {                    \
        const float *x = c->x[0];                                                                  \
        float *y = c->y;                                                                           \
        for (int64_t i = begin; i < end; i += V16) {                                               \
            int n = (int)min64(V16, end - i);                                                      \
            v16 a = v16_load_some(x + i, n);                                                       \
            v16_store_some(y + i, value, n);                                                       \
        }                                                                                          \
    }                                                                                              \
    MG_INLINE void gradient_span(const mg_op_call *c, int64_t begin, int64_t end, bool fresh) {    \
        const float *from_data = c->from, *dy = c->dy;                                             \
        float *dx = c->dx[0];                                                                      \
        for (int64_t i = begin; i < end; i += V16) {                                               \
            int n = (int)min64(V16, end - i);                                                      \
            v16 a = v16_load_some(from_data + i, n);                                               \
            v16 g = v16_load_some(dy + i, n);                                                      \
            v16_store_some(dx + i, v16_fma(g, slope, v16_load_onto(fresh, dx + i, n)), n);         \
        }                                                                                          \
    }                                                                                              \
    static void backward_span(const mg_op_call *c, int64_t begin, int64_t end) {                   \
        if (c->overwrite & 1) gradient_span(c, begin, end, true);                                  \
        else gradient_span(c, begin, end, false);                                                  \
    }                                                                                              \
    static void forward(const mg_op_call *c) {                                                     \
        mg_for_span(c, mg_shape_elements(&c->y_shape), forward_span);                              \
    }                                                                                              \
    static void backward(const mg_op_call *c) {                                                    \
        mg_for_span(c, mg_shape_elements(&c->y_shape), backward_span);                             \
    }                                                                                              \
    extern MG_CPU_KERNELS(op);                                                                     \
    MG_CPU_KERNELS(op) = {forward, backward, NULL, 1};

#endif
