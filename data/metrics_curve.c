/* ROC and precision-recall curves. */
#include <math.h>
#include <stdlib.h>

#include "data/metrics.h"

static mg_status curve_allocate(mg_curve *curve, size_t points, mg_error *err) {
    *curve = (mg_curve){.x = malloc(3 * points * sizeof(double))};
    if (!curve->x)
        return mg_fail(err, MG_ERR_MEMORY, "no memory for a curve of %zu points", points);
    curve->y = curve->x + points;
    curve->threshold = curve->y + points;
    return MG_OK;
}

static void curve_add(mg_curve *curve, double x, double y, double threshold) {
    curve->x[curve->count] = x;
    curve->y[curve->count] = y;
    curve->threshold[curve->count++] = threshold;
}

void mg_curve_free(mg_curve *curve) {
    free(curve->x);
    *curve = (mg_curve){0};
}

static void count_classes(const mg_ranking *r, double *positives, double *negatives) {
    *positives = 0;
    for (size_t i = 0; i < r->count; i++) *positives += r->label[i];
    *negatives = (double)r->count - *positives;
}

/* Ranking and room for the curve; both classes must be there. */
static mg_status begin(const mg_eval_set *set, mg_ranking *ranking, mg_curve *out,
                       double *positives, double *negatives, mg_error *err) {
    *out = (mg_curve){0};
    mg_status status = mg_ranking_create(set, ranking, err);
    if (status) return status;
    count_classes(ranking, positives, negatives);
    if (*positives == 0 || *negatives == 0)
        status = mg_fail(err, MG_ERR_ARG,
                         "a curve needs both classes; the set has %g positives "
                         "and %g negatives",
                         *positives, *negatives);
    if (!status) status = curve_allocate(out, set->count + 1, err);
    if (status) mg_ranking_free(ranking);
    return status;
}

mg_status mg_curve_roc(const mg_eval_set *set, mg_curve *out, mg_error *err) {
    mg_ranking r;
    double P, N, tp = 0, fp = 0;
    mg_status status = begin(set, &r, out, &P, &N, err);
    if (status) return status;
    curve_add(out, 0, 0, INFINITY);
    for (size_t i = 0; i < r.count; i++) {
        if (r.label[i]) tp++;
        else fp++;
        if (!r.closes[i]) continue;
        double x = fp / N, y = tp / P;
        size_t n = out->count;
        /* A point in the middle of a horizontal or vertical run says nothing. */
        if (n >= 2 && ((out->x[n - 1] == x && out->x[n - 2] == x) ||
                       (out->y[n - 1] == y && out->y[n - 2] == y)))
            out->count--;
        curve_add(out, x, y, r.probability[i]);
    }
    mg_ranking_free(&r);
    return MG_OK;
}

mg_status mg_curve_precision_recall(const mg_eval_set *set, double prevalence, mg_curve *out,
                                    mg_error *err) {
    mg_ranking r;
    double P, N, tp = 0, fp = 0, yes = 1, no = 1;
    mg_status status = begin(set, &r, out, &P, &N, err);
    if (status) return status;
    if (prevalence > 0) {
        yes = prevalence / P;
        no = (1 - prevalence) / N;
    }
    for (size_t i = 0; i < r.count; i++) {
        if (r.label[i]) tp++;
        else fp++;
        if (r.closes[i]) curve_add(out, tp / P, yes * tp / (yes * tp + no * fp), r.probability[i]);
    }
    mg_ranking_free(&r);
    return MG_OK;
}
