/* jpeg_lossless_encode.c: JPEG Lossless, process 14, selection value 1 (T.81 annexes H, K.2). Two
 * passes over the samples: count the difference categories, make a Huffman table per component from
 * the counts, code. The size of the coded data is known before the second pass. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    CATEGORIES = 17, /* SSSS 0…16 */
    MAX_LENGTH = 16, /* of a code */
};

typedef struct code_table {
    uint8_t counts[17];         /* for DHT */
    uint8_t values[CATEGORIES]; /* for DHT: categories in order of their codes */
    uint16_t code[CATEGORIES];
    uint8_t length[CATEGORIES];
} code_table;

typedef struct encoder {
    const void *samples;
    const mg_dicom_codec_frame *frame;
    int precision;
    code_table table[3];
    uint16_t *row; /* differences of one row, components interleaved as the samples are */
    uint8_t *out;
    size_t size;
    uint64_t bits; /* pending, right-aligned */
    unsigned pending;
} encoder;

static inline uint32_t sample_at(const encoder *e, size_t i) {
    uint32_t mask = (1u << e->precision) - 1;
    if (e->frame->word_bytes == 1) return ((const uint8_t *)e->samples)[i] & mask;
    return ((const uint16_t *)e->samples)[i] & mask;
}

/* The differences of a row to their predictions, modulo 2^16 as the decoder has them. */
static void row_differences(const encoder *e, uint32_t row) {
    size_t pixel = (size_t)e->frame->samples, n = pixel * e->frame->columns, first = row * n;
    for (size_t i = 0; i < pixel; i++) {
        uint32_t above = row ? sample_at(e, first - n + i) : 1u << (e->precision - 1);
        e->row[i] = (uint16_t)(sample_at(e, first + i) - above);
    }
    for (size_t i = pixel; i < n; i++)
        e->row[i] = (uint16_t)(sample_at(e, first + i) - sample_at(e, first + i - pixel));
}

/* SSSS of a difference modulo 2^16: 0x8000 is 32768, the only one of category 16. */
static inline unsigned category_of(uint16_t difference) {
    int32_t d = (int16_t)difference;
    uint32_t magnitude = (uint32_t)(d < 0 ? -d : d);
    return magnitude ? 32 - (unsigned)__builtin_clz(magnitude) : 0;
}

/* --- Huffman table ---------------------------------------------------------------------------- */

/* Optimal code lengths by joining the two lightest trees until one is left. A last category that
 * never occurs takes the code of all ones, which T.81 reserves. Returns the greatest length. */
static unsigned code_lengths(const uint64_t *frequency, uint8_t length[CATEGORIES + 1]) {
    enum { N = CATEGORIES + 1 };
    uint64_t weight[N];
    int tree[N]; /* which tree a category is in */
    for (int i = 0; i < N; i++) {
        weight[i] = i < CATEGORIES ? frequency[i] : 1;
        tree[i] = i;
        length[i] = 0;
    }
    for (;;) {
        int a = -1,
            b = -1; /* lightest and next; of equal ones the later, so that codes are short */
        for (int i = N - 1; i >= 0; i--) {
            if (!weight[i]) continue;
            if (a < 0 || weight[i] < weight[a]) b = a, a = i;
            else if (b < 0 || weight[i] < weight[b]) b = i;
        }
        if (b < 0) break;
        weight[b] += weight[a];
        weight[a] = 0;
        for (int i = 0; i < N; i++) {
            if (tree[i] != a && tree[i] != b) continue;
            tree[i] = b;
            length[i]++;
        }
    }
    unsigned longest = 0;
    for (int i = 0; i < N; i++)
        if (length[i] > longest) longest = length[i];
    return longest;
}

