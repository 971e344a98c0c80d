/* fuzz_grey.c: the input is a piece of a data set (explicit little endian) between the description
 * of a small image and its pixels: windows, LUTs, rescale, functional groups, padding. The first
 * byte chooses the options and the sign. Whatever is written there, grey values with VOI are
 * numbers from 0 to 1. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/dicom.h"

enum { SIDE = 66, N = SIDE * SIDE }; /* enough pixels for the table */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put(uint8_t *to, uint16_t group, uint16_t element, const char *vr, const void *value,
                  uint16_t n) {
    const uint8_t head[8] = {(uint8_t)(group & 255),   (uint8_t)(group >> 8),
                             (uint8_t)(element & 255), (uint8_t)(element >> 8),
                             (uint8_t)vr[0],           (uint8_t)vr[1],
                             (uint8_t)(n & 255),       (uint8_t)(n >> 8)};
    memcpy(to, head, 8);
    memcpy(to + 8, value, n);
    return 8 + n;
}

static size_t put_us(uint8_t *to, uint16_t element, unsigned v) {
    const uint8_t b[2] = {(uint8_t)(v & 255), (uint8_t)(v >> 8)};
    return put(to, 0x28, element, "US", b, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float out[N];
    static uint8_t mask[N];
    if (size < 1 || size > 1 << 16) return 0;
    uint8_t flags = data[0];
    uint8_t *file = calloc(1024 + size + 2 * N, 1), *p = file + 128;
    memcpy(p, "DICM", 4);
    p += 4;
    p += put(p, 2, 0x10, "UI", "1.2.840.10008.1.2.1", 20);
    p += put_us(p, 0x02, 1);
    p += put(p, 0x28, 0x04, "CS", flags & 1 ? "MONOCHROME1 " : "MONOCHROME2 ", 12);
    p += put_us(p, 0x10, SIDE);
    p += put_us(p, 0x11, SIDE);
    p += put_us(p, 0x100, 16);
    p += put_us(p, 0x101, 12);
    p += put_us(p, 0x102, 11);
    p += put_us(p, 0x103, flags >> 1 & 1);
    memcpy(p, data + 1, size - 1);
    p += size - 1;
    const uint8_t head[12] = {0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 2 * N & 255, 2 * N >> 8, 0, 0};
    memcpy(p, head, sizeof head);
    p += sizeof head;
    for (int i = 0; i < N; i++, p += 2) p[0] = (uint8_t)(i * 7), p[1] = (uint8_t)(i >> 4);
    mg_dicom_options limits = {.max_samples = 1 << 15};
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(file, (size_t)(p - file), &limits, &err);
    mg_dicom_image image;
    if (d && mg_dicom_image_info(d, &image, NULL) == MG_DICOM_OK &&
        (size_t)image.rows * image.columns <= N) {
        mg_dicom_grey_options o = {.no_voi = flags & 4,
                                   .no_voi_lut = flags & 8,
                                   .no_modality = flags & 16,
                                   .window = flags >> 5 & 1,
                                   .padding_mask = flags & 64 ? mask : NULL,
                                   .read = {.allow_partial = true}};
        mg_dicom_error e = {0};
        mg_dicom_status status = mg_dicom_read_grey(d, flags >> 7, &o, out, &e);
        if (status != e.code || (status && !e.message[0])) abort();
        for (size_t i = 0;
             status == MG_DICOM_OK && !o.no_voi && i < (size_t)image.rows * image.columns; i++)
            if (!(out[i] >= 0 && out[i] <= 1)) abort();
    }
    mg_dicom_close(d);
    free(file);
    return 0;
}
