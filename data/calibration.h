/* calibration.h: does 0.8 mean eight in ten? Reliability bins (DeGroot and Fienberg 1983) and
 * expected calibration error (Naeini et al. 2015). */
#ifndef MG_DATA_CALIBRATION_H
#define MG_DATA_CALIBRATION_H

#include "data/metrics.h"

typedef enum mg_binning {
    MG_BINS_EQUAL_WIDTH, /* [0,1/b), …, the last one closed */
    MG_BINS_EQUAL_MASS   /* the same number of items each; equal scores may straddle a border */
} mg_binning;

typedef struct mg_reliability_bin {
    double low, high;                   /* range of predicted probability */
    double predicted;                   /* mean probability of its items; NaN when empty */
    double observed;                    /* share of positives among them; NaN when empty */
    double observed_low, observed_high; /* Wilson 95% interval of that share */
    size_t count, positives;
} mg_reliability_bin;

typedef struct mg_reliability {
    int bins;
    mg_reliability_bin bin[MG_METRIC_MAX_BINS];
    double expected_error; /* sum of count/n |observed - predicted| */
    double maximum_error;
} mg_reliability;

/* bins: 1 … MG_METRIC_MAX_BINS, 0 means 10. */
mg_status mg_reliability_compute(const mg_eval_set *set, mg_binning binning, int bins,
                                 mg_reliability *out, mg_error *err);

#endif