static void make_table(code_table *t, const uint64_t counted[CATEGORIES]) {
    uint64_t frequency[CATEGORIES];
    uint8_t length[CATEGORIES + 1];
    memcpy(frequency, counted, sizeof frequency);
    /* 18 leaves can lie 17 deep. Flattening the counts shortens that, at next to no cost. */
    while (code_lengths(frequency, length) > MAX_LENGTH)
        for (int i = 0; i < CATEGORIES; i++)
            if (frequency[i]) frequency[i] = frequency[i] / 2 + 1;
    memset(t, 0, sizeof *t);
    /* Within the greatest length the reserved code must be the last: give it that length. */
    unsigned code = 0, n = 0;
    for (unsigned l = 1; l <= MAX_LENGTH; l++, code <<= 1) {
        for (unsigned i = 0; i < CATEGORIES; i++) {
            if (length[i] != l) continue;
            t->code[i] = (uint16_t)code++;
            t->length[i] = (uint8_t)l;
            t->counts[l]++;
            t->values[n++] = (uint8_t)i;
        }
        if (length[CATEGORIES] == l) code++;
    }
}

static void count_categories(const encoder *e, uint64_t counted[3][CATEGORIES]) {
    memset(counted, 0, 3 * sizeof counted[0]);
    int samples = e->frame->samples;
    for (uint32_t row = 0; row < e->frame->rows; row++) {
        row_differences(e, row);
        const uint16_t *d = e->row;
        for (uint32_t column = 0; column < e->frame->columns; column++)
            for (int c = 0; c < samples; c++) counted[c][category_of(*d++)]++;
    }
}

/* --- output ----------------------------------------------------------------------------------- */

static void put_byte(encoder *e, unsigned v) { e->out[e->size++] = (uint8_t)v; }
static void put_word(encoder *e, unsigned v) {
    put_byte(e, v >> 8 & 0xFF);
    put_byte(e, v & 0xFF);
}

static void put_headers(encoder *e) {
    const mg_dicom_codec_frame *f = e->frame;
    unsigned n = (unsigned)f->samples;
    put_word(e, 0xFF00 | MG_JPEG_SOI);
    if (n == 3) {
        /* Some decoders take three components for YCbCr and convert them unless they are told that
         * nothing was transformed. */
        static const uint8_t adobe[12] = {'A', 'd', 'o', 'b', 'e', 0, 100};
        put_word(e, 0xFF00 | MG_JPEG_APP14);
        put_word(e, 2 + sizeof adobe);
        for (size_t i = 0; i < sizeof adobe; i++) put_byte(e, adobe[i]);
    }
    put_word(e, 0xFF00 | MG_JPEG_SOF3);
    put_word(e, 8 + 3 * n);
    put_byte(e, (unsigned)e->precision);
    put_word(e, f->rows);
    put_word(e, f->columns);
    put_byte(e, n);
    for (unsigned c = 0; c < n; c++) {
        put_byte(e, c + 1);
        put_byte(e, 0x11); /* sampling 1x1 */
        put_byte(e, 0);
    }
    for (unsigned c = 0; c < n; c++) {
        const code_table *t = &e->table[c];
        unsigned values = 0;
        for (int l = 1; l <= MAX_LENGTH; l++) values += t->counts[l];
        put_word(e, 0xFF00 | MG_JPEG_DHT);
        put_word(e, 19 + values);
        put_byte(e, c);
        for (int l = 1; l <= MAX_LENGTH; l++) put_byte(e, t->counts[l]);
        for (unsigned i = 0; i < values; i++) put_byte(e, t->values[i]);
    }
    put_word(e, 0xFF00 | MG_JPEG_SOS);
    put_word(e, 6 + 2 * n);
    put_byte(e, n);
    for (unsigned c = 0; c < n; c++) {
        put_byte(e, c + 1);
        put_byte(e, c << 4);
    }
    put_byte(e, 1); /* selection value */
    put_byte(e, 0);
    put_byte(e, 0); /* point transform */
}

static void put_stuffed(encoder *e, unsigned byte) {
    put_byte(e, byte);
    if (byte == 0xFF) put_byte(e, 0);
}

