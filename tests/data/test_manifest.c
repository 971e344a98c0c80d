/* Tables, groups, splits, sampling, plans. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/manifest.h"
#include "data/sampler.h"
#include "data/split.h"
#include "tensor/rng.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(manifest, .init = setup, .fini = scratch_remove);
TestSuite(split, .init = setup, .fini = scratch_remove);
TestSuite(sampler, .init = setup, .fini = scratch_remove);

static const char table[] =
    "machine_id,view,laterality,patient_id,image_id,cancer,age,BIRADS,density,extra,"
    "difficult_negative_case,implant\n"
    "49,CC,L,10,1,0,61.0,,A,x,False,0\n"
    "49,MLO,R,10,2,1,61.0,0.0,,y,False,0\n"
    "21,CC,R,11,3,0,,2,c,z,True,1\n"
    "49,MLO,L,10,4,0,61,,A,,False,0\n";

static mg_status read_table(const char *text, bool labels, mg_manifest *m, mg_error *err) {
    const char *csv = scratch_text("train.csv", text);
    return mg_manifest_read(&(mg_manifest_options){.csv = csv, .labels = labels, .no_files = true},
                            m, err);
}

Test(manifest, columns_by_name_groups_and_patients) {
    mg_manifest m;
    mg_error err = {0};
    cr_assert_eq(read_table(table, true, &m, &err), MG_OK, "%s", err.message);
    cr_assert(m.image_count == 4 && m.group_count == 3 && m.patient_count == 2);
    const mg_manifest_image *i = m.image;
    cr_assert_str_eq(i[0].patient_id, "10");
    cr_assert_str_eq(i[0].view, "CC");
    cr_assert(i[0].age == 61 && i[0].birads == -1 && i[0].density == 'A' && i[0].machine == 49);
    cr_assert(i[1].birads == 0 && i[1].density == 0 && i[1].cancer == 1 && i[1].site == -1);
    cr_assert(isnan(i[2].age) && i[2].density == 'C' && i[2].difficult_negative == 1);
    cr_assert(i[2].implant == 1 && i[2].biopsy == -1 && i[2].line == 4);
    const mg_manifest_group *g = &m.group[0];
    cr_assert_str_eq(g->id, "10_L");
    cr_assert(g->count == 2 && g->cancer == 0 && g->laterality == 'L');
    cr_assert(m.group_image[g->first] == 0 && m.group_image[g->first + 1] == 3);
    cr_assert_str_eq(m.group[1].id, "10_R");
    cr_assert(m.group[1].cancer == 1 && m.patient[0].cancer == 1 && m.patient[1].cancer == 0);
    cr_assert(m.patient[0].count == 3 && m.patient_image[m.patient[0].first + 1] == 1);
    cr_assert(mg_manifest_find_group(&m, "11_R") == 2 && mg_manifest_find_patient(&m, "9") == -1);
    mg_manifest_free(&m);
}

static void refuse(const char *text, bool labels, const char *message) {
    mg_manifest m;
    mg_error err = {0};
    cr_assert_neq(read_table(text, labels, &m, &err), MG_OK, "%s", text);
    cr_assert(strstr(err.message, message), "%s", err.message);
    cr_assert_null(m.image);
}

Test(manifest, errors_name_row_and_column) {
    refuse("patient_id,image_id\n1,2\n", false, "no column \"laterality\"");
    refuse("patient_id,image_id,laterality\n1,2,L\n", true, "no column \"cancer\"");
    refuse("patient_id,image_id,laterality,cancer\n1,2,L,\n", true, "line 2, column cancer");
    refuse("patient_id,image_id,laterality,cancer\n1,2,L,2\n", true, "value \"2\"");
    refuse("patient_id,image_id,laterality\n1,2,X\n", false, "line 2, column laterality");
    refuse("patient_id,image_id,laterality\n,2,L\n", false, "column patient_id");
    refuse("patient_id,image_id,laterality\n..,2,L\n", false, "column patient_id");
    refuse("patient_id,image_id,laterality\n1,../x,L\n", false, "column image_id");
    refuse("patient_id,image_id,laterality,age\n1,2,L,old\n", false, "column age: value \"old\"");
    refuse("patient_id,image_id,laterality,density\n1,2,L,E\n", false, "column density");
    refuse("patient_id,image_id,laterality\n1,2,L\n3,4,R\n1,2,R\n", false,
           "line 4: patient 1, image 2 stands in line 2 already");
    refuse("patient_id,image_id,laterality,prediction_id\n1,2,L,a\n3,4,R,a\n", false,
           "belongs to patient 1 and to patient 3");
}

Test(manifest, files_are_found_in_every_layout) {
    static const char *const layouts[] = {"test_images/7/8.dcm", "test_images/7_8.png",
                                          "images/8.dicom", "7/8", "8.dcm"};
    scratch_text("data/test.csv", "patient_id,image_id,laterality,prediction_id\n7,8,L,7_L\n");
    for (size_t k = sizeof layouts / sizeof *layouts; k-- > 0;) { /* later ones have precedence */
        char name[64];
        snprintf(name, sizeof name, "data/%s", layouts[k]);
        const char *path = scratch_text(name, "");
        mg_manifest m;
        mg_error err = {0};
        mg_manifest_options o = {.data = scratch_path("data"), .csv = "test.csv"};
        cr_assert_eq(mg_manifest_read(&o, &m, &err), MG_OK, "%s", err.message);
        cr_assert_str_eq(m.image[0].path, path);
        cr_assert_str_eq(m.group[0].id, "7_L");
        mg_manifest_free(&m);
    }
}

