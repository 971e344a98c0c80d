/* Aggregation per breast and patient, prior correction, grouping: hand-computed. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "data/aggregate.h"

static void near(double a, double b) {
    cr_assert_float_eq(a, b, 1e-12, "%.17g is not %.17g", a, b);
}

Test(aggregate, seed_formula_by_hand) {
    /* mean of squares (.04 + .64) / 2 = .34; 1 - .66^2 = .5644 */
    near(mg_aggregate(MG_AGGREGATE_SEED, (double[]){0.2, 0.8}, 2), 0.5644);
    /* (.01 + .09 + .25) / 3 = .116666…; 1 - (1 - .35/3)^3 */
    double x = 1 - 0.35 / 3;
    near(mg_aggregate(MG_AGGREGATE_SEED, (double[]){0.1, 0.3, 0.5}, 3), 1 - x * x * x);
    near(mg_aggregate(MG_AGGREGATE_SEED, (double[]){0.7}, 1), 0.49);
    near(mg_aggregate(MG_AGGREGATE_SEED, (double[]){0, 0}, 2), 0);
    near(mg_aggregate(MG_AGGREGATE_SEED, (double[]){1, 1, 1}, 3), 1);
}

Test(aggregate, seed_depends_on_the_number_of_views) {
    double half[8] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    near(mg_aggregate(MG_AGGREGATE_SEED, half, 2), 1 - pow(0.75, 2)); /* .4375: negative */
    near(mg_aggregate(MG_AGGREGATE_SEED, half, 3), 1 - pow(0.75, 3)); /* .578: positive */
    near(mg_aggregate(MG_AGGREGATE_SEED, half, 8), 0.89988708496093750);
}

Test(aggregate, the_others_by_hand) {
    double p[] = {0.1, 0.6, 0.5};
    near(mg_aggregate(MG_AGGREGATE_MEAN, p, 3), 0.4);
    near(mg_aggregate(MG_AGGREGATE_MAX, p, 3), 0.6);
    near(mg_aggregate(MG_AGGREGATE_NOISY_OR, p, 3), 1 - 0.9 * 0.4 * 0.5);
    for (int how = 0; how < MG_AGGREGATE_COUNT; how++)
        cr_assert(isnan(mg_aggregate((mg_aggregation)how, p, 0)));
}

Test(aggregate, names_round_trip) {
    for (int i = 0; i < MG_AGGREGATE_COUNT; i++) {
        mg_aggregation how = MG_AGGREGATE_COUNT;
        cr_assert(mg_aggregation_parse(mg_aggregation_name((mg_aggregation)i), &how));
        cr_assert_eq(how, (mg_aggregation)i);
    }
    mg_aggregation how = MG_AGGREGATE_MAX;
    cr_assert_not(mg_aggregation_parse("median", &how));
    cr_assert_eq(how, MG_AGGREGATE_MAX);
}

Test(aggregate, groups_and_labels) {
    const char *ids[] = {"7_L", "7_R", "7_L", "8_L", "7_R"};
    double p[] = {0.2, 0.9, 0.8, 0.3, 0.1};
    uint8_t label[] = {0, 1, 0, 0, 1}, out_label[3];
    int32_t group[5], first[5], groups;
    mg_error err = {0};
    cr_assert_eq(mg_group_strings(ids, 5, group, first, &groups, &err), MG_OK);
    cr_assert_eq(groups, 3);
    cr_assert_arr_eq(group, ((int32_t[]){0, 1, 0, 2, 1}), sizeof group);
    cr_assert_arr_eq(first, ((int32_t[]){0, 1, 3}), 3 * sizeof *first);
    double out[4];
    cr_assert_eq(mg_aggregate_groups(MG_AGGREGATE_SEED, p, group, 5, 3, out, &err), MG_OK);
    near(out[0], 0.5644);
    near(out[1], 1 - pow(1 - (0.81 + 0.01) / 2, 2));
    near(out[2], 0.09);
    mg_aggregate_labels(label, group, 5, 3, out_label);
    cr_assert_arr_eq(out_label, ((uint8_t[]){0, 1, 0}), 3);
    cr_assert_eq(mg_aggregate_groups(MG_AGGREGATE_MEAN, p, group, 5, 4, out, &err), MG_OK);
    cr_assert(isnan(out[3]), "a group without items has no verdict");
}

Test(aggregate, many_distinct_ids_are_kept_apart) {
    enum { N = 20000 };
    static char text[N][16];
    static const char *ids[N];
    static int32_t group[N];
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "%d_%c", i / 2, i % 2 ? 'R' : 'L');
        ids[i] = text[i];
    }
    int32_t groups;
    cr_assert_eq(mg_group_strings(ids, N, group, NULL, &groups, NULL), MG_OK);
    cr_assert_eq(groups, N);
    for (int i = 0; i < N; i++) cr_assert_eq(group[i], i);
}

Test(aggregate, prior_correction) {
    /* Bayes: with balanced training p = .5 must become the prevalence itself. */
    near(mg_prior_correct(0.5, 0.02), 0.02);
    near(mg_prior_correct(0.9, 0.5), 0.9);
    double logit = log(0.9 / 0.1) + log(0.02 / 0.98);
    near(mg_prior_correct(0.9, 0.02), 1 / (1 + exp(-logit)));
    near(mg_prior_correct(0, 0.02), 0);
    near(mg_prior_correct(1, 0.02), 1);
}
