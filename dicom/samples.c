/* samples.c: which bits of a word are the value, and its sign.
 *
 * Loops over whole words that the compiler turns into vector code. */
#include "dicom/pixel.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

/* (v ^ s) - s with s the sign bit extends the sign; with s = 0 it leaves v as it is. */
#define DEFINE_MASK(type)                                                                          \
    static void mask_##type(type *p, size_t n, int shift, type mask, type sign) {                  \
        for (size_t i = 0; i < n; i++)                                                             \
            p[i] = (type)((((type)(p[i] >> shift) & mask) ^ sign) - sign);                         \
    }
DEFINE_MASK(uint8_t)
DEFINE_MASK(uint16_t)
DEFINE_MASK(uint32_t)
DEFINE_MASK(uint64_t)

static uint64_t low_bits(int bits) { return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1; }

void mg_dicom_mask_samples(void *samples, size_t n, int word_bytes, int shift, int bits,
                           bool is_signed) {
    uint64_t mask = low_bits(bits), sign = is_signed ? UINT64_C(1) << (bits - 1) : 0;
    if (shift == 0 && bits == word_bytes * 8) return; /* all bits count; two's complement already */
    switch (word_bytes) {
    case 1: mask_uint8_t(samples, n, shift, (uint8_t)mask, (uint8_t)sign); break;
    case 2: mask_uint16_t(samples, n, shift, (uint16_t)mask, (uint16_t)sign); break;
    case 4: mask_uint32_t(samples, n, shift, (uint32_t)mask, (uint32_t)sign); break;
    default: mask_uint64_t(samples, n, shift, mask, sign); break;
    }
}

/* A signed value fits `bits` bits exactly when adding 2^(bits-1) brings it below 2^bits, so both
 * kinds come down to: does the (shifted) value, cut to `precision` bits, have high bits set? */
#define DEFINE_HIGH(type)                                                                          \
    static type high_##type(const type *p, size_t n, type bias, type mask) {                       \
        type seen = 0;                                                                             \
        for (size_t i = 0; i < n; i++) seen |= (type)((type)(p[i] + bias) & mask);                 \
        return seen;                                                                               \
    }
DEFINE_HIGH(uint8_t)
DEFINE_HIGH(uint16_t)
DEFINE_HIGH(uint32_t)

bool mg_dicom_samples_exceed(const void *samples, size_t n, int word_bytes, int precision, int bits,
                             bool is_signed) {
    if (precision <= bits || word_bytes > 4) return false;
    uint64_t bias = is_signed ? UINT64_C(1) << (bits - 1) : 0;
    uint64_t mask = low_bits(precision) & ~low_bits(bits);
    switch (word_bytes) {
    case 1: return high_uint8_t(samples, n, (uint8_t)bias, (uint8_t)mask) != 0;
    case 2: return high_uint16_t(samples, n, (uint16_t)bias, (uint16_t)mask) != 0;
    default: return high_uint32_t(samples, n, (uint32_t)bias, (uint32_t)mask) != 0;
    }
}

/* Bits that differ from the sign in any value, the sign itself left out. */
#define DEFINE_SEEN(type)                                                                          \
    static type seen_##type(const type *p, size_t n, bool is_signed) {                             \
        type seen = 0;                                                                             \
        if (is_signed)                                                                             \
            for (size_t i = 0; i < n; i++)                                                         \
                seen |= (type)(p[i] ^ (type)(0 - (type)(p[i] >> (8 * sizeof(type) - 1))));         \
        else                                                                                       \
            for (size_t i = 0; i < n; i++) seen |= p[i];                                           \
        return seen;                                                                               \
    }
DEFINE_SEEN(uint8_t)
DEFINE_SEEN(uint16_t)
DEFINE_SEEN(uint32_t)
DEFINE_SEEN(uint64_t)

int mg_dicom_samples_bits(const void *samples, size_t n, int word_bytes, bool is_signed) {
    uint64_t seen = word_bytes == 1   ? seen_uint8_t(samples, n, is_signed)
                    : word_bytes == 2 ? seen_uint16_t(samples, n, is_signed)
                    : word_bytes == 4 ? seen_uint32_t(samples, n, is_signed)
                                      : seen_uint64_t(samples, n, is_signed);
    int bits = 0;
    while (bits < 64 && seen >> bits) bits++;
    return bits + is_signed;
}

#define DEFINE_CLAMP(type, wide)                                                                   \
    static void clamp_##type(type *p, size_t n, wide least, wide most) {                           \
        for (size_t i = 0; i < n; i++)                                                             \
            p[i] = p[i] < least ? (type)least : p[i] > most ? (type)most : p[i];                   \
    }
DEFINE_CLAMP(uint8_t, uint8_t)
DEFINE_CLAMP(uint16_t, uint16_t)
DEFINE_CLAMP(uint32_t, uint32_t)
DEFINE_CLAMP(int8_t, int8_t)
DEFINE_CLAMP(int16_t, int16_t)
DEFINE_CLAMP(int32_t, int32_t)

void mg_dicom_clamp_samples(void *samples, size_t n, int word_bytes, int precision, int bits,
                            bool is_signed) {
    if (precision <= bits || word_bytes > 4) return;
    mg_dicom_mask_samples(samples, n, word_bytes, 0, precision, is_signed);
    int64_t most = (int64_t)low_bits(is_signed ? bits - 1 : bits), least = is_signed ? ~most : 0;
    switch (word_bytes) {
    case 1:
        if (is_signed) clamp_int8_t(samples, n, (int8_t)least, (int8_t)most);
        else clamp_uint8_t(samples, n, 0, (uint8_t)most);
        break;
    case 2:
        if (is_signed) clamp_int16_t(samples, n, (int16_t)least, (int16_t)most);
        else clamp_uint16_t(samples, n, 0, (uint16_t)most);
        break;
    default:
        if (is_signed) clamp_int32_t(samples, n, (int32_t)least, (int32_t)most);
        else clamp_uint32_t(samples, n, 0, (uint32_t)most);
        break;
    }
}
