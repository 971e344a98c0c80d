/* grey_file.h: a small uncompressed grey image in a file in memory, for tests of the grey pipeline;
 * oracle_window() is the standard's text (PS3.3 C.11.2.1.2) once more, in double. */
#ifndef MG_TESTS_LIB_GREY_FILE_H
#define MG_TESTS_LIB_GREY_FILE_H

#include "tests/lib/dicom_pixel_file.h"

typedef struct grey_file {
    pixel_file f;
    mg_dicom *d;
} grey_file;

enum { GREY_ROWS = 64, GREY_COLUMNS = 80, N = GREY_ROWS * GREY_COLUMNS };

extern const pixel_image square12; /* GREY_ROWS x GREY_COLUMNS, 12 of 16 bits */

void grey_ramp(uint16_t *p); /* N values that cover 0 to 4095 */
/* Elements go between begin and end; end writes the pixels and parses. */
void grey_begin(grey_file *g, const pixel_image *im);
void grey_end(grey_file *g, const void *data, size_t n);
void grey_done(grey_file *g);

double oracle_window(const mg_dicom_window *w, double x);

#endif
