/* put_image.c: the Image Pixel module and pixel data, native or through an encoder. */
#include <stdio.h>
#include <stdlib.h>

#include "dicom/dataset.h"
#include "dicom/encode.h"
#include "dicom/pixel.h"

typedef enum coding {
    NATIVE,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_2000,
    JPEG_2000_LOSSY,
    RLE,
    CODINGS
} coding;

static coding coding_of(const char *uid) {
    static const char *const uids[CODINGS] = {
        [JPEG_LOSSLESS] = "1.2.840.10008.1.2.4.70",   [JPEG_LS] = "1.2.840.10008.1.2.4.80",
        [JPEG_LS_NEAR] = "1.2.840.10008.1.2.4.81",    [JPEG_2000] = "1.2.840.10008.1.2.4.90",
        [JPEG_2000_LOSSY] = "1.2.840.10008.1.2.4.91", [RLE] = "1.2.840.10008.1.2.5"};
    for (int i = 1; i < CODINGS; i++)
        if (strcmp(uids[i], uid) == 0) return (coding)i;
    if (strcmp(uid, "1.2.840.10008.1.2") == 0 || strcmp(uid, "1.2.840.10008.1.2.1") == 0 ||
        strcmp(uid, "1.2.840.10008.1.2.1.99") == 0)
        return NATIVE;
    return CODINGS;
}

/* --- native ----------------------------------------------------------------------------------- */

/* All frames as the file holds them: little endian words, or one bit a pixel. */
static uint8_t *native_bytes(const mg_dicom_image *image, const void *stored, uint64_t samples,
                             uint64_t *size) {
    const uint8_t *in = stored;
    if (image->bits_allocated == 1) {
        *size = (samples + 7) / 8;
        *size += *size & 1;
        uint8_t *out = calloc(1, *size);
        for (uint64_t i = 0; out && i < samples; i++)
            if (in[i]) out[i / 8] |= (uint8_t)(1u << (i % 8));
        return out;
    }
    uint64_t width = (uint64_t)image->word_bytes, bytes = samples * width;
    *size = bytes + (bytes & 1);
    uint8_t *out = malloc(*size);
    if (!out) return NULL;
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ || width == 1) {
        memcpy(out, in, bytes);
    } else {
        for (uint64_t i = 0; i < bytes; i++)
            out[i] = in[i / width * width + (width - 1 - i % width)];
    }
    if (bytes & 1) out[bytes] = 0;
    return out;
}

static mg_dicom_status put_native(mg_dicom_dataset *s, const mg_dicom_image *image,
                                  const void *stored, uint64_t samples, mg_dicom_error *err) {
    uint64_t size;
    uint8_t *bytes = native_bytes(image, stored, samples, &size);
    if (!bytes) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for pixel data");
    mg_dicom_node_take(s, 0x7FE00010, image->bits_allocated == 8 ? "OB" : "OW", bytes, size, false);
    return MG_DICOM_OK;
}

/* --- encapsulated ----------------------------------------------------------------------------- */

static uint8_t *put_item_header(uint8_t *p, uint16_t element, uint64_t length) {
    const uint8_t header[8] = {0xFE,
                               0xFF,
                               (uint8_t)element,
                               (uint8_t)(element >> 8),
                               (uint8_t)length,
                               (uint8_t)(length >> 8),
                               (uint8_t)(length >> 16),
                               (uint8_t)(length >> 24)};
    memcpy(p, header, 8);
    return p + 8;
}

mg_dicom_status mg_dicom_put_fragments(mg_dicom_dataset *s, const char *transfer_syntax,
                                       const uint8_t *const *fragments, const size_t *sizes,
                                       uint32_t count, mg_dicom_error *err) {
    uint64_t data = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (sizes[i] >= UINT32_MAX - 1)
            return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0,
                                 "frame %u is longer than an item of 4 GiB", i + 1);
        data += 8 + sizes[i] + (sizes[i] & 1);
    }
    bool table = data < UINT32_MAX; /* offsets of the Basic Offset Table have 32 bits */
    uint64_t total = 8 + (table ? 4 * (uint64_t)count : 0) + data + 8;
    uint8_t *bytes = malloc(total), *p = bytes;
    if (!bytes) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for pixel data");
    p = put_item_header(p, 0xE000, table ? 4 * (uint64_t)count : 0);
    uint32_t offset = 0;
    for (uint32_t i = 0; table && i < count; i++) {
        for (int k = 0; k < 4; k++) *p++ = (uint8_t)(offset >> (8 * k));
        offset += (uint32_t)(8 + sizes[i] + (sizes[i] & 1));
    }
    for (uint32_t i = 0; i < count; i++) {
        p = put_item_header(p, 0xE000, sizes[i] + (sizes[i] & 1));
        memcpy(p, fragments[i], sizes[i]);
        p += sizes[i];
        if (sizes[i] & 1) *p++ = 0;
    }
    put_item_header(p, 0xE0DD, 0);
    mg_dicom_node_take(s, 0x7FE00010, "OB", bytes, total, true);
    mg_dicom_set_transfer_syntax(s, transfer_syntax);
    return MG_DICOM_OK;
}

