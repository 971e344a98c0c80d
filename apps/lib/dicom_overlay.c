/* dicom_overlay.c: overlay planes out of the unused bits of the pixel words (PS3.3 C.9.2, retired)
 * into Overlay Data, where they do not depend on how the pixels are coded. */
#include <stdlib.h>
#include <string.h>

#include "apps/lib/dicom_commands.h"

typedef struct plane {
    uint32_t group;
    int64_t bit;
} plane;

static mg_dicom_status refuse(const plane *p, const char *why, mg_dicom_error *err) {
    err->code = MG_DICOM_ERR_UNSUPPORTED;
    snprintf(err->message, sizeof err->message,
             "overlay (%04x,xxxx) lies in bit %lld of the pixel words and would be lost, for it "
             "cannot be moved to (%04x,3000): %s",
             p->group, (long long)p->bit, p->group, why);
    return err->code;
}

/* NULL when the plane can be taken out. */
static const char *obstacle(const mg_dicom *d, const mg_dicom_image *image, const plane *p) {
    const mg_dicom_element *pixels = mg_dicom_find(d, 0x7FE00010);
    int64_t rows = image->rows, columns = image->columns;
    mg_dicom_int(d, MG_DICOM_TAG(p->group, 0x0010), &rows);
    mg_dicom_int(d, MG_DICOM_TAG(p->group, 0x0011), &columns);
    if (mg_dicom_is_encapsulated(d)) return "the pixels are compressed";
    if (image->samples != 1 || image->bits_allocated != 16)
        return "only grey images with 16 bits allocated are prepared for that";
    if (p->bit >= 16 ||
        (p->bit <= image->high_bit && p->bit > image->high_bit - image->bits_stored))
        return "the bit is one of the pixels' own";
    if (rows != image->rows || columns != image->columns) return "its size is not the image's";
    uint64_t words = (uint64_t)image->rows * image->columns * image->frames;
    return !pixels || pixels->length / 2 < words ? "the pixel data ends early" : NULL;
}

static void put_us(mg_dicom_dataset *s, uint32_t group, uint32_t element, uint32_t value) {
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    mg_dicom_put_bytes(s, MG_DICOM_TAG(group, element), "US", bytes, 2);
}

/* PS3.5 8.1.2: one bit a pixel, the lowest first, frames without a gap. */
static mg_dicom_status move_plane(const mg_dicom *d, const mg_dicom_image *image, const plane *p,
                                  mg_dicom_dataset *s, mg_dicom_error *err) {
    const char *why = obstacle(d, image, p);
    if (why) return refuse(p, why, err);
    const mg_dicom_element *pixels = mg_dicom_find(d, 0x7FE00010);
    size_t n = (size_t)image->rows * image->columns * image->frames, size = (n + 15) / 16 * 2;
    uint8_t *bits = calloc(1, size);
    if (!bits) return refuse(p, "there is no memory for it", err);
    size_t byte = (size_t)(p->bit / 8) ^ pixels->big_endian;
    for (size_t i = 0; i < n; i++)
        bits[i / 8] |= (uint8_t)((pixels->value[2 * i + byte] >> p->bit % 8 & 1) << i % 8);
    put_us(s, p->group, 0x0010, image->rows);
    put_us(s, p->group, 0x0011, image->columns);
    if (image->frames > 1) {
        char frames[16];
        int length = snprintf(frames, sizeof frames, "%u", image->frames);
        mg_dicom_put_bytes(s, MG_DICOM_TAG(p->group, 0x0015), "IS", frames, (size_t)length);
        put_us(s, p->group, 0x0051, 1);
    }
    put_us(s, p->group, 0x0100, 1);
    put_us(s, p->group, 0x0102, 0);
    mg_dicom_put_bytes(s, MG_DICOM_TAG(p->group, 0x3000), "OW", bits, size);
    free(bits);
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_move_overlays(const mg_dicom *d, const mg_dicom_image *image,
                                       mg_dicom_dataset *s, mg_dicom_error *err) {
    mg_dicom_status status = MG_DICOM_OK;
    for (uint32_t group = 0x6000; group < 0x6020 && status == MG_DICOM_OK; group += 2) {
        plane p = {group, 0};
        if (!mg_dicom_int(d, MG_DICOM_TAG(group, 0x0102), &p.bit) || p.bit <= 0 ||
            mg_dicom_find(d, MG_DICOM_TAG(group, 0x3000)))
            continue;
        status = move_plane(d, image, &p, s, err);
    }
    return status;
}