Test(manifest, missing_files) {
    scratch_text("train.csv", "patient_id,image_id,laterality,cancer\n1,2,L,0\n1,3,R,1\n");
    scratch_text("train_images/1/3.dcm", "");
    mg_manifest m;
    mg_error err = {0};
    mg_manifest_options o = {.data = scratch_path("."), .labels = true};
    cr_assert_eq(mg_manifest_read(&o, &m, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "line 2") && strstr(err.message, "train_images/1/2.dcm"), "%s",
              err.message);
    o.missing = MG_MISSING_DROP;
    cr_assert_eq(mg_manifest_read(&o, &m, NULL), MG_OK);
    cr_assert(m.image_count == 1 && m.group_count == 1 && m.dropped == 1);
    cr_assert(strstr(m.first_dropped, "1/2.dcm"));
    mg_manifest_free(&m);
    o.missing = MG_MISSING_KEEP;
    cr_assert_eq(mg_manifest_read(&o, &m, NULL), MG_OK);
    cr_assert(m.image_count == 2 && m.image[0].path == NULL && m.image[1].path != NULL);
    mg_manifest_free(&m);
    o.csv = "nothing.csv";
    mg_error_clear(&err);
    cr_assert_eq(mg_manifest_read(&o, &m, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "nothing.csv"));
}

Test(manifest, plain_files) {
    mg_path_list files = {0};
    static const char *const names[] = {"a/1234_L_CC.png", "a/1234-RMLO.png", "a/scan.png",
                                        "b/scan.png", "b/p9_left.png"};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(mg_path_list_add(&files, scratch_text(names[i], "x"), NULL), MG_OK);
    mg_manifest m;
    mg_error err = {0};
    cr_assert_eq(mg_manifest_from_files(&files, &m, &err), MG_OK, "%s", err.message);
    cr_assert_str_eq(m.image[0].patient_id, "1234");
    cr_assert_str_eq(m.image[1].patient_id, "1234");
    cr_assert_str_eq(m.image[0].view, "CC");
    cr_assert_str_eq(m.image[1].view, "MLO");
    cr_assert(m.image[0].laterality == 'L' && m.image[1].laterality == 'R');
    cr_assert_str_eq(m.group[m.image[1].group].id, "1234_R");
    cr_assert_str_eq(m.image[2].patient_id, "a/scan");
    cr_assert_eq(m.image[2].laterality, 'U');
    cr_assert_str_eq(m.image[3].patient_id, "b/scan");
    cr_assert_str_eq(m.image[3].image_id, "scan");
    cr_assert_str_eq(m.image[4].patient_id, "p9");
    cr_assert_eq(m.image[4].cancer, -1);
    mg_manifest_free(&m);
    mg_path_list_free(&files);
}

