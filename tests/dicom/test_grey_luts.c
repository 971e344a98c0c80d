/* LUT descriptors with all their traps, functional groups, the presentation step, what
 * is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/grey_file.h"

static void read_grey(grey_file *g, const mg_dicom_grey_options *o, float *out) {
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_read_grey(g->d, 0, o, out, &err), MG_DICOM_OK, "%s", err.message);
}

/* --- LUTs ------------------------------------------------------------------------------------- */

static void put_lut(pixel_file *f, uint32_t sequence, const char *vr, const uint16_t descriptor[3],
                    const char *data_vr, const void *data, size_t n) {
    pixel_file_open(f, sequence);
    pixel_file_open(f, 0xFFFEE000);
    pixel_file_element(f, 0x00283002, vr, descriptor, 6);
    pixel_file_element(f, 0x00283006, data_vr, data, n);
    pixel_file_close(f, true);
    pixel_file_close(f, false);
}

Test(grey_luts, modality_lut_clamps_at_both_ends) {
    static uint16_t data[N];
    static float out[N];
    uint16_t entries[100];
    grey_ramp(data);
    for (int i = 0; i < 100; i++) entries[i] = (uint16_t)(50000 - 7 * i);
    const uint16_t descriptor[3] = {100, 1000, 16};
    grey_file g;
    grey_begin(&g, &square12);
    put_lut(&g.f, 0x00283000, "US", descriptor, "OW", entries, sizeof entries);
    grey_end(&g, data, sizeof data);
    mg_dicom_grey_options o = {.no_voi = true};
    read_grey(&g, &o, out);
    for (int i = 0; i < N; i++) {
        int at = data[i] < 1000 ? 0 : data[i] > 1099 ? 99 : data[i] - 1000;
        cr_assert_eq(out[i], (float)entries[at]);
    }
    grey_done(&g);
}

Test(grey_luts, lut_of_65536_entries_with_a_signed_start) {
    static uint16_t entries[65536], data[N];
    static float out[N];
    for (int i = 0; i < 65536; i++) entries[i] = (uint16_t)(65535 - i);
    uint32_t seed = 8;
    for (int i = 0; i < N; i++) data[i] = (uint16_t)pixel_random(&seed);
    pixel_image im = square12;
    im.stored = 16;
    im.sign = 1;
    const uint16_t descriptor[3] = {0, 0x8000, 16}; /* from -32768, although the VR says US */
    grey_file g;
    grey_begin(&g, &im);
    put_lut(&g.f, 0x00283000, "US", descriptor, "OW", entries, sizeof entries);
    grey_end(&g, data, sizeof data);
    mg_dicom_grey_options o = {.no_voi = true};
    read_grey(&g, &o, out);
    for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)(65535 - ((int16_t)data[i] + 32768)));
    grey_done(&g);
}

Test(grey_luts, voi_lut_is_scaled_by_the_bits_it_fills) {
    static uint16_t data[N];
    static float out[N];
    grey_ramp(data);
    uint16_t words[256];
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++) words[i] = bytes[i] = (uint8_t)(255 - i);
    static const struct {
        uint16_t bits;
        bool packed;
    } cases[] = {{8, false}, {8, true}, {16, false}}; /* the last claims 16 and fills 8 */
    for (size_t c = 0; c < 3; c++) {
        const uint16_t descriptor[3] = {256, 1000, cases[c].bits};
        grey_file g;
        grey_begin(&g, &square12);
        pixel_file_text(&g.f, 0x00281050, "DS", "100");
        pixel_file_text(&g.f, 0x00281051, "DS", "50");
        put_lut(&g.f, 0x00283010, "US", descriptor, cases[c].packed ? "OB" : "OW",
                cases[c].packed ? (void *)bytes : words,
                cases[c].packed ? sizeof bytes : sizeof words);
        grey_end(&g, data, sizeof data);
        cr_expect(mg_dicom_has_voi_lut(g.d, 0));
        read_grey(&g, NULL, out);
        for (int i = 0; i < N; i++) {
            int at = data[i] < 1000 ? 0 : data[i] > 1255 ? 255 : data[i] - 1000;
            cr_assert_float_eq((double)out[i], (255 - at) / 255.0, 1e-7);
        }
        mg_dicom_grey_options o = {.no_voi_lut = true}; /* the window instead */
        mg_dicom_window w = {100, 50, MG_DICOM_VOI_LINEAR, ""};
        read_grey(&g, &o, out);
        for (int i = 0; i < N; i++)
            cr_assert_float_eq((double)out[i], oracle_window(&w, data[i]), 6e-8);
        grey_done(&g);
    }
}

