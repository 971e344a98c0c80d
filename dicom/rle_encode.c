/* rle_encode.c: DICOM's run-length coding (PS3.5 annex G), the writing half. */
#include "dicom/codec_internal.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 64, LONGEST = 128 };

/* PackBits of one row. A run of two inside literals costs as much as going on with the literal, so
 * only three equal bytes end one. Returns the end of what was written. */
static uint8_t *encode_row(const uint8_t *row, size_t n, uint8_t *out) {
    size_t i = 0;
    while (i < n) {
        size_t run = 1;
        while (i + run < n && run < LONGEST && row[i + run] == row[i]) run++;
        if (run >= 3 || run == n - i) {
            /* A single last byte is a literal of one. */
            *out++ = run == 1 ? 0 : (uint8_t)(257 - run);
            *out++ = row[i];
            i += run;
            continue;
        }
        size_t literal = run;
        while (i + literal < n && literal < LONGEST) {
            const uint8_t *next = row + i + literal;
            if (i + literal + 2 < n && next[0] == next[1] && next[0] == next[2]) break;
            literal++;
        }
        *out++ = (uint8_t)(literal - 1);
        memcpy(out, row + i, literal);
        out += literal;
        i += literal;
    }
    return out;
}

static void put_le32(uint8_t *p, size_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

mg_dicom_status mg_dicom_rle_encode(const void *samples, const mg_dicom_codec_frame *frame,
                                    uint8_t **out, size_t *out_size, mg_dicom_error *err) {
    size_t count = 0;
    mg_dicom_status status = mg_codec_check_frame(frame, samples, &count, err);
    if (status) return status;
    size_t words = (size_t)frame->word_bytes, columns = frame->columns;
    size_t segments = (size_t)frame->samples * words;
    /* A row of n bytes becomes n + ceil(n/128) at the most; segments are padded to even length. */
    size_t row_bytes = columns + (columns + LONGEST - 1) / LONGEST;
    size_t capacity = HEADER_BYTES + segments * (row_bytes * frame->rows + 1);
    if (capacity > UINT32_MAX)
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0,
                             "RLE: a frame that may need %zu bytes, over 4 GiB, cannot be coded",
                             capacity);
    uint8_t *row = malloc(columns), *data = malloc(capacity);
    if (!row || !data) {
        free(row);
        free(data);
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "RLE: no memory for %zu bytes", capacity);
    }
    memset(data, 0, HEADER_BYTES);
    put_le32(data, segments);
    uint8_t *at = data + HEADER_BYTES;
    for (size_t s = 0; s < segments; s++) {
        size_t byte = words - 1 - s % words; /* most significant first */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        byte = s % words;
#endif
        const uint8_t *from = (const uint8_t *)samples + s / words * words + byte;
        put_le32(data + 4 + 4 * s, (size_t)(at - data));
        for (uint32_t y = 0; y < frame->rows; y++) {
            for (size_t x = 0; x < columns; x++, from += segments) row[x] = *from;
            at = encode_row(row, columns, at);
        }
        if ((at - data) & 1) *at++ = 0;
    }
    free(row);
    *out_size = (size_t)(at - data);
    uint8_t *fitted = realloc(data, *out_size);
    *out = fitted ? fitted : data;
    return MG_DICOM_OK;
}
