/* tanh on the GPU: elementwise, bound by memory.
 *
 *     y = tanh(x);   dx += dy (1 - y²)
 *
 * Grid: one thread per four elements (cuda/elementwise.h). Forward moves 8 bytes per element,
 * backward 16, 12 where dx holds nothing yet. Source: Ilse, Tomczak & Welling 2018. */
#include "cuda/elementwise.h"

struct hyperbolic_tangent {
    __device__ __forceinline__ float operator()(float x) const { return tanhf(x); }
};

/* From y. (1 - y)(1 + y) keeps its leading digits where y is near 1; 1 - y² would lose them. */
struct hyperbolic_tangent_slope {
    __device__ __forceinline__ float operator()(float y) const { return (1 - y) * (1 + y); }
};

static void forward(const mg_op_call *c) { mg_map(hyperbolic_tangent(), c); }
static void backward(const mg_op_call *c) { mg_map_gradient(hyperbolic_tangent_slope(), c->y, c); }

MG_CUDA_OP(tanh, forward, backward, NULL, 1);
