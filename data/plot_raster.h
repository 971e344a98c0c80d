/* plot_raster.h: anti-aliased strokes, fills and text on an RGB picture. Pixel (i, j) covers
 * [i, i+1) × [j, j+1). Shapes may reach over the border. */
#ifndef MG_DATA_PLOT_RASTER_H
#define MG_DATA_PLOT_RASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mg_raster {
    int width, height;
    uint8_t *rgb; /* borrowed */
    bool failed;  /* memory ran out: something is missing */
} mg_raster;

typedef struct mg_ink {
    uint8_t rgb[3];
    double opacity; /* 0 … 1 */
} mg_ink;

/* A polyline with round joints and ends; dash > 0: dashes and gaps of that length. */
void mg_raster_stroke(mg_raster *raster, const double *xy, size_t points, double width, double dash,
                      mg_ink ink);
/* The inside of a closed polygon that does not cross itself; exact area coverage. */
void mg_raster_fill(mg_raster *raster, const double *xy, size_t points, mg_ink ink);
void mg_raster_disc(mg_raster *raster, double x, double y, double radius, mg_ink ink);
/* (x, y): start of the base line; turned: reads upwards. */
void mg_raster_text(mg_raster *raster, double x, double y, double size, bool bold, bool turned,
                    mg_ink ink, const char *text);

#endif
