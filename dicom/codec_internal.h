/* codec_internal.h: what the codecs share among themselves. */
#ifndef MG_DICOM_CODEC_INTERNAL_H
#define MG_DICOM_CODEC_INTERNAL_H

#include <stdint.h>

#include "dicom/codec.h"
#include "dicom/internal.h" /* mg_dicom_fail */

/* Calls options->on_warning if there is one. */
void mg_codec_warn(const mg_dicom_codec_options *options, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Is this a frame that can be coded at all: sizes in range, the buffer there and aligned, the
 * number of bytes representable? Writes the number of samples. */
mg_dicom_status mg_codec_check_frame(const mg_dicom_codec_frame *frame, const void *samples,
                                     size_t *count, mg_dicom_error *err);

static inline uint16_t mg_codec_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline uint64_t mg_codec_be64(const uint8_t *p) {
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

#endif
