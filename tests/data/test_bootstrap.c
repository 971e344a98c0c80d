/* Bootstrap intervals: what they must cover, whom they draw, and that threads do not matter. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/metrics_evaluation.h"
#include "tensor/rng.h"

enum { PATIENTS = 200, PER = 4, N = PATIENTS * PER };
static double probability[N];
static uint8_t label[N];
static int32_t patient[N];

/* Every patient's images say nearly the same, which is what makes clusters matter. */
static mg_eval_set make_set(uint32_t sample) {
    mg_rng_key key = {.seed = 11, .purpose = MG_RNG_TEST, .sample = sample};
    for (int c = 0; c < PATIENTS; c++) {
        int positive = c % 4 == 0;
        double x = mg_rng_normal(&key, (uint32_t)c) + 1.5 * positive - 1;
        for (int k = 0; k < PER; k++) {
            double z = x + 0.05 * mg_rng_normal(&key, (uint32_t)(1000 + c * PER + k));
            probability[c * PER + k] = 1 / (1 + exp(-z));
            label[c * PER + k] = (uint8_t)positive;
            patient[c * PER + k] = c;
        }
    }
    return (mg_eval_set){N, probability, label, patient, PATIENTS};
}

Test(bootstrap, percentiles) {
    double v[101], low, high;
    for (int i = 0; i < 101; i++) v[i] = 100 - i;
    mg_percentile_interval(v, 101, 0.9, &low, &high);
    cr_assert_float_eq(low, 5, 1e-9);
    cr_assert_float_eq(high, 95, 1e-9);
    double few[] = {NAN, NAN, NAN, 1};
    mg_percentile_interval(few, 4, 0.9, &low, &high);
    cr_assert(isnan(low) && isnan(high));
    double some[] = {NAN, 2, 2, NAN};
    mg_percentile_interval(some, 4, 0.9, &low, &high);
    cr_assert(low == 2 && high == 2);
}

/* One resample computed the slow way: copy the items of the drawn patients, sort, evaluate. */
Test(bootstrap, a_resample_is_what_drawing_patients_gives) {
    mg_eval_set set = make_set(1);
    mg_ranking r;
    cr_assert_eq(mg_ranking_create(&set, &r, NULL), MG_OK);
    uint32_t weight[PATIENTS] = {0};
    static double p[N];
    static uint8_t y[N];
    size_t n = 0;
    mg_rng_key key = {.seed = 3, .purpose = MG_RNG_BOOTSTRAP, .sample = 17};
    for (uint32_t d = 0; d < PATIENTS; d++) {
        uint32_t c = mg_rng_below(&key, d, PATIENTS);
        weight[c]++;
        for (uint32_t k = 0; k < PER; k++, n++) {
            p[n] = probability[c * PER + k];
            y[n] = label[c * PER + k];
        }
    }
    for (int balanced = 0; balanced < 2; balanced++) {
        mg_metric_options o = {.threshold = 0.4, .prevalence = balanced ? 0.5 : 0};
        mg_metrics fast, slow;
        mg_ranking_metrics(&r, weight, &o, 1, &fast);
        cr_assert_eq(mg_metrics_compute(&(mg_eval_set){.count = n, .probability = p, .label = y},
                                        &o, &slow, NULL),
                     MG_OK);
        for (int k = 0; k < MG_METRIC_COUNT; k++)
            cr_assert_float_eq(fast.value[k], slow.value[k], 1e-12, "%s",
                               mg_metric_key((mg_metric)k));
    }
    mg_ranking_free(&r);
}

