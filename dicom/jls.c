/* jls.c: JPEG-LS (ITU-T T.87) through CharLS, behind a header check of our own. */
#include <stdlib.h>

#include <charls/charls.h>

#include "dicom/pixel.h"

/* --- header ----------------------------------------------------------------------------------- */

enum { SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, SOF_LS = 0xF7, LSE = 0xF8 };

static mg_dicom_status broken(mg_dicom_error *err, size_t at, const char *what) {
    return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, at, "JPEG-LS: %s at byte %zu", what, at);
}

static mg_dicom_status read_frame_header(const uint8_t *p, size_t at, size_t length,
                                         mg_dicom_jls_header *out, mg_dicom_error *err) {
    if (out->components) return broken(err, at, "second frame header");
    if (length < 8 || length != 8 + 3 * (size_t)p[7]) return broken(err, at, "frame header length");
    out->precision = p[2];
    out->rows = (uint32_t)p[3] << 8 | p[4];
    out->columns = (uint32_t)p[5] << 8 | p[6];
    out->components = p[7];
    if (out->precision < 2 || out->precision > 16)
        return broken(err, at, "precision not 2 to 16 bits");
    if (out->rows == 0 || out->columns == 0) return broken(err, at, "empty image");
    if (out->components == 0) return broken(err, at, "no components");
    for (int c = 0; c < out->components; c++)
        if (p[8 + 3 * c + 1] != 0x11) return broken(err, at, "subsampled component");
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_jls_read_header(const uint8_t *data, size_t size, mg_dicom_jls_header *out,
                                         mg_dicom_error *err) {
    *out = (mg_dicom_jls_header){0};
    if (size < 4 || data[0] != 0xFF || data[1] != SOI) return broken(err, 0, "no SOI marker");
    size_t at = 2;
    for (;;) {
        if (size - at < 4) return broken(err, at, "data ends before the first scan");
        if (data[at] != 0xFF) return broken(err, at, "no marker");
        uint8_t code = data[at + 1];
        if (code == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        if (code < 0xC0 || (code >= 0xD0 && code <= EOI)) return broken(err, at, "stray marker");
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > size - at - 2) return broken(err, at, "segment length");
        if (code == SOS) break;
        if (code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC)
            return broken(err, at, "a JPEG, not a JPEG-LS frame header");
        if (code == SOF_LS) {
            mg_dicom_status status = read_frame_header(data + at + 2, at, length, out, err);
            if (status != MG_DICOM_OK) return status;
        }
        at += 2 + length;
    }
    if (!out->components) return broken(err, at, "scan without a frame header");
    return MG_DICOM_OK;
}

/* --- decoding --------------------------------------------------------------------------------- */

static const char *explain(charls_jpegls_errc code) {
    switch ((int)code) {
    case CHARLS_JPEGLS_ERRC_SOURCE_BUFFER_TOO_SMALL: return "data ends early";
    case CHARLS_JPEGLS_ERRC_INVALID_ENCODED_DATA: return "impossible entropy-coded data";
    case CHARLS_JPEGLS_ERRC_TOO_MUCH_ENCODED_DATA: return "more entropy-coded data than pixels";
    case CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY: return "no memory";
    case CHARLS_JPEGLS_ERRC_END_OF_IMAGE_MARKER_NOT_FOUND: return "no end marker";
    default: return charls_get_error_message(code);
    }
}

/* Component planes, as a scan without interleaving leaves them, to pixels. */
static void interleave(const uint8_t *p, size_t pixels, size_t samples, size_t word, uint8_t *out) {
    for (size_t c = 0; c < samples; c++)
        for (size_t i = 0; i < pixels; i++, p += word)
            memcpy(out + (i * samples + c) * word, p, word);
}

/* 8-bit samples in words of another size, from the end so that they may share the buffer. */
static void widen(uint8_t *samples, size_t n, size_t word) {
    for (size_t i = n; i-- > 0;) {
        uint64_t v = samples[i];
        if (word == 2) memcpy(samples + i * 2, &(uint16_t){(uint16_t)v}, 2);
        else if (word == 4) memcpy(samples + i * 4, &(uint32_t){(uint32_t)v}, 4);
    }
}
static void widen16(uint8_t *samples, size_t n) {
    for (size_t i = n; i-- > 0;) {
        uint16_t v;
        memcpy(&v, samples + i * 2, 2);
        memcpy(samples + i * 4, &(uint32_t){v}, 4);
    }
}

typedef struct job {
    const uint8_t *data;
    size_t size;
    const mg_dicom_jls_header *header;
    const mg_dicom_codec_frame *frame;
    size_t word; /* bytes of a sample as CharLS writes it */
    uint8_t *out;
} job;

/* Decodes with `decoder`; planes go through a second buffer. */
static charls_jpegls_errc decode(charls_jpegls_decoder *decoder, const job *j, bool *mismatch) {
    charls_frame_info info = {0};
    charls_interleave_mode mode = CHARLS_INTERLEAVE_MODE_NONE;
    size_t pixels = (size_t)j->header->rows * j->header->columns;
    size_t bytes = pixels * (size_t)j->header->components * j->word, needed = 0;
    charls_jpegls_errc code = charls_jpegls_decoder_set_source_buffer(decoder, j->data, j->size);
    if (!code) code = charls_jpegls_decoder_read_header(decoder);
    if (!code) code = charls_jpegls_decoder_get_frame_info(decoder, &info);
    if (!code) code = charls_jpegls_decoder_get_interleave_mode(decoder, &mode);
    if (!code) code = charls_jpegls_decoder_get_destination_size(decoder, 0, &needed);
    if (code) return code;
    /* Both read the same header; should they ever differ, CharLS must not write. */
    *mismatch = info.width != j->header->columns || info.height != j->header->rows ||
                info.component_count != j->header->components ||
                info.bits_per_sample != j->header->precision || needed != bytes;
    if (*mismatch) return code;
    if (mode != CHARLS_INTERLEAVE_MODE_NONE || j->header->components == 1)
        return charls_jpegls_decoder_decode_to_buffer(decoder, j->out, bytes, 0);
    uint8_t *planes = calloc(bytes, 1);
    if (!planes) return CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY;
    code = charls_jpegls_decoder_decode_to_buffer(decoder, planes, bytes, 0);
    interleave(planes, pixels, (size_t)j->header->components, j->word, j->out);
    free(planes);
    return code;
}

/* Errors after which the rows before them are right. */
static bool is_damage(charls_jpegls_errc code) {
    return code == CHARLS_JPEGLS_ERRC_SOURCE_BUFFER_TOO_SMALL ||
           code == CHARLS_JPEGLS_ERRC_INVALID_ENCODED_DATA ||
           code == CHARLS_JPEGLS_ERRC_TOO_MUCH_ENCODED_DATA ||
           code == CHARLS_JPEGLS_ERRC_END_OF_IMAGE_MARKER_NOT_FOUND;
}

mg_dicom_status mg_dicom_jls_decode(const uint8_t *data, size_t size,
                                    const mg_dicom_jls_header *header,
                                    const mg_dicom_codec_frame *frame, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err) {
    size_t n = (size_t)header->rows * header->columns * (size_t)header->components;
    size_t word = header->precision <= 8 ? 1 : 2, to = (size_t)frame->word_bytes;
    if (header->rows != frame->rows || header->columns != frame->columns ||
        header->components != frame->samples || word > to || to > 4)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG-LS: not the described frame");
    /* A row costs at least a bit per component: what is shorter cannot be whole, however flat. */
    if ((uint64_t)size * 8 < (uint64_t)header->rows * (uint64_t)header->components)
        return broken(err, size, "data ends early");
    charls_jpegls_decoder *decoder = charls_jpegls_decoder_create();
    if (!decoder) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "JPEG-LS: no memory");
    memset(out, 0, n * to); /* CharLS leaves rows after damage untouched */
    bool mismatch = false;
    job j = {data, size, header, frame, word, out};
    charls_jpegls_errc code = decode(decoder, &j, &mismatch);
    charls_jpegls_decoder_destroy(decoder);
    bool allowed = options && options->allow_partial && is_damage(code);
    if (mismatch) return broken(err, 0, "the decoder reads another header than we do");
    if (code && !allowed)
        return mg_dicom_fail(err,
                             code == CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY ? MG_DICOM_ERR_MEMORY
                                                                          : MG_DICOM_ERR_PIXELS,
                             0, "JPEG-LS: %s (CharLS error %d)", explain(code), (int)code);
    if (options && options->partial) *options->partial = code != 0;
    if (word == 1 && to > 1) widen(out, n, to);
    if (word == 2 && to == 4) widen16(out, n);
    return MG_DICOM_OK;
}
