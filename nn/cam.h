/* cam.h: class activation maps (Zhou et al. 2016, arXiv:1512.04150).
 *
 *     M(i,j) = sum_c w[c] f(i,j,c),   mean(M) + b = logit
 *
 * Global average pooling and the classifier are both linear, so the map is the logit before it was
 * averaged: that identity is checked, with the classifier's bias b kept out of the map. */
#ifndef MG_NN_CAM_H
#define MG_NN_CAM_H

#include "nn/efficientnet.h"

/* features [h,w,C] of one image from the head; map[h*w]. Sums in f64. Returns mean(M) + b, which
 * equals the image's logit up to rounding. */
double mg_cam_map(const mg_efficientnet *net, const float *features, int64_t h, int64_t w,
                  float *map);

/* |identity - logit| above this is our bug or a damaged model. */
double mg_cam_tolerance(double logit);

#endif