static mg_dicom_status encode_frame(coding how, const mg_dicom_image *image, const void *frame,
                                    const mg_dicom_encode_options *o, uint8_t **out, size_t *size,
                                    mg_dicom_error *err) {
    mg_dicom_codec_frame f = {image->rows, image->columns, image->samples, image->word_bytes};
    int near = o->near > 0 ? o->near : 2;
    double ratio = o->ratio > 0 ? o->ratio : 10;
    switch (how) {
    case JPEG_LOSSLESS:
        return mg_dicom_jpeg_lossless_encode(frame, &f, image->bits_stored, out, size, err);
    case JPEG_LS:
    case JPEG_LS_NEAR:
        return mg_dicom_jls_encode(frame, &f, image->bits_stored, how == JPEG_LS_NEAR ? near : 0,
                                   out, size, err);
    case JPEG_2000:
    case JPEG_2000_LOSSY:
        return mg_dicom_j2k_encode(frame, &f, image->bits_stored, image->is_signed,
                                   how == JPEG_2000_LOSSY ? ratio : 0, out, size, err);
    case RLE: return mg_dicom_rle_encode(frame, &f, out, size, err);
    default: return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0, "no encoder");
    }
}

/* The text of an element that was put, without the blanks at its end, before `behind`. */
static void put_joined(mg_dicom_dataset *s, uint32_t tag, const char *before, const char *behind,
                       uint64_t skip) {
    const mg_dicom_node *node = mg_dicom_node_find(s, tag);
    uint64_t n = node && node->bytes ? node->size : 0;
    while (n > skip && (node->bytes[n - 1] == ' ' || node->bytes[n - 1] == 0)) n--;
    if (n > skip + 10000) n = skip; /* no list of a few codes */
    size_t room = (size_t)n + strlen(before) + strlen(behind) + 1;
    char *text = malloc(room);
    if (!text) {
        mg_dicom_fail(&s->root->error, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
        return;
    }
    const char *old = n > skip ? (const char *)node->bytes + skip : "";
    snprintf(text, room, "%s%.*s%s", before, n > skip ? (int)(n - skip) : 0, old, behind);
    mg_dicom_put_text(s, tag, text);
    free(text);
}

static bool has_text(const mg_dicom_dataset *s, uint32_t tag) {
    const mg_dicom_node *node = mg_dicom_node_find(s, tag);
    return node && node->bytes && node->size && node->bytes[0] != ' ' && node->bytes[0] != 0;
}

/* PS3.3 C.7.6.1.1.5: ratios and methods of all lossy steps in their order. A data set that names
 * ratios without methods, or the reverse, has nothing that the new pair could continue. */
static void note_lossy(mg_dicom_dataset *s, const char *ratio, const char *method) {
    bool more = has_text(s, 0x00282112) && has_text(s, 0x00282114);
    char last[40];
    if (!more) {
        mg_dicom_remove(s, 0x00282112);
        mg_dicom_remove(s, 0x00282114);
    }
    mg_dicom_put_text(s, 0x00282110, "01");
    snprintf(last, sizeof last, "%s%s", more ? "\\" : "", ratio);
    put_joined(s, 0x00282112, "", last, 0);
    snprintf(last, sizeof last, "%s%s", more ? "\\" : "", method);
    put_joined(s, 0x00282114, "", last, 0);
    if (!has_text(s, 0x00080008)) return;
    const mg_dicom_node *type = mg_dicom_node_find(s, 0x00080008);
    const uint8_t *slash = memchr(type->bytes, '\\', (size_t)type->size);
    put_joined(s, 0x00080008, "DERIVED", "", slash ? (uint64_t)(slash - type->bytes) : type->size);
}

static mg_dicom_status put_encoded(mg_dicom_dataset *s, coding how, const mg_dicom_image *image,
                                   const uint8_t *stored, uint64_t frame_bytes,
                                   const mg_dicom_encode_options *o, const char *uid,
                                   mg_dicom_error *err) {
    uint8_t **fragments = calloc(image->frames, sizeof *fragments);
    size_t *sizes = calloc(image->frames, sizeof *sizes), total = 0;
    mg_dicom_status status = MG_DICOM_OK;
    if (!fragments || !sizes)
        status = mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for pixel data");
    for (uint32_t i = 0; i < image->frames && status == MG_DICOM_OK; i++) {
        status =
            encode_frame(how, image, stored + i * frame_bytes, o, &fragments[i], &sizes[i], err);
        total += sizes[i];
    }
    if (status == MG_DICOM_OK)
        status = mg_dicom_put_fragments(s, uid, (const uint8_t *const *)fragments, sizes,
                                        image->frames, err);
    if (status == MG_DICOM_OK && (how == JPEG_LS_NEAR || how == JPEG_2000_LOSSY)) {
        char ratio[32];
        snprintf(ratio, sizeof ratio, "%.4g",
                 (double)frame_bytes * image->frames / (double)(total ? total : 1));
        note_lossy(s, ratio, how == JPEG_LS_NEAR ? "ISO_14495_1" : "ISO_15444_1");
    }
    for (uint32_t i = 0; fragments && i < image->frames; i++) free(fragments[i]);
    free(fragments);
    free(sizes);
    return status;
}

/* --- the module ------------------------------------------------------------------------------- */

static void put_attributes(mg_dicom_dataset *s, const mg_dicom_image *image) {
    mg_dicom_put_int(s, 0x00280002, image->samples);
    mg_dicom_put_text(s, 0x00280004, image->photometric);
    if (image->samples > 1) mg_dicom_put_int(s, 0x00280006, 0);
    if (image->frames > 1) mg_dicom_put_int(s, 0x00280008, image->frames);
    mg_dicom_put_int(s, 0x00280010, image->rows);
    mg_dicom_put_int(s, 0x00280011, image->columns);
    mg_dicom_put_int(s, 0x00280100, image->bits_allocated);
    mg_dicom_put_int(s, 0x00280101, image->bits_stored);
    mg_dicom_put_int(s, 0x00280102, image->bits_stored - 1);
    mg_dicom_put_int(s, 0x00280103, image->is_signed);
}

static bool sensible(const mg_dicom_image *i) {
    bool width = i->bits_allocated == 1    ? i->word_bytes == 1
                 : i->bits_allocated == 8  ? i->word_bytes == 1
                 : i->bits_allocated == 16 ? i->word_bytes == 2
                 : i->bits_allocated == 32 ? i->word_bytes == 4
                                           : i->bits_allocated == 64 && i->word_bytes == 8;
    return width && i->rows > 0 && i->rows <= 65535 && i->columns > 0 && i->columns <= 65535 &&
           i->frames > 0 && (i->samples == 1 || i->samples == 3) && i->bits_stored > 0 &&
           i->bits_stored <= i->bits_allocated && i->photometric[0];
}

static bool count_samples(const mg_dicom_image *i, uint64_t *frame_samples, uint64_t *samples) {
    uint64_t bytes;
    return sensible(i) &&
           mg_dicom_mul((uint64_t)i->rows * i->columns, (uint64_t)i->samples, frame_samples) &&
           mg_dicom_mul(*frame_samples, i->frames, samples) &&
           mg_dicom_mul(*samples, (uint64_t)i->word_bytes, &bytes) && bytes <= SIZE_MAX;
}

int mg_dicom_bits_needed(const mg_dicom_image *image, const void *stored) {
    uint64_t frame_samples, samples;
    if (!image || !stored || !count_samples(image, &frame_samples, &samples)) return 0;
    int bits = mg_dicom_samples_bits(stored, samples, image->word_bytes, image->is_signed);
    return bits > image->bits_stored ? bits : image->bits_stored;
}

mg_dicom_status mg_dicom_put_image(mg_dicom_dataset *s, const mg_dicom_image *image,
                                   const void *stored, const mg_dicom_encode_options *options,
                                   mg_dicom_error *err) {
    mg_dicom_encode_options o = options ? *options : (mg_dicom_encode_options){0};
    const char *uid = o.transfer_syntax ? o.transfer_syntax : "1.2.840.10008.1.2.1";
    coding how = coding_of(uid);
    uint64_t frame_samples, samples;
    if (!s) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
    if (how == CODINGS)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "no encoder for transfer syntax %s: use implicit, explicit or deflated"
                             " little endian, .4.70, .4.80, .4.81, .4.90, .4.91 or .5",
                             uid);
    if (!count_samples(image, &frame_samples, &samples))
        return mg_dicom_fail(
            err, MG_DICOM_ERR_ARG, 0, "image of %u x %u x %d, %d bits in %d, cannot be written",
            image->rows, image->columns, image->samples, image->bits_stored, image->bits_allocated);
    if (how != NATIVE && image->bits_allocated == 1)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "one-bit images are written uncompressed only");
    int bits = mg_dicom_bits_needed(image, stored);
    if (bits > image->bits_stored)
        return mg_dicom_fail(
            err, MG_DICOM_ERR_ARG, 0,
            "the image has values of %d bits, but bits_stored is %d: what is above "
            "would be lost, so raise it to %d",
            bits, image->bits_stored, bits);
    put_attributes(s, image);
    if (how != NATIVE)
        return put_encoded(s, how, image, stored, frame_samples * (uint64_t)image->word_bytes, &o,
                           uid, err);
    mg_dicom_set_transfer_syntax(s, uid);
    return put_native(s, image, stored, samples, err);
}