Test(grey_luts, broken_luts_are_errors_or_give_way_to_the_window) {
    static uint16_t data[N];
    static float out[N];
    const uint16_t entries[16] = {0};
    static const struct {
        uint16_t descriptor[3];
        const char *vr, *data_vr;
        size_t bytes;
    } cases[] = {
        {{100, 0, 16}, "US", "OW", 32}, {{16, 0, 17}, "US", "OW", 32}, {{16, 0, 0}, "US", "OW", 32},
        {{16, 0, 16}, "LO", "OW", 32},  {{16, 0, 16}, "US", "LT", 32}, {{0, 0, 8}, "US", "OB", 32},
        {{16, 0, 16}, "US", "OW", 30},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int window = 0; window < 2; window++)
            for (int modality = 0; modality < 2; modality++) {
                grey_file g;
                mg_dicom_error err = {0};
                grey_begin(&g, &square12);
                if (window) pixel_file_text(&g.f, 0x00281050, "DS", "100");
                if (window) pixel_file_text(&g.f, 0x00281051, "DS", "50");
                put_lut(&g.f, modality ? 0x00283000 : 0x00283010, cases[c].vr, cases[c].descriptor,
                        cases[c].data_vr, entries, cases[c].bytes);
                grey_end(&g, data, sizeof data);
                mg_dicom_status status = mg_dicom_read_grey(g.d, 0, NULL, out, &err);
                if (window && !modality) {
                    cr_expect_eq(status, MG_DICOM_OK, "case %zu: %s", c, err.message);
                    cr_expect_gt(mg_dicom_warnings(g.d), 0);
                } else {
                    cr_expect_eq(status, MG_DICOM_ERR_PIXELS, "case %zu", c);
                    cr_expect(strstr(err.message, "LUT"), "%s", err.message);
                }
                grey_done(&g);
            }
}

/* --- functional groups ------------------------------------------------------------------------ */

static void put_group(pixel_file *f, const char *center, const char *intercept) {
    pixel_file_open(f, 0xFFFEE000);
    if (center) {
        pixel_file_open(f, 0x00289132);
        pixel_file_open(f, 0xFFFEE000);
        pixel_file_text(f, 0x00281050, "DS", center);
        pixel_file_text(f, 0x00281051, "DS", "100");
        pixel_file_close(f, true);
        pixel_file_close(f, false);
    }
    if (intercept) {
        pixel_file_open(f, 0x00289145);
        pixel_file_open(f, 0xFFFEE000);
        pixel_file_text(f, 0x00281052, "DS", intercept);
        pixel_file_text(f, 0x00281053, "DS", "1");
        pixel_file_close(f, true);
        pixel_file_close(f, false);
    }
    pixel_file_close(f, true);
}

Test(grey_luts, functional_groups_per_frame_then_shared_then_top) {
    static const uint16_t data[3 * 4] = {0};
    pixel_image im = {
        .rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12, .frames = 3};
    grey_file g;
    grey_begin(&g, &im);
    pixel_file_text(&g.f, 0x00281050, "DS", "1");
    pixel_file_text(&g.f, 0x00281051, "DS", "100");
    pixel_file_open(&g.f, 0x52009229);
    put_group(&g.f, "2", "-5");
    pixel_file_close(&g.f, false);
    pixel_file_open(&g.f, 0x52009230);
    put_group(&g.f, "30", "-10");
    put_group(&g.f, NULL, NULL);
    put_group(&g.f, "bad", "-20");
    pixel_file_close(&g.f, false);
    grey_end(&g, data, sizeof data);
    static const double centers[3] = {30, 2, 1}; /* the last frame's own one cannot be read */
    static const float intercepts[3] = {-10, -5, -20};
    for (uint32_t k = 0; k < 3; k++) {
        mg_dicom_window w = {0};
        float out[4];
        mg_dicom_error err = {0};
        mg_dicom_grey_options o = {.no_voi = true};
        cr_expect(mg_dicom_window_of(g.d, k, 0, &w));
        cr_expect_eq(w.center, centers[k], "frame %u: %g", k, w.center);
        cr_assert_eq(mg_dicom_read_grey(g.d, k, &o, out, &err), MG_DICOM_OK, "%s", err.message);
        cr_expect_eq(out[0], intercepts[k], "frame %u: %g", k, (double)out[0]);
    }
    grey_done(&g);
}

