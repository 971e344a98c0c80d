/* silu on the CPU: elementwise, memory-bound once the exp is vectorised. */
#include "ops/cpu/elementwise.h"

/* s (1 + x (1 - s)) */
MG_INLINE v16 slope(v16 x) {
    const v16 one = v16_set(1);
    v16 s = v16_sigmoid(x);
    return v16_mul(s, v16_fma(x, v16_sub(one, s), one));
}

MG_CPU_ELEMENTWISE(silu, v16_silu(a), x[0], slope(a))
