/* jpeg_huffman.h: Huffman tables and the bit reader of every JPEG process (T.81 annexes C, F.2.2).
 *
 * The bit reader runs over one entropy-coded interval at a time, from which the stuffed zero bytes
 * have been removed beforehand, so that reading bits needs no special case: eight bytes are loaded
 * at once into a left-aligned 64-bit reservoir. Behind the interval's end it reads zero bits;
 * whoever decodes asks mg_jpeg_bits_overrun() every now and then (once a row, once a block). */
#ifndef MG_DICOM_JPEG_HUFFMAN_H
#define MG_DICOM_JPEG_HUFFMAN_H

#include "dicom/codec_internal.h"

enum {
    MG_JPEG_LOOKUP_BITS = 10, /* codes up to this length take one table access */
    MG_JPEG_BITS_PAD = 16,    /* zero bytes that must follow an interval's data */
};

typedef struct mg_jpeg_huffman {
    bool defined;
    uint8_t counts[17];  /* counts[n]: codes of n bits; counts[0] unused */
    uint8_t values[256]; /* in order of their codes */
    int n_values;
    /* Next LOOKUP_BITS bits -> length << 8 | value; 0: a longer code or none. */
    uint16_t lookup[1 << MG_JPEG_LOOKUP_BITS];
    /* Codes of n bits, left-aligned in 16 bits, are those below limit[n] and not below limit[n-1];
     * the value of code c is values[(c >> (16-n)) + offset[n]]. */
    uint32_t limit[17];
    int offset[17];
} mg_jpeg_huffman;

/* Builds the table from DHT's counts (counts[1…16]) and values. False when the lengths do not
 * form a prefix code or there are more than 256 values. */
bool mg_jpeg_huffman_build(mg_jpeg_huffman *h, const uint8_t counts[17], const uint8_t *values);

typedef struct mg_jpeg_bits {
    const uint8_t *data; /* size bytes and MG_JPEG_BITS_PAD zeros */
    size_t size, pos;    /* pos: the next byte to load; behind size only zeros are imagined */
    uint64_t bits;       /* the reservoir, next bit on top */
    unsigned count;      /* how many of its bits have been loaded */
} mg_jpeg_bits;

/* At least 56 bits in the reservoir afterwards. Bits of the byte at pos may already be in it below
 * `count`: loading them again changes nothing. */
static inline void mg_jpeg_refill(mg_jpeg_bits *b) {
    if (b->pos <= b->size) b->bits |= mg_codec_be64(b->data + b->pos) >> b->count;
    b->pos += (63 - b->count) >> 3;
    b->count |= 56;
}

/* The next n bits, 0 <= n <= 16, of a reservoir that holds them. */
static inline uint32_t mg_jpeg_peek(const mg_jpeg_bits *b, unsigned n) {
    return (uint32_t)(b->bits >> 32 >> (32 - n));
}
static inline void mg_jpeg_skip(mg_jpeg_bits *b, unsigned n) {
    b->bits <<= n;
    b->count -= n;
}
static inline uint32_t mg_jpeg_take(mg_jpeg_bits *b, unsigned n) {
    uint32_t v = mg_jpeg_peek(b, n);
    mg_jpeg_skip(b, n);
    return v;
}

/* The next code's value, or -1 where no code is assigned. Needs 16 bits in the reservoir. */
static inline int mg_jpeg_symbol(mg_jpeg_bits *b, const mg_jpeg_huffman *h) {
    unsigned entry = h->lookup[mg_jpeg_peek(b, MG_JPEG_LOOKUP_BITS)];
    if (__builtin_expect(entry != 0, 1)) {
        mg_jpeg_skip(b, entry >> 8);
        return (int)(entry & 0xff);
    }
    uint32_t code = mg_jpeg_peek(b, 16);
    for (unsigned n = MG_JPEG_LOOKUP_BITS + 1; n <= 16; n++) {
        if (code >= h->limit[n]) continue;
        mg_jpeg_skip(b, n);
        return h->values[(int)(code >> (16 - n)) + h->offset[n]];
    }
    return -1;
}

/* EXTEND of T.81 F.2.2.1: the signed value whose category is n (0…16) and additional bits v. */
static inline int32_t mg_jpeg_extend(uint32_t v, unsigned n) {
    return (int32_t)v - (v < 1u << n >> 1 ? (int32_t)(1u << n) - 1 : 0);
}

/* Have more bits been taken than the interval has? */
static inline bool mg_jpeg_bits_overrun(const mg_jpeg_bits *b) {
    return 8 * (uint64_t)b->pos > 8 * (uint64_t)b->size + b->count;
}
/* Bits taken so far. */
static inline uint64_t mg_jpeg_bits_taken(const mg_jpeg_bits *b) {
    return 8 * (uint64_t)b->pos - b->count;
}

#endif
