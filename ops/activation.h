/* activation.h: the activation functions as the references write them, over `real`. Several ops
 * end in one of them. exp is always the double one: the f32 reference should be accurate. */
#ifndef MG_OPS_ACTIVATION_H
#define MG_OPS_ACTIVATION_H

#include <math.h>

#include "ops/real.h"

static inline real sigmoid(real x) { return (real)(1.0 / (1.0 + exp(-(double)x))); }

static inline real silu(real x) { return x * sigmoid(x); }

/* d silu / dx */
static inline real silu_slope(real x) {
    real s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

static inline real activate(mg_activation activation, real x) {
    return activation == MG_ACTIVATION_SILU ? silu(x) : x;
}

#endif
