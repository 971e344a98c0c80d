/* From files to the network's input: windows, inversion, padding, crops, errors, trace, text. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/manifest.h"
#include "data/png.h"
#include "data/preprocess.h"
#include "data/sampler.h"
#include "tests/lib/mammogram_file.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(preprocess, .init = setup, .fini = scratch_remove);

static mg_preprocess_settings settings(mg_window_mode window, mg_crop_mode crop) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.height = 120, s.width = 90; /* the test image's own size: no resampling without a crop */
    s.window = window;
    s.crop = crop;
    return s;
}

static mg_prepared prepare(const mammogram_file *m, const mg_preprocess_settings *s) {
    const char *path = scratch_path("a.dcm");
    mg_error err = {0};
    mg_prepared out;
    mammogram_write(m, path);
    mg_preprocessor *p = mg_preprocessor_create(s, &err);
    cr_assert_eq(mg_preprocess_file(p, path, NULL, &out, &err), MG_OK, "%s", err.message);
    mg_preprocessor_destroy(p);
    return out;
}

/* The seed's formula in f64 at every pixel. */
Test(preprocess, seed_window_is_clip_and_min_max) {
    mammogram_file m = {.center = 1600, .width = 400};
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_NONE);
    mg_prepared p = prepare(&m, &s);
    cr_assert(p.low == 1200 && p.high == 2000 && p.lowest == 20 && p.highest == 4000);
    for (uint32_t y = 0; y < 120; y++)
        for (uint32_t x = 0; x < 90; x++) {
            double v = mammogram_stored(&m, y, x);
            v = v < 1200 ? 1200 : v > 2000 ? 2000 : v;
            double expected = (v - 1200) / 800 * 65535;
            cr_assert(fabs(p.pixels[y * 90 + x] - expected) <= 0.51, "%u %u: %u, not %g", y, x,
                      p.pixels[y * 90 + x], expected);
        }
    mg_prepared_free(&p);
}

/* A window wider than the data leaves the data's own range, as min-max after clipping does. */
Test(preprocess, windows_outside_the_data) {
    mammogram_file m = {.center = 2000, .width = 4000};
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_NONE);
    mg_prepared p = prepare(&m, &s);
    cr_assert(p.low == 20 && p.high == 4000);
    mg_prepared_free(&p);
    m.width = 0; /* no window at all */
    p = prepare(&m, &s);
    cr_assert(p.low == 20 && p.high == 4000);
    mg_prepared_free(&p);
}

static void unused_stage(void *arg, const char *name, const float *pixels, uint32_t rows,
                         uint32_t columns) {
    (void)name, (void)pixels, (void)rows, (void)columns;
    ++*(int *)arg;
}

/* A trace looks at every pixel between the steps; without one, values are normalised in a table. */
Test(preprocess, table_and_pixels_give_the_same_bits) {
    static const char *const kinds[] = {"MONOCHROME2", "MONOCHROME1"};
    for (int k = 0; k < 2; k++)
        for (int window = 0; window < 3; window++) {
            mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
            mammogram_file m = {.photometric = kinds[k], .center = 1700, .width = 400 * window};
            mg_prepared fast = prepare(&m, &s), slow;
            mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
            int stages = 0;
            mg_preprocess_trace trace = {unused_stage, &stages};
            const char *path = scratch_path("a.dcm");
            cr_assert_eq(mg_preprocess_file(p, path, &trace, &slow, NULL), MG_OK);
            cr_assert_eq(stages, 5);
            cr_assert_eq(memcmp(fast.pixels, slow.pixels, 120 * 90 * 2), 0);
            cr_assert(fast.low == slow.low && fast.high == slow.high);
            cr_assert(fast.lowest == slow.lowest && fast.highest == slow.highest);
            cr_assert_eq(fast.inverted, slow.inverted);
            mg_prepared_free(&fast);
            mg_prepared_free(&slow);
            mg_preprocessor_destroy(p);
        }
}

