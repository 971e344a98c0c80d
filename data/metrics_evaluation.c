#include "data/metrics_evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static mg_status evaluate_views(const mg_eval_set *set, const mg_evaluation_options *options,
                                mg_evaluation *out, mg_error *err) {
    enum { VIEWS = MG_PREVALENCES * MG_THRESHOLDS };
    mg_metric_options how[VIEWS];
    mg_metrics metrics[VIEWS];
    mg_interval interval[VIEWS][MG_METRIC_COUNT];
    for (int v = 0; v < VIEWS; v++)
        how[v] =
            (mg_metric_options){.threshold = v % MG_THRESHOLDS == MG_AT_HALF ? 0.5 : out->threshold,
                                .prevalence = v / MG_THRESHOLDS == MG_BALANCED ? 0.5 : 0,
                                .bins = options->bins};
    mg_status status =
        mg_bootstrap_views(set, how, VIEWS, &options->bootstrap, metrics, interval, err);
    for (int v = 0; v < VIEWS && !status; v++) {
        mg_evaluation_view *view = &out->view[v / MG_THRESHOLDS][v % MG_THRESHOLDS];
        view->metrics = metrics[v];
        memcpy(view->interval, interval[v], sizeof interval[v]);
    }
    return status;
}

static mg_status evaluate_curves(const mg_eval_set *set, mg_evaluation *out, mg_error *err) {
    if (out->positives == 0 || out->positives == out->items) return MG_OK;
    mg_status status = mg_curve_roc(set, &out->roc, err);
    if (!status) status = mg_curve_precision_recall(set, 0, &out->precision_recall, err);
    if (!status) status = mg_curve_precision_recall(set, 0.5, &out->precision_recall_balanced, err);
    return status;
}

mg_status mg_evaluate(const mg_eval_set *set, const mg_evaluation_options *options,
                      mg_evaluation *out, mg_error *err) {
    *out =
        (mg_evaluation){.items = set->count, .clusters = set->cluster ? (size_t)set->clusters : 0};
    mg_metrics first;
    mg_metric_options how = {.threshold = 0.5, .bins = options->bins};
    mg_status status = mg_metrics_compute(set, &how, &first, err);
    if (status) return status;
    out->positives = first.positives;
    out->prevalence = first.prevalence;
    out->resamples = options->bootstrap.resamples;
    out->threshold_found_here = !options->threshold_given;
    out->threshold = out->threshold_found_here ? first.best_f1_threshold : options->threshold;
    if (isnan(out->threshold)) out->threshold = 0.5; /* no positives: nothing to choose by */
    status = evaluate_views(set, options, out, err);
    if (!status) status = evaluate_curves(set, out, err);
    if (!status)
        status =
            mg_reliability_compute(set, MG_BINS_EQUAL_WIDTH, options->bins, &out->reliability, err);
    if (status) mg_evaluation_free(out);
    return status;
}

void mg_evaluation_free(mg_evaluation *evaluation) {
    mg_curve_free(&evaluation->roc);
    mg_curve_free(&evaluation->precision_recall);
    mg_curve_free(&evaluation->precision_recall_balanced);
}
