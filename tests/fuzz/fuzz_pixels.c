/* fuzz_pixels.c: a whole DICOM file, every frame of it (the first eight), with small limits. The
 * last byte chooses between strict and partial, and a JPEG 2000 reduction. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/dicom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mg_dicom_options options = {.max_samples = 1 << 15, .max_inflated = 1 << 20};
    mg_dicom_error err = {0};
    mg_dicom_image image;
    if (size == 0) return 0;
    mg_dicom *d = mg_dicom_open_memory(data, size, &options, &err);
    if (!d) {
        if (!err.code || !err.message[0]) abort();
        return 0;
    }
    if (mg_dicom_image_info(d, &image, &err) == MG_DICOM_OK) {
        uint8_t *out = malloc(image.frame_bytes);
        for (uint32_t k = 0; out && k < image.frames && k < 8; k++) {
            bool partial = false;
            uint32_t rows = 0, columns = 0;
            mg_dicom_read_options o = {.allow_partial = data[size - 1] & 1,
                                       .reduce = data[size - 1] >> 1 & 3,
                                       .partial = &partial,
                                       .rows = &rows,
                                       .columns = &columns};
            mg_dicom_error e = {0};
            mg_dicom_status status = mg_dicom_read_frame(d, k, &o, out, image.frame_bytes, &e);
            if (status != e.code || (status && !e.message[0])) abort();
            if (status == MG_DICOM_OK && (partial > o.allow_partial || rows > image.rows ||
                                          columns > image.columns || rows == 0 || columns == 0))
                abort();
        }
        free(out);
    } else if (!err.code || !err.message[0]) {
        abort();
    }
    mg_dicom_close(d);
    return 0;
}
