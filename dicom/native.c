/* native.c: uncompressed samples (PS3.5 8.1, A.1 to A.3, A.4.13) to words of the machine.
 *
 * First the frame's bytes are brought into little endian order with samples in full, through a copy
 * where that takes one; then they are moved to the output word by word, and last the bits that are
 * not the value are masked in place. The everyday case, 16-bit little endian, is one
 * vector loop. */
#include <stdlib.h>
#include <zlib.h>

#include "dicom/pixel.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

uint64_t mg_dicom_native_size(const mg_dicom_image *image, bool yy_cb_cr, unsigned bit) {
    uint64_t pixels = (uint64_t)image->rows * image->columns;
    if (yy_cb_cr) return pixels * 2;
    uint64_t bits = pixels * (uint64_t)image->samples * (uint64_t)image->bits_allocated + bit;
    return bits / 8 + (bits % 8 != 0);
}

/* --- byte order ------------------------------------------------------------------------------- */

static void swap16(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, p + 2 * i, sizeof v);
        v = __builtin_bswap16(v);
        memcpy(p + 2 * i, &v, sizeof v);
    }
}
static void swap32(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        memcpy(&v, p + 4 * i, sizeof v);
        v = __builtin_bswap32(v);
        memcpy(p + 4 * i, &v, sizeof v);
    }
}
static void swap64(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, p + 8 * i, sizeof v);
        v = __builtin_bswap64(v);
        memcpy(p + 8 * i, &v, sizeof v);
    }
}

static void swap_words(void *samples, size_t n, int word_bytes) {
    switch (word_bytes) {
    case 2: swap16(samples, n); break;
    case 4: swap32(samples, n); break;
    case 8: swap64(samples, n); break;
    default: break;
    }
}

/* Copies `need` bytes of the frame, missing ones as zeros, undoing the pairwise swap that big
 * endian OW means for samples smaller than a word (PS3.5 A.3: words of two bytes are swapped). */
static uint8_t *copy_bytes(const mg_dicom_frame_data *data, uint64_t need, bool swapped) {
    uint8_t *copy = calloc((size_t)need + 1, 1);
    if (!copy) return NULL;
    if (!swapped) {
        memcpy(copy, data->bytes, (size_t)(need < data->size ? need : data->size));
        return copy;
    }
    /* Position i of the frame is position i^1 counted from the pixel data's even start. */
    const uint8_t *even = data->bytes - data->odd;
    for (uint64_t i = 0; i < need; i++) {
        uint64_t from = (i + data->odd) ^ 1;
        if (from < data->size + data->odd) copy[i] = even[from];
    }
    return copy;
}

/* --- layouts ---------------------------------------------------------------------------------- */

static void unpack_bits(const uint8_t *p, unsigned bit, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        size_t at = bit + i;
        out[i] = p[at >> 3] >> (at & 7) & 1;
    }
}

static void unpack_422(const uint8_t *p, size_t pixels, uint8_t *out) {
    for (size_t i = 0; i + 1 < pixels; i += 2, p += 4, out += 6) {
        out[0] = p[0];
        out[3] = p[1];
        out[1] = out[4] = p[2];
        out[2] = out[5] = p[3];
    }
}

/* Planes to interleaved samples. */
static void interleave(const uint8_t *p, size_t pixels, int samples, size_t word, uint8_t *out) {
    for (int c = 0; c < samples; c++)
        for (size_t i = 0; i < pixels; i++, p += word)
            memcpy(out + (i * (size_t)samples + (size_t)c) * word, p, word);
}

/* The everyday case in one pass: 16-bit little endian words, copied and masked. */
static void copy_masked(const uint8_t *p, size_t n, const mg_dicom_image *image, uint16_t *out) {
    int shift = image->high_bit + 1 - image->bits_stored;
    uint16_t mask = (uint16_t)((1u << image->bits_stored) - 1);
    uint16_t sign = (uint16_t)(image->is_signed ? 1u << (image->bits_stored - 1) : 0u);
    for (size_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, p + 2 * i, sizeof v);
        out[i] = (uint16_t)((((v >> shift) & mask) ^ sign) - sign);
    }
}

static void arrange(const mg_dicom_image *image, const mg_dicom_native_layout *layout,
                    const uint8_t *bytes, unsigned bit, void *out) {
    size_t pixels = (size_t)image->rows * image->columns, n = pixels * (size_t)image->samples;
    if (layout->yy_cb_cr) {
        unpack_422(bytes, pixels, out);
    } else if (image->bits_allocated == 1) {
        unpack_bits(bytes, bit, n, out);
        return;
    } else if (image->word_bytes == 2 && !image->planar && image->bits_stored < 16 &&
               layout->big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)) {
        copy_masked(bytes, n, image, out);
        return;
    } else if (image->planar) {
        interleave(bytes, pixels, image->samples, (size_t)image->word_bytes, out);
    } else {
        memcpy(out, bytes, n * (size_t)image->word_bytes);
    }
    if (layout->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
        swap_words(out, n, image->word_bytes);
    mg_dicom_mask_samples(out, n, image->word_bytes, image->high_bit + 1 - image->bits_stored,
                          image->bits_stored, image->is_signed);
}

