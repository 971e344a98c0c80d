/* fuzz_rle.c: RLE. Four bytes say what the frame is, the rest is the compressed frame; what decodes
 * must survive another round trip. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    mg_dicom_codec_frame frame = {1u + data[0], 1u + data[1], 1 + data[2] % 4, 1 + data[3] % 4};
    size_t n = (size_t)frame.rows * frame.columns * (size_t)(frame.samples * frame.word_bytes);
    uint8_t *out = malloc(n);
    mg_dicom_codec_options options = {.allow_partial = data[3] & 0x80};
    mg_dicom_error err = {0};
    mg_dicom_status status = mg_dicom_rle_decode(data + 4, size - 4, &frame, out, &options, &err);
    if (status != err.code || (status && !err.message[0])) abort();
    if (!status) {
        uint8_t *coded, *again = malloc(n);
        size_t coded_size;
        if (mg_dicom_rle_encode(out, &frame, &coded, &coded_size, NULL)) abort();
        if (mg_dicom_rle_decode(coded, coded_size, &frame, again, NULL, NULL)) abort();
        if (memcmp(out, again, n)) abort();
        free(coded);
        free(again);
    }
    free(out);
    return 0;
}
