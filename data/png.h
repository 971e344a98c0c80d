/* png.h: PNG files of 8 or 16 bits, grey, grey+alpha, RGB, RGBA (through libpng). */
#ifndef MG_DATA_PNG_H
#define MG_DATA_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

/* Pixels row by row, channels interleaved, without padding: uint8_t for bits 8, native uint16_t for
 * bits 16. */
typedef struct mg_png {
    uint32_t width, height;
    int channels; /* 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA */
    int bits;     /* 8 or 16 */
    void *pixels;
} mg_png;

/* Palettes become RGB(A), 1/2/4-bit grey becomes 8-bit, transparent colours become alpha. Refuses
 * more than 2^28 samples. The caller frees with mg_png_free(). */
mg_status mg_png_read(const char *path, mg_png *out, mg_error *err);
mg_status mg_png_decode(const void *data, size_t size, mg_png *out, mg_error *err);
void mg_png_free(mg_png *png);

/* Whether the bytes begin like a PNG file (8 bytes are enough). */
bool mg_png_recognise(const void *data, size_t size);

/* Crash-safe; the same input gives the same bytes (no time stamps). */
mg_status mg_png_write(const char *path, const mg_png *png, mg_error *err);
/* Into malloc'ed memory, for embedding in reports. */
mg_status mg_png_encode(const mg_png *png, uint8_t **data, size_t *size, mg_error *err);

#endif
