/* metrics_evaluation.h: everything a report says about one set of probabilities, in one call, and
 * the same split by view, density, machine, site or age. */
#ifndef MG_DATA_METRICS_EVALUATION_H
#define MG_DATA_METRICS_EVALUATION_H

#include "data/bootstrap.h"
#include "data/calibration.h"

/* Metrics with intervals, at one threshold and one prevalence. */
typedef struct mg_evaluation_view {
    mg_metrics metrics;
    mg_interval interval[MG_METRIC_COUNT];
} mg_evaluation_view;

enum { MG_NATURAL, MG_BALANCED, MG_PREVALENCES }; /* the set's prevalence; one half */
enum { MG_AT_HALF, MG_AT_BEST, MG_THRESHOLDS };   /* .5; the F1-best threshold */

typedef struct mg_evaluation_options {
    mg_bootstrap_options bootstrap;
    /* The second threshold: one found on validation data earlier (predict: from the checkpoint), if
     * `threshold_given`; else the best is found on this set at its own prevalence (train). */
    double threshold;
    bool threshold_given;
    int bins; /* 0 means 10 */
} mg_evaluation_options;

typedef struct mg_evaluation {
    size_t items, positives, clusters; /* clusters: 0 when the set names none */
    double prevalence;
    double threshold;         /* the second one */
    int threshold_found_here; /* 1: optimistic, it was chosen on these items */
    int resamples;            /* 0: the views have no intervals */
    mg_evaluation_view view[MG_PREVALENCES][MG_THRESHOLDS];
    mg_curve roc, precision_recall, precision_recall_balanced; /* empty if a class is missing */
    mg_reliability reliability;
} mg_evaluation;

mg_status mg_evaluate(const mg_eval_set *set, const mg_evaluation_options *options,
                      mg_evaluation *out, mg_error *err);
void mg_evaluation_free(mg_evaluation *evaluation);

/* --- subgroups -------------------------------------------------------------------------------- */
typedef struct mg_subgroup_row {
    const char *name; /* borrowed from `values` */
    mg_metrics metrics;
    mg_interval interval[MG_METRIC_COUNT];
} mg_subgroup_row;

typedef struct mg_subgroup_table {
    const char *title; /* borrowed */
    size_t count;
    mg_subgroup_row *row; /* ordered by name, numbers as numbers; owned */
} mg_subgroup_table;

/* One row per distinct values[i]; NULL or "" counts as "missing". Borrows title and values. */
mg_status mg_subgroup_compute(const mg_eval_set *set, const char *title, const char *const *values,
                              double threshold, const mg_bootstrap_options *bootstrap,
                              mg_subgroup_table *out, mg_error *err);
void mg_subgroup_free(mg_subgroup_table *table);

/* "under 40", "40–49", "50–59", "60–69", "70 and over"; "missing" for NaN. Static strings. */
const char *mg_age_band(double age);

#endif