/* Files that only the folder tells apart are of different women. */
Test(manifest, folders_tell_women_apart) {
    mg_path_list files = {0};
    static const char *const names[] = {"cases/case1/L_CC.png",    "cases/case1/R_CC.png",
                                        "cases/case2/L_CC.png",    "cases/case2/R_CC.png",
                                        "cases/case2/L_MLO.png",   "cases/case3/img.png",
                                        "cases/case4/img.png",     "cases/case3/77_L_CC.png",
                                        "cases/case4/77_L_CC.png", "cases/x/case1/L_CC.png"};
    static const char *const groups[] = {"case1_L",    "case1_R",   "case2_L",   "case2_R",
                                         "case2_L",    "case3/img", "case4/img", "case3/77_L",
                                         "case4/77_L", "x/case1_L"};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(mg_path_list_add(&files, scratch_text(names[i], "x"), NULL), MG_OK);
    mg_manifest m;
    mg_error err = {0};
    cr_assert_eq(mg_manifest_from_files(&files, &m, &err), MG_OK, "%s", err.message);
    for (int i = 0; i < 10; i++)
        cr_expect_str_eq(m.group[m.image[i].group].id, groups[i], "%s: %s", names[i],
                         m.group[m.image[i].group].id);
    cr_expect_eq(m.group_count, 9);
    cr_expect_eq(m.patient_count, 7);
    cr_expect_eq(m.image[2].patient, m.image[4].patient);
    mg_manifest_free(&m);
    mg_path_list_free(&files);
}

/* --- a table as large as RSNA's --------------------------------------------------------------- */

/* About 2.3 images per breast, one breast in `rarity` positive. */
static const char *write_large(int patients, int rarity) {
    const char *path = scratch_path("large.csv");
    FILE *f = fopen(path, "wb");
    fputs("site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,"
          "density,machine_id,difficult_negative_case\r\n",
          f);
    for (int p = 0; p < patients; p++)
        for (int k = 0; k < 4 + p % 2; k++)
            fprintf(f, "2,%d,%d,%c,%s,61.0,%d,0,0,,0,,29,False\r\n", 10000 + p, 100000 + 10 * p + k,
                    k % 2 ? 'R' : 'L', k < 2 ? "CC" : "MLO", p % rarity == 0 && k % 2 == 0);
    fclose(f);
    return path;
}

Test(manifest, rsna_size_is_quick) {
    const char *path = write_large(12157, 25);
    struct timespec a, b;
    mg_manifest m;
    mg_error err = {0};
    clock_gettime(CLOCK_MONOTONIC, &a);
    mg_manifest_options o = {.csv = path, .labels = true, .no_files = true};
    cr_assert_eq(mg_manifest_read(&o, &m, &err), MG_OK, "%s", err.message);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    cr_log_info("%d images in %.3f s", m.image_count, seconds);
    cr_assert(m.image_count == 54706 && m.patient_count == 12157 && m.group_count == 24314);
    cr_assert_lt(seconds, 2.0, "%.3f s (sanitizers and busy machines included)", seconds);
    mg_manifest_free(&m);
}

/* --- split ------------------------------------------------------------------------------------ */

static mg_manifest large(int patients, int rarity) {
    mg_manifest m;
    mg_manifest_options o = {
        .csv = write_large(patients, rarity), .labels = true, .no_files = true};
    cr_assert_eq(mg_manifest_read(&o, &m, NULL), MG_OK);
    return m;
}

