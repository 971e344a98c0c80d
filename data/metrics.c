#include "data/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *key;
} metric_names[MG_METRIC_COUNT] = {
    [MG_METRIC_PRECISION] = {"Precision", "precision"},
    [MG_METRIC_RECALL] = {"Recall", "recall"},
    [MG_METRIC_SPECIFICITY] = {"Specificity", "specificity"},
    [MG_METRIC_F1] = {"F1", "f1"},
    [MG_METRIC_PROBABILISTIC_F1] = {"Probabilistic F1", "probabilistic_f1"},
    [MG_METRIC_ROC_AUC] = {"ROC-AUC", "roc_auc"},
    [MG_METRIC_PR_AUC] = {"PR-AUC", "pr_auc"},
    [MG_METRIC_SENSITIVITY_AT_90] = {"Sensitivity at 90% specificity", "sensitivity_at_90"},
    [MG_METRIC_BRIER] = {"Brier score", "brier"},
    [MG_METRIC_ECE] = {"Calibration error", "ece"},
};

const char *mg_metric_name(mg_metric metric) {
    MG_ASSERT((unsigned)metric < MG_METRIC_COUNT);
    return metric_names[metric].name;
}

const char *mg_metric_key(mg_metric metric) {
    MG_ASSERT((unsigned)metric < MG_METRIC_COUNT);
    return metric_names[metric].key;
}

/* --- ranking ------------------------------------------------------------------------------------ */

typedef struct ranked {
    double probability;
    size_t item;
} ranked;

static int falling(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->probability != y->probability) return x->probability < y->probability ? 1 : -1;
    return x->item < y->item ? -1 : 1;
}

static mg_status check_set(const mg_eval_set *set, mg_error *err) {
    if (set->count == 0 || set->count > INT32_MAX)
        return mg_fail(err, MG_ERR_ARG, "cannot evaluate %zu items", set->count);
    for (size_t i = 0; i < set->count; i++) {
        double p = set->probability[i];
        if (!(p >= 0 && p <= 1))
            return mg_fail(err, MG_ERR_NUMERIC,
                           "item %zu of the evaluated set has probability %g, not in [0, 1]", i, p);
        if (set->label[i] > 1)
            return mg_fail(err, MG_ERR_ARG,
                           "item %zu of the evaluated set has label %d, not 0 or 1", i,
                           set->label[i]);
        if (set->cluster && (set->cluster[i] < 0 || set->cluster[i] >= set->clusters))
            return mg_fail(err, MG_ERR_ARG, "item %zu belongs to patient %d of %d", i,
                           set->cluster[i], set->clusters);
    }
    return MG_OK;
}

mg_status mg_ranking_create(const mg_eval_set *set, mg_ranking *out, mg_error *err) {
    *out = (mg_ranking){0};
    mg_status status = check_set(set, err);
    if (status) return status;
    size_t n = set->count;
    ranked *order = malloc(n * sizeof *order);
    char *block = malloc(n * (sizeof(double) + sizeof(int32_t) + 2));
    if (!order || !block) {
        free(order);
        free(block);
        return mg_fail(err, MG_ERR_MEMORY, "no memory to rank %zu probabilities", n);
    }
    for (size_t i = 0; i < n; i++) order[i] = (ranked){set->probability[i], i};
    qsort(order, n, sizeof *order, falling);
    *out = (mg_ranking){.count = n,
                        .probability = (void *)block,
                        .cluster = (void *)(block + n * sizeof(double)),
                        .label = (void *)(block + n * (sizeof(double) + sizeof(int32_t))),
                        .closes = (void *)(block + n * (sizeof(double) + sizeof(int32_t) + 1))};
    for (size_t i = 0; i < n; i++) {
        size_t item = order[i].item;
        out->probability[i] = order[i].probability;
        out->label[i] = set->label[item];
        out->cluster[i] = set->cluster ? set->cluster[item] : (int32_t)item;
        out->closes[i] = i + 1 == n || order[i + 1].probability != order[i].probability;
    }
    free(order);
    return MG_OK;
}

void mg_ranking_free(mg_ranking *ranking) {
    free(ranking->probability);
    *ranking = (mg_ranking){0};
}

/* --- one pass ----------------------------------------------------------------------------------- */

/* Sums over the ranked items, each class in unweighted multiplicities; class weights come after,
 * so that counts stay whole and exact. */
typedef struct totals {
    double positives, negatives;           /* items */
    double p_positive, p_negative;         /* sums of probabilities */
    double error_positive, error_negative; /* sums of squared errors */
    double bin_p[2][MG_METRIC_MAX_BINS], bin_n[2][MG_METRIC_MAX_BINS];
} totals;

static int bin_of(double p, int bins) {
    int b = (int)(p * bins);
    return b < bins ? b : bins - 1;
}

static void sum_up(const mg_ranking *r, const uint32_t *weight, int bins, totals *t) {
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < r->count; i++) {
        double w = weight ? weight[r->cluster[i]] : 1, p = r->probability[i];
        if (w == 0) continue;
        int b = bin_of(p, bins), y = r->label[i];
        t->bin_p[y][b] += w * p;
        t->bin_n[y][b] += w;
        if (y) t->error_positive += w * (1 - p) * (1 - p);
        else t->error_negative += w * p * p;
    }
    for (int b = 0; b < bins; b++) {
        t->negatives += t->bin_n[0][b];
        t->positives += t->bin_n[1][b];
        t->p_negative += t->bin_p[0][b];
        t->p_positive += t->bin_p[1][b];
    }
}

