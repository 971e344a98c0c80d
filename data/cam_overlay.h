/* cam_overlay.h: a class activation map shown on the mammogram it came from.
 *
 * The map (30 × 16 for a 955 × 500 input) is brought to the original image: crop, resize and flip
 * are undone through the image's mg_geometry, values are interpolated with a cubic B-spline (second
 * derivatives stay continuous: no facets), what lies below mean + 1 standard deviation of the map
 * is not shown, the rest is coloured (colormap.h) and blended in, and the region's border is drawn.
 * A caption strip below the image carries the probability and the colour bar, so that no pixel of
 * the image is covered by text. */
#ifndef MG_DATA_CAM_OVERLAY_H
#define MG_DATA_CAM_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "data/geometry.h"
#include "data/png.h"
#include "tensor/error.h"

/* A map with its place. */
typedef struct mg_cam {
    int height, width;           /* cells */
    const float *value;          /* height × width, in logit units: mean + bias = logit */
    const mg_geometry *geometry; /* of the image; NULL: the map covers the whole original */
    mg_map_alignment alignment;  /* MG_ALIGN_STRIDE shows where the network really looks */
} mg_cam;

/* The seed's threshold: mean + 1 (population) standard deviation of the cells. */
double mg_cam_threshold(const mg_cam *cam);

/* The map at the centre of every original pixel, out[rows × columns]. Pixels that the crop removed
 * get `outside` (NaN is possible). With a geometry rows and columns must be its own. */
mg_status mg_cam_resample(const mg_cam *cam, int rows, int columns, float outside, float *out,
                          mg_error *err);

typedef struct mg_cam_overlay_options {
    int max_side;      /* shrink (area average) so that neither side of the picture exceeds this;
                            0: the original's size */
    double alpha;      /* strength of the colour at the maximum; 0 means 0.55 */
    double range_high; /* map value shown as the brightest colour; 0: this map's maximum */
    bool no_caption;   /* the picture alone */
    bool no_outline;
    const char *title;   /* the caption's first line, e.g. "10006_L  MLO"; NULL: none */
    double probability;  /* NaN: not shown */
    double calibrated;   /* NaN: not shown */
    const char *verdict; /* e.g. "true positive"; NULL: none */
    const uint8_t *mask; /* lesion mask of the original, outlined in white; NULL: none */
} mg_cam_overlay_options;

/* grey: rows × columns of the original, 0 (black) … 1 (white) as a reader would see it, window
 * applied. *out: 8-bit RGB, free with mg_png_free(); ready for mg_png_write() and for report.h. */
mg_status mg_cam_overlay(const float *grey, int rows, int columns, const mg_cam *cam,
                         const mg_cam_overlay_options *options, mg_png *out, mg_error *err);

#endif
