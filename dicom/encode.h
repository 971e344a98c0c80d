/* encode.h: encoders that other libraries do for us; the same shape as those in codec.h. One call
 * is one frame of interleaved native words (word_bytes 1 or 2, 1 or 3 samples); *out is allocated
 * with malloc() and belongs to the caller. */
#ifndef MG_DICOM_ENCODE_H
#define MG_DICOM_ENCODE_H

#include "dicom/codec.h"

/* JPEG-LS by CharLS. near 0: lossless; else no sample is off by more. The low `precision` (2…16)
 * bits of each word are coded; three samples line by line (ILV 1). */
mg_dicom_status mg_dicom_jls_encode(const void *samples, const mg_dicom_codec_frame *frame,
                                    int precision, int near, uint8_t **out, size_t *out_size,
                                    mg_dicom_error *err);

/* JPEG 2000 codestream by OpenJPEG: reversible when ratio is 0, else irreversible with the rate cut
 * to the ratio of raw to compressed size. No component transform: three samples stay what they
 * are. */
mg_dicom_status mg_dicom_j2k_encode(const void *samples, const mg_dicom_codec_frame *frame,
                                    int precision, bool is_signed, double ratio, uint8_t **out,
                                    size_t *out_size, mg_dicom_error *err);

#endif
