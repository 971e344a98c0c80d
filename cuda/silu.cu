/* silu on the GPU: elementwise, bound by memory.
 *
 *     y = x s(x),  s(x) = 1 / (1 + e^-x);   dx += dy s (1 + x (1 - s))
 *
 * Grid: one thread per four elements (cuda/elementwise.h). Forward moves 8 bytes per element,
 * backward 16 (x, dy, and dx read and written), 12 where dx holds nothing yet. Backward recomputes
 * s: one exp costs less than reading four more bytes. Source: Elfwing, Uchibe & Doya 2017. */
#include "cuda/elementwise.h"

struct silu {
    __device__ __forceinline__ float operator()(float x) const { return x * mg_sigmoid(x); }
};

struct silu_slope {
    __device__ __forceinline__ float operator()(float x) const {
        const float s = mg_sigmoid(x);
        return s * (1 + x * (1 - s));
    }
};

static void forward(const mg_op_call *c) { mg_map(silu(), c); }
static void backward(const mg_op_call *c) { mg_map_gradient(silu_slope(), c->x[0], c); }

MG_CUDA_OP(silu, forward, backward, NULL, 1);