Test(preprocess, monochrome1_is_inverted_once) {
    mg_window_mode windows[] = {MG_WINDOW_SEED, MG_WINDOW_DICOM, MG_WINDOW_NONE};
    for (int k = 0; k < 3; k++) {
        mg_preprocess_settings s = settings(windows[k], MG_CROP_NONE);
        mammogram_file m = {.seed = 3};
        mg_prepared two = prepare(&m, &s);
        m.photometric = "MONOCHROME1";
        mg_prepared one = prepare(&m, &s);
        cr_assert(one.inverted && !two.inverted);
        for (int i = 0; i < 120 * 90; i++)
            cr_assert(abs(one.pixels[i] - two.pixels[i]) <= 1, "%d: %u and %u", i, one.pixels[i],
                      two.pixels[i]);
        mg_prepared_free(&one);
        mg_prepared_free(&two);
    }
}

/* PS3.3 C.11.2.1.2.1: below c-.5-(w-1)/2 0, above 1, linear in between; then min-max. */
Test(preprocess, dicom_window) {
    mammogram_file m = {.center = 1600, .width = 401};
    mg_preprocess_settings s = settings(MG_WINDOW_DICOM, MG_CROP_NONE);
    mg_prepared p = prepare(&m, &s);
    for (uint32_t i = 0; i < 120 * 90; i++) {
        double v = ((double)mammogram_stored(&m, i / 90, i % 90) - 1599.5) / 400 + 0.5;
        v = v < 0 ? 0 : v > 1 ? 1 : v;
        cr_assert(fabs(p.pixels[i] - v * 65535) <= 1, "%u: %u, not %g", i, p.pixels[i], v * 65535);
    }
    mg_prepared_free(&p);
    m.function = "SIGMOID";
    p = prepare(&m, &s);
    double low = 1 / (1 + exp(-4 * (20 - 1600.0) / 401)), high = 1 / (1 + exp(-4 * 2400.0 / 401));
    for (uint32_t i = 0; i < 120 * 90; i++) {
        double v = 1 / (1 + exp(-4 * ((double)mammogram_stored(&m, i / 90, i % 90) - 1600) / 401));
        v = (v - low) / (high - low);
        cr_assert(fabs(p.pixels[i] - v * 65535) <= 1, "%u: %u, not %g", i, p.pixels[i], v * 65535);
    }
    mg_prepared_free(&p);
}

Test(preprocess, padding_is_background_but_in_the_seeds_window) {
    mammogram_file m = {.padding = 4095};
    mg_preprocess_settings s = settings(MG_WINDOW_NONE, MG_CROP_NONE);
    mg_prepared p = prepare(&m, &s);
    cr_assert(p.highest == 4000 && p.pixels[0] == 0);
    mg_prepared_free(&p);
    s.window = MG_WINDOW_SEED;
    p = prepare(&m, &s);
    cr_assert(p.highest == 4095 && p.pixels[0] == 65535);
    mg_prepared_free(&p);
}

Test(preprocess, every_transfer_syntax_gives_the_same_input) {
    static const char *const syntaxes[] = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.5",
                                           "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
                                           "1.2.840.10008.1.2.4.90"};
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    mammogram_file m = {.center = 1600, .width = 700};
    mg_prepared expected = prepare(&m, &s);
    for (int k = 0; k < 5; k++) {
        m.transfer_syntax = syntaxes[k];
        mg_prepared p = prepare(&m, &s);
        cr_assert_eq(memcmp(p.pixels, expected.pixels, 120 * 90 * 2), 0, "%s", syntaxes[k]);
        mg_prepared_free(&p);
    }
    mg_prepared_free(&expected);
}

Test(preprocess, reduced_jpeg_2000) {
    mg_preprocess_settings s = settings(MG_WINDOW_NONE, MG_CROP_NONE);
    s.height = 55, s.width = 40;
    s.reduce = MG_REDUCE_AUTO;
    mammogram_file m = {.transfer_syntax = "1.2.840.10008.1.2.4.90"};
    mg_prepared p = prepare(&m, &s);
    const mg_geometry *g = &p.geometry;
    cr_assert(g->rows == 120 && g->columns == 90 && g->row.count == 120 && g->column.count == 90,
              "geometry is that of the original");
    cr_assert(p.lowest > 0 && p.highest < 4000, "half the resolution knows no single bright pixel");
    mg_prepared_free(&p);
    s.reduce = 9; /* the file has fewer levels */
    p = prepare(&m, &s);
    mg_prepared_free(&p);
    m.transfer_syntax = "1.2.840.10008.1.2.4.70"; /* no such thing there */
    p = prepare(&m, &s);
    cr_assert(p.lowest == 20 && p.highest == 4000);
    mg_prepared_free(&p);
}

