/* dicom_builder.c: see the header. */
#include "tests/lib/dicom_builder.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void build_raw(dicom_builder *b, const void *bytes, size_t n) {
    if (b->size + n > b->capacity) {
        b->capacity = 2 * (b->size + n) + 256;
        b->bytes = realloc(b->bytes, b->capacity);
        if (!b->bytes) abort();
    }
    if (n) memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
}

void build_free(dicom_builder *b) {
    free(b->bytes);
    *b = (dicom_builder){0};
}

static void number(dicom_builder *b, uint64_t v, int width) {
    uint8_t bytes[8];
    for (int i = 0; i < width; i++)
        bytes[b->big_endian ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
    build_raw(b, bytes, (size_t)width);
}

static void tag_of(dicom_builder *b, uint32_t tag) {
    number(b, tag >> 16, 2);
    number(b, tag & 0xFFFF, 2);
}

void build_header(dicom_builder *b, uint32_t tag, const char *vr, uint32_t length) {
    static const char *const long_form = "OB OD OF OL OV OW SQ SV UC UN UR UT UV";
    tag_of(b, tag);
    if (b->implicit) {
        number(b, length, 4);
        return;
    }
    build_raw(b, vr, 2);
    if (strstr(long_form, vr)) {
        number(b, 0, 2);
        number(b, length, 4);
    } else {
        number(b, length, 2);
    }
}

void build_element(dicom_builder *b, uint32_t tag, const char *vr, const void *value, size_t n) {
    build_header(b, tag, vr, (uint32_t)n);
    build_raw(b, value, n);
}

void build_text(dicom_builder *b, uint32_t tag, const char *vr, const char *text) {
    size_t n = strlen(text);
    build_header(b, tag, vr, (uint32_t)(n + n % 2));
    build_raw(b, text, n);
    if (n % 2) build_raw(b, strcmp(vr, "UI") == 0 ? "" : " ", 1);
}

void build_us(dicom_builder *b, uint32_t tag, const char *vr, uint16_t value) {
    build_header(b, tag, vr, 2);
    number(b, value, 2);
}

void build_item(dicom_builder *b, uint32_t length) {
    tag_of(b, 0xFFFEE000);
    number(b, length, 4);
}
void build_item_end(dicom_builder *b) {
    tag_of(b, 0xFFFEE00D);
    number(b, 0, 4);
}
void build_sequence_end(dicom_builder *b) {
    tag_of(b, 0xFFFEE0DD);
    number(b, 0, 4);
}

void build_begin(dicom_builder *b, const char *transfer_syntax) {
    static const uint8_t zeros[128];
    *b = (dicom_builder){0};
    if (!transfer_syntax) return;
    size_t n = strlen(transfer_syntax) + strlen(transfer_syntax) % 2;
    uint8_t length[4] = {(uint8_t)(n + 8)};
    build_raw(b, zeros, sizeof zeros);
    build_raw(b, "DICM", 4);
    build_element(b, 0x00020000, "UL", length, 4);
    build_text(b, 0x00020010, "UI", transfer_syntax);
    b->implicit = strcmp(transfer_syntax, "1.2.840.10008.1.2") == 0;
    b->big_endian = strcmp(transfer_syntax, "1.2.840.10008.1.2.2") == 0;
}

void build_deflate(dicom_builder *b, size_t keep) {
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    uint64_t bound = deflateBound(&z, (uLong)(b->size - keep));
    uint8_t *out = malloc(bound);
    if (!out) abort();
    z.next_in = b->bytes + keep;
    z.avail_in = (uInt)(b->size - keep);
    z.next_out = out;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
    b->size = keep;
    build_raw(b, out, z.total_out);
    deflateEnd(&z);
    free(out);
}
