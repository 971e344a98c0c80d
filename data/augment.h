/* augment.h: random variations of a training image, as one resample.
 *
 * Flips, rotation, translation, scale and shear compose to one affine map; the source is read once,
 * bilinearly, with 0 outside. The composition is torchvision's RandomAffine after the flips. Sines
 * and cosines are our own series in f64, so the bits are the same on every machine. */
#ifndef MG_DATA_AUGMENT_H
#define MG_DATA_AUGMENT_H

#include <stdint.h>

#include "tensor/rng.h"

/* Ranges; each draw is uniform. All zero (scale 1 … 1, contrast etc. 0): no change. */
typedef struct mg_augment_settings {
    float flip_horizontal, flip_vertical; /* probabilities */
    float rotation;                       /* degrees, +- */
    float translation;                    /* fraction of width and height, +-; whole pixels */
    float scale_low, scale_high;
    float shear;      /* degrees, +-, along x as torchvision's shear=(−s, s) */
    float contrast;   /* factor 1 +- about the image's mean grey; 0 off */
    float brightness; /* added, +-; 0 off */
    float gamma;      /* exponent e^(+- gamma); 0 off */
} mg_augment_settings;

/* The seed's: flips .5, +-30 degrees, +-10%, .75 … 1, +-15 degrees; no intensity changes. */
mg_augment_settings mg_augment_defaults(void);

/* What was drawn for one sample. */
typedef struct mg_augment_draw {
    int flip;                          /* MG_FLIP_* of sampler.h, applied first */
    double rotation, shear_x, shear_y; /* degrees */
    int translate_x, translate_y;      /* pixels */
    double scale;
    double contrast, brightness, gamma; /* 1, 0, 1: no change */
} mg_augment_draw;

void mg_augment_sample(const mg_augment_settings *s, uint64_t seed, uint32_t epoch, uint32_t sample,
                       uint32_t height, uint32_t width, mg_augment_draw *out);

/* Output pixel (x, y), relative to the image centre, is read at source (m[0]x + m[1]y + m[2],
 * m[3]x + m[4]y + m[5]), relative to the centre of the source after the flips. */
void mg_augment_matrix(const mg_augment_draw *draw, double m[6]);

/* The same map for indices, flips included: output pixel (x, y) is read at source index
 * (map[0]x + map[1]y + map[2], map[3]x + map[4]y + map[5]). */
void mg_augment_index_map(const mg_augment_draw *draw, uint32_t height, uint32_t width,
                          double map[6]);

/* in: height*width 16-bit grey; out: height*width f32 in [0,1]. Intensity changes come first
 * (gamma, then contrast, then brightness, clipped), so that what enters from outside is 0. */
void mg_augment_apply(const mg_augment_draw *draw, const uint16_t *in, uint32_t height,
                      uint32_t width, float *out);

#endif
