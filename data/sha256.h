/* sha256.h: SHA-256 (FIPS 180-4), for cache keys. */
#ifndef MG_DATA_SHA256_H
#define MG_DATA_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct mg_sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
} mg_sha256;

void mg_sha256_begin(mg_sha256 *s);
void mg_sha256_add(mg_sha256 *s, const void *data, size_t n);
void mg_sha256_end(mg_sha256 *s, uint8_t digest[32]);

#endif