Test(split, stratified_by_patient_and_seeded) {
    mg_manifest m = large(1000, 20);
    mg_split a, b, c;
    cr_assert_eq(mg_split_make(&m, 0.15, 1, &a, NULL), MG_OK);
    cr_assert(a.patients[1] == 151 && a.positive[1] == 8, "8 of 50 and 143 of 950 (rounded)");
    cr_assert(a.patients[0] == 849 && a.positive[0] == 42);
    cr_assert_eq(mg_split_make(&m, 0.15, 1, &b, NULL), MG_OK);
    cr_assert_eq(memcmp(a.validation, b.validation, 1000), 0);
    cr_assert_eq(mg_split_make(&m, 0.15, 2, &c, NULL), MG_OK);
    int same = 0;
    for (int p = 0; p < 1000; p++) same += a.validation[p] && c.validation[p];
    cr_assert_lt(same, 50, "another seed, other patients: %d in common, about 23 expected", same);
    int32_t *train, *val, trains, vals;
    cr_assert_eq(mg_split_groups(&m, &a, 0, &train, &trains, NULL), MG_OK);
    cr_assert_eq(mg_split_groups(&m, &a, 1, &val, &vals, NULL), MG_OK);
    cr_assert_eq(trains + vals, m.group_count);
    for (int32_t i = 0; i < vals; i++)
        for (int32_t k = 0; k < trains; k++)
            cr_assert_neq(m.group[val[i]].patient, m.group[train[k]].patient);
    free(train);
    free(val);
    mg_split_free(&a);
    mg_split_free(&b);
    mg_split_free(&c);
    mg_manifest_free(&m);
}

/* Shuffling the rows of the table moves nobody. */
Test(split, does_not_depend_on_row_order) {
    mg_manifest m, r;
    static char one[2000], two[2000];
    size_t n = (size_t)sprintf(one, "patient_id,image_id,laterality,cancer\n");
    size_t k = (size_t)sprintf(two, "patient_id,image_id,laterality,cancer\n");
    for (int p = 0; p < 40; p++) n += (size_t)sprintf(one + n, "%d,%d,L,%d\n", p, p, p % 4 == 0);
    for (int p = 40; p-- > 0;) k += (size_t)sprintf(two + k, "%d,%d,L,%d\n", p, p, p % 4 == 0);
    cr_assert_eq(read_table(one, true, &m, NULL), MG_OK);
    cr_assert_eq(read_table(two, true, &r, NULL), MG_OK);
    mg_split a, b;
    cr_assert_eq(mg_split_make(&m, 0.2, 5, &a, NULL), MG_OK);
    cr_assert_eq(mg_split_make(&r, 0.2, 5, &b, NULL), MG_OK);
    for (int p = 0; p < 40; p++) cr_assert_eq(a.validation[p], b.validation[39 - p]);
    mg_split_free(&a);
    mg_split_free(&b);
    mg_manifest_free(&m);
    mg_manifest_free(&r);
}

Test(split, small_strata_and_extremes) {
    mg_manifest m;
    mg_split s;
    cr_assert_eq(read_table("patient_id,image_id,laterality,cancer\n1,1,L,1\n2,2,L,0\n3,3,L,0\n",
                            true, &m, NULL),
                 MG_OK);
    cr_assert_eq(mg_split_make(&m, 0.01, 1, &s, NULL), MG_OK);
    cr_assert(s.patients[1] == 1 && s.positive[1] == 0, "one negative; the only positive trains");
    mg_split_free(&s);
    cr_assert_eq(mg_split_make(&m, 0, 1, &s, NULL), MG_OK);
    cr_assert_eq(s.patients[1], 0);
    mg_split_free(&s);
    cr_assert_eq(mg_split_make(&m, 1, 1, &s, NULL), MG_ERR_ARG);
    cr_assert_eq(mg_split_make(&m, (double)NAN, 1, &s, NULL), MG_ERR_ARG);
    mg_manifest_free(&m);
}

Test(split, file_round_trip) {
    mg_manifest m = large(100, 10);
    mg_split a, b;
    mg_error err = {0};
    const char *path = scratch_path("split.csv");
    cr_assert_eq(mg_split_make(&m, 0.3, 9, &a, NULL), MG_OK);
    cr_assert_eq(mg_split_write(&m, &a, path, NULL), MG_OK);
    cr_assert_eq(mg_split_read(&m, path, &b, &err), MG_OK, "%s", err.message);
    cr_assert_eq(memcmp(a.validation, b.validation, 100), 0);
    cr_assert(b.patients[1] == a.patients[1] && b.positive[0] == a.positive[0]);
    mg_split_free(&b);
    scratch_text("split.csv", "patient_id,split\n10000,train\n10000,val\n");
    cr_assert_eq(mg_split_read(&m, path, &b, &err), MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "twice"), "%s", err.message);
    mg_error_clear(&err);
    scratch_text("split.csv", "patient_id,split\n10000,train\n");
    cr_assert_eq(mg_split_read(&m, path, &b, &err), MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "no row for patient 10001"), "%s", err.message);
    mg_error_clear(&err);
    scratch_text("split.csv", "patient_id,split\n10000,test\n");
    cr_assert_eq(mg_split_read(&m, path, &b, &err), MG_ERR_FORMAT);
    mg_split_free(&a);
    mg_manifest_free(&m);
}

