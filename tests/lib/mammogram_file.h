/* mammogram_file.h: small DICOM mammograms for tests: a bright half-disc with texture on a dark
 * background, 12 bits. */
#ifndef MG_TESTS_MAMMOGRAM_FILE_H
#define MG_TESTS_MAMMOGRAM_FILE_H

#include <stdint.h>

typedef struct mammogram_file {
    uint32_t rows, columns;      /* default 120 x 90 */
    uint32_t seed;               /* of the texture */
    const char *photometric;     /* default MONOCHROME2 */
    const char *transfer_syntax; /* default explicit little endian */
    double center, width;        /* window; width 0: none */
    const char *function;        /* VOI LUT Function or NULL */
    int padding;                 /* Pixel Padding Value, put into the top 10 rows; 0: none */
    int constant;                /* every pixel this value; 0: the picture */
    int background;              /* outside the breast, everywhere the same; 0: a little texture */
    int marker;                  /* value of a bar in the top right quarter; 0: none */
    const char *patient, *laterality, *view; /* NULL: left out */
} mammogram_file;

/* Stored value of a pixel of that file. */
uint16_t mammogram_stored(const mammogram_file *m, uint32_t y, uint32_t x);
/* Writes it; ends the program on failure. */
void mammogram_write(const mammogram_file *m, const char *path);

#endif
