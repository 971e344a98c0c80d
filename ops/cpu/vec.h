/* vec.h: sixteen floats, the one vector type of the CPU kernels.
 *
 * A kernel is written once over v16 and compiled per instruction set: one zmm register with
 * AVX-512, two ymm with AVX2, an array and fmaf() without either. Lane i does the same operations
 * in the same order everywhere, so all builds give the same bits. Reductions along the contiguous
 * axis keep sixteen partial sums and one fixed tree (v16_sum). */
#ifndef MG_OPS_CPU_VEC_H
#define MG_OPS_CPU_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "ops/op.h"

enum { V16 = 16 };

/* 2^(j/8) for j = 0…7 as bits, less j 2^20, twice over: with n 2^20 added they are the bits of
 * 2^(n/8) for j = n modulo 8, because n - j counts whole steps of the exponent. */
static const _Alignas(64) uint32_t eighths[16] = {
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7,
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};

#if defined(MG_ISA_AVX512)
#include <immintrin.h>
typedef struct v16 {
    __m512 r;
} v16;
#define V1(expr) ((v16){expr})
static inline v16 v16_zero(void) { return V1(_mm512_setzero_ps()); }
static inline v16 v16_set(float a) { return V1(_mm512_set1_ps(a)); }
static inline v16 v16_load(const float *p) { return V1(_mm512_loadu_ps(p)); }
static inline void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a.r); }
static inline v16 v16_add(v16 a, v16 b) { return V1(_mm512_add_ps(a.r, b.r)); }
static inline v16 v16_sub(v16 a, v16 b) { return V1(_mm512_sub_ps(a.r, b.r)); }
static inline v16 v16_mul(v16 a, v16 b) { return V1(_mm512_mul_ps(a.r, b.r)); }
static inline v16 v16_div(v16 a, v16 b) { return V1(_mm512_div_ps(a.r, b.r)); }
static inline v16 v16_min(v16 a, v16 b) { return V1(_mm512_min_ps(a.r, b.r)); }
static inline v16 v16_max(v16 a, v16 b) { return V1(_mm512_max_ps(a.r, b.r)); }
static inline v16 v16_sqrt(v16 a) { return V1(_mm512_sqrt_ps(a.r)); }
/* a*b + c with one rounding */
static inline v16 v16_fma(v16 a, v16 b, v16 c) { return V1(_mm512_fmadd_ps(a.r, b.r, c.r)); }
/* c - a*b with one rounding */
static inline v16 v16_fnma(v16 a, v16 b, v16 c) { return V1(_mm512_fnmadd_ps(a.r, b.r, c.r)); }
/* The first n (0…16) lanes; the others are zero / untouched. */
static inline v16 v16_load_n(const float *p, int n) {
    return V1(_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p));
}
static inline void v16_store_n(float *p, v16 a, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), a.r);
}
/* a 2^k for an integral k, where 2^k and the result are normal numbers. */
static inline v16 v16_scale2(v16 a, v16 k) { return V1(_mm512_scalef_ps(a.r, k.r)); }
/* 2^(n/8), n being `rounded` as an integer modulo 2^12; see eighths. */
static inline v16 v16_exp2_eighths(v16 rounded) {
    __m512i n = _mm512_castps_si512(rounded.r), table = _mm512_load_si512(eighths);
    return V1(_mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_permutexvar_epi32(n, table), _mm512_slli_epi32(n, 20))));
}
/* x limited to [-bound, bound]; a NaN becomes anything. */
static inline v16 v16_limit(v16 x, float bound) {
    return V1(_mm512_range_ps(x.r, _mm512_set1_ps(bound), 2)); /* the smaller size, x's sign */
}
/* a < b ? x : y, lane by lane */
static inline v16 v16_select_less(v16 a, v16 b, v16 x, v16 y) {
    return V1(_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r));
}

