/* philox.h: the random stream of tensor/rng.c on the device, word for word.
 *
 * Philox4x32-10 has no state: block `index` of a key is ten rounds of two 32 x 32 -> 64 bit
 * multiplications, and gives four words. A thread that owns elements 4i … 4i+3 needs block i
 * only.
 *
 * A dropout mask keeps draw i when uniform(i) >= p. The uniform is (word >> 8) 2^-24 exactly, and
 * scaling by a power of two is exact as well, so that this is the same as
 *     (word >> 8) >= ceil(p 2^24)
 * in whole numbers: masks equal the CPU's bit for bit, without f64 on the device.
 * Source: Salmon et al., SC'11. */
#ifndef MG_CUDA_PHILOX_H
#define MG_CUDA_PHILOX_H

#include "cuda/kernel.h"

/* Which draws are kept, and by what the kept are multiplied. */
typedef struct mg_mask {
    mg_rng_key key;
    uint32_t least; /* a word is kept when (word >> 8) >= least */
    float scale;    /* 1 / (1 - p) */
} mg_mask;

static inline mg_mask mg_mask_of(const mg_attr *attr) {
    mg_mask m = {attr->key, 0, 1.0f};
    if (!attr->training) return m; /* everything is kept as it is */
    m.least = (uint32_t)ceil(attr->p * 16777216.0);
    m.scale = (float)(1 / (1 - attr->p));
    return m;
}

__device__ __forceinline__ uint4 mg_philox(const mg_rng_key &key, uint32_t index) {
    uint4 c = make_uint4(index, key.sample, key.epoch, key.purpose);
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c.x, b = (uint64_t)0xCD9E8D57u * c.z;
        c = make_uint4((uint32_t)(b >> 32) ^ c.y ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c.w ^ k1,
                       (uint32_t)a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* 0 or scale. */
__device__ __forceinline__ float mg_mask_factor(const mg_mask &mask, uint32_t word) {
    return (word >> 8) >= mask.least ? mask.scale : 0.0f;
}

/* Factors of elements 4i … 4i+3. */
__device__ __forceinline__ float4 mg_mask_factors(const mg_mask &mask, uint32_t i) {
    const uint4 w = mg_philox(mask.key, i);
    return make_float4(mg_mask_factor(mask, w.x), mg_mask_factor(mask, w.y),
                       mg_mask_factor(mask, w.z), mg_mask_factor(mask, w.w));
}

/* Factor of draw i alone. */
__device__ __forceinline__ float mg_mask_one(const mg_mask &mask, uint32_t i) {
    const float4 f = mg_mask_factors(mask, i >> 2);
    const uint32_t k = i & 3;
    return k == 0 ? f.x : k == 1 ? f.y : k == 2 ? f.z : f.w;
}

#endif
