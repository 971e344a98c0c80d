/* What is evaluated: the labelled items, and intervals from their patients alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/assessment.h"
#include "tests/lib/scratch.h"

enum { PATIENTS = 40 };

/* An image per patient, every second positive; the first `unlabelled` without a label. */
static mg_manifest table(int patients, int unlabelled) {
    char *text = malloc((size_t)patients * 40 + 100);
    size_t n = (size_t)sprintf(text, "patient_id,image_id,laterality,view,cancer\n");
    for (int i = 0; i < patients; i++)
        n += (size_t)sprintf(text + n, i < unlabelled ? "%d,%d,L,CC,\n" : "%d,%d,L,CC,%d\n", i, i,
                             i % 2);
    mg_manifest m;
    mg_error err = {0};
    mg_manifest_options o = {.csv = scratch_text("t.csv", text), .no_files = true};
    cr_assert_eq(mg_manifest_read(&o, &m, &err), MG_OK, "%s", err.message);
    free(text);
    return m;
}

static void assess(const mg_manifest *m, const double *p, mg_assessment *out) {
    mg_error err = {0};
    mg_assess_options how = {.aggregation = MG_AGGREGATE_MEAN, .bootstrap = 400, .seed = 3};
    cr_assert_eq(mg_assess(m, p, &how, out, &err), MG_OK, "%s", err.message);
}

static double probability(int i) { return 0.05 + 0.9 * ((i * 7 + i % 2 * 13) % 41) / 41.0; }

/* Ten evaluated patients have the same intervals whether or not the manifest has 30 others. */
Test(assessment, intervals_of_the_evaluated_patients, .init = (void (*)(void))scratch_make,
     .fini = scratch_remove) {
    mg_manifest all = table(PATIENTS, 0), few = table(10, 0);
    double p[PATIENTS];
    for (int i = 0; i < PATIENTS; i++) p[i] = i < 10 ? probability(i) : NAN;
    mg_assessment a, b;
    assess(&all, p, &a);
    assess(&few, p, &b);
    for (int k = 0; k < MG_LEVELS; k++) {
        cr_expect_eq(a.evaluation[k].clusters, 10);
        for (int i = 0; i < MG_METRIC_COUNT; i++) {
            const mg_interval *x = &a.evaluation[k].view[0][0].interval[i];
            const mg_interval *y = &b.evaluation[k].view[0][0].interval[i];
            cr_expect(memcmp(x, y, sizeof *x) == 0 || isnan(x->low), "level %d, %s", k,
                      mg_metric_key((mg_metric)i));
        }
    }
    mg_assessment_free(&a);
    mg_assessment_free(&b);
    mg_manifest_free(&all);
    mg_manifest_free(&few);
}

Test(assessment, a_missing_label_is_no_end, .init = (void (*)(void))scratch_make,
     .fini = scratch_remove) {
    mg_manifest m = table(PATIENTS, 3);
    double p[PATIENTS];
    for (int i = 0; i < PATIENTS; i++) p[i] = probability(i);
    mg_assessment a;
    assess(&m, p, &a);
    for (int k = 0; k < MG_LEVELS; k++) {
        cr_expect_eq(a.level[k].count, PATIENTS);
        cr_expect_eq(a.level[k].unknown, 3);
        cr_expect_eq(a.evaluation[k].items, PATIENTS - 3);
        cr_expect_eq(a.evaluation[k].positives, PATIENTS / 2 - 1);
    }
    cr_expect_eq(a.subgroups, 1);
    cr_expect_eq(a.subgroup[0].row[0].metrics.positives, PATIENTS / 2 - 1);
    mg_assessment_free(&a);
    mg_manifest_free(&m);
    m = table(PATIENTS, PATIENTS);
    assess(&m, p, &a);
    cr_expect_eq(a.evaluation[0].items, 0);
    mg_assessment_free(&a);
    mg_manifest_free(&m);
}
