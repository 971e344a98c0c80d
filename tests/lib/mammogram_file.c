#include "tests/lib/mammogram_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/writer.h"
#include "tensor/rng.h"

static mammogram_file with_defaults(const mammogram_file *m) {
    mammogram_file f = *m;
    if (!f.rows) f.rows = 120;
    if (!f.columns) f.columns = 90;
    if (!f.photometric) f.photometric = "MONOCHROME2";
    if (!f.transfer_syntax) f.transfer_syntax = "1.2.840.10008.1.2.1";
    return f;
}

uint16_t mammogram_stored(const mammogram_file *m, uint32_t y, uint32_t x) {
    mammogram_file f = with_defaults(m);
    if (f.constant) return (uint16_t)f.constant;
    if (f.padding && y < 10) return (uint16_t)f.padding;
    mg_rng_key key = {.seed = f.seed, .purpose = MG_RNG_TEST, .epoch = y};
    uint32_t texture = mg_rng_below(&key, x, 600);
    double dy = ((double)y - f.rows / 2.0) / (f.rows * 0.35), dx = (double)x / (f.columns * 0.6);
    uint32_t dark = f.background ? (uint32_t)f.background : 20 + texture / 60;
    uint32_t value = dy * dy + dx * dx < 1 ? 1500 + texture : dark;
    bool barred =
        y > f.rows / 5 && y < f.rows / 4 && x > 2 * f.columns / 3 && x < 3 * f.columns / 4;
    if (f.marker && barred) value = (uint32_t)f.marker;
    if (y == f.rows / 2 && x == f.columns / 4) value = 4000;
    return (uint16_t)(strcmp(f.photometric, "MONOCHROME1") == 0 ? 4095 - value : value);
}

void mammogram_write(const mammogram_file *m, const char *path) {
    mammogram_file f = with_defaults(m);
    uint16_t *stored = malloc((size_t)f.rows * f.columns * sizeof *stored);
    for (uint32_t y = 0; y < f.rows; y++)
        for (uint32_t x = 0; x < f.columns; x++)
            stored[y * f.columns + x] = mammogram_stored(&f, y, x);
    mg_dicom_error err = {0};
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    char uid[65];
    mg_dicom_uid_from(path, uid);
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    mg_dicom_put_text(s, 0x00080018, uid);
    if (f.patient) mg_dicom_put_text(s, 0x00100020, f.patient);
    if (f.laterality) mg_dicom_put_text(s, 0x00200062, f.laterality);
    if (f.view) mg_dicom_put_text(s, 0x00185101, f.view);
    if (f.width) {
        mg_dicom_put_double(s, 0x00281050, f.center);
        mg_dicom_put_double(s, 0x00281051, f.width);
    }
    if (f.function) mg_dicom_put_text(s, 0x00281056, f.function);
    if (f.padding) mg_dicom_put_int(s, 0x00280120, f.padding);
    mg_dicom_image image = {.rows = f.rows,
                            .columns = f.columns,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = 12,
                            .high_bit = 11,
                            .word_bytes = 2,
                            .frame_bytes = (size_t)f.rows * f.columns * 2};
    snprintf(image.photometric, sizeof image.photometric, "%s", f.photometric);
    mg_dicom_encode_options o = {.transfer_syntax = f.transfer_syntax};
    if (mg_dicom_put_image(s, &image, stored, &o, &err) || mg_dicom_write_file(s, path, &err)) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        abort();
    }
    mg_dicom_dataset_destroy(s);
    free(stored);
}
