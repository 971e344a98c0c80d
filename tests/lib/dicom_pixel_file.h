/* dicom_pixel_file.h: DICOM files made in memory around given pixel data, right or deliberately
 * wrong, and codestreams from the libraries' encoders. Running out of memory ends the test. */
#ifndef MG_TESTS_LIB_DICOM_PIXEL_FILE_H
#define MG_TESTS_LIB_DICOM_PIXEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/dicom.h"

#define TS_IMPLICIT       "1.2.840.10008.1.2"
#define TS_EXPLICIT       "1.2.840.10008.1.2.1"
#define TS_BIG            "1.2.840.10008.1.2.2"
#define TS_DEFLATED_FRAME "1.2.840.10008.1.2.8.1"
#define TS_RLE            "1.2.840.10008.1.2.5"
#define TS_JPEG_SV1       "1.2.840.10008.1.2.4.70"
#define TS_JLS            "1.2.840.10008.1.2.4.80"
#define TS_J2K            "1.2.840.10008.1.2.4.90"

typedef struct pixel_file {
    uint8_t *bytes;
    size_t size, capacity;
    bool implicit, big_endian;
} pixel_file;

typedef struct pixel_image {
    uint32_t rows, columns;
    int samples, allocated, stored, high; /* high 0: stored - 1 */
    int sign, planar;
    const char *photometric; /* NULL: MONOCHROME2 or RGB */
    int frames;              /* 0: not written */
} pixel_image;

void pixel_file_begin(pixel_file *f, const char *transfer_syntax);
void pixel_file_free(pixel_file *f);
void pixel_file_raw(pixel_file *f, const void *data, size_t n);
void pixel_file_element(pixel_file *f, uint32_t tag, const char *vr, const void *data, size_t n);
void pixel_file_us(pixel_file *f, uint32_t tag, const char *vr, int value);
void pixel_file_text(pixel_file *f, uint32_t tag, const char *vr, const char *text);
/* Sequences and items of undefined length. */
void pixel_file_open(pixel_file *f, uint32_t tag); /* SQ, or 0xFFFEE000 for an item */
void pixel_file_close(pixel_file *f, bool item);
void pixel_file_describe(pixel_file *f, const pixel_image *image);
/* Encapsulated pixel data: begin writes the offset table (may be NULL, 0), end the delimiter. */
void pixel_file_fragments(pixel_file *f, const uint32_t *offsets, size_t n);
void pixel_file_fragment(pixel_file *f, const void *data, size_t n);
void pixel_file_end(pixel_file *f);

/* A whole native file, explicit little endian words as given. */
void pixel_file_native(pixel_file *f, const char *transfer_syntax, const pixel_image *image,
                       const void *data, size_t n);
mg_dicom *pixel_file_parse(const pixel_file *f); /* fails the test when it cannot */

typedef struct codestream {
    uint8_t *bytes;
    size_t size;
} codestream;

typedef struct encoding {
    uint32_t rows, columns;
    int samples, bits;
    bool is_signed; /* JPEG 2000 */
    int interleave; /* JPEG-LS: 0 planes, 1 lines, 2 samples */
    int near_lossless;
    bool jp2, mct, lossy;
    int levels, tile; /* JPEG 2000: resolutions below the full one; tile side or 0 */
    int layers;
} encoding;

/* samples: interleaved 16-bit words. */
codestream encode_jls(const encoding *e, const uint16_t *samples);
codestream encode_j2k(const encoding *e, const uint16_t *samples);

/* Values from a counter: the same on every run. */
uint32_t pixel_random(uint32_t *state);

#endif
