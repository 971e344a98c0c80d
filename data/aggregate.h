/* aggregate.h: from one probability per image to one per breast and one per patient.
 *
 * A prediction id (`patient_laterality`) has two to eight images; the verdict is per breast. The
 * same formulas over all images of a patient give the patient's verdict (cancer in either breast).
 */
#ifndef MG_DATA_AGGREGATE_H
#define MG_DATA_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef enum mg_aggregation {
    MG_AGGREGATE_SEED,     /* 1 - (1 - mean p^2)^n; depends on n: all p = .5 gives .438 for two
                              images and .900 for eight */
    MG_AGGREGATE_MEAN,     /* mean p */
    MG_AGGREGATE_MAX,      /* max p */
    MG_AGGREGATE_NOISY_OR, /* 1 - product (1 - p) */
    MG_AGGREGATE_COUNT
} mg_aggregation;

/* "seed", "mean", "max", "noisy-or"; the names used on command lines and in checkpoints. */
const char *mg_aggregation_name(mg_aggregation how);
/* False for an unknown name, leaving *how alone. */
bool mg_aggregation_parse(const char *name, mg_aggregation *how);

/* The aggregate of n >= 1 probabilities in [0,1]; in f64, in the given order. n = 0 gives NaN. */
double mg_aggregate(mg_aggregation how, const double *probability, size_t n);

/* Aggregates every group: item i belongs to group[i] in 0 … groups-1 and keeps its order within
 * the group. out[groups]; a group without items gets NaN. */
mg_status mg_aggregate_groups(mg_aggregation how, const double *probability, const int32_t *group,
                              size_t n, int32_t groups, double *out, mg_error *err);

/* The label of a group is 1 as soon as one of its items is. out[groups]. */
void mg_aggregate_labels(const uint8_t *label, const int32_t *group, size_t n, int32_t groups,
                         uint8_t *out);

/* Numbers equal strings alike: group[i] = index of ids[i] in order of first appearance, and
 * first[g] = the item that opened group g (first may be NULL). *groups receives their number.
 * Expected O(n). */
mg_status mg_group_strings(const char *const *ids, size_t n, int32_t *group, int32_t *first,
                           int32_t *groups, mg_error *err);

/* Training on equal class mass (prior 1/2) inflates probabilities. With the prevalence pi of the
 * population at hand, Bayes' rule shifts the logit by ln(pi / (1 - pi)).
 * mg_prior_correct(p, pi) = sigmoid(logit(p) + ln(pi / (1 - pi))), computed as
 * p pi / (p pi + (1 - p)(1 - pi)), which is exact at p = 0 and p = 1. 0 < pi < 1. */
double mg_prior_correct(double probability, double prevalence);

#endif
