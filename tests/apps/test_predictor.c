/* Parts of predict that can be looked at alone. */
#include <criterion/criterion.h>
#include <math.h>

#include "apps/lib/predictor.h"

/* Images are corrected, then aggregated: the mean of equal images is each of them, whatever their
 * number, and the seed's formula is that of corrected images. */
Test(predictor, breasts_are_corrected_by_image) {
    double probability[] = {0.479, 0.479, NAN, 0.479};
    int32_t images[] = {0, 1, 2, 3};
    static mg_predictor p;
    p.model[0].card.balanced = true;
    p.prevalence = 0.25;
    p.probability = probability;
    p.manifest.group_image = images;
    double one = 0.479 * 0.25 / (0.479 * 0.25 + 0.521 * 0.75);
    cr_expect_float_eq(mg_predictor_calibrated(&p, 0.479), one, 1e-12);
    for (int n = 1; n <= 4; n++) {
        mg_manifest_group breast = {.count = n};
        int used = n < 3 ? n : n - 1;
        p.aggregation = MG_AGGREGATE_MEAN;
        cr_expect_float_eq(mg_predictor_calibrated_breast(&p, &breast), one, 1e-12, "%d", n);
        p.aggregation = MG_AGGREGATE_SEED;
        cr_expect_float_eq(mg_predictor_calibrated_breast(&p, &breast),
                           1 - pow(1 - one * one, used), 1e-12, "%d", n);
    }
    mg_manifest_group unread = {.first = 2, .count = 1};
    cr_expect(isnan(mg_predictor_calibrated_breast(&p, &unread)));
}