static uint32_t end_of(const mg_kept *k) {
    return (k->list ? k->list[k->count - 1] : k->first + k->count - 1) + 1;
}

/* The low-pass band overshoots beside a marker and the breast's edge. Neither may darken the
 * background's surroundings below it, whose rows and columns would then all be kept. */
Test(preprocess, ringing_does_not_defeat_the_crop) {
    static const char *const kinds[] = {"MONOCHROME2", "MONOCHROME1"};
    for (int k = 0; k < 2; k++)
        for (int crop = MG_CROP_BREAST; crop <= MG_CROP_ZERO; crop++) {
            mg_preprocess_settings s = settings(MG_WINDOW_SEED, (mg_crop_mode)crop);
            mammogram_file m = {.rows = 480,
                                .columns = 360,
                                .background = 300,
                                .marker = 3300,
                                .photometric = kinds[k],
                                .transfer_syntax = "1.2.840.10008.1.2.4.90"};
            mg_prepared full = prepare(&m, &s);
            s.reduce = MG_REDUCE_AUTO;
            mg_prepared fast = prepare(&m, &s);
            const mg_kept *a[2] = {&full.geometry.row, &full.geometry.column};
            const mg_kept *b[2] = {&fast.geometry.row, &fast.geometry.column};
            for (int i = 0; i < 2; i++)
                cr_assert(abs((int)a[i]->first - (int)b[i]->first) <= 8 &&
                              abs((int)end_of(a[i]) - (int)end_of(b[i])) <= 8,
                          "%s, crop %s: %u to %u instead of %u to %u", kinds[k],
                          mg_crop_name((mg_crop_mode)crop), b[i]->first, end_of(b[i]), a[i]->first,
                          end_of(a[i]));
            cr_assert(end_of(a[1]) < 300, "there is something to crop");
            mg_prepared_free(&full);
            mg_prepared_free(&fast);
        }
}

Test(preprocess, crop_finds_the_breast) {
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    mg_prepared p = prepare(&(mammogram_file){.rows = 600, .columns = 450}, &s);
    const mg_geometry *g = &p.geometry;
    cr_assert(g->rows == 600 && g->columns == 450 && !g->row.list);
    cr_assert(abs((int)g->row.first - 90) < 12 && abs((int)g->row.count - 420) < 24, "%u + %u",
              g->row.first, g->row.count);
    cr_assert(g->column.first == 0 && abs((int)g->column.count - 270) < 12, "%u", g->column.count);
    mg_prepared_free(&p);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void refuse(const char *path, mg_status status, const char *message) {
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
    mg_prepared out;
    mg_error err = {0};
    mg_status got = mg_preprocess_file(p, path, NULL, &out, &err);
    cr_assert_eq(got, status, "%s: %s, not %s: %s", path, mg_status_name(got),
                 mg_status_name(status), err.message);
    cr_assert(strstr(err.message, mg_path_name(path)), "names the file: %s", err.message);
    cr_assert(strstr(err.message, message), "%s", err.message);
    cr_assert_null(out.pixels);
    mg_preprocessor_destroy(p);
}

Test(preprocess, bad_files_say_why) {
    const char *path = scratch_path("constant.dcm");
    mammogram_write(&(mammogram_file){.constant = 7}, path);
    refuse(path, MG_ERR_NUMERIC, "all pixels have the same value, 7");
    mammogram_write(&(mammogram_file){.center = 100000, .width = 5}, path);
    refuse(path, MG_ERR_NUMERIC, "leaves no contrast");
    refuse(scratch_text("empty.dcm", ""), MG_ERR_FORMAT, "empty");
    refuse(scratch_text("text.dcm", "This is not an image at all, whatever its name says.\n"),
           MG_ERR_FORMAT, "");
    refuse(scratch_path("absent.dcm"), MG_ERR_IO, "No such file");
    refuse(scratch_bytes("cut.png", "\x89PNG\r\n\x1a\n\0\0\0", 11), MG_ERR_FORMAT, "");
    mammogram_write(&(mammogram_file){.seed = 1}, path);
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_file_read(path, 0, &data, &size, NULL), MG_OK);
    refuse(scratch_bytes("cut.dcm", data, size - 5000), MG_ERR_FORMAT, "");
    free(data);
}

