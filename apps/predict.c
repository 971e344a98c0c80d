/* predict: from DICOM files to probabilities, maps and a report (apps/lib/predictor.h). */
#include <stdio.h>

#include "apps/lib/interrupt.h"
#include "apps/lib/predictor.h"

static void summary(const mg_predictor *p) {
    char prepared[700];
    if (*mg_preprocess_told(p->preprocess, prepared, sizeof prepared))
        fprintf(stderr, "%s\n", prepared);
    const mg_level *l = &p->assessment.level[MG_LEVEL_BREAST];
    size_t flagged = 0;
    for (size_t i = 0; i < l->count; i++) flagged += l->probability[i] >= p->breast_threshold;
    fprintf(stderr,
            "%lld images of %d breasts, %lld could not be used; %zu breasts at or above %.3f\n",
            (long long)p->manifest.image_count, p->manifest.group_count, (long long)p->bad, flagged,
            p->breast_threshold);
    const mg_evaluation *e = &p->assessment.evaluation[MG_LEVEL_BREAST];
    if (!e->items) return;
    size_t unknown = p->assessment.level[MG_LEVEL_IMAGE].unknown;
    if (unknown)
        fprintf(stderr, "%zu of %zu scored images have no label and are left out of the figures\n",
                unknown, p->assessment.level[MG_LEVEL_IMAGE].count);
    const mg_evaluation_view *v = &e->view[MG_NATURAL][MG_AT_BEST];
    if (!mg_predict.bootstrap) {
        fprintf(stderr, "labels are known: per breast ROC-AUC %.3f, F1 %.3f\n",
                v->metrics.value[MG_METRIC_ROC_AUC], v->metrics.value[MG_METRIC_F1]);
        return;
    }
    fprintf(stderr, "labels are known: per breast ROC-AUC %.3f (%.3f-%.3f), F1 %.3f (%.3f-%.3f)\n",
            v->metrics.value[MG_METRIC_ROC_AUC], v->interval[MG_METRIC_ROC_AUC].low,
            v->interval[MG_METRIC_ROC_AUC].high, v->metrics.value[MG_METRIC_F1],
            v->interval[MG_METRIC_F1].low, v->interval[MG_METRIC_F1].high);
}

/* What was scored until Ctrl-C is worth keeping. */
static mg_status keep_scores(mg_predictor *p, mg_error *err) {
    mg_error why = {0};
    mg_status s = mg_predict_write_predictions(p, &why);
    mg_error_clear(err);
    if (s) return mg_fail(err, s, "interrupted, and nothing is kept: %s", why.message);
    return mg_fail(
        err, MG_ERR_INTERRUPTED,
        "interrupted: %lld of %lld images were scored and are in %s, the others are \"not "
        "done\" there; no other table and no report was written",
        (long long)p->scored, (long long)p->manifest.image_count,
        mg_predict_path("predictions.csv"));
}

int main(int argc, char **argv) {
    int code = mg_predict_options_parse(&argc, &argv);
    if (code != MG_CLI_RUN) return code;
    static mg_predictor p;
    mg_error err = {0};
    mg_interrupt_install();
    mg_status s = mg_predictor_open(&p, argv, argc, &err);
    if (!s) s = mg_predictor_score(&p, &err);
    if (s && p.interrupted) s = keep_scores(&p, &err);
    if (!s) s = mg_predict_write_tables(&p, &err);
    if (!s && mg_predict.cam) s = mg_predict_write_cams(&p, &err);
    if (!s && mg_predict.trace) s = mg_predict_write_traces(&p, &err);
    if (!s && mg_predict.dicom_out) s = mg_predict_write_dicom(&p, &err);
    if (!s && !mg_predict.no_report) s = mg_predict_write_report(&p, &err);
    if (!s) summary(&p);
    if (!s && !p.assessment.level[MG_LEVEL_IMAGE].count)
        s = mg_fail(&err, MG_ERR_IO, "not one image could be used; the reasons are in %s",
                    mg_predict_path("predictions.csv"));
    if (!s) fprintf(stderr, "written to %s\n", mg_predict.out);
    else fprintf(stderr, "predict: %s\n", err.message);
    if (s == MG_ERR_INTERRUPTED && !p.interrupted)
        fprintf(stderr, "the tables are complete in %s, what comes after them is not\n",
                mg_predict.out);
    mg_predictor_close(&p);
    return s ? MG_EXIT_FAILED : MG_EXIT_DONE;
}
