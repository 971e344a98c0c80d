#include "tests/lib/grey_file.h"

#include <math.h>

const pixel_image square12 = {
    .rows = GREY_ROWS, .columns = GREY_COLUMNS, .samples = 1, .allocated = 16, .stored = 12};

void grey_ramp(uint16_t *p) {
    for (int i = 0; i < N; i++) p[i] = (uint16_t)(i * 37 & 4095);
}

void grey_begin(grey_file *g, const pixel_image *im) {
    pixel_file_begin(&g->f, TS_EXPLICIT);
    pixel_file_describe(&g->f, im);
}

void grey_end(grey_file *g, const void *data, size_t n) {
    pixel_file_element(&g->f, 0x7FE00010, "OW", data, n);
    g->d = pixel_file_parse(&g->f);
}

void grey_done(grey_file *g) {
    mg_dicom_close(g->d);
    pixel_file_free(&g->f);
}

/* ymin 0, ymax 1 */
double oracle_window(const mg_dicom_window *w, double x) {
    double c = w->center, d = w->width;
    switch (w->function) {
    case MG_DICOM_VOI_SIGMOID: return 1 / (1 + exp(-4 * (x - c) / d));
    case MG_DICOM_VOI_LINEAR_EXACT:
        if (x <= c - d / 2) return 0;
        if (x > c + d / 2) return 1;
        return (x - c) / d + 0.5;
    default:
        if (x <= c - 0.5 - (d - 1) / 2) return 0;
        if (x > c - 0.5 + (d - 1) / 2) return 1;
        return (x - (c - 0.5)) / (d - 1) + 0.5;
    }
}
