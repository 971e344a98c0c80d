/* bootstrap.h: how sure are the figures?
 *
 * Percentile intervals of the cluster bootstrap (Field and Welsh 2007; Efron and Tibshirani 1993,
 * chapter 13): whole patients are drawn with replacement, all their breasts and images with them,
 * because images of one patient are not independent. Draw d of resample r is
 * mg_rng_below(key{seed, MG_RNG_BOOTSTRAP, sample r}, d), so the result depends on the seed alone,
 * not on threads. The set is sorted once; a resample is one pass over it. */
#ifndef MG_DATA_BOOTSTRAP_H
#define MG_DATA_BOOTSTRAP_H

#include "data/metrics.h"
#include "tensor/pool.h"

typedef struct mg_interval {
    double value;     /* on the set itself */
    double low, high; /* percentile bounds; NaN where fewer than half the resamples have a value */
} mg_interval;

typedef struct mg_bootstrap_options {
    uint64_t seed;
    int resamples; /* 0: no intervals, their bounds are NaN */
    double level;  /* 0 means 0.95 */
    mg_pool *pool; /* may be NULL */
} mg_bootstrap_options;

/* Metrics of the set in *out (may be NULL) and an interval for each in interval[]. */
mg_status mg_bootstrap_metrics(const mg_eval_set *set, const mg_metric_options *metrics,
                               const mg_bootstrap_options *options, mg_metrics *out,
                               mg_interval interval[MG_METRIC_COUNT], mg_error *err);

/* The same for several thresholds and prevalences (up to MG_METRIC_MAX_VIEWS, all with the same
 * bins) from the same resamples, for little more than the price of one. out[views]. */
mg_status mg_bootstrap_views(const mg_eval_set *set, const mg_metric_options *metrics, int views,
                             const mg_bootstrap_options *options, mg_metrics *out,
                             mg_interval (*interval)[MG_METRIC_COUNT], mg_error *err);

/* The percentile interval of `count` values (order statistics with linear interpolation, the
 * usual "type 7"); sorts them in place, NaN are left out. */
void mg_percentile_interval(double *values, size_t count, double level, double *low, double *high);

#endif
