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

/* --- ranking ---------------------------------------------------------------------------------- */

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

int32_t mg_renumber_clusters(int32_t *cluster, size_t n, int32_t *renumber, int32_t clusters) {
    int32_t count = 0;
    for (int32_t c = 0; c < clusters; c++) renumber[c] = -1;
    for (size_t i = 0; i < n; i++) {
        int32_t *number = &renumber[cluster[i]];
        if (*number < 0) *number = count++;
        cluster[i] = *number;
    }
    return count;
}

/* --- one pass --------------------------------------------------------------------------------- */

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

/* Class weights that bring the positive share of the mass to the wanted prevalence. */
typedef struct weights {
    double yes, no;
} weights;

static weights class_weights(const totals *t, double prevalence) {
    double P = t->positives, N = t->negatives;
    if (!(prevalence > 0 && P > 0 && N > 0)) return (weights){1, 1};
    return (weights){prevalence * (P + N) / P, (1 - prevalence) * (P + N) / N};
}

/* No weights bring one class to the wanted prevalence: what depends on it has no value then. */
static bool weighable(double positives, double negatives, double prevalence) {
    return !(prevalence > 0) || (positives > 0 && negatives > 0);
}

/* Areas and confusions of all views: one walk down the ranking, a step per distinct score. */
static void walk(const mg_ranking *r, const uint32_t *weight, const totals *t, const weights *class,
                 int views, mg_metrics *out) {
    double P = t->positives, N = t->negatives;
    double tp = 0, fp = 0, tp_before = 0, fp_before = 0, area = 0, at_90 = 0;
    double allowed = 0.1 * N * (1 + 1e-12); /* 0.1 is not a binary number */
    for (size_t i = 0; i < r->count; i++) {
        double w = weight ? weight[r->cluster[i]] : 1;
        if (r->label[i]) tp += w;
        else fp += w;
        if (!r->closes[i] || (tp == tp_before && fp == fp_before)) continue;
        area += (fp - fp_before) * (tp_before + tp) / 2;
        if (fp <= allowed) at_90 = tp;
        for (int v = 0; v < views; v++) {
            if (tp > tp_before)
                out[v].value[MG_METRIC_PR_AUC] +=
                    (tp - tp_before) * class[v].yes * tp / (class[v].yes * tp + class[v].no * fp);
            if (r->probability[i] >= out[v].threshold)
                out[v].confusion = (mg_confusion){.tp = tp, .fp = fp};
        }
        tp_before = tp;
        fp_before = fp;
    }
    for (int v = 0; v < views; v++) {
        double *value = out[v].value;
        value[MG_METRIC_ROC_AUC] = ratio(area, P * N);
        value[MG_METRIC_PR_AUC] = ratio(value[MG_METRIC_PR_AUC], P);
        value[MG_METRIC_SENSITIVITY_AT_90] = N > 0 ? ratio(at_90, P) : NAN;
    }
}

/* What follows from the sums and, at the threshold, from the confusion. */
static void finish(const totals *t, weights class, int bins, mg_metrics *m) {
    double P = t->positives, N = t->negatives, yes = class.yes, no = class.no, *v = m->value;
    mg_confusion *c = &m->confusion;
    *c = (mg_confusion){yes * c->tp, no * c->fp, yes * (P - c->tp), no * (N - c->fp)};
    m->prevalence = ratio(yes * P, P + N);
    m->positives = (size_t)P;
    m->negatives = (size_t)N;
    v[MG_METRIC_PRECISION] = ratio(c->tp, c->tp + c->fp);
    v[MG_METRIC_RECALL] = ratio(c->tp, c->tp + c->fn);
    v[MG_METRIC_SPECIFICITY] = ratio(c->tn, c->tn + c->fp);
    v[MG_METRIC_F1] = P > 0 ? f1(c->tp, c->fp, yes * P) : NAN;
    v[MG_METRIC_PROBABILISTIC_F1] =
        P > 0 ? f1(yes * t->p_positive, no * t->p_negative, yes * P) : NAN;
    v[MG_METRIC_BRIER] = ratio(yes * t->error_positive + no * t->error_negative, P + N);
    double gap = 0;
    for (int b = 0; b < bins; b++)
        gap += fabs(yes * (t->bin_n[1][b] - t->bin_p[1][b]) - no * t->bin_p[0][b]);
    v[MG_METRIC_ECE] = ratio(gap, P + N);
}

void mg_ranking_metrics(const mg_ranking *r, const uint32_t *cluster_weight,
                        const mg_metric_options *options, int views, mg_metrics *out) {
    int bins = options->bins ? options->bins : 10;
    weights class[MG_METRIC_MAX_VIEWS];
    MG_ASSERT(bins > 0 && bins <= MG_METRIC_MAX_BINS);
    MG_ASSERT(views > 0 && views <= MG_METRIC_MAX_VIEWS);
    totals t;
    sum_up(r, cluster_weight, bins, &t);
    for (int v = 0; v < views; v++) {
        MG_ASSERT(options[v].bins == options->bins);
        class[v] = class_weights(&t, options[v].prevalence);
        out[v] = (mg_metrics){.threshold = options[v].threshold};
    }
    walk(r, cluster_weight, &t, class, views, out);
    for (int v = 0; v < views; v++) {
        finish(&t, class[v], bins, &out[v]);
        if (weighable(t.positives, t.negatives, options[v].prevalence)) continue;
        static const mg_metric depend[] = {
            MG_METRIC_PRECISION, MG_METRIC_F1,    MG_METRIC_PROBABILISTIC_F1,
            MG_METRIC_PR_AUC,    MG_METRIC_BRIER, MG_METRIC_ECE};
        for (size_t k = 0; k < sizeof depend / sizeof *depend; k++) out[v].value[depend[k]] = NAN;
    }
}

/* The threshold with the highest F1; of equals, the highest threshold. */
static void find_best(const mg_ranking *r, double prevalence, mg_metrics *m) {
    double tp = 0, fp = 0, P = (double)m->positives, N = (double)m->negatives;
    weights class = class_weights(&(totals){.positives = P, .negatives = N}, prevalence);
    bool any = P > 0 && weighable(P, N, prevalence);
    m->best_f1 = any ? 0 : NAN;
    m->best_f1_threshold = NAN;
    for (size_t i = 0; i < r->count && any; i++) {
        if (r->label[i]) tp++;
        else fp++;
        double f = r->closes[i] ? f1(class.yes * tp, class.no * fp, class.yes * P) : 0;
        if (f <= m->best_f1) continue;
        m->best_f1 = f;
        double below = i + 1 < r->count ? r->probability[i + 1] : r->probability[i];
        m->best_f1_threshold = (r->probability[i] + below) / 2;
    }
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
    mg_ranking_metrics(&ranking, NULL, options, 1, out);
    find_best(&ranking, options->prevalence, out);
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
