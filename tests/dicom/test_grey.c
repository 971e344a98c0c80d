/* The grey pipeline against PS3.3's formulas, written down again in double, at and around every
 * breakpoint; the order of the steps; padding; what has no window. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/grey_file.h"

Test(grey, voi_functions_at_every_breakpoint) {
    static const double centers[] = {0, 0.5, 1, 40, 127.5, 2047, 2048.25, 4095, -600, 1e6};
    static const double widths[] = {1, 1.5, 2, 3, 4, 255, 256, 350, 4095, 4096, 65536, 1e6};
    int compared = 0;
    for (int function = 0; function < 3; function++)
        for (size_t i = 0; i < sizeof centers / sizeof *centers; i++)
            for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
                mg_dicom_window w = {.center = centers[i],
                                     .width = widths[j],
                                     .function = (mg_dicom_voi_function)function};
                double c = w.center, d = w.width;
                double at[] = {c - 0.5 - (d - 1) / 2,
                               c - 0.5 + (d - 1) / 2,
                               c - d / 2,
                               c + d / 2,
                               c,
                               c - 0.5,
                               c - 1e5,
                               c + 1e5};
                for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
                    float x[7], y[7];
                    x[0] = (float)at[k];
                    x[1] = nextafterf(x[0], -INFINITY);
                    x[2] = nextafterf(x[0], INFINITY);
                    x[3] = floorf(x[0]);
                    x[4] = ceilf(x[0]);
                    x[5] = floorf(x[0]) - 1;
                    x[6] = ceilf(x[0]) + 1;
                    mg_dicom_apply_window(&w, x, 7, y);
                    for (int m = 0; m < 7; m++, compared++) {
                        double want = oracle_window(&w, (double)x[m]);
                        cr_expect_float_eq((double)y[m], want, 6e-8,
                                           "function %d c %g w %g x %.9g: %.9g, not %.9g", function,
                                           c, d, (double)x[m], (double)y[m], want);
                        cr_expect(y[m] >= 0 && y[m] <= 1);
                        if (want == 0 || want == 1) cr_expect_eq((double)y[m], want);
                    }
                }
            }
    cr_assert_gt(compared, 10000);
}

Test(grey, a_window_of_width_1_is_a_threshold) {
    mg_dicom_window w = {.center = 100, .width = 1, .function = MG_DICOM_VOI_LINEAR};
    const float x[4] = {99, 99.5f, 99.75f, 100};
    float y[4];
    mg_dicom_apply_window(&w, x, 4, y);
    const float want[4] = {0, 0, 1, 1};
    cr_expect_arr_eq(y, want, sizeof want);
}

Test(grey, window_of_many_values_equals_window_of_one) {
    enum { COUNT = 1537 };
    static float x[COUNT], y[COUNT];
    for (int function = 0; function < 3; function++) {
        mg_dicom_window w = {
            .center = 700.5, .width = 333.25, .function = (mg_dicom_voi_function)function};
        for (int i = 0; i < COUNT; i++) x[i] = (float)i * 0.9f;
        mg_dicom_apply_window(&w, x, COUNT, y);
        for (int i = 0; i < COUNT; i++) {
            float one;
            mg_dicom_apply_window(&w, &x[i], 1, &one);
            cr_assert_eq(one, y[i]);
        }
    }
}

static void read_grey(grey_file *g, const mg_dicom_grey_options *o, float *out) {
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_read_grey(g->d, 0, o, out, &err), MG_DICOM_OK, "%s", err.message);
}

/* The frame as stored, and its steps in numbers where numbers are all there is; the other half then
 * gives what both give at once, after the file was closed. */
