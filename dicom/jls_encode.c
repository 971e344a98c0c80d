/* jls_encode.c: JPEG-LS (ISO 14495-1) through CharLS. */
#include <charls/charls.h>
#include <stdlib.h>

#include "dicom/encode.h"
#include "dicom/internal.h"

/* Words with everything above `precision` cleared: JPEG-LS has no sign, the reader extends it. */
static void *masked_copy(const void *samples, const mg_dicom_codec_frame *f, int precision,
                         uint64_t n) {
    uint8_t *copy = malloc(n * (uint64_t)f->word_bytes);
    if (!copy) return NULL;
    uint32_t mask = (1u << precision) - 1;
    if (f->word_bytes == 1) {
        const uint8_t *in = samples;
        for (uint64_t i = 0; i < n; i++) copy[i] = (uint8_t)(in[i] & mask);
    } else {
        const uint16_t *in = samples;
        uint16_t *words = (uint16_t *)(void *)copy;
        for (uint64_t i = 0; i < n; i++) words[i] = (uint16_t)(in[i] & mask);
    }
    /* Up to 8 bits CharLS wants bytes. */
    if (f->word_bytes == 2 && precision <= 8) {
        const uint16_t *words = (const uint16_t *)(const void *)copy;
        for (uint64_t i = 0; i < n; i++) copy[i] = (uint8_t)words[i];
    }
    return copy;
}

static charls_jpegls_errc encode(charls_jpegls_encoder *e, const mg_dicom_codec_frame *f,
                                 int precision, int near, const void *raw, uint64_t raw_size,
                                 uint8_t **out, size_t *out_size) {
    charls_frame_info info = {f->columns, f->rows, precision, f->samples};
    charls_jpegls_errc code = charls_jpegls_encoder_set_frame_info(e, &info);
    if (!code && near) code = charls_jpegls_encoder_set_near_lossless(e, near);
    if (!code && f->samples > 1)
        code = charls_jpegls_encoder_set_interleave_mode(e, CHARLS_INTERLEAVE_MODE_LINE);
    size_t room = 0;
    if (!code) code = charls_jpegls_encoder_get_estimated_destination_size(e, &room);
    if (code) return code;
    *out = malloc(room);
    if (!*out) return CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY;
    code = charls_jpegls_encoder_set_destination_buffer(e, *out, room);
    if (!code) code = charls_jpegls_encoder_encode_from_buffer(e, raw, raw_size, 0);
    if (!code) code = charls_jpegls_encoder_get_bytes_written(e, out_size);
    if (!code) return code;
    free(*out);
    *out = NULL;
    return code;
}

mg_dicom_status mg_dicom_jls_encode(const void *samples, const mg_dicom_codec_frame *f,
                                    int precision, int near, uint8_t **out, size_t *out_size,
                                    mg_dicom_error *err) {
    uint64_t n;
    *out = NULL;
    if (precision < 2 || precision > 8 * f->word_bytes || f->word_bytes > 2 || near < 0 ||
        (f->samples != 1 && f->samples != 3) ||
        !mg_dicom_mul((uint64_t)f->rows * f->columns, (uint64_t)f->samples, &n) || n == 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG-LS cannot code this kind of frame");
    /* ISO 14495-1 C.2.4.1.1; CharLS asserts it. */
    int most = ((1 << precision) - 1) / 2 < 255 ? ((1 << precision) - 1) / 2 : 255;
    if (near > most)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "near is %d, but JPEG-LS samples of %d bits take at most %d", near,
                             precision, most);
    int bytes = precision <= 8 ? 1 : 2;
    void *raw = masked_copy(samples, f, precision, n);
    charls_jpegls_encoder *e = raw ? charls_jpegls_encoder_create() : NULL;
    charls_jpegls_errc code =
        e ? encode(e, f, precision, near, raw, n * (uint64_t)bytes, out, out_size)
          : CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY;
    if (e) charls_jpegls_encoder_destroy(e);
    free(raw);
    if (code == CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for JPEG-LS");
    if (code)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0, "JPEG-LS encoder: %s",
                             charls_get_error_message(code));
    return MG_DICOM_OK;
}
