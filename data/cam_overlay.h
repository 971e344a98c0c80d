/* cam_overlay.h: a class activation map shown on the mammogram it came from.
 *
 * The map (30 × 16 for a 955 × 500 input) is brought to the original image: crop and resize are
 * undone, values are interpolated with a cubic B-spline, what lies below mean + 1 standard
 * deviation of the map is not shown, the rest is coloured (colormap.h) and blended in, and the
 * region's border is drawn. A caption strip below the image carries the probability and the colour
 * bar, so that no pixel of the image is covered by text. */
#ifndef MG_DATA_CAM_OVERLAY_H
#define MG_DATA_CAM_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/error.h"

/* A picture in memory: height × width × 3, rows without padding; owned by its holder. */
typedef struct mg_rgb_image {
    int height, width;
    uint8_t *rgb;
} mg_rgb_image;
void mg_rgb_image_free(mg_rgb_image *image);

/* Where the original's rows and columns lie in the network input.
 * row_fraction[r] in [0,1]: the position of the centre of original row r, as a fraction of the
 * network input's height ((kept index + 0.5) / kept rows); NaN for a row that was cropped away.
 * Columns alike; a flipped axis just runs from 1 to 0. NULL: the whole original was resized. */
typedef struct mg_cam_geometry {
    const float *row_fraction, *col_fraction;
    /* Where the centre of map cell i lies, in network input pixels: first + stride × i. All 0: the
     * map is stretched over the input, cell centres at (i + 0.5) / cells. For an EfficientNet with
     * symmetric padding cell i really looks at input pixel 32 i: first 0.5, stride 32 (pixel i
     * spans i … i + 1), together with input_height and input_width. */
    double first[2], stride[2];
    int input_height, input_width;
} mg_cam_geometry;

/* Fills fraction[size] from the indices of the kept rows (or columns), ascending, as the crop
 * returned them. Removed lines between kept ones get values between; lines outside get NaN. */
void mg_cam_fractions(const int32_t *kept, int kept_count, int size, float *fraction);

/* Map → original geometry, out[height × width]; outside the crop: the value at the crop's border
 * if `extend`, else NaN. */
mg_status mg_cam_resample(const float *map, int map_height, int map_width,
                          const mg_cam_geometry *geometry, int height, int width, bool extend,
                          float *out, mg_error *err);

typedef struct mg_cam_overlay_options {
    int max_side;      /* shrink (area average) so that neither side exceeds this; 0: keep */
    double alpha;      /* strength of the colour at the maximum; 0 means 0.55 */
    double range_high; /* map value shown as the brightest colour; 0: this map's maximum */
    bool no_caption;   /* the picture alone, pixel for pixel the size of the image */
    bool no_outline;
    const char *title;   /* first line of the caption, e.g. "10006_L  MLO"; NULL: none */
    double probability;  /* NaN: not shown */
    double calibrated;   /* NaN: not shown */
    const char *verdict; /* e.g. "true positive"; NULL: none */
    const uint8_t *mask; /* lesion mask of the original, outlined thinly; NULL: none */
} mg_cam_overlay_options;

/* grey: height × width, 0 (black) … 1 (white), window applied, as a reader would see it. */
mg_status mg_cam_overlay(const float *grey, int height, int width, const float *map, int map_height,
                         int map_width, const mg_cam_geometry *geometry,
                         const mg_cam_overlay_options *options, mg_rgb_image *out, mg_error *err);

/* mean + 1 standard deviation (population) of the map: the seed's threshold. */
double mg_cam_threshold(const float *map, int count);

#endif