#elif defined(MG_ISA_AVX2)
#include <immintrin.h>
typedef struct v16 {
    __m256 a, b;
} v16;
#define V2(ea, eb) ((v16){ea, eb})
static inline v16 v16_zero(void) { return V2(_mm256_setzero_ps(), _mm256_setzero_ps()); }
static inline v16 v16_set(float a) { return V2(_mm256_set1_ps(a), _mm256_set1_ps(a)); }
static inline v16 v16_load(const float *p) {
    return V2(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
static inline void v16_store(float *p, v16 a) {
    _mm256_storeu_ps(p, a.a);
    _mm256_storeu_ps(p + 8, a.b);
}
#define V16_BINARY(name, op)                                                                       \
    static inline v16 v16_##name(v16 x, v16 y) { return V2(op(x.a, y.a), op(x.b, y.b)); }
V16_BINARY(add, _mm256_add_ps)
V16_BINARY(sub, _mm256_sub_ps)
V16_BINARY(mul, _mm256_mul_ps)
V16_BINARY(div, _mm256_div_ps)
V16_BINARY(min, _mm256_min_ps)
V16_BINARY(max, _mm256_max_ps)
static inline v16 v16_sqrt(v16 x) { return V2(_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)); }
static inline v16 v16_fma(v16 x, v16 y, v16 z) {
    return V2(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
static inline v16 v16_fnma(v16 x, v16 y, v16 z) {
    return V2(_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b));
}
static inline v16 v16_load_n(const float *p, int n) {
    float t[16] = {0};
    memcpy(t, p, (size_t)n * sizeof *t);
    return v16_load(t);
}
static inline void v16_store_n(float *p, v16 a, int n) {
    float t[16];
    v16_store(t, a);
    memcpy(p, t, (size_t)n * sizeof *t);
}
static inline __m256 exp2i_8(__m256 k) {
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
static inline v16 v16_scale2(v16 x, v16 k) {
    return V2(_mm256_mul_ps(x.a, exp2i_8(k.a)), _mm256_mul_ps(x.b, exp2i_8(k.b)));
}
static inline __m256 exp2_eighths_8(__m256 rounded) {
    __m256i n = _mm256_castps_si256(rounded), table = _mm256_load_si256((const __m256i *)eighths);
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_permutevar8x32_epi32(table, n), _mm256_slli_epi32(n, 20)));
}
static inline v16 v16_exp2_eighths(v16 rounded) {
    return V2(exp2_eighths_8(rounded.a), exp2_eighths_8(rounded.b));
}
static inline v16 v16_limit(v16 x, float bound) {
    return v16_min(v16_set(bound), v16_max(v16_set(-bound), x));
}
static inline v16 v16_select_less(v16 a, v16 b, v16 x, v16 y) {
    return V2(_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
              _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ)));
}

#else /* scalar */
/* Sixteen lanes inlined a hundred times over take sanitizers minutes to compile: calls then. */
#ifdef MG_SANITIZE
#define V16_CALL static __attribute__((noinline, unused))
#else
#define V16_CALL static inline
#endif
typedef struct v16 {
    float v[16];
} v16;
#define V16_LANES(expr)                                                                            \
    v16 r;                                                                                         \
    for (int i = 0; i < 16; i++) r.v[i] = (expr);                                                  \
    return r