mg_dicom_status mg_dicom_native_unpack(const mg_dicom_image *image,
                                       const mg_dicom_native_layout *layout,
                                       const mg_dicom_frame_data *data, bool allow_partial,
                                       bool *partial, void *out, mg_dicom_error *err) {
    uint64_t need = mg_dicom_native_size(image, layout->yy_cb_cr, data->bit);
    bool swapped = layout->big_endian && layout->words && image->bits_allocated <= 8;
    if (layout->yy_cb_cr && (image->bits_allocated != 8 || image->columns % 2 || image->planar))
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "%s needs 8-bit samples, an even number of columns, interleaved",
                             image->photometric);
    if (data->size < need && !allow_partial)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, data->offset + data->size,
                             "pixel data ends early: the frame needs %llu bytes, %llu are there",
                             (unsigned long long)need, (unsigned long long)data->size);
    if (data->size < need && partial) *partial = true;
    if (data->size >= need && !swapped) {
        arrange(image, layout, data->bytes, data->bit, out);
        return MG_DICOM_OK;
    }
    uint8_t *copy = copy_bytes(data, need, swapped);
    if (!copy)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, data->offset,
                             "no memory for %llu bytes of a frame", (unsigned long long)need);
    arrange(image, layout, copy, data->bit, out);
    free(copy);
    return MG_DICOM_OK;
}

/* --- deflated frames -------------------------------------------------------------------------- */

/* Inflates into at most `need` bytes; *got is what came. The stream must end where the frame does,
 * but for one byte that makes the length even. */
static bool inflate_frame(const mg_dicom_frame_data *data, uint8_t *to, uint64_t need,
                          uint64_t *got, bool *too_much) {
    z_stream z = {0};
    uint8_t extra[2];
    *got = 0;
    *too_much = false;
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return false;
    z.next_in = (Bytef *)data->bytes;
    uint64_t left_in = data->size;
    int result = Z_OK;
    while (result == Z_OK) {
        if (z.avail_in == 0) {
            z.avail_in = (uInt)(left_in < (1u << 30) ? left_in : 1u << 30);
            left_in -= z.avail_in;
        }
        uint64_t room = need - *got;
        uInt offered = (uInt)(room < (1u << 30) ? room : 1u << 30);
        z.next_out = room ? to + *got : extra;
        z.avail_out = room ? offered : sizeof extra;
        result = inflate(&z, Z_NO_FLUSH);
        if (room) {
            *got += offered - z.avail_out;
        } else if (z.avail_out == 0) {
            *too_much = true;
            break;
        }
        if (result == Z_OK && room && z.avail_out && z.avail_in == 0 && left_in == 0) break;
    }
    inflateEnd(&z);
    return result == Z_STREAM_END;
}

mg_dicom_status mg_dicom_deflated_unpack(const mg_dicom_image *image, bool yy_cb_cr,
                                         const mg_dicom_frame_data *data, bool allow_partial,
                                         bool *partial, void *out, mg_dicom_error *err) {
    uint64_t need = mg_dicom_native_size(image, yy_cb_cr, 0), got;
    /* Deflate cannot do better than 1032:1, so a short stream cannot ask for much memory. */
    if (need / 1032 > data->size && !allow_partial)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, data->offset,
                             "%llu deflated bytes cannot hold a frame of %llu bytes",
                             (unsigned long long)data->size, (unsigned long long)need);
    uint8_t *bytes = calloc((size_t)need + 1, 1);
    if (!bytes)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, data->offset,
                             "no memory for %llu bytes of a frame", (unsigned long long)need);
    bool too_much, ended = inflate_frame(data, bytes, need, &got, &too_much);
    mg_dicom_status status = MG_DICOM_OK;
    if (too_much) {
        status = mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, data->offset,
                               "the deflated frame is longer than its %llu bytes",
                               (unsigned long long)need);
    } else if ((!ended || got < need) && !allow_partial) {
        status = mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, data->offset,
                               "the deflated frame is broken or ends early: %llu of %llu bytes",
                               (unsigned long long)got, (unsigned long long)need);
    } else {
        mg_dicom_native_layout layout = {.yy_cb_cr = yy_cb_cr};
        mg_dicom_frame_data plain = {.bytes = bytes, .size = need, .offset = data->offset};
        if ((!ended || got < need) && partial) *partial = true;
        status = mg_dicom_native_unpack(image, &layout, &plain, false, NULL, out, err);
    }
    free(bytes);
    return status;
}
