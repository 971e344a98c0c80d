/* Phantom sets: the plan, the pixels, the files. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/phantom.h"

static mg_phantom_settings small(int patients, int test_patients) {
    mg_phantom_settings s = mg_phantom_defaults();
    s.patients = patients;
    s.test_patients = test_patients;
    s.columns = 104;
    s.rows = 128;
    return s;
}

static mg_phantom_patient *plan(const mg_phantom_settings *s) {
    mg_phantom_patient *p = malloc((size_t)(s->patients + s->test_patients) * sizeof *p);
    mg_error err = {0};
    cr_assert_eq(mg_phantom_plan(s, p, &err), MG_OK, "%s", err.message);
    return p;
}

/* --- plan ------------------------------------------------------------------------------------- */

Test(phantom, plan_has_the_stated_share_of_patients_with_cancer) {
    mg_phantom_settings s = small(250, 130);
    s.positive = 0.5;
    s.test_positive = 0.2;
    mg_phantom_patient *p = plan(&s);
    int positive[2] = {0, 0}, both = 0;
    for (int i = 0; i < 380; i++) {
        cr_assert_eq(p[i].test, i >= 250);
        const mg_phantom_breast *b = p[i].breast;
        positive[p[i].test] += b[0].cancer || b[1].cancer;
        both += b[0].cancer && b[1].cancer;
        for (int k = 0; k < 2; k++) {
            int malignant = 0;
            for (int f = 0; f < b[k].findings; f++) malignant += b[k].finding[f].malignant;
            cr_assert_eq(malignant, b[k].cancer, "exactly one malignant finding per cancer");
            cr_assert(!b[k].cancer || (b[k].biopsy && !b[k].difficult_negative));
            cr_assert(b[k].cancer || !b[k].invasive);
        }
    }
    cr_assert_eq(positive[0], 125);
    cr_assert_eq(positive[1], 26);
    cr_assert(both < 10);
    free(p);
}

Test(phantom, ids_are_unique_and_every_breast_has_both_views) {
    mg_phantom_settings s = small(300, 100);
    mg_phantom_patient *p = plan(&s);
    static unsigned char seen[1 << 28]; /* a bit for each 31-bit number */
    int extra = 0;
    for (int i = 0; i < 400; i++) {
        cr_assert(i == 0 || p[i].id > p[i - 1].id);
        int views[2][MG_PHANTOM_VIEW_COUNT] = {{0}};
        for (int k = 0; k < p[i].images; k++) {
            uint32_t id = p[i].image[k].id;
            cr_assert(id < 1u << 31 && !(seen[id >> 3] & 1 << (id & 7)), "image id %u twice", id);
            seen[id >> 3] |= (unsigned char)(1 << (id & 7));
            views[p[i].image[k].breast][p[i].image[k].view]++;
        }
        for (int b = 0; b < 2; b++)
            cr_assert(views[b][MG_PHANTOM_CC] >= 1 && views[b][MG_PHANTOM_MLO] >= 1);
        extra += p[i].images - 4;
    }
    cr_assert(extra > 20 && extra < 200);
    free(p);
}

/* Density, age and machine are drawn without the label: another label, the same patient. */
Test(phantom, label_changes_nothing_but_the_findings) {
    mg_phantom_settings s = small(60, 0);
    s.positive = 0;
    mg_phantom_patient *healthy = plan(&s);
    s.positive = 1;
    mg_phantom_patient *ill = plan(&s);
    for (int i = 0; i < 60; i++) {
        cr_assert(healthy[i].id == ill[i].id && healthy[i].age == ill[i].age);
        cr_assert(healthy[i].machine == ill[i].machine && healthy[i].density == ill[i].density);
        cr_assert_eq(healthy[i].images, ill[i].images);
    }
    free(healthy);
    free(ill);
}

Test(phantom, senseless_settings_are_refused) {
    mg_phantom_patient p[2];
    mg_error err = {0};
    mg_phantom_settings s = small(0, 0);
    cr_assert_eq(mg_phantom_plan(&s, p, &err), MG_ERR_ARG);
    s = small(1, 0), s.positive = 1.5, mg_error_clear(&err);
    cr_assert_eq(mg_phantom_plan(&s, p, &err), MG_ERR_ARG);
    cr_assert(strstr(err.message, "1.5"));
    s = small(1, 0), s.columns = 8, mg_error_clear(&err);
    cr_assert_eq(mg_phantom_plan(&s, p, &err), MG_ERR_ARG);
    cr_assert(strstr(err.message, "8 x 128"));
    s = small(1, 0), s.difficulty = (double)NAN, mg_error_clear(&err);
    cr_assert_eq(mg_phantom_plan(&s, p, &err), MG_ERR_ARG);
}