V16_CALL v16 v16_zero(void) { return (v16){{0}}; }
V16_CALL v16 v16_set(float a) { V16_LANES(a); }
V16_CALL v16 v16_load(const float *p) { V16_LANES(p[i]); }
V16_CALL void v16_store(float *p, v16 a) { memcpy(p, a.v, sizeof a.v); }
V16_CALL v16 v16_add(v16 a, v16 b) { V16_LANES(a.v[i] + b.v[i]); }
V16_CALL v16 v16_sub(v16 a, v16 b) { V16_LANES(a.v[i] - b.v[i]); }
V16_CALL v16 v16_mul(v16 a, v16 b) { V16_LANES(a.v[i] * b.v[i]); }
V16_CALL v16 v16_div(v16 a, v16 b) { V16_LANES(a.v[i] / b.v[i]); }
/* As the x86 instructions: the second operand when either is NaN. */
V16_CALL v16 v16_min(v16 a, v16 b) { V16_LANES(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
V16_CALL v16 v16_max(v16 a, v16 b) { V16_LANES(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
V16_CALL v16 v16_sqrt(v16 a) { V16_LANES(sqrtf(a.v[i])); }
V16_CALL v16 v16_fma(v16 a, v16 b, v16 c) { V16_LANES(fmaf(a.v[i], b.v[i], c.v[i])); }
V16_CALL v16 v16_fnma(v16 a, v16 b, v16 c) { V16_LANES(fmaf(-a.v[i], b.v[i], c.v[i])); }
V16_CALL v16 v16_load_n(const float *p, int n) { V16_LANES(i < n ? p[i] : 0.0f); }
V16_CALL void v16_store_n(float *p, v16 a, int n) { memcpy(p, a.v, (size_t)n * sizeof *p); }
V16_CALL float exp2i_1(float k) {
    uint32_t bits = k == k ? (uint32_t)((int32_t)k + 127) << 23 : 0;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
V16_CALL v16 v16_scale2(v16 a, v16 k) { V16_LANES(a.v[i] * exp2i_1(k.v[i])); }
V16_CALL float exp2_eighths_1(float rounded) {
    uint32_t n;
    memcpy(&n, &rounded, sizeof n);
    uint32_t bits = eighths[n & 7] + (n << 20);
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}
V16_CALL v16 v16_exp2_eighths(v16 rounded) { V16_LANES(exp2_eighths_1(rounded.v[i])); }
V16_CALL v16 v16_limit(v16 x, float bound) {
    return v16_min(v16_set(bound), v16_max(v16_set(-bound), x));
}
V16_CALL v16 v16_select_less(v16 a, v16 b, v16 x, v16 y) {
    V16_LANES(a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
#endif

/* Inlined with constant arguments wherever a register tile depends on it. */
#define MG_INLINE static inline __attribute__((always_inline))

/* n of 16 lanes; with a constant n = 16 the plain instructions. */
MG_INLINE v16 v16_load_some(const float *p, int n) {
    return n == V16 ? v16_load(p) : v16_load_n(p, n);
}
/* What a gradient is added to: the buffer, or zero where nothing is in it yet. */
MG_INLINE v16 v16_load_onto(bool fresh, const float *p, int n) {
    return fresh ? v16_zero() : v16_load_some(p, n);
}
MG_INLINE void v16_store_some(float *p, v16 a, int n) {
    if (n == V16) v16_store(p, a);
    else v16_store_n(p, a, n);
}

/* The fixed tree: lanes 8 apart, then 4, 2, 1. */
static inline float v16_sum(v16 a) {
    float t[16];
    v16_store(t, a);
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++) t[i] += t[i + step];
    return t[0];
}

/* e^x, at most 2 ulp off; 0 below -87.33, where results would be denormal, and clamped at 88.02,
 * half of FLT_MAX. x = k ln2 + r with |r| <= ln2/2 (adding 1.5 2^23 rounds to an integer; Cody &
 * Waite's ln2 in two parts) and a polynomial of degree 7 in r (Moshier's Cephes, expf). */
static inline v16 v16_exp(v16 x) {
    const v16 low = v16_set(-87.3365f), high = v16_set(88.02f), rounder = v16_set(12582912.0f);
    v16 clamped = v16_min(high, v16_max(low, x)); /* NaN stays NaN */
    v16 k = v16_sub(v16_fma(clamped, v16_set(1.44269504088896341f), rounder), rounder);
    v16 r = v16_fnma(k, v16_set(0.693359375f), clamped);
    r = v16_fnma(k, v16_set(-2.12194440e-4f), r);
    v16 p = v16_set(1.9875691500e-4f);
    p = v16_fma(p, r, v16_set(1.3981999507e-3f));
    p = v16_fma(p, r, v16_set(8.3334519073e-3f));
    p = v16_fma(p, r, v16_set(4.1665795894e-2f));
    p = v16_fma(p, r, v16_set(1.6666665459e-1f));
    p = v16_fma(p, r, v16_set(5.0000001201e-1f));
    p = v16_add(v16_fma(p, v16_mul(r, r), r), v16_set(1.0f)); /* one rounding that counts */
    return v16_select_less(x, low, v16_zero(), v16_scale2(p, k));
}

/* 1 + e^-x for the gates below, x within [-87.34, 86.6] where no exponent overflows. -x is
 * n ln2/8 - s with |s| <= ln2/16 (n by a rounder as in v16_exp, ln2/8 in two parts), so e^-x is
 * 2^(n/8) times a cubic in s: minimax with its first two coefficients exact, 2.6e-8 off. A power of
 * two from a table of eight costs three instructions and saves as many of the polynomial; the last
 * multiply-add brings the sum along. */
static inline v16 v16_one_plus_exp_minus(v16 x) {
    const v16 rounder = v16_set(12582912.0f), one = v16_set(1.0f);
    v16 rounded = v16_fma(x, v16_set(-11.5415603271117f), rounder);
    v16 n = v16_sub(rounded, rounder);
    v16 s = v16_fma(n, v16_set(0.693359375f / 8), x);
    s = v16_fma(n, v16_set(-2.12194440e-4f / 8), s);
    v16 p = v16_set(-0.16666858f);
    p = v16_fma(p, s, v16_set(0.50006449f));
    p = v16_fma(p, s, v16_set(-1.0f));
    p = v16_fma(p, s, one);
    return v16_fma(p, v16_exp2_eighths(rounded), one);
}

/* 1 / (1 + e^-x), at most 2.5 ulp off; below -87.33 it is 0. The division costs the divider ten to
 * sixteen cycles a vector, but the multiply-adds of the neighbouring vectors run meanwhile; a
 * reciprocal by Newton steps takes nine of those. 0 x keeps a NaN. */
static inline v16 v16_sigmoid(v16 x) {
    const v16 low = v16_set(-87.3365f), one = v16_set(1.0f), zero = v16_zero();
    v16 clamped = v16_min(v16_set(86.6f), v16_max(low, x));
    v16 r = v16_div(one, v16_one_plus_exp_minus(clamped));
    return v16_select_less(x, low, zero, v16_fma(clamped, zero, r));
}

/* x / (1 + e^-x), at most 3 ulp off above -86.6; below it is x 2.5e-38. Thirteen instructions with
 * AVX-512, the division among them, which alone takes ten cycles of Intel's divider:
 * EfficientNet-B4 takes 146 million of these an image. */
static inline v16 v16_silu(v16 x) {
    return v16_div(x, v16_one_plus_exp_minus(v16_limit(x, 86.6f)));
}

/* tanh x, at most 2 ulp off: an odd polynomial below 0.625, else 1 - 2/(e^2|x| + 1) with x's sign.
 * Polynomial: Moshier's Cephes, tanhf. */
static inline v16 v16_tanh(v16 x) {
    const v16 zero = v16_zero(), one = v16_set(1), two = v16_set(2);
    v16 size = v16_max(v16_sub(zero, x), x);
    v16 z = v16_mul(x, x), p = v16_set(-5.70498872745e-3f);
    p = v16_fma(p, z, v16_set(2.06390887954e-2f));
    p = v16_fma(p, z, v16_set(-5.37397155531e-2f));
    p = v16_fma(p, z, v16_set(1.33314422036e-1f));
    p = v16_fma(p, z, v16_set(-3.33332819422e-1f));
    v16 small = v16_fma(v16_mul(p, z), x, x);
    v16 e = v16_exp(v16_add(size, size));
    v16 large = v16_sub(one, v16_div(two, v16_add(e, one)));
    large = v16_select_less(x, zero, v16_sub(zero, large), large);
    return v16_select_less(size, v16_set(0.625f), small, large);
}

/* log(1 + u) for 0 <= u <= 1, at most 2 ulp off: 2 atanh(s), s = u / (2 + u) <= 1/3, by its power
 * series, whose terms fall by nine. */
static inline v16 v16_log1p_unit(v16 u) {
    v16 s = v16_div(u, v16_add(v16_set(2), u)), z = v16_mul(s, s), p = v16_set(2.0f / 17);
    for (int odd = 15; odd >= 3; odd -= 2) p = v16_fma(p, z, v16_set(2.0f / (float)odd));
    return v16_fma(v16_mul(p, z), s, v16_add(s, s));
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
static inline v16 v16_softplus(v16 x) {
    v16 minus = v16_sub(v16_zero(), x), size = v16_max(minus, x);
    v16 e = v16_exp(v16_sub(v16_zero(), size));
    return v16_add(v16_max(v16_zero(), x), v16_log1p_unit(e));
}

/* Lane i holds i. */
static inline v16 v16_iota(void) {
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return v16_load(lanes);
}

/* Exports the kernels of one op for this build. */
#define MG_CPU_KERNELS(op)    const mg_kernels MG_CAT(MG_CAT(mg_cpu_##op, _), MG_ISA)
#define MG_CPU_EXTERN(symbol) MG_CAT(MG_CAT(symbol, _), MG_ISA)

#endif
