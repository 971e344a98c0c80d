/* image_statistics.h: what a data set's images are like, for choosing size, window and crop. */
#ifndef MG_DATA_IMAGE_STATISTICS_H
#define MG_DATA_IMAGE_STATISTICS_H

#include <stddef.h>
#include <stdio.h>

#include "data/preprocess.h"

typedef enum mg_image_quantity {
    MG_IMAGE_ROWS,
    MG_IMAGE_COLUMNS,
    MG_IMAGE_KEPT_ROWS, /* after the crop */
    MG_IMAGE_KEPT_COLUMNS,
    MG_IMAGE_ASPECT, /* rows / columns */
    MG_IMAGE_KEPT_ASPECT,
    MG_IMAGE_LOWEST, /* values before the window */
    MG_IMAGE_HIGHEST,
    MG_IMAGE_MEAN, /* of the network's input, 0 … 1 */
    MG_IMAGE_DEVIATION,
    MG_IMAGE_DARK, /* share of input pixels that are exactly 0 */
    MG_IMAGE_QUANTITIES
} mg_image_quantity;

const char *mg_image_quantity_name(mg_image_quantity q);

/* One image's values, by quantity. */
typedef struct mg_image_summary {
    double value[MG_IMAGE_QUANTITIES];
} mg_image_summary;

mg_image_summary mg_image_summarise(const mg_prepared *p);

/* Distribution of a quantity over n > 0 images; quantiles interpolate linearly. */
typedef struct mg_distribution {
    double least, low, median, mean, high, most; /* low, high: 5% and 95% */
} mg_distribution;

mg_status mg_image_distribution(const mg_image_summary *images, size_t n, mg_image_quantity q,
                                mg_distribution *out, mg_error *err);

#endif
