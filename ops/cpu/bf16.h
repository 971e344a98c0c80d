/* bf16.h: bfloat16 on top of v16 (vec.h), for the kernels *_bf16.c.
 *
 * A *cell* is 32 bits that hold two bfloat16 numbers, element 2i in the low half and 2i+1 in the
 * high half: what two neighbours of a bf16 row look like in memory. Sixteen cells travel as a v16
 * whose lanes are never used as floats. A bfloat16 is the upper half of a float, so either half
 * becomes a float by one shift or one mask.
 *
 * AVX512-BF16 multiplies and adds two pairs a lane in one instruction (vdpbf16ps), twice the rate
 * of f32. Everywhere else the same is two fused multiply-adds on the unpacked halves: the inputs
 * are rounded alike, the sums are not (vdpbf16ps rounds differently and flushes denormals), so
 * results depend on the instruction set, though never on threads. */
#ifndef MG_OPS_CPU_BF16_H
#define MG_OPS_CPU_BF16_H

#include "ops/cpu/silu.h"

#if defined(MG_ISA_AVX512)

static inline v16 v16_low(v16 cells) {
    return V1(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(cells.r), 16)));
}
static inline v16 v16_high(v16 cells) {
    const __m512i mask = _mm512_set1_epi32((int)0xffff0000u);
    return V1(_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(cells.r), mask)));
}

/* Rounds to the nearest bfloat16, ties to even: the 16 bits of each lane, shifted down. */
static inline __m512i bf16_bits(v16 a) {
    __m512i u = _mm512_castps_si512(a.r), odd = _mm512_srli_epi32(u, 16);
    odd = _mm512_and_si512(odd, _mm512_set1_epi32(1));
    u = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    return _mm512_srli_epi32(u, 16);
}

/* Rows become columns. */
static inline void v16_transpose(v16 *m) {
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(m[i].r, m[i + 1].r);
        t[i + 1] = _mm512_unpackhi_ps(m[i].r, m[i + 1].r);
    }
    for (int i = 0; i < 16; i += 4) /* lane L of m[i + c]: column 4 L + c of rows i … i + 3 */
        for (int c = 0; c < 4; c++) {
            __m512d a = _mm512_castps_pd(t[i + c / 2]), b = _mm512_castps_pd(t[i + 2 + c / 2]);
            __m512d u = c % 2 ? _mm512_unpackhi_pd(a, b) : _mm512_unpacklo_pd(a, b);
            m[i + c].r = _mm512_castpd_ps(u);
        }
    for (int c = 0; c < 4; c++) {
        __m512 even_top = _mm512_shuffle_f32x4(m[c].r, m[4 + c].r, 0x88);
        __m512 odd_top = _mm512_shuffle_f32x4(m[c].r, m[4 + c].r, 0xdd);
        __m512 even_low = _mm512_shuffle_f32x4(m[8 + c].r, m[12 + c].r, 0x88);
        __m512 odd_low = _mm512_shuffle_f32x4(m[8 + c].r, m[12 + c].r, 0xdd);
        m[c].r = _mm512_shuffle_f32x4(even_top, even_low, 0x88);
        m[4 + c].r = _mm512_shuffle_f32x4(odd_top, odd_low, 0x88);
        m[8 + c].r = _mm512_shuffle_f32x4(even_top, even_low, 0xdd);
        m[12 + c].r = _mm512_shuffle_f32x4(odd_top, odd_low, 0xdd);
    }
}
/* Without the bits that a bfloat16 does not have. */
static inline v16 v16_cut_half(v16 a) { return v16_high(a); }

#if defined(__AVX512BF16__)
static inline v16 v16_dot2(v16 a, v16 b, v16 sum) {
    return V1(_mm512_dpbf16_ps(sum.r, (__m512bh)a.r, (__m512bh)b.r));
}
/* Cells from their even and odd elements. */
static inline v16 v16_cells(v16 even, v16 odd) {
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i words = (__m512i)_mm512_cvtne2ps_pbh(odd.r, even.r);
    return V1(_mm512_castsi512_ps(_mm512_permutexvar_epi16(interleave, words)));
}
/* Sixteen bfloat16 in a row. */
static inline void v16_store_half(uint16_t *to, v16 a) {
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(a.r));
}
/* Cells of 32 bfloat16 in a row, first those of a. */
static inline v16 v16_halves(v16 a, v16 b) {
    return V1(_mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(b.r, a.r)));
}
#else
static inline v16 v16_dot2(v16 a, v16 b, v16 sum) {
    sum = v16_fma(v16_high(a), v16_high(b), sum);
    return v16_fma(v16_low(a), v16_low(b), sum);
}
static inline v16 v16_cells(v16 even, v16 odd) {
    __m512i high = _mm512_slli_epi32(bf16_bits(odd), 16);
    return V1(_mm512_castsi512_ps(_mm512_or_si512(bf16_bits(even), high)));
}
static inline void v16_store_half(uint16_t *to, v16 a) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(bf16_bits(a)));
}
#endif

#else /* AVX2 and plain C: lane by lane, for the same results on every machine, not for speed */

static inline uint32_t bf16_cell(float a) {
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return u;
}
static inline float bf16_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint16_t bf16_round(float a) {
    uint32_t u = bf16_cell(a);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
#define BF16_LANES(result, expr)                                                                   \
    float a_[V16], r_[V16];                                                                        \
    v16_store(a_, cells);                                                                          \
    for (int i = 0; i < V16; i++) r_[i] = (expr);                                                  \
    result v16_load(r_)
static inline v16 v16_low(v16 cells) { BF16_LANES(return, bf16_float(bf16_cell(a_[i]) << 16)); }
static inline v16 v16_high(v16 cells) {
    BF16_LANES(return, bf16_float(bf16_cell(a_[i]) & 0xffff0000u));
}
static inline v16 v16_dot2(v16 a, v16 b, v16 sum) {
    sum = v16_fma(v16_high(a), v16_high(b), sum);
    return v16_fma(v16_low(a), v16_low(b), sum);
}
static inline v16 v16_cells(v16 even, v16 odd) {
    float low[V16], high[V16];
    v16_store(low, even);
    v16_store(high, odd);
    for (int i = 0; i < V16; i++)
        low[i] = bf16_float((uint32_t)bf16_round(low[i]) | (uint32_t)bf16_round(high[i]) << 16);
    return v16_load(low);
}
static inline void v16_store_half(uint16_t *to, v16 a) {
    float f[V16];
    v16_store(f, a);
    for (int i = 0; i < V16; i++) to[i] = bf16_round(f[i]);
}
static inline void v16_transpose(v16 *m) {
    float t[V16][V16], row[V16];
    for (int i = 0; i < V16; i++) v16_store(t[i], m[i]);
    for (int i = 0; i < V16; i++) {
        for (int k = 0; k < V16; k++) row[k] = t[k][i];
        m[i] = v16_load(row);
    }
}
static inline v16 v16_cut_half(v16 a) { return v16_high(a); }
static inline v16 v16_halves(v16 a, v16 b) {
    uint16_t half[2 * V16];
    float cells[V16];
    v16_store_half(half, a);
    v16_store_half(half + V16, b);
    memcpy(cells, half, sizeof cells);
    return v16_load(cells);
}
#endif

#endif
