/* colormap.h: a perceptually even colour scale for activation maps.
 *
 * "Ember": near-black violet over magenta and orange to pale yellow. Control points are stated in
 * OKLCH (the cylindrical form of OKLab, B. Ottosson 2020, "A perceptual color space for image
 * processing"), joined by a monotone curve and re-spaced by arc length in OKLab, so that equal
 * steps of the value look like equal steps of colour; lightness rises all the way, so that it
 * prints and reads in grey, and with colour-blind eyes. */
#ifndef MG_DATA_COLORMAP_H
#define MG_DATA_COLORMAP_H

#include <stdint.h>

/* 256 sRGB entries; computed from the control points at the first call (any thread). */
const uint8_t (*mg_colormap_ember(void))[3];

/* sRGB (0 … 1, gamma-encoded) <-> OKLab. */
void mg_oklab_from_srgb(const double rgb[3], double lab[3]);
void mg_srgb_from_oklab(const double lab[3], double rgb[3]);

#endif