/* Up to 32 bits; four bytes at a time go out, at once if none of them needs a zero behind it. */
static inline void put_bits(encoder *e, uint32_t value, unsigned n) {
    e->bits = e->bits << n | value;
    e->pending += n;
    if (e->pending < 32) return;
    e->pending -= 32;
    uint32_t word = (uint32_t)(e->bits >> e->pending);
    uint8_t bytes[4] = {(uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8),
                        (uint8_t)word};
    bool has_ff = ((~word - 0x01010101u) & word & 0x80808080u) != 0; /* ~word has a zero byte */
    if (!has_ff) {
        memcpy(e->out + e->size, bytes, sizeof bytes);
        e->size += sizeof bytes;
        return;
    }
    for (int i = 0; i < 4; i++) put_stuffed(e, bytes[i]);
}

static void flush_bits(encoder *e) {
    unsigned fill = (8 - e->pending % 8) % 8; /* with ones */
    e->bits = e->bits << fill | ((1u << fill) - 1);
    for (e->pending += fill; e->pending; e->pending -= 8)
        put_stuffed(e, (unsigned)(e->bits >> (e->pending - 8)) & 0xFF);
}

static void put_samples(encoder *e) {
    int samples = e->frame->samples;
    for (uint32_t row = 0; row < e->frame->rows; row++) {
        row_differences(e, row);
        const uint16_t *next = e->row;
        for (uint32_t column = 0; column < e->frame->columns; column++) {
            for (int c = 0; c < samples; c++) {
                const code_table *t = &e->table[c];
                uint16_t d = *next++;
                unsigned category = category_of(d), more = category & 15; /* none for 16 */
                uint32_t extra = (uint32_t)(d - (d >> 15)) & ((1u << more) - 1);
                put_bits(e, (uint32_t)t->code[category] << more | extra,
                         t->length[category] + more);
            }
        }
    }
    flush_bits(e);
}

static uint64_t coded_bits(const code_table *t, const uint64_t counted[CATEGORIES]) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < CATEGORIES; i++)
        bits += counted[i] * (t->length[i] + (i < 16 ? i : 0));
    return bits;
}

mg_dicom_status mg_dicom_jpeg_lossless_encode(const void *samples,
                                              const mg_dicom_codec_frame *frame, int precision,
                                              uint8_t **out, size_t *out_size,
                                              mg_dicom_error *err) {
    size_t count = 0;
    mg_dicom_status status = mg_codec_check_frame(frame, samples, &count, err);
    if (status) return status;
    if (frame->word_bytes > 2 || (frame->samples != 1 && frame->samples != 3))
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "JPEG Lossless: %d samples of %d bytes; 1 or "
                             "3 samples of 1 or 2 bytes can be coded",
                             frame->samples, frame->word_bytes);
    if (precision < 2 || precision > 8 * frame->word_bytes)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "JPEG Lossless: precision %d of %d-byte "
                             "samples",
                             precision, frame->word_bytes);
    encoder e = {.samples = samples, .frame = frame, .precision = precision};
    size_t row_bytes = sizeof *e.row * (size_t)frame->samples * frame->columns;
    e.row = malloc(row_bytes);
    if (!e.row)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "JPEG Lossless: no memory for %zu bytes",
                             row_bytes);
    uint64_t counted[3][CATEGORIES], bits = 0;
    count_categories(&e, counted);
    for (int c = 0; c < frame->samples; c++) {
        make_table(&e.table[c], counted[c]);
        bits += coded_bits(&e.table[c], counted[c]);
    }
    enum { HEADERS = 256 };
    size_t capacity = (size_t)(bits / 8 + 1) * 2 + HEADERS; /* as if every byte needed stuffing */
    e.out = malloc(capacity);
    if (!e.out) {
        free(e.row);
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "JPEG Lossless: no memory for %zu bytes",
                             capacity);
    }
    put_headers(&e);
    put_samples(&e);
    put_word(&e, 0xFF00 | MG_JPEG_EOI);
    free(e.row);
    uint8_t *fitted = realloc(e.out, e.size);
    *out = fitted ? fitted : e.out;
    *out_size = e.size;
    return MG_DICOM_OK;
}
