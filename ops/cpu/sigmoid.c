/* sigmoid on the CPU. */
#include "ops/cpu/elementwise.h"

MG_INLINE v16 slope(v16 y) { return v16_mul(y, v16_sub(v16_set(1), y)); }

MG_CPU_ELEMENTWISE(sigmoid, v16_sigmoid(a), y, slope(a))