Test(grey_luts, presentation_lut_shape) {
    static const struct {
        const char *photometric, *shape;
        bool inverted;
    } cases[] = {
        {"MONOCHROME2", NULL, false},     {"MONOCHROME2", "IDENTITY", false},
        {"MONOCHROME2", "INVERSE", true}, {"MONOCHROME1", NULL, true},
        {"MONOCHROME1", "INVERSE", true},
    };
    const uint16_t data[4] = {0, 50, 100, 25};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pixel_image im = {.rows = 2,
                          .columns = 2,
                          .samples = 1,
                          .allocated = 16,
                          .stored = 12,
                          .photometric = cases[c].photometric};
        grey_file g;
        float out[4];
        grey_begin(&g, &im);
        if (cases[c].shape) pixel_file_text(&g.f, 0x20500020, "CS", cases[c].shape);
        grey_end(&g, data, sizeof data);
        read_grey(&g, NULL, out);
        cr_expect_eq(out[0], cases[c].inverted ? 1.0f : 0.0f, "case %zu", c);
        cr_expect_eq(out[3], cases[c].inverted ? 0.75f : 0.25f, "case %zu", c);
        grey_done(&g);
    }
}

Test(grey_luts, colour_and_palette_are_refused) {
    static const char *const names[] = {"RGB", "PALETTE COLOR", "YBR_FULL", "MONOCHROME9"};
    const uint8_t data[12] = {0};
    for (int i = 0; i < 4; i++) {
        pixel_image im = {.rows = 2,
                          .columns = 2,
                          .samples = i % 2 ? 1 : 3,
                          .allocated = 8,
                          .stored = 8,
                          .photometric = names[i]};
        float out[4];
        mg_dicom_error err = {0};
        grey_file g;
        grey_begin(&g, &im);
        grey_end(&g, data, sizeof data);
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, NULL, out, &err), MG_DICOM_ERR_UNSUPPORTED);
        cr_expect(strstr(err.message, names[i]), "%s", err.message);
        grey_done(&g);
    }
}

Test(grey_luts, rescale_that_makes_no_sense) {
    static const char *const slopes[] = {"0", "x", "1e999"};
    const uint16_t data[4] = {1, 2, 3, 4};
    for (int i = 0; i < 3; i++) {
        pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12};
        float out[4];
        mg_dicom_error err = {0};
        grey_file g;
        grey_begin(&g, &im);
        pixel_file_text(&g.f, 0x00281053, "DS", slopes[i]);
        grey_end(&g, data, sizeof data);
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, NULL, out, &err), MG_DICOM_ERR_PIXELS);
        cr_expect(strstr(err.message, "Slope"), "%s", err.message);
        mg_dicom_grey_options o = {.no_modality = true};
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, &o, out, NULL), MG_DICOM_OK);
        grey_done(&g);
    }
}

/* --- what is not as it says ------------------------------------------------------------------- */

static bool warns(const mg_dicom *d, const char *text) {
    for (int i = 0; i < mg_dicom_warnings(d); i++)
        if (strstr(mg_dicom_warning(d, i), text)) return true;
    return false;
}