Test(grey, in_two_halves) {
    static uint16_t data[N];
    static float want[N], got[N], values[4096];
    grey_ramp(data);
    for (int kind = 0; kind < 4; kind++) { /* rescale, window, inverted window, own range */
        pixel_image im = square12;
        im.photometric = kind == 2 ? "MONOCHROME1" : "MONOCHROME2";
        grey_file g;
        grey_begin(&g, &im);
        pixel_file_us(&g.f, 0x00280120, "US", 37);
        if (kind < 3) pixel_file_text(&g.f, 0x00281050, "DS", "500.5");
        if (kind < 3) pixel_file_text(&g.f, 0x00281051, "DS", "801");
        pixel_file_text(&g.f, 0x00281052, "DS", "-0.3");
        pixel_file_text(&g.f, 0x00281053, "DS", "1.7");
        if (kind < 3) pixel_file_text(&g.f, 0x00281056, "CS", "SIGMOID");
        grey_end(&g, data, sizeof data);
        mg_dicom_grey_options o = {.no_voi = kind == 0};
        mg_dicom_stored s;
        read_grey(&g, &o, want);
        cr_assert_eq(mg_dicom_read_stored(g.d, 0, &o, &s, NULL), MG_DICOM_OK);
        grey_done(&g);
        cr_assert(s.rows == GREY_ROWS && s.columns == GREY_COLUMNS && s.word_bytes == 2);
        cr_expect(!s.is_signed && s.padded && s.padding_low == 37 && s.padding_high == 37);
        cr_expect_eq(memcmp(s.pixels, data, sizeof data), 0);
        cr_expect(s.plain == (kind < 2) && s.windowed == (kind == 1 || kind == 2));
        cr_expect(s.slope == 1.7 && s.intercept == -0.3);
        if (s.windowed)
            cr_expect(s.window.center == 500.5 && s.window.function == MG_DICOM_VOI_SIGMOID);
        cr_assert_eq(mg_dicom_stored_grey(&s, NULL, got, NULL), MG_DICOM_OK);
        cr_expect_eq(memcmp(got, want, sizeof got), 0);
        mg_dicom_stored_values(&s, 0, 4096, values);
        for (int i = 0; i < N; i++)
            cr_expect_eq(want[i], data[i] == 37 && kind ? 0 : values[data[i]]);
        mg_dicom_stored_free(&s);
        cr_expect_null(s.pixels);
    }
}

Test(grey, window_rescale_and_inversion_in_order) {
    static uint16_t data[N];
    static float out[N];
    grey_ramp(data);
    for (int function = 0; function < 3; function++)
        for (int mono1 = 0; mono1 < 2; mono1++) {
            static const char *const names[] = {"LINEAR", "LINEAR_EXACT", "SIGMOID"};
            pixel_image im = square12;
            im.photometric = mono1 ? "MONOCHROME1" : "MONOCHROME2";
            grey_file g;
            grey_begin(&g, &im);
            pixel_file_text(&g.f, 0x00281050, "DS", "500.5\\10");
            pixel_file_text(&g.f, 0x00281051, "DS", " 801 \\1.5E+02");
            pixel_file_text(&g.f, 0x00281052, "DS", "-1000");
            pixel_file_text(&g.f, 0x00281053, "DS", "2");
            pixel_file_text(&g.f, 0x00281055, "LO", "WIDE\\NARROW");
            pixel_file_text(&g.f, 0x00281056, "CS", names[function]);
            grey_end(&g, data, sizeof data);
            for (int index = 0; index < 2; index++) {
                mg_dicom_window w;
                cr_assert(mg_dicom_window_of(g.d, 0, index, &w));
                cr_expect_eq(w.center, index ? 10 : 500.5);
                cr_expect_eq(w.width, index ? 150 : 801);
                cr_expect_str_eq(w.explanation, index ? "NARROW" : "WIDE");
                mg_dicom_grey_options o = {.window = index};
                read_grey(&g, &o, out);
                for (int i = 0; i < N; i++) {
                    double y = oracle_window(&w, data[i] * 2.0 - 1000);
                    if (mono1) y = 1 - y;
                    cr_assert_float_eq((double)out[i], y, 6e-8);
                }
            }
            mg_dicom_window w;
            cr_expect_not(mg_dicom_window_of(g.d, 0, 2, &w));
            mg_dicom_grey_options o = {.window = 2};
            cr_expect_eq(mg_dicom_read_grey(g.d, 0, &o, out, NULL), MG_DICOM_ERR_ARG);
            o = (mg_dicom_grey_options){.no_voi = true};
            read_grey(&g, &o, out);
            for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)(data[i] * 2 - 1000));
            o.no_modality = true;
            read_grey(&g, &o, out);
            for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)data[i]);
            mg_dicom_window own = {
                .center = 0, .width = 100, .function = MG_DICOM_VOI_LINEAR_EXACT};
            o = (mg_dicom_grey_options){.override = &own, .no_presentation = true};
            read_grey(&g, &o, out);
            for (int i = 0; i < N; i++)
                cr_assert_float_eq((double)out[i], oracle_window(&own, data[i] * 2.0 - 1000), 6e-8);
            cr_expect_eq(mg_dicom_apply_modality(g.d, 0, data, N, out, NULL), MG_DICOM_OK);
            for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)(data[i] * 2 - 1000));
            grey_done(&g);
        }
}

