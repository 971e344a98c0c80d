/* cam_resample.h: inside of the CAM overlay; use cam_overlay.h. */
#ifndef MG_DATA_CAM_RESAMPLE_H
#define MG_DATA_CAM_RESAMPLE_H

#include "data/cam_overlay.h"

/* Which four cells of an axis make a sample, and how much of each. */
typedef struct mg_cam_tap {
    int cell[4];
    float weight[4];
    bool inside; /* false: this line was cropped away */
} mg_cam_tap;

/* Taps for `samples` equal parts of an axis that has `original` pixels. NULL without memory. */
mg_cam_tap *mg_cam_taps(const mg_cam *cam, int original, int samples, bool vertical);
/* B-spline coefficients of the map, height × width. NULL without memory. */
double *mg_cam_coefficients(const mg_cam *cam);

/* mg_cam_resample() on a grid of height × width samples over the rows × columns original. */
mg_status mg_cam_sample(const mg_cam *cam, int rows, int columns, int height, int width,
                        float outside, float *out, mg_error *err);

#endif