Test(grey_luts, a_16_bit_lut_is_scaled_by_16_bits) {
    static uint16_t data[N];
    static float out[N];
    grey_ramp(data);
    static const struct {
        uint16_t top;
        double full;
    } cases[] = {{32767, 65535}, {65535, 65535}, {4095, 4095},
                 {3000, 4095},   {255, 255},     {100, 255}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint16_t entries[4] = {0, 50, 100, cases[c].top};
        const uint16_t descriptor[3] = {4, 1000, 16};
        grey_file g;
        grey_begin(&g, &square12);
        put_lut(&g.f, 0x00283010, "US", descriptor, "OW", entries, sizeof entries);
        grey_end(&g, data, sizeof data);
        read_grey(&g, NULL, out);
        for (int i = 0; i < N; i++) {
            int at = data[i] < 1000 ? 0 : data[i] > 1003 ? 3 : data[i] - 1000;
            cr_assert_float_eq((double)out[i], entries[at] / cases[c].full, 1e-6, "case %zu", c);
        }
        cr_expect_eq(warns(g.d, "16 bits per entry"), cases[c].full < 65535);
        grey_done(&g);
    }
}

Test(grey_luts, luts_are_counted_where_there_are_no_windows) {
    static uint16_t data[N];
    static float out[N];
    grey_ramp(data);
    uint8_t entries[2][2] = {{0, 255}, {255, 0}};
    const uint16_t descriptor[3] = {2, 1000, 8};
    for (int windows = 0; windows < 2; windows++) {
        grey_file g;
        grey_begin(&g, &square12);
        if (windows) pixel_file_text(&g.f, 0x00281050, "DS", "100");
        if (windows) pixel_file_text(&g.f, 0x00281051, "DS", "50");
        pixel_file_open(&g.f, 0x00283010);
        for (int k = 0; k < 2; k++) {
            pixel_file_open(&g.f, 0xFFFEE000);
            pixel_file_element(&g.f, 0x00283002, "US", descriptor, 6);
            pixel_file_text(&g.f, 0x00283003, "LO", k ? "HARD" : "SOFT");
            pixel_file_element(&g.f, 0x00283006, "OB", entries[k], 2);
            pixel_file_close(&g.f, true);
        }
        pixel_file_close(&g.f, false);
        grey_end(&g, data, sizeof data);
        char name[64];
        cr_expect(mg_dicom_voi_lut_of(g.d, 0, 1, name));
        cr_expect_str_eq(name, "HARD");
        cr_expect_not(mg_dicom_voi_lut_of(g.d, 0, 2, name));
        for (int k = 0; k < 3; k++) {
            mg_dicom_grey_options o = {.window = k};
            mg_dicom_error err = {0};
            mg_dicom_status status = mg_dicom_read_grey(g.d, 0, &o, out, &err);
            bool there = k == 0 || (k == 1 && !windows);
            cr_expect_eq(status, there ? MG_DICOM_OK : MG_DICOM_ERR_ARG, "%s", err.message);
            if (!there) cr_expect(strstr(err.message, k == 1 ? "number 2" : "number 3"));
            for (int i = 0; there && i < N; i++)
                cr_assert_eq(out[i], (data[i] > 1000) != k ? 1.0f : 0.0f);
        }
        grey_done(&g);
    }
}

Test(grey_luts, unusable_windows_and_functions_are_told) {
    static uint16_t data[N];
    static float out[N];
    static const char *const cases[][4] = {{"100", "0", NULL, "window 1 (centre 100, width 0)"},
                                           {"x", "10", NULL, "window 1"},
                                           {"100", "50", "CUBIC", "VOI LUT Function 'CUBIC'"},
                                           {"100", "50", "SIGMOID", NULL},
                                           {NULL, NULL, NULL, NULL}};
    grey_ramp(data);
    for (size_t c = 0; c < 5; c++) {
        grey_file g;
        grey_begin(&g, &square12);
        if (cases[c][0]) pixel_file_text(&g.f, 0x00281050, "DS", cases[c][0]);
        if (cases[c][1]) pixel_file_text(&g.f, 0x00281051, "DS", cases[c][1]);
        if (cases[c][2]) pixel_file_text(&g.f, 0x00281056, "CS", cases[c][2]);
        grey_end(&g, data, sizeof data);
        for (int again = 0; again < 2; again++) read_grey(&g, NULL, out);
        cr_expect_eq(mg_dicom_warnings(g.d), cases[c][3] != NULL, "case %zu, once", c);
        if (cases[c][3]) cr_expect(warns(g.d, cases[c][3]), "%s", mg_dicom_warning(g.d, 0));
        grey_done(&g);
    }
}
