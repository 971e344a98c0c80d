/* Phantom sets on disk: the same bytes at any thread count, tables, DICOM files,
 * masks, stopping. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/manifest.h"
#include "data/phantom.h"
#include "data/png.h"
#include "dicom/dicom.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(phantom_set, .init = setup, .fini = scratch_remove);

static mg_phantom_settings small(int patients, int test_patients) {
    mg_phantom_settings s = mg_phantom_defaults();
    s.patients = patients;
    s.test_patients = test_patients;
    s.columns = 104;
    s.rows = 128;
    return s;
}

static void write_set(const mg_phantom_settings *s, const char *out, int threads) {
    mg_pool *pool = mg_pool_create(threads);
    mg_error err = {0};
    cr_assert_eq(mg_phantom_write(s, out, pool, NULL, NULL, &err), MG_OK, "%s", err.message);
    mg_pool_destroy(pool);
}

Test(phantom_set, same_bytes_at_any_thread_count) {
    mg_phantom_settings s = small(5, 3);
    const char *folder[3] = {scratch_path("one"), scratch_path("three"), scratch_path("other")};
    write_set(&s, folder[0], 1);
    write_set(&s, folder[1], 3);
    s.seed++;
    write_set(&s, folder[2], 1);
    mg_path_list list[3] = {{0}};
    mg_error err = {0};
    for (int i = 0; i < 3; i++) cr_assert_eq(mg_list_files(folder[i], &list[i], &err), MG_OK);
    cr_assert_eq(list[0].count, list[1].count);
    cr_assert(list[0].count > 32 + 3);
    for (size_t i = 0; i < list[0].count; i++) {
        uint8_t *a, *b;
        size_t na, nb;
        cr_assert_str_eq(list[0].path[i] + strlen(folder[0]), list[1].path[i] + strlen(folder[1]));
        cr_assert_eq(mg_file_read(list[0].path[i], 0, &a, &na, &err), MG_OK);
        cr_assert_eq(mg_file_read(list[1].path[i], 0, &b, &nb, &err), MG_OK);
        cr_assert(na == nb && !memcmp(a, b, na), "%s differs", list[0].path[i]);
        free(a);
        free(b);
    }
    /* Another seed shares no file name: patients and images are other ones. */
    for (size_t i = 0; i < list[2].count; i++) {
        const char *name = mg_path_name(list[2].path[i]);
        if (!strstr(name, ".dcm")) continue;
        for (size_t k = 0; k < list[0].count; k++)
            cr_assert(strcmp(name, mg_path_name(list[0].path[k])), "%s in both", name);
    }
    for (int i = 0; i < 3; i++) mg_path_list_free(&list[i]);
}

Test(phantom_set, tables_have_rsna_columns) {
    mg_phantom_settings s = small(6, 4);
    const char *out = scratch_path("set");
    write_set(&s, out, 2);
    static const char *const train =
        "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,"
        "density,machine_id,difficult_negative_case\n";
    static const char *const test =
        "site_id,patient_id,image_id,laterality,view,age,implant,machine_id,prediction_id\n";
    const char *names[3] = {"train.csv", "test_truth.csv", "test.csv"};
    for (int i = 0; i < 3; i++) {
        uint8_t *text;
        size_t size;
        mg_error err = {0};
        cr_assert_eq(mg_file_read(scratch_path("set/%s", names[i]), 0, &text, &size, &err), MG_OK);
        const char *head = i == 2 ? test : train;
        cr_assert(!strncmp((const char *)text, head, strlen(head)), "%s: %.200s", names[i],
                  (const char *)text);
        free(text);
    }
}

/* The project's own reader of tables finds every file, and labels and test rows agree. */
Test(phantom_set, manifest_reads_it) {
    mg_phantom_settings s = small(8, 5);
    const char *out = scratch_path("set");
    write_set(&s, out, 2);
    mg_error err = {0};
    mg_manifest train, test;
    cr_assert_eq(
        mg_manifest_read(&(mg_manifest_options){.data = out, .labels = true}, &train, &err), MG_OK,
        "%s", err.message);
    cr_assert_eq(
        mg_manifest_read(&(mg_manifest_options){.data = out, .csv = "test.csv"}, &test, &err),
        MG_OK, "%s", err.message);
    cr_assert(train.patient_count == 8 && train.group_count == 16);
    cr_assert(test.patient_count == 5 && test.group_count == 10);
    int positive = 0;
    for (int i = 0; i < train.patient_count; i++) positive += train.patient[i].cancer == 1;
    cr_assert_eq(positive, 4);
    for (int i = 0; i < train.image_count; i++) {
        const mg_manifest_image *image = &train.image[i];
        const char *mask = scratch_path("set/masks/%s/%s.png", image->patient_id, image->image_id);
        cr_assert_eq(mg_is_file(mask), image->cancer == 1, "%s", mask);
    }
    mg_manifest_free(&train);
    mg_manifest_free(&test);
}

