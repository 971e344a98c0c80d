/* What the levels of the depthwise ladder share: sizes, the order of an output, the fallback. */
#ifndef MG_LAB_DEPTHWISE_COMMON_H
#define MG_LAB_DEPTHWISE_COMMON_H

#include "cuda/depthwise.h"
#include "cuda/lab/lab.h"

enum { LAB_THREADS = 256 };

static inline unsigned lab_blocks(int64_t threads) {
    return (unsigned)mg_ceil_div(threads, LAB_THREADS);
}

static inline void lab_cost(const mg_op_call *c) {
    const double k = c->attr.kernel, y = (double)mg_shape_elements(&c->y_shape);
    mg_cuda_cost(4 * ((double)mg_shape_elements(&c->x_shape[0]) + y +
                      (double)mg_shape_elements(&c->x_shape[1])),
                 2 * k * k * y);
}

/* Whether L channels of a call may be moved at once. */
static inline bool lab_wide(const mg_op_call *c) {
    return mg_lane_width(c->y_shape.dim[3], c->x[0], c->x[1], c->y, NULL) == 4;
}

#endif
