/* phantom_math.h: the small mathematics of the phantom renderer.
 *
 * Only operations whose result IEEE 754 fixes (+ - * / sqrt, floor, comparisons), so that pixels
 * are the same on every machine; libm's exp and sin differ in the last bit between versions. */
#ifndef MG_DATA_PHANTOM_MATH_H
#define MG_DATA_PHANTOM_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/rng.h"

static inline float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

static inline float mix(float a, float b, float t) { return a + (b - a) * t; }

/* 0 below `low`, 1 above `high`, a cubic between. */
static inline float smoothstep(float low, float high, float x) {
    float t = clamp((x - low) / (high - low), 0.0f, 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

/* 2^x for |x| < 120, relative error below 3e-6: the power of two from the exponent bits, the rest
 * by its Taylor polynomial around 0 on [-0.5, 0.5]. */
static inline float exp2_of(float x) {
    float whole = floorf(x + 0.5f), r = (x - whole) * 0.693147181f;
    float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120)))));
    uint32_t bits = (uint32_t)((int32_t)whole + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float exp_of(float x) { return exp2_of(clamp(x, -80.0f, 80.0f) * 1.442695041f); }

/* log2 of a positive normal number, error below 2e-5: exponent bits plus the series of atanh. */
static inline float log2_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    float exponent = (float)((int32_t)(bits >> 23) - 127);
    bits = (bits & 0x7fffffu) | 0x3f800000u;
    float m;
    memcpy(&m, &bits, sizeof m);
    float z = (m - 1.4142135f) / (m + 1.4142135f), zz = z * z;
    return exponent + 0.5f + 2.885390082f * z * (1.0f + zz * (1.0f / 3 + zz * (0.2f + zz / 7)));
}

static inline float pow_of(float x, float power) {
    return x <= 0.0f ? 0.0f : exp2_of(power * log2_of(x));
}

/* sin(2 pi turns), error below 2e-4: folded to a quarter turn, then an odd polynomial. */
static inline float sin_turns(float turns) {
    float t = turns - floorf(turns + 0.5f); /* -0.5 … 0.5 */
    if (t > 0.25f) t = 0.5f - t;
    if (t < -0.25f) t = -0.5f - t;
    float a = t * 6.283185307f, aa = a * a;
    return a * (1.0f - aa * (1.0f / 6 - aa * (1.0f / 120 - aa * (1.0f / 5040))));
}

static inline float cos_turns(float turns) { return sin_turns(turns + 0.25f); }

/* Draws in sequence from one counter-based stream. */
typedef struct draws {
    mg_rng_key key;
    uint32_t next, words[4];
} draws;

/* Streams of the phantom; each is a purpose of its own. */
enum {
    STREAM_PLAN = 1,
    STREAM_PATIENT,
    STREAM_GEOMETRY,
    STREAM_TISSUE,
    STREAM_FINDING,
    STREAM_DETECTOR,
    STREAM_SHUFFLE,
    STREAM_NOISE,
    STREAM_CANVAS = 64, /* plus the level */
};

static inline mg_rng_key stream_key(uint64_t seed, uint32_t stream, int patient, uint32_t sample) {
    return (mg_rng_key){seed, (uint32_t)MG_RNG_PHANTOM | stream << 8, (uint32_t)patient, sample};
}

static inline draws draws_of(uint64_t seed, uint32_t stream, int patient, uint32_t sample) {
    return (draws){.key = stream_key(seed, stream, patient, sample)};
}

static inline uint32_t draw_word(draws *d) {
    if ((d->next & 3) == 0) mg_rng_words(&d->key, d->next >> 2, d->words);
    return d->words[d->next++ & 3];
}

static inline float draw_uniform(draws *d) { return (float)(draw_word(d) >> 8) * 0x1p-24f; }

static inline float draw_range(draws *d, float low, float high) {
    return low + (high - low) * draw_uniform(d);
}

static inline bool draw_chance(draws *d, float probability) {
    return draw_uniform(d) < probability;
}

static inline int draw_below(draws *d, int n) {
    return (int)(((uint64_t)draw_word(d) * (uint32_t)n) >> 32);
}

/* Nearly normal, standard deviation 1, never beyond ±3.46: the sum of a word's four bytes. Bounded
 * tails are what a renderer wants, and it needs no logarithm. */
static inline float word_normal(uint32_t w) {
    uint32_t sum = (w & 0xff) + (w >> 8 & 0xff) + (w >> 16 & 0xff) + (w >> 24);
    return ((float)sum - 510.0f) * (1.0f / 147.8017f);
}

static inline float draw_normal(draws *d) { return word_normal(draw_word(d)); }

#endif
