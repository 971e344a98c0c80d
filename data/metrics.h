/* metrics.h: how good are the probabilities?
 *
 * Everything is in f64. "Positive" is predicted when probability >= threshold. Any figure that
 * depends on prevalence can be asked for at another one than the set's: each class is then weighted
 * so that the positive share of the mass is `prevalence`. With .5 this is the balanced evaluation
 * of the seed without the noise of drawing a balanced set; recall, specificity and ROC-AUC do not
 * change, precision, F1, PR-AUC, Brier and calibration do.
 *
 * A figure without meaning (ROC-AUC without positives, precision when nothing is predicted
 * positive) is NaN, never a silent 0; F1 is 0 when there are positives and none is found. No
 * weights bring a set of one class to a prevalence: what depends on it is NaN then. */
#ifndef MG_DATA_METRICS_H
#define MG_DATA_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef enum mg_metric {
    MG_METRIC_PRECISION,        /* TP / (TP + FP) */
    MG_METRIC_RECALL,           /* TP / (TP + FN), sensitivity */
    MG_METRIC_SPECIFICITY,      /* TN / (TN + FP) */
    MG_METRIC_F1,               /* 2 TP / (2 TP + FP + FN) */
    MG_METRIC_PROBABILISTIC_F1, /* F1 with sum p in place of counts (Kaggle's RSNA metric):
                                    precision = sum_pos p / sum p, recall = sum_pos p / positives */
    MG_METRIC_ROC_AUC,          /* P(p_pos > p_neg) + P(p_pos = p_neg) / 2 */
    MG_METRIC_PR_AUC, /* average precision: sum (R_k - R_{k-1}) P_k over distinct scores */
    MG_METRIC_SENSITIVITY_AT_90, /* best recall of a threshold whose specificity is >= 0.9 */
    MG_METRIC_BRIER,             /* mean (p - y)^2 */
    MG_METRIC_ECE,               /* expected calibration error over equal-width bins */
    MG_METRIC_COUNT
} mg_metric;

/* For people: "ROC-AUC". */
const char *mg_metric_name(mg_metric metric);
/* For CSV columns, tags and JSON: "roc_auc". */
const char *mg_metric_key(mg_metric metric);

/* What is evaluated; borrowed arrays. */
typedef struct mg_eval_set {
    size_t count;
    const double *probability; /* in [0,1] */
    const uint8_t *label;      /* 0 or 1 */
    const int32_t *cluster;    /* patient number 0 … clusters-1 for the bootstrap; NULL: each item
                                  is its own */
    int32_t clusters;
} mg_eval_set;

enum { MG_METRIC_MAX_BINS = 64, MG_METRIC_MAX_VIEWS = 8 };

typedef struct mg_metric_options {
    double threshold;  /* of the confusion matrix and what follows from it */
    double prevalence; /* 0: the set's own */
    int bins;          /* of ECE; 0 means 10 */
} mg_metric_options;

/* Class mass; whole numbers at the set's own prevalence. At another one the total stays the
 * number of items. */
typedef struct mg_confusion {
    double tp, fp, fn, tn;
} mg_confusion;

typedef struct mg_metrics {
    double value[MG_METRIC_COUNT];
    mg_confusion confusion;
    double threshold;
    double prevalence; /* at which the values hold */
    size_t positives, negatives;
    double best_f1;           /* over all thresholds */
    double best_f1_threshold; /* half way between the two scores it separates */
} mg_metrics;

/* MG_ERR_ARG on an empty set, MG_ERR_NUMERIC on a NaN or a probability outside [0,1] (names the
 * item), MG_ERR_MEMORY. A set of one class only is fine: what has no meaning is NaN. */
mg_status mg_metrics_compute(const mg_eval_set *set, const mg_metric_options *options,
                             mg_metrics *out, mg_error *err);

/* Confusion counts at a threshold, alone. */
mg_confusion mg_confusion_at(const mg_eval_set *set, double threshold);

/* A curve's points in the order of falling thresholds; owned. */
typedef struct mg_curve {
    size_t count;
    double *x, *y, *threshold; /* one allocation, in x */
} mg_curve;

/* x = false positive rate, y = true positive rate, from (0,0) to (1,1), a point per distinct
 * score; points inside a straight run are left out. Needs both classes (else MG_ERR_ARG). */
mg_status mg_curve_roc(const mg_eval_set *set, mg_curve *out, mg_error *err);
/* x = recall, y = precision at the given prevalence (0: the set's), a point per distinct score. */
mg_status mg_curve_precision_recall(const mg_eval_set *set, double prevalence, mg_curve *out,
                                    mg_error *err);
void mg_curve_free(mg_curve *curve);

/* --- inside ------------------------------------------------------------------------------------
 * The set in falling order of probability, made once; every bootstrap resample is then one pass. */
typedef struct mg_ranking {
    size_t count;
    double *probability; /* falling; equal ones in item order */
    int32_t *cluster;    /* of the ranked item */
    uint8_t *label;
    uint8_t *closes; /* 1 where the next probability is different: ties are taken together */
} mg_ranking;

mg_status mg_ranking_create(const mg_eval_set *set, mg_ranking *out, mg_error *err);
void mg_ranking_free(mg_ranking *ranking);
/* Numbers the patients that occur from 0 in order of appearance, in place, so that a bootstrap
 * draws from these and no others; cluster[i] < clusters, renumber is scratch of that many. Returns
 * how many there are. */
int32_t mg_renumber_clusters(int32_t *cluster, size_t n, int32_t *renumber, int32_t clusters);

/* Metrics (best_f1 and its threshold left out) with each item counted cluster_weight[cluster] times
 * (NULL: once), for several thresholds and prevalences at once; all with the same bins. */
void mg_ranking_metrics(const mg_ranking *ranking, const uint32_t *cluster_weight,
                        const mg_metric_options *options, int views, mg_metrics *out);

#endif