static double ratio(double above, double below) { return below > 0 ? above / below : NAN; }

static double f1(double tp, double fp, double positives) {
    return ratio(2 * tp, tp + fp + positives); /* 2 TP + FP + FN = TP + FP + positives */
}

/* Areas and best thresholds: one walk down the ranking, a step per distinct score. yes and no are
 * the class weights. */
static void walk(const mg_ranking *r, const uint32_t *weight, const totals *t, double yes,
                 double no, mg_metrics *out) {
    double P = t->positives, N = t->negatives;
    double tp = 0, fp = 0, tp_before = 0, fp_before = 0, area = 0, average = 0, at_90 = 0;
    double allowed = 0.1 * N * (1 + 1e-12); /* 0.1 is not a binary number */
    mg_confusion *c = &out->confusion;
    *c = (mg_confusion){0};
    out->best_f1 = P > 0 ? 0 : NAN;
    out->best_f1_threshold = NAN;
    for (size_t i = 0; i < r->count; i++) {
        double w = weight ? weight[r->cluster[i]] : 1;
        if (r->label[i]) tp += w;
        else fp += w;
        if (!r->closes[i] || (tp == tp_before && fp == fp_before)) continue;
        area += (fp - fp_before) * (tp_before + tp) / 2;
        if (tp > tp_before) average += (tp - tp_before) * yes * tp / (yes * tp + no * fp);
        if (fp <= allowed) at_90 = tp;
        if (r->probability[i] >= out->threshold) *c = (mg_confusion){.tp = tp, .fp = fp};
        double f = P > 0 ? f1(yes * tp, no * fp, yes * P) : 0;
        if (f > out->best_f1) {
            out->best_f1 = f;
            double below = i + 1 < r->count ? r->probability[i + 1] : r->probability[i];
            out->best_f1_threshold = (r->probability[i] + below) / 2;
        }
        tp_before = tp;
        fp_before = fp;
    }
    out->value[MG_METRIC_ROC_AUC] = ratio(area, P * N);
    out->value[MG_METRIC_PR_AUC] = ratio(average, P);
    out->value[MG_METRIC_SENSITIVITY_AT_90] = N > 0 ? ratio(at_90, P) : NAN;
    *c = (mg_confusion){yes * c->tp, no * c->fp, yes * (P - c->tp), no * (N - c->fp)};
}

void mg_ranking_metrics(const mg_ranking *r, const uint32_t *cluster_weight,
                        const mg_metric_options *options, mg_metrics *out) {
    int bins = options->bins ? options->bins : 10;
    MG_ASSERT(bins > 0 && bins <= MG_METRIC_MAX_BINS);
    totals t;
    sum_up(r, cluster_weight, bins, &t);
    double P = t.positives, N = t.negatives, all = P + N, yes = 1, no = 1;
    if (options->prevalence > 0 && P > 0 && N > 0) {
        yes = options->prevalence * all / P;
        no = (1 - options->prevalence) * all / N;
    }
    *out = (mg_metrics){.threshold = options->threshold,
                        .prevalence = ratio(yes * P, all),
                        .positives = (size_t)P,
                        .negatives = (size_t)N};
    walk(r, cluster_weight, &t, yes, no, out);
    const mg_confusion *c = &out->confusion;
    double *v = out->value;
    v[MG_METRIC_PRECISION] = ratio(c->tp, c->tp + c->fp);
    v[MG_METRIC_RECALL] = ratio(c->tp, c->tp + c->fn);
    v[MG_METRIC_SPECIFICITY] = ratio(c->tn, c->tn + c->fp);
    v[MG_METRIC_F1] = P > 0 ? f1(c->tp, c->fp, yes * P) : NAN;
    v[MG_METRIC_PROBABILISTIC_F1] =
        P > 0 ? f1(yes * t.p_positive, no * t.p_negative, yes * P) : NAN;
    v[MG_METRIC_BRIER] = ratio(yes * t.error_positive + no * t.error_negative, all);
    double gap = 0;
    for (int b = 0; b < bins; b++)
        gap += fabs(yes * (t.bin_n[1][b] - t.bin_p[1][b]) - no * t.bin_p[0][b]);
    v[MG_METRIC_ECE] = ratio(gap, all);
}

mg_status mg_metrics_compute(const mg_eval_set *set, const mg_metric_options *options,
                             mg_metrics *out, mg_error *err) {
    if (options->bins < 0 || options->bins > MG_METRIC_MAX_BINS)
        return mg_fail(err, MG_ERR_ARG, "%d calibration bins; 1 to %d are possible", options->bins,
                       MG_METRIC_MAX_BINS);
    if (!(options->prevalence >= 0 && options->prevalence < 1))
        return mg_fail(err, MG_ERR_ARG, "prevalence %g is not in [0, 1)", options->prevalence);
    mg_ranking ranking;
    mg_status status = mg_ranking_create(set, &ranking, err);
    if (status) return status;
    mg_ranking_metrics(&ranking, NULL, options, out);
    mg_ranking_free(&ranking);
    return MG_OK;
}

mg_confusion mg_confusion_at(const mg_eval_set *set, double threshold) {
    mg_confusion c = {0};
    for (size_t i = 0; i < set->count; i++) {
        int yes = set->probability[i] >= threshold;
        double *cell = set->label[i] ? (yes ? &c.tp : &c.fn) : (yes ? &c.fp : &c.tn);
        *cell += 1;
    }
    return c;
}
