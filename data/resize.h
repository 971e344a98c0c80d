/* resize.h: antialiased bilinear resampling of a grey image. Internal to data/.
 *
 * A triangle filter whose half width is max(1, in/out) input pixels, weights normalised, edges cut
 * (what torchvision's antialias=True and Pillow's BILINEAR compute). Rows first, then columns;
 * every output is one sum in index order, so the bits do not depend on the vector width. */
#ifndef MG_DATA_RESIZE_H
#define MG_DATA_RESIZE_H

#include "data/geometry.h"

/* in: rows*columns pixels of which the kept ones are used; out: height*width.
 * Needs g->rows, columns, height, width, row, column. */
mg_status mg_resize(const float *in, const mg_geometry *g, float *out, mg_error *err);

#endif
