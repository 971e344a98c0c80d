/* tanh on the CPU. */
#include "ops/cpu/elementwise.h"

MG_INLINE v16 slope(v16 y) { return v16_fnma(y, y, v16_set(1)); }

MG_CPU_ELEMENTWISE(tanh, v16_tanh(a), y, slope(a))
