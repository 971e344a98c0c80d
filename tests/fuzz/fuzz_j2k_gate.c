/* fuzz_j2k_gate.c: a JPEG 2000 codestream or JP2 file through the gate, and what passes it through
 * the decoder, as the frame that it says it is. The output has its exact size. The last byte holds
 * options. */
#include <stdint.h>
#include <stdlib.h>

#include "dicom/pixel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    mg_dicom_j2k_header h;
    mg_dicom_error err = {0};
    mg_dicom_status status = mg_dicom_j2k_read_header(data, size, &h, &err);
    if (status != err.code || (status && !err.message[0])) abort();
    if (status != MG_DICOM_OK) return 0;
    if (h.start > size || h.size > size - h.start || h.precision < 1 || h.precision > 16) abort();
    uint64_t samples = (uint64_t)h.rows * h.columns * (uint64_t)h.components;
    if (samples > 1 << 14) return 0;
    int reduce = data[size - 1] >> 2 & 3, word = h.precision <= 8 && data[size - 1] & 1 ? 1 : 2;
    mg_dicom_codec_frame frame = {h.rows, h.columns, h.components, word};
    bool partial = false;
    mg_dicom_codec_options options = {.allow_partial = data[size - 1] & 2, .partial = &partial};
    uint64_t reduced = (uint64_t)mg_dicom_j2k_reduced(h.y0, h.y1, h.yr, reduce) *
                       mg_dicom_j2k_reduced(h.x0, h.x1, h.xr, reduce) * (uint64_t)h.components;
    void *out = malloc((size_t)reduced * (size_t)word + 1);
    status = mg_dicom_j2k_decode(data, &h, &frame, reduce, out, &options, &err);
    if (status != err.code || (status && !err.message[0])) abort();
    if (status == MG_DICOM_OK && partial && !options.allow_partial) abort();
    free(out);
    return 0;
}