/* --- pixels ----------------------------------------------------------------------------------- */

Test(phantom, lesion_is_in_the_breast_in_both_views_at_the_same_depth) {
    mg_phantom_settings s = small(40, 0);
    s.positive = 1;
    mg_phantom_patient *p = plan(&s);
    mg_phantom_renderer *r = mg_phantom_renderer_create(&s);
    int compared = 0;
    double difference = 0;
    for (int i = 0; i < s.patients; i++) {
        double depth[2][2] = {{-1, -1}, {-1, -1}};
        for (int k = 0; k < p[i].images; k++) {
            const mg_phantom_image *image = &p[i].image[k];
            mg_phantom_pixels px;
            mg_phantom_render(r, &p[i], k, &px);
            double sum = 0, x = 0;
            for (int at = 0; at < px.rows * px.columns; at++) {
                if (!px.mask[at]) continue;
                cr_assert(px.breast[at], "a lesion outside the breast");
                sum++;
                x += at % px.columns;
            }
            cr_assert_eq(px.has_lesion, p[i].breast[image->breast].cancer);
            cr_assert_eq(sum > 0, px.has_lesion);
            if (sum > 0 && image->view <= MG_PHANTOM_MLO)
                depth[image->breast][image->view] =
                    fabs(x / sum - (double)px.nipple_x) * (double)px.spacing_mm;
        }
        for (int b = 0; b < 2; b++) {
            if (depth[b][0] < 0) continue;
            difference += fabs(depth[b][0] - depth[b][1]);
            compared++;
        }
    }
    cr_assert(compared >= 40);
    cr_assert_lt(difference / compared, 8.0, "mean distance %g mm", difference / compared);
    mg_phantom_renderer_destroy(r);
    free(p);
}

/* Left breasts point right, right ones left; outside there is neither black nor white. */
Test(phantom, orientation_and_background) {
    mg_phantom_settings s = small(6, 0);
    mg_phantom_patient *p = plan(&s);
    mg_phantom_renderer *r = mg_phantom_renderer_create(&s);
    for (int i = 0; i < s.patients; i++)
        for (int k = 0; k < p[i].images; k++) {
            mg_phantom_pixels px;
            mg_phantom_render(r, &p[i], k, &px);
            int inside = 0, chest = 0, different = 0;
            bool left = p[i].breast[p[i].image[k].breast].laterality == 'L';
            for (int y = 0; y < px.rows; y++) {
                const uint8_t *row = px.breast + y * px.columns;
                for (int x = 0; x < px.columns; x++) inside += row[x] != 0;
                chest += row[left ? 0 : px.columns - 1] != 0;
                cr_assert_eq(row[left ? px.columns - 1 : 0], 0);
            }
            cr_assert(inside > px.rows * px.columns / 8 && inside < px.rows * px.columns * 3 / 4);
            cr_assert(chest > px.rows / 3);
            cr_assert(left ? px.nipple_x > px.columns / 3.0f : px.nipple_x < px.columns / 1.5f);
            const uint16_t *last = px.pixels + (px.rows - 2) * px.columns + px.columns / 2;
            for (int x = 1; x < 8; x++) different += last[x] != last[0];
            cr_assert(different > 0, "the background has no noise");
        }
    mg_phantom_renderer_destroy(r);
    free(p);
}

/* A larger image of the same settings is the same breast, more finely sampled. */
Test(phantom, size_changes_the_sampling_only) {
    mg_phantom_settings s = small(3, 0), big = s;
    big.columns *= 3;
    big.rows *= 3;
    mg_phantom_patient *p = plan(&s);
    mg_phantom_renderer *a = mg_phantom_renderer_create(&s), *b = mg_phantom_renderer_create(&big);
    for (int i = 0; i < 3; i++) {
        mg_phantom_pixels pa, pb;
        mg_phantom_render(a, &p[i], 1, &pa);
        mg_phantom_render(b, &p[i], 1, &pb);
        int same = 0;
        for (int y = 0; y < pa.rows; y++)
            for (int x = 0; x < pa.columns; x++)
                same += pa.breast[y * pa.columns + x] ==
                        pb.breast[(3 * y + 1) * pb.columns + 3 * x + 1];
        cr_assert_gt(same, pa.rows * pa.columns * 98 / 100);
        cr_assert_float_eq(pa.nipple_x * 3, pb.nipple_x, 0.1);
    }
    mg_phantom_renderer_destroy(a);
    mg_phantom_renderer_destroy(b);
    free(p);
}
