/* fuzz_jpeg.c: JPEG of every process. The first byte holds options, the rest is the codestream. The
 * frame is what the codestream says of itself, as far as it is small, so that the decoders are
 * reached; the output has its exact size, so that the sanitizer sees every byte written beyond. */
#include <stdint.h>
#include <stdlib.h>

#include "dicom/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    uint8_t flags = data[0];
    mg_dicom_codec_header h = {0};
    mg_dicom_error err = {0};
    mg_dicom_codec_frame frame = {8, 8, 1, flags & 1 ? 1 : 2};
    if (mg_dicom_jpeg_header(data + 1, size - 1, &h, &err) == MG_DICOM_OK) {
        frame.rows = h.rows ? h.rows : 5;
        frame.columns = h.columns;
        frame.samples = h.components;
        if (h.precision <= 8 && flags & 8) frame.word_bytes = 1;
    } else if (!err.message[0] || err.code == MG_DICOM_OK) {
        abort(); /* a failure without a reason */
    }
    uint64_t samples = (uint64_t)frame.rows * frame.columns * (unsigned)frame.samples;
    if (samples > 1u << 16) return 0;
    void *out = malloc((size_t)samples * (size_t)frame.word_bytes);
    bool partial = false;
    mg_dicom_codec_options options = {
        .allow_partial = flags & 2, .int16_predictor = flags & 4, .partial = &partial};
    err = (mg_dicom_error){0};
    mg_dicom_status status = mg_dicom_jpeg_decode(data + 1, size - 1, &frame, out, &options, &err);
    if (status != err.code || (status && !err.message[0]) || err.offset > size) abort();
    if (partial && !options.allow_partial) abort();
    free(out);
    return 0;
}
