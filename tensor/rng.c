#include "tensor/rng.h"

#include <math.h>

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t a = (uint64_t)0xD2511F53u * c[0];
    uint64_t b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)a;
}

void mg_rng_words(const mg_rng_key *key, uint32_t index, uint32_t out[4]) {
    uint32_t c[4] = {index, key->sample, key->epoch, key->purpose};
    uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
    for (int round = 0; round < 10; round++) {
        philox_round(c, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++) out[i] = c[i];
}

float mg_rng_uniform(const mg_rng_key *key, uint32_t i) {
    uint32_t w[4];
    mg_rng_words(key, i >> 2, w);
    return (float)(w[i & 3] >> 8) * 0x1p-24f;
}

uint32_t mg_rng_below(const mg_rng_key *key, uint32_t i, uint32_t n) {
    uint32_t w[4];
    mg_rng_words(key, i, w);
    /* Lemire's method; the block's other words serve as retries, a bias of 2^-96 is left. */
    uint32_t threshold = (0u - n) % n;
    for (int t = 0; t < 3; t++) {
        uint64_t m = (uint64_t)w[t] * n;
        if ((uint32_t)m >= threshold) return (uint32_t)(m >> 32);
    }
    return (uint32_t)(((uint64_t)w[3] * n) >> 32);
}

double mg_rng_normal(const mg_rng_key *key, uint32_t i) {
    uint32_t w[4];
    mg_rng_words(key, i >> 1, w);
    const uint32_t *p = w + 2 * (i & 1);
    double u = ((double)p[0] + 0.5) * 0x1p-32; /* never 0: log is finite */
    double v = ((double)p[1] + 0.5) * 0x1p-32;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}
