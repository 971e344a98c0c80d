/* silu.h: SiLU beyond the function itself (vec.h): its slope, and a form as good as a bfloat16
 * needs at half the price. */
#ifndef MG_OPS_CPU_SILU_H
#define MG_OPS_CPU_SILU_H

#include "ops/cpu/vec.h"

/* silu'(x) = s (1 + x (1 - s)), s = sigmoid(x) given. */
MG_INLINE v16 v16_silu_slope_at(v16 x, v16 s) {
    const v16 one = v16_set(1);
    return v16_mul(s, v16_fma(x, v16_sub(one, s), one));
}
MG_INLINE v16 v16_silu_slope(v16 x) { return v16_silu_slope_at(x, v16_sigmoid(x)); }

#if defined(MG_ISA_AVX512)
/* x / (1 + e^-x), 2^-12 of it off, less than the rounding to bfloat16 that follows: a cubic for 2^f
 * and the 14-bit reciprocal, nine instructions. scalef multiplies by 2^floor(t), and its overflow
 * to infinity ends as the right zero. */
static inline v16 v16_silu_half(v16 x) {
    v16 t = v16_mul(x, v16_set(-1.44269504f));
    v16 f = V1(_mm512_reduce_ps(t.r, _MM_FROUND_TO_NEG_INF)); /* t - floor(t) */
    v16 p = v16_set(7.8024521e-2f);
    p = v16_fma(p, f, v16_set(2.2606716e-1f));
    p = v16_fma(p, f, v16_set(6.9583351e-1f));
    p = v16_fma(p, f, v16_set(9.9992520e-1f));
    v16 e = V1(_mm512_scalef_ps(p.r, t.r));
    return v16_mul(x, V1(_mm512_rcp14_ps(v16_add(e, v16_set(1.0f)).r)));
}
#else
static inline v16 v16_silu_half(v16 x) { return v16_silu(x); }
#endif

/* The SiLU of an f32 kernel: in full, or as above. */
MG_INLINE v16 v16_silu_as(bool half, v16 x) { return half ? v16_silu_half(x) : v16_silu(x); }

#endif
