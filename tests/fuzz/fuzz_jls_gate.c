/* fuzz_jls_gate.c: a JPEG-LS codestream through the header check, and what passes it through the
 * decoder, as the frame that it says it is. The output has its exact size. The last byte holds
 * options. */
#include <stdint.h>
#include <stdlib.h>

#include "dicom/pixel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    mg_dicom_jls_header h;
    mg_dicom_error err = {0};
    mg_dicom_status status = mg_dicom_jls_read_header(data, size, &h, &err);
    if (status != err.code || (status && !err.message[0])) abort();
    if (status != MG_DICOM_OK) return 0;
    uint64_t samples = (uint64_t)h.rows * h.columns * (uint64_t)h.components;
    if (samples > 1 << 14) return 0;
    int word = data[size - 1] & 1 && h.precision <= 8 ? 1 : data[size - 1] & 2 ? 4 : 2;
    mg_dicom_codec_frame frame = {h.rows, h.columns, h.components, word};
    bool partial = false;
    mg_dicom_codec_options options = {.allow_partial = data[size - 1] & 4, .partial = &partial};
    void *out = malloc((size_t)samples * (size_t)word);
    status = mg_dicom_jls_decode(data, size, &h, &frame, out, &options, &err);
    if (status != err.code || (status && !err.message[0])) abort();
    if (status == MG_DICOM_OK && partial && !options.allow_partial) abort();
    free(out);
    return 0;
}