/* Every machine's files: transfer syntax, photometric interpretation, window, padding and exactly
 * the rendered pixels. */
Test(phantom_set, files_hold_the_rendered_pixels) {
    mg_phantom_settings s = small(36, 0);
    const char *out = scratch_path("set");
    write_set(&s, out, 2);
    mg_phantom_patient *p = malloc(36 * sizeof *p);
    mg_error err = {0};
    cr_assert_eq(mg_phantom_plan(&s, p, &err), MG_OK);
    mg_phantom_renderer *r = mg_phantom_renderer_create(&s);
    unsigned seen = 0;
    uint16_t *stored = malloc((size_t)s.rows * (size_t)s.columns * sizeof *stored);
    for (int i = 0; i < 36; i++) {
        const mg_phantom_machine *m = mg_phantom_machine_at(p[i].machine);
        seen |= 1u << p[i].machine;
        int k = i % p[i].images;
        mg_phantom_pixels px;
        mg_phantom_render(r, &p[i], k, &px);
        const char *path = scratch_path("set/train_images/%u/%u.dcm", p[i].id, p[i].image[k].id);
        mg_dicom_error bad = {0};
        mg_dicom *d = mg_dicom_open(path, NULL, &bad);
        cr_assert(d, "%s: %s", path, bad.message);
        cr_assert_eq(mg_dicom_warnings(d), 0, "%s: %s", path, mg_dicom_warning(d, 0));
        cr_assert_str_eq(mg_dicom_transfer_syntax(d), m->transfer_syntax);
        mg_dicom_image image;
        cr_assert_eq(mg_dicom_image_info(d, &image, &bad), MG_DICOM_OK, "%s", bad.message);
        cr_assert_str_eq(image.photometric, m->monochrome1 ? "MONOCHROME1" : "MONOCHROME2");
        cr_assert_eq(image.bits_stored, m->bits);
        mg_dicom_window window;
        cr_assert(mg_dicom_window_of(d, 0, 0, &window));
        cr_assert_eq(window.function, m->sigmoid ? MG_DICOM_VOI_SIGMOID : MG_DICOM_VOI_LINEAR);
        int64_t padding = -1;
        mg_dicom_int(d, MG_DICOM_TAG(0x0028, 0x0120), &padding);
        cr_assert_eq(padding, m->padding);
        char text[16];
        cr_assert(mg_dicom_text(d, MG_DICOM_TAG(0x0018, 0x5101), text, sizeof text));
        cr_assert_str_eq(text, mg_phantom_view_name(p[i].image[k].view));
        cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, stored, image.frame_bytes, &bad), MG_DICOM_OK,
                     "%s: %s", path, bad.message);
        cr_assert(!memcmp(stored, px.pixels, image.frame_bytes), "%s: other pixels", path);
        mg_dicom_close(d);
        if (!px.has_lesion) continue;
        mg_png mask;
        path = scratch_path("set/masks/%u/%u.png", p[i].id, p[i].image[k].id);
        cr_assert_eq(mg_png_read(path, &mask, &err), MG_OK, "%s", err.message);
        cr_assert(mask.bits == 8 && mask.channels == 1);
        cr_assert(!memcmp(mask.pixels, px.mask, (size_t)s.rows * (size_t)s.columns));
        mg_png_free(&mask);
    }
    cr_assert_eq(seen, (1u << mg_phantom_machine_count()) - 1, "not every machine was drawn");
    mg_phantom_renderer_destroy(r);
    free(stored);
    free(p);
}

static bool stop_after_five(void *arg, int64_t done, int64_t total) {
    (void)arg;
    cr_assert(done <= total);
    return done < 5;
}

/* A folder with a train.csv is complete, also when an older set lay there. */
Test(phantom_set, stopping_leaves_no_table) {
    mg_phantom_settings s = small(4, 0);
    const char *out = scratch_path("set");
    write_set(&s, out, 1);
    mg_error err = {0};
    cr_assert_eq(mg_phantom_write(&s, out, NULL, stop_after_five, NULL, &err), MG_ERR_INTERRUPTED);
    cr_assert(strstr(err.message, "5 of "));
    cr_assert(!mg_is_file(scratch_path("set/train.csv")));
    mg_error_clear(&err);
    cr_assert_eq(mg_phantom_write(&s, "/dev/null/set", NULL, NULL, NULL, &err), MG_ERR_IO);
}
