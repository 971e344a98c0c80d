/* metrics_pointing.h: does the class activation map point at the lesion? */
#ifndef MG_DATA_METRICS_POINTING_H
#define MG_DATA_METRICS_POINTING_H

#include <stdbool.h>
#include <stdint.h>

/* One image. Map and mask have the same height and width (bring the map there with
 * mg_cam_resample() of cam_overlay.h or mg_geometry_spread()). */
typedef struct mg_pointing {
    bool hit;      /* the map's maximum lies within `tolerance` pixels of the mask: the pointing
                      game of Zhang et al. 2016 */
    int row, col;  /* where the maximum is (first one in reading order) */
    double energy; /* share of the map's positive part inside the mask (energy-based pointing
                      game, Wang et al. 2020); NaN if the map has no positive value */
    double iou;    /* intersection over union of mask and {map > mean + 1 std} */
} mg_pointing;

/* False (and *out zeroed) when the mask is empty or the map has no finite value: such an image is
 * not part of the game. */
bool mg_pointing_game(const float *map, const uint8_t *mask, int height, int width,
                      double tolerance, mg_pointing *out);

#endif