Test(bootstrap, same_for_any_threads_and_wider_with_patients) {
    mg_eval_set set = make_set(2);
    mg_metric_options o = {.threshold = 0.5};
    mg_interval one[MG_METRIC_COUNT], four[MG_METRIC_COUNT], loose[MG_METRIC_COUNT];
    mg_bootstrap_options b = {.seed = 7, .resamples = 2000};
    mg_metrics m;
    cr_assert_eq(mg_bootstrap_metrics(&set, &o, &b, &m, one, NULL), MG_OK);
    b.pool = mg_pool_create(4);
    cr_assert_eq(mg_bootstrap_metrics(&set, &o, &b, NULL, four, NULL), MG_OK);
    cr_assert_eq(memcmp(one, four, sizeof one), 0);
    set.cluster = NULL;
    cr_assert_eq(mg_bootstrap_metrics(&set, &o, &b, NULL, loose, NULL), MG_OK);
    mg_pool_destroy(b.pool);
    for (int k = 0; k < MG_METRIC_COUNT; k++) {
        cr_assert_eq(one[k].value, m.value[k]);
        cr_assert(one[k].low < one[k].value && one[k].value < one[k].high, "%s",
                  mg_metric_key((mg_metric)k));
    }
    double clustered = one[MG_METRIC_ROC_AUC].high - one[MG_METRIC_ROC_AUC].low;
    double independent = loose[MG_METRIC_ROC_AUC].high - loose[MG_METRIC_ROC_AUC].low;
    cr_assert(clustered > 1.6 * independent && clustered < 2.4 * independent,
              "four copies of each patient: about twice as wide, is %.3f of %.3f", clustered,
              independent);
}

/* Over many data sets of known AUC, 95% intervals cover it about 95% of the time. */
Test(bootstrap, coverage_of_the_true_auc) {
    const double truth = 0.5 * erfc(-1.5 / 2); /* Phi(1.5 / sqrt 2): two unit normals, 1.5 apart */
    int covered = 0;
    enum { SETS = 120 };
    for (uint32_t s = 0; s < SETS; s++) {
        mg_eval_set set = make_set(100 + s);
        mg_interval interval[MG_METRIC_COUNT];
        mg_metric_options o = {.threshold = 0.5};
        mg_bootstrap_options b = {.seed = s, .resamples = 300};
        cr_assert_eq(mg_bootstrap_metrics(&set, &o, &b, NULL, interval, NULL), MG_OK);
        covered +=
            interval[MG_METRIC_ROC_AUC].low <= truth && truth <= interval[MG_METRIC_ROC_AUC].high;
    }
    cr_assert(covered >= SETS * 88 / 100, "%d of %d", covered, (int)SETS);
    cr_assert(covered < SETS, "an interval that always covers is too wide");
}

Test(evaluation, both_prevalences_and_thresholds) {
    mg_eval_set set = make_set(3);
    mg_evaluation_options o = {.bootstrap = {.seed = 1, .resamples = 200}};
    mg_evaluation e;
    mg_error err = {0};
    cr_assert_eq(mg_evaluate(&set, &o, &e, &err), MG_OK, "%s", err.message);
    cr_assert(e.items == N && e.positives == N / 4 && e.clusters == PATIENTS);
    cr_assert(e.threshold_found_here && e.threshold > 0 && e.threshold < 1);
    const mg_metrics *best = &e.view[MG_NATURAL][MG_AT_BEST].metrics;
    cr_assert_float_eq(best->value[MG_METRIC_F1], best->best_f1, 1e-12);
    cr_assert_float_eq(e.view[MG_BALANCED][MG_AT_HALF].metrics.prevalence, 0.5, 1e-12);
    /* All four views at once are what each would be alone. */
    mg_interval alone[MG_METRIC_COUNT];
    mg_metric_options view = {.threshold = e.threshold, .prevalence = 0.5};
    cr_assert_eq(mg_bootstrap_metrics(&set, &view, &o.bootstrap, NULL, alone, NULL), MG_OK);
    cr_assert_eq(memcmp(alone, e.view[MG_BALANCED][MG_AT_BEST].interval, sizeof alone), 0);
    cr_assert(e.roc.count > 2 && e.precision_recall.count > 2);
    cr_assert_eq(e.reliability.bins, 10);
    mg_evaluation_free(&e);
    o.threshold = 0.3;
    o.threshold_given = true;
    cr_assert_eq(mg_evaluate(&set, &o, &e, &err), MG_OK);
    cr_assert(e.threshold == 0.3 && !e.threshold_found_here);
    mg_evaluation_free(&e);
    o.threshold = 0; /* a threshold like any other */
    cr_assert_eq(mg_evaluate(&set, &o, &e, &err), MG_OK);
    cr_assert(e.threshold == 0 && !e.threshold_found_here);
    cr_assert_eq(e.view[MG_NATURAL][MG_AT_BEST].metrics.value[MG_METRIC_RECALL], 1);
    mg_evaluation_free(&e);
    memset(label, 0, sizeof label);
    o.threshold_given = false;
    cr_assert_eq(mg_evaluate(&set, &o, &e, &err), MG_OK, "no positives is an answer, not an error");
    cr_assert(e.threshold == 0.5 && e.roc.count == 0);
    mg_evaluation_free(&e);
}

