/* rng.h: counter-based random numbers (Philox4x32-10, Salmon et al., SC'11).
 *
 * There is no generator state. A draw is a pure function of a key (seed, purpose) and a counter
 * (three numbers that say which draw it is, e.g. epoch, sample, index), so resuming, re-ordering
 * and threading cannot change a draw. CUDA kernels compute the same words. */
#ifndef MG_TENSOR_RNG_H
#define MG_TENSOR_RNG_H

#include <stdint.h>

/* What a draw is for. Two purposes never share numbers. Append only: the values are part of every
 * result that was ever produced with them. */
typedef enum mg_rng_purpose {
    MG_RNG_INIT = 1,
    MG_RNG_DROPOUT,
    MG_RNG_STOCHASTIC_DEPTH,
    MG_RNG_SAMPLER,
    MG_RNG_AUGMENT,
    MG_RNG_SPLIT,
    MG_RNG_BOOTSTRAP,
    MG_RNG_PHANTOM,
    MG_RNG_TEST,
} mg_rng_purpose;

/* Names a stream of draws. */
typedef struct mg_rng_key {
    uint64_t seed;
    uint32_t purpose; /* mg_rng_purpose, or that plus a sub-stream number << 8 */
    uint32_t epoch;   /* or step, layer, patient: the slow index */
    uint32_t sample;  /* the middle index */
} mg_rng_key;

/* Four random words: draw number `index` of the stream. */
void mg_rng_words(const mg_rng_key *key, uint32_t index, uint32_t out[4]);

/* Uniform in [0,1), 24 bits: (word >> 8) * 2^-24. Draw `i` uses word i & 3 of block i >> 2. */
float mg_rng_uniform(const mg_rng_key *key, uint32_t i);

/* Uniform integer in [0, n), without modulo bias (64-bit multiply-high); n >= 1. */
uint32_t mg_rng_below(const mg_rng_key *key, uint32_t i, uint32_t n);

/* Standard normal by Box–Muller, in f64; draw i uses words 2(i&1), 2(i&1)+1 of block i >> 1. */
double mg_rng_normal(const mg_rng_key *key, uint32_t i);

#endif