/* --- sampler ---------------------------------------------------------------------------------- */

static int32_t *all_groups(const mg_manifest *m) {
    int32_t *groups = malloc((size_t)m->group_count * sizeof *groups);
    for (int32_t g = 0; g < m->group_count; g++) groups[g] = g;
    return groups;
}

Test(sampler, balanced_classes_uniform_members) {
    mg_manifest m = large(100, 20); /* 5 positive groups of 200 */
    int32_t *groups = all_groups(&m), count[200] = {0}, positives = 0;
    enum { N = 100000 };
    int32_t *out = malloc(N * sizeof *out);
    cr_assert_eq(mg_sampler_draw(&m, groups, 200, MG_SAMPLE_BALANCED, 3, 0, out, N, NULL), MG_OK);
    for (int i = 0; i < N; i++) {
        count[out[i]]++;
        positives += m.group[out[i]].cancer;
    }
    cr_assert(abs(positives - N / 2) < 700, "%d: 4.4 sigma", positives);
    for (int g = 0; g < 200; g++) {
        double expected = m.group[g].cancer ? N / 10.0 : N / 390.0;
        cr_assert(fabs(count[g] - expected) < 5 * sqrt(expected), "%d: %d, not %g", g, count[g],
                  expected);
    }
    int32_t few[50];
    cr_assert_eq(mg_sampler_draw(&m, groups, 200, MG_SAMPLE_BALANCED, 3, 0, few, 50, NULL), MG_OK);
    cr_assert_eq(memcmp(few, out, sizeof few), 0, "a draw does not depend on how many there are");
    cr_assert_eq(mg_sampler_draw(&m, groups, 200, MG_SAMPLE_BALANCED, 3, 1, few, 50, NULL), MG_OK);
    cr_assert_neq(memcmp(few, out, sizeof few), 0, "another epoch, other draws");
    free(out);
    free(groups);
    mg_manifest_free(&m);
}

Test(sampler, shuffle_covers_everything) {
    mg_manifest m = large(15, 5);
    int32_t *groups = all_groups(&m), n = m.group_count, count[64] = {0}, out[7];
    cr_assert_eq(n, 30);
    for (uint32_t epoch = 0; epoch < 30; epoch++) { /* 30 epochs of 7 = 7 passes over 30 */
        cr_assert_eq(mg_sampler_draw(&m, groups, n, MG_SAMPLE_SHUFFLE, 1, epoch, out, 7, NULL),
                     MG_OK);
        for (int i = 0; i < 7; i++) count[out[i]]++;
    }
    for (int g = 0; g < n; g++) cr_assert_eq(count[g], 7);
    free(groups);
    mg_manifest_free(&m);
}

Test(sampler, one_class_only_and_unknown_labels) {
    mg_manifest m;
    int32_t groups[2] = {0, 1}, out[10], chosen;
    const char *text = "patient_id,image_id,laterality,cancer\n1,1,L,0\n1,2,R,0\n";
    cr_assert_eq(read_table(text, true, &m, NULL), MG_OK);
    cr_assert_eq(mg_sampler_draw(&m, groups, 2, MG_SAMPLE_BALANCED, 1, 0, out, 10, NULL), MG_OK);
    for (int i = 0; i < 10; i++) cr_assert(out[i] == 0 || out[i] == 1);
    cr_assert_eq(mg_sampler_balanced_set(&m, groups, 2, 1, out, &chosen, NULL), MG_OK);
    cr_assert_eq(chosen, 0);
    float weight[2];
    mg_class_weights(&m, groups, 2, weight);
    cr_assert(weight[0] == 1 && weight[1] == 1);
    cr_assert_eq(mg_sampler_draw(&m, groups, 0, MG_SAMPLE_BALANCED, 1, 0, out, 1, NULL),
                 MG_ERR_ARG);
    mg_manifest_free(&m);
    mg_error err = {0};
    cr_assert_eq(read_table("patient_id,image_id,laterality\n1,1,L\n1,2,R\n", false, &m, NULL),
                 MG_OK);
    cr_assert_eq(mg_sampler_draw(&m, groups, 2, MG_SAMPLE_BALANCED, 1, 0, out, 1, &err),
                 MG_ERR_ARG);
    cr_assert(strstr(err.message, "1_L"), "%s", err.message);
    mg_manifest_free(&m);
}