/* A resample without positives has no precision on balanced classes, and not one of 0: a
 * third of the resamples are such when one patient in many is positive. */
Test(evaluation, balanced_figures_need_both_classes) {
    double p[20];
    uint8_t y[20] = {1};
    int32_t who[20];
    for (int i = 0; i < 20; i++) p[i] = i ? 0.02 * i : 0.9, who[i] = i;
    p[1] = 0.6; /* a false alarm */
    mg_eval_set set = {20, p, y, who, 20};
    mg_evaluation_options o = {.bootstrap = {.seed = 1, .resamples = 500}};
    mg_evaluation e;
    cr_assert_eq(mg_evaluate(&set, &o, &e, NULL), MG_OK);
    const mg_interval *i = e.view[MG_BALANCED][MG_AT_HALF].interval;
    cr_expect(i[MG_METRIC_PRECISION].low > 0.6, "%g", i[MG_METRIC_PRECISION].low);
    cr_expect(i[MG_METRIC_F1].low > 0.6, "%g", i[MG_METRIC_F1].low);
    mg_evaluation_free(&e);
}

Test(evaluation, subgroups) {
    mg_eval_set set = make_set(4);
    static const char *machine[N];
    const char *names[] = {"10", "2", NULL, ""};
    for (int i = 0; i < N; i++) machine[i] = names[patient[i] % 4];
    mg_subgroup_table t;
    mg_bootstrap_options b = {.resamples = 50};
    cr_assert_eq(mg_subgroup_compute(&set, "machine", machine, 0.5, &b, &t, NULL), MG_OK);
    cr_assert_eq(t.count, 3);
    cr_assert_str_eq(t.row[0].name, "2");
    cr_assert_str_eq(t.row[1].name, "10");
    cr_assert_str_eq(t.row[2].name, "missing");
    cr_assert(t.row[0].metrics.positives == 0 && t.row[0].metrics.negatives == N / 4);
    cr_assert(t.row[1].metrics.positives == N / 4 && t.row[1].metrics.negatives == 0);
    cr_assert_eq(t.row[2].metrics.negatives, N / 2);
    cr_assert(isnan(t.row[0].interval[MG_METRIC_ROC_AUC].low));
    mg_subgroup_free(&t);
    cr_assert_str_eq(mg_age_band(39), "under 40");
    cr_assert_str_eq(mg_age_band(40), "40–49");
    cr_assert_str_eq(mg_age_band(70), "70 and over");
    cr_assert_str_eq(mg_age_band(NAN), "missing");
}

Test(bootstrap, none_asked_for_none_given) {
    mg_eval_set set = make_set(3);
    mg_metric_options o = {.threshold = 0.5};
    mg_bootstrap_options b = {.seed = 1};
    mg_metrics m;
    mg_interval interval[MG_METRIC_COUNT];
    cr_assert_eq(mg_bootstrap_metrics(&set, &o, &b, &m, interval, NULL), MG_OK);
    const mg_interval *auc = &interval[MG_METRIC_ROC_AUC];
    cr_assert_eq(auc->value, m.value[MG_METRIC_ROC_AUC]);
    cr_assert(auc->value > 0.5 && isnan(auc->low) && isnan(auc->high));
}