/* The table over stored values and the direct way must agree to the bit. */
Test(grey, table_and_direct_evaluation_agree) {
    static uint16_t data[N];
    static float whole[N], part[N];
    uint32_t seed = 3;
    for (int i = 0; i < N; i++) data[i] = (uint16_t)pixel_random(&seed);
    pixel_image im = square12, row = square12;
    im.stored = row.stored = 16;
    im.sign = row.sign = 1;
    row.rows = 1;
    for (int i = 0; i < N; i++) data[i] &= 0x0FFF; /* 4096 entries for 5120 pixels: a table */
    for (int function = 0; function < 3; function++) {
        mg_dicom_window w = {1000.25, 777.5, (mg_dicom_voi_function)function, ""};
        mg_dicom_grey_options o = {.override = &w};
        grey_file g;
        grey_begin(&g, &im);
        grey_end(&g, data, sizeof data);
        read_grey(&g, &o, whole);
        grey_done(&g);
        for (uint32_t y = 0; y < 64; y++) { /* 80 pixels: never a table */
            grey_begin(&g, &row);
            grey_end(&g, data + y * 80, 160);
            read_grey(&g, &o, part + y * 80);
            grey_done(&g);
        }
        cr_expect_arr_eq(whole, part, sizeof whole);
    }
}

Test(grey, without_a_window_smallest_and_largest_count) {
    static uint16_t data[N];
    static float out[N];
    for (int i = 0; i < N; i++) data[i] = (uint16_t)(200 + i % 101);
    grey_file g;
    grey_begin(&g, &square12);
    pixel_file_text(&g.f, 0x00281050, "DS", "no number");
    pixel_file_text(&g.f, 0x00281051, "DS", "0");
    grey_end(&g, data, sizeof data);
    mg_dicom_window w;
    cr_expect_not(mg_dicom_window_of(g.d, 0, 0, &w));
    read_grey(&g, NULL, out);
    for (int i = 0; i < N; i++) cr_assert_float_eq((double)out[i], i % 101 / 100.0, 1e-7);
    grey_done(&g);
    for (int i = 0; i < N; i++) data[i] = 77; /* constant: no NaN */
    grey_begin(&g, &square12);
    grey_end(&g, data, sizeof data);
    read_grey(&g, NULL, out);
    for (int i = 0; i < N; i++) cr_assert_eq(out[i], 0.0f);
    grey_done(&g);
}

Test(grey, widths_that_are_no_widths) {
    static const char *const cases[][3] = {
        {"100", "0", "LINEAR"},       {"100", "0.5", "LINEAR"}, {"100", "-3", "SIGMOID"},
        {"100", "0", "LINEAR_EXACT"}, {"", "100", "LINEAR"},    {"1e400", "10", "LINEAR"},
    };
    uint16_t data[N] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grey_file g;
        mg_dicom_window w;
        grey_begin(&g, &square12);
        pixel_file_text(&g.f, 0x00281050, "DS", cases[i][0]);
        pixel_file_text(&g.f, 0x00281051, "DS", cases[i][1]);
        pixel_file_text(&g.f, 0x00281056, "CS", cases[i][2]);
        grey_end(&g, data, sizeof data);
        cr_expect_not(mg_dicom_window_of(g.d, 0, 0, &w), "case %zu", i);
        grey_done(&g);
    }
}

/* --- padding ---------------------------------------------------------------------------------- */

Test(grey, padding_is_masked_kept_out_of_the_range_and_black) {
    static int16_t data[N];
    static uint8_t mask[N];
    static float out[N];
    for (int limit = 0; limit < 2; limit++)
        for (int mono1 = 0; mono1 < 2; mono1++) {
            pixel_image im = square12;
            im.stored = 16;
            im.sign = 1;
            im.photometric = mono1 ? "MONOCHROME1" : "MONOCHROME2";
            for (int i = 0; i < N; i++) data[i] = (int16_t)(i % 101);
            for (int i = 0; i < 50; i++) data[i] = -2000;
            for (int i = 50; i < 60; i++) data[i] = -1500;
            grey_file g;
            grey_begin(&g, &im);
            /* The VR may well be the wrong one for signed pixels. */
            pixel_file_us(&g.f, 0x00280120, limit ? "US" : "SS", -2000);
            if (limit) pixel_file_us(&g.f, 0x00280121, "US", -1000);
            grey_end(&g, data, sizeof data);
            mg_dicom_grey_options o = {.padding_mask = mask};
            read_grey(&g, &o, out);
            double least = limit ? 0 : -1500;
            for (int i = 0; i < N; i++) {
                bool padded = i < 50 || (limit && i < 60);
                double y = (data[i] - least) / (100 - least);
                cr_assert_eq(mask[i], padded, "pixel %d", i);
                cr_assert_float_eq((double)out[i], padded ? 0 : mono1 ? 1 - y : y, 1e-6);
            }
            grey_done(&g);
        }
}
