/* The card that a checkpoint carries. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/model.h"

/* Every threshold comes back; a card from before patients had one gives them the breast's. */
Test(card, thresholds) {
    mg_card card = {.arch = "b0",
                    .input = mg_preprocess_defaults(),
                    .image_threshold = 0.25,
                    .breast_threshold = 0.375,
                    .patient_threshold = 0.625},
            again;
    mg_error err = {0};
    char *text = mg_card_to_json(&card, &err);
    cr_assert(text, "%s", err.message);
    cr_assert_eq(mg_card_from_json(text, &again, &err), MG_OK, "%s", err.message);
    cr_expect(again.image_threshold == 0.25 && again.breast_threshold == 0.375);
    cr_expect_eq(again.patient_threshold, 0.625);
    char *key = strstr(text, "patient_threshold");
    cr_assert(key);
    memcpy(key, "x", 1);
    cr_assert_eq(mg_card_from_json(text, &again, &err), MG_OK, "%s", err.message);
    cr_expect_eq(again.patient_threshold, 0.375);
    free(text);
}
