/* Large images through every lossless encoder and back: the sizes of real mammograms,
 * every depth. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/writer.h"

static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Smooth tissue with noise, an empty background, and full-scale markers. */
static void fill(uint16_t *p, const mg_dicom_image *image, uint64_t seed) {
    uint32_t range = (1u << image->bits_stored) - 1;
    for (uint32_t y = 0; y < image->rows; y++)
        for (uint32_t x = 0; x < image->columns; x++) {
            uint32_t v = 0;
            if (x < image->columns * 3 / 5 + y % 64)
                v = (uint32_t)(((uint64_t)(x + 2 * y) * range /
                                (image->rows * 2 + image->columns)) +
                               next_random(&seed) % (range / 16 + 1)) &
                    range;
            if (y < 40 && x > image->columns - 60 && (x / 3 + y / 3) % 2) v = range;
            if (image->is_signed && v & (range / 2 + 1)) v |= ~range;
            *p++ = (uint16_t)v;
        }
}

static void round_trip(uint32_t rows, uint32_t columns, int bits, bool is_signed,
                       const char *syntax) {
    mg_dicom_image image = {.rows = rows,
                            .columns = columns,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = bits,
                            .is_signed = is_signed,
                            .word_bytes = 2,
                            .photometric = "MONOCHROME2"};
    size_t bytes = (size_t)rows * columns * 2, size;
    uint16_t *in = malloc(bytes), *out = malloc(bytes);
    uint8_t *file = NULL;
    cr_assert(in && out);
    fill(in, &image, rows * 7919 + (uint64_t)bits);
    mg_dicom_encode_options options = {.transfer_syntax = syntax};
    mg_dicom_error err = {0};
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.3");
    mg_dicom_put_text(s, 0x00080018, "1.2.4");
    cr_assert_eq(mg_dicom_put_image(s, &image, in, &options, &err), MG_DICOM_OK, "%s", err.message);
    cr_assert_eq(mg_dicom_write_memory(s, &file, &size, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom_dataset_destroy(s);
    mg_dicom *d = mg_dicom_open_memory(file, size, NULL, &err);
    cr_assert_not_null(d, "%s", err.message);
    cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, bytes, &err), MG_DICOM_OK, "%s: %s", syntax,
                 err.message);
    cr_assert_eq(memcmp(in, out, bytes), 0, "%s, %u x %u, %d bits, signed %d", syntax, rows,
                 columns, bits, is_signed);
    mg_dicom_close(d);
    free(file);
    free(in);
    free(out);
}

static const char *const lossless[] = {"1.2.840.10008.1.2.1",    "1.2.840.10008.1.2.1.99",
                                       "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
                                       "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"};

Test(round_trip, mammograms) {
    for (int k = 0; k < 6; k++) {
        round_trip(4096, 3328, 14, false, lossless[k]);
        round_trip(3328, 2560, 12, false, lossless[k]);
        round_trip(3328, 2560, 16, true, lossless[k]);
    }
}

Test(round_trip, every_depth_and_odd_sizes) {
    static const uint32_t sizes[][2] = {{1, 4096}, {3328, 1}, {257, 511}, {600, 333}};
    for (int k = 0; k < 6; k++)
        for (int bits = 2; bits <= 16; bits++)
            for (int z = 0; z < 4; z++)
                round_trip(sizes[z][0], sizes[z][1], bits, (bits + z) % 2, lossless[k]);
}