Test(preprocess, settings_are_checked) {
    mg_error err = {0};
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.width = 0;
    cr_assert_null(mg_preprocessor_create(&s, &err));
    cr_assert_eq(err.code, MG_ERR_ARG);
    s.width = 10, s.margin = NAN;
    cr_assert_null(mg_preprocessor_create(&s, NULL));
}

Test(preprocess, settings_as_text) {
    mg_preprocess_settings s = mg_preprocess_defaults(), t;
    char text[160], again[160];
    mg_preprocess_text(&s, text, sizeof text);
    cr_assert_str_eq(text, "955x500 window=seed crop=breast margin=0.01 reduce=0");
    s.height = 64, s.width = 32, s.window = MG_WINDOW_NONE, s.crop = MG_CROP_ZERO;
    s.margin = 0.125f, s.reduce = MG_REDUCE_AUTO;
    mg_preprocess_text(&s, text, sizeof text);
    cr_assert_eq(mg_preprocess_parse(text, &t, NULL), MG_OK);
    mg_preprocess_text(&t, again, sizeof again);
    cr_assert_str_eq(text, again);
    cr_assert(t.margin == 0.125f && t.reduce == MG_REDUCE_AUTO && t.height == 64);
    cr_assert_eq(mg_preprocess_parse("crop=none", &t, NULL), MG_OK);
    cr_assert(t.crop == MG_CROP_NONE && t.height == 955);
    static const char *const wrong[] = {"crop=all",  "window=",  "12x",      "0x5",
                                        "margin=-1", "reduce=x", "nonsense", "12x12x12"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_neq(mg_preprocess_parse(wrong[i], &t, NULL), MG_OK, "%s", wrong[i]);
}

/* --- PNG, pixels in memory, trace, display ---------------------------------------------------- */

Test(preprocess, png_of_16_bits_keeps_them) {
    static uint16_t pixels[90 * 120];
    for (uint32_t i = 0; i < 90 * 120; i++)
        pixels[i] = mammogram_stored(&(mammogram_file){0}, i / 90, i % 90);
    mg_png png = {.width = 90, .height = 120, .channels = 1, .bits = 16, .pixels = pixels};
    const char *path = scratch_path("a.png");
    cr_assert_eq(mg_png_write(path, &png, NULL), MG_OK);
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_ZERO);
    mg_prepared dicom = prepare(&(mammogram_file){0}, &s), out;
    mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
    cr_assert_eq(mg_preprocess_file(p, path, NULL, &out, NULL), MG_OK);
    cr_assert_eq(memcmp(out.pixels, dicom.pixels, sizeof pixels), 0);
    mg_prepared_free(&out);
    float *grey = malloc(90 * 120 * sizeof *grey);
    for (int i = 0; i < 90 * 120; i++) grey[i] = pixels[i];
    cr_assert_eq(mg_preprocess_pixels(p, grey, 120, 90, false, &out, NULL), MG_OK);
    cr_assert_eq(memcmp(out.pixels, dicom.pixels, sizeof pixels), 0);
    free(grey);
    mg_prepared_free(&out);
    mg_prepared_free(&dicom);
    mg_preprocessor_destroy(p);
}

typedef struct seen {
    char names[200];
    float stored, voi_low, voi_high, input[120 * 90];
} seen;