Test(sampler, balanced_validation_set) {
    mg_manifest m = large(100, 10);
    int32_t *groups = all_groups(&m), out[200], again[200], n, k, positives = 0;
    cr_assert_eq(mg_sampler_balanced_set(&m, groups, 200, 4, out, &n, NULL), MG_OK);
    cr_assert_eq(n, 20);
    for (int i = 0; i < n; i++) {
        positives += m.group[out[i]].cancer;
        cr_assert(i == 0 || out[i] > out[i - 1], "ascending, so without repetition");
    }
    cr_assert_eq(positives, 10);
    cr_assert_eq(mg_sampler_balanced_set(&m, groups, 200, 4, again, &k, NULL), MG_OK);
    cr_assert(k == n && memcmp(out, again, (size_t)n * sizeof *out) == 0);
    float weight[2];
    mg_class_weights(&m, groups, 200, weight);
    int64_t images[2] = {0, 0};
    for (int i = 0; i < m.image_count; i++) images[m.image[i].cancer]++;
    cr_assert_float_eq(weight[0] * (float)images[0], weight[1] * (float)images[1], 1e-2f);
    cr_assert_float_eq(weight[1], (float)m.image_count / (2 * (float)images[1]), 1e-5f);
    free(groups);
    mg_manifest_free(&m);
}

Test(sampler, plans) {
    mg_manifest m;
    cr_assert_eq(read_table(table, true, &m, NULL), MG_OK);
    int32_t drawn[5] = {2, 0, 0, 1, 0};
    mg_plan p;
    cr_assert_eq(mg_plan_groups(&m, drawn, 5, 2, &p, NULL), MG_OK);
    cr_assert(p.batch_count == 3 && p.item_count == 8);
    cr_assert(p.first[1] == 3 && p.first[2] == 6 && p.first[3] == 8);
    static const int32_t images[8] = {2, 0, 3, 0, 3, 1, 0, 3};
    for (int i = 0; i < 8; i++)
        cr_assert(p.item[i].image == images[i] && p.item[i].sample == (uint32_t)i);
    mg_plan_free(&p);
    cr_assert_eq(mg_plan_images(&m, NULL, 0, 3, &p, NULL), MG_OK);
    cr_assert(p.batch_count == 2 && p.item_count == 4 && p.first[1] == 3 && p.first[2] == 4);
    mg_plan_free(&p);
    cr_assert_eq(mg_plan_groups(&m, drawn, 0, 8, &p, NULL), MG_OK);
    cr_assert(p.batch_count == 0 && p.first[0] == 0);
    mg_plan_free(&p);
    cr_assert_eq(mg_plan_images(&m, NULL, 0, 0, &p, NULL), MG_ERR_ARG);
    mg_manifest_free(&m);
}

/* The real table that some machines have. */
Test(manifest, real_table) {
    const char *data = getenv("MG_TEST_DATA");
    if (!data) return;
    mg_manifest m;
    mg_error err = {0};
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/mammo/cdd_cesm", data);
    cr_assert_eq(mg_manifest_read(&(mg_manifest_options){.data = folder, .labels = true}, &m, &err),
                 MG_OK, "%s", err.message);
    cr_assert(m.image_count == 30 && m.patient_count == 28 && m.group_count == 28);
    int positive = 0;
    for (int i = 0; i < 30; i++) positive += m.image[i].cancer;
    cr_assert_eq(positive, 21);
    mg_manifest_free(&m);
}
