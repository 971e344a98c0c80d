/* sha256.h: SHA-256 (FIPS 180-4), for tests that compare with published hashes. */
#ifndef MG_TESTS_LIB_SHA256_H
#define MG_TESTS_LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t h[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
} sha256;

void sha256_init(sha256 *s);
void sha256_update(sha256 *s, const void *data, size_t n);
void sha256_final(sha256 *s, char hex[65]);

#endif