static void record(void *arg, const char *name, const float *v, uint32_t rows, uint32_t columns) {
    seen *s = arg;
    size_t used = strlen(s->names);
    snprintf(s->names + used, sizeof s->names - used, "%s ", name);
    if (strcmp(name, "stored") == 0) s->stored = v[60 * 90 + 22];
    if (strcmp(name, "voi") == 0) {
        s->voi_low = s->voi_high = v[0];
        for (uint32_t i = 0; i < rows * columns; i++) {
            s->voi_low = v[i] < s->voi_low ? v[i] : s->voi_low;
            s->voi_high = v[i] > s->voi_high ? v[i] : s->voi_high;
        }
    }
    if (strcmp(name, "input") == 0) memcpy(s->input, v, rows * columns * sizeof *v);
}

Test(preprocess, trace_shows_every_stage_and_changes_nothing) {
    static seen s;
    mg_preprocess_settings o = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    mammogram_file m = {.center = 1600, .width = 300, .photometric = "MONOCHROME1"};
    mg_prepared plain = prepare(&m, &o), traced;
    mg_preprocessor *p = mg_preprocessor_create(&o, NULL);
    mg_preprocess_trace trace = {record, &s};
    cr_assert_eq(mg_preprocess_file(p, scratch_path("a.dcm"), &trace, &traced, NULL), MG_OK);
    cr_assert_str_eq(s.names, "stored voi normalised cropped input ");
    cr_assert_eq(s.stored, 4095 - 4000);
    cr_assert(s.voi_low == 1300 && s.voi_high == 1900);
    cr_assert_eq(memcmp(plain.pixels, traced.pixels, 120 * 90 * 2), 0);
    static float input[120 * 90], flipped[120 * 90];
    mg_prepared_input(&plain, 0, input);
    cr_assert_eq(memcmp(input, s.input, sizeof input), 0);
    mg_prepared_input(&plain, MG_FLIP_HORIZONTAL | MG_FLIP_VERTICAL, flipped);
    for (int i = 0; i < 120 * 90; i++) cr_assert_eq(input[i], flipped[120 * 90 - 1 - i]);
    float *shown;
    uint32_t rows, columns;
    cr_assert_eq(mg_preprocess_display(p, scratch_path("a.dcm"), &shown, &rows, &columns, NULL),
                 MG_OK);
    cr_assert(rows == 120 && columns == 90 && shown[60 * 90 + 22] == 1);
    free(shown);
    mg_prepared_free(&plain);
    mg_prepared_free(&traced);
    mg_preprocessor_destroy(p);
}

Test(preprocess, manifest_from_dicom_headers) {
    mg_path_list files = {0};
    mammogram_write(&(mammogram_file){.patient = "P7", .laterality = "R", .view = "MLO"},
                    scratch_path("x1.dcm"));
    mammogram_write(&(mammogram_file){.patient = "P7", .laterality = "R", .view = "CC"},
                    scratch_path("x2.dcm"));
    mammogram_write(&(mammogram_file){.patient = "P7"}, scratch_path("x3.dcm"));
    cr_assert_eq(mg_list_files(scratch_path("."), &files, NULL), MG_OK);
    mg_manifest m;
    cr_assert_eq(mg_manifest_from_files(&files, &m, NULL), MG_OK);
    cr_assert(m.image_count == 3 && m.patient_count == 1 && m.group_count == 2);
    cr_assert_str_eq(m.group[0].id, "P7_R");
    cr_assert_str_eq(m.group[1].id, "P7_x3");
    cr_assert_str_eq(m.image[0].view, "MLO");
    mg_manifest_free(&m);
    mg_path_list_free(&files);
}

/* Every mammogram at hand goes through with every choice. */
Test(preprocess, real_files) {
    const char *data = getenv("MG_TEST_DATA");
    if (!data) return;
    mg_path_list files = {0};
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/mammo/cdd_cesm/train_images", data);
    cr_assert_eq(mg_list_files(folder, &files, NULL), MG_OK);
    cr_assert_eq(files.count, 30);
    mg_preprocess_settings s = mg_preprocess_defaults();
    mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
    for (size_t i = 0; i < files.count; i++) {
        mg_prepared out;
        mg_error err = {0};
        cr_assert_eq(mg_preprocess_file(p, files.path[i], NULL, &out, &err), MG_OK, "%s",
                     err.message);
        mg_prepared_free(&out);
    }
    mg_preprocessor_destroy(p);
    mg_path_list_free(&files);
}
