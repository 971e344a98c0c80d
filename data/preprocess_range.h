/* preprocess_range.h: from grey values to [0,1], background dark. Internal to data/. */
#ifndef MG_DATA_PREPROCESS_RANGE_H
#define MG_DATA_PREPROCESS_RANGE_H

#include "data/preprocess_read.h"

/* For mg_source.on_values: does in the table what mg_unit_range() does with pixels. */
void mg_unit_range_of_values(mg_source *s, float *values, size_t n);

/* Finds the range of s->grey and makes it 0 … 1, in place; padding becomes 0. Fills the range
 * fields of *out. MG_ERR_NUMERIC: constant, not finite, or nothing within the window. */
mg_status mg_unit_range(mg_source *s, const mg_preprocess_trace *trace, mg_prepared *out,
                        mg_error *err);

/* For images from JPEG 2000 at reduced resolution: the range of values that fill a square of 2 x 2
 * replaces that of all, if it is one. */
void mg_unit_range_steady(const float steady[2], float *low, float *high);

/* The part of it that looks at no pixel: from the smallest and the largest value of an image to the
 * range that becomes 0 … 1, out->low to out->high. */
mg_status mg_unit_range_settle(const mg_source *s, float low, float high, mg_prepared *out,
                               mg_error *err);

#endif
