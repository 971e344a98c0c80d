/* sigmoid on the GPU: elementwise, bound by memory.
 *
 *     y = 1 / (1 + e^-x);   dx += dy y (1 - y)
 *
 * Grid: one thread per four elements (cuda/elementwise.h). Forward moves 8 bytes per element,
 * backward 16, 12 where dx holds nothing yet. Far left e^-x is infinite and y is 0, which is the
 * limit: no clamping is needed. Source: Goodfellow, Bengio & Courville 2016, section 3.10. */
#include "cuda/elementwise.h"

struct logistic {
    __device__ __forceinline__ float operator()(float x) const { return mg_sigmoid(x); }
};

/* From y, so that forward's input need not be kept. */
struct logistic_slope {
    __device__ __forceinline__ float operator()(float y) const { return y * (1 - y); }
};

static void forward(const mg_op_call *c) { mg_map(logistic(), c); }
static void backward(const mg_op_call *c) { mg_map_gradient(logistic_slope(), c->y, c); }

MG_CUDA_OP(sigmoid, forward, backward, NULL, 1);
