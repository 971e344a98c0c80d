/* The grey pipeline against PS3.3's formulas, written down again in double, at and around every
 * breakpoint; LUT descriptors with all their traps; where windows come from; padding. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/dicom_pixel_file.h"

/* --- the standard's formulas, ymin 0, ymax 1 ---------------------------------------------------- */

static double oracle(const mg_dicom_window *w, double x) {
    double c = w->center, d = w->width;
    switch (w->function) {
    case MG_DICOM_VOI_SIGMOID: return 1 / (1 + exp(-4 * (x - c) / d));
    case MG_DICOM_VOI_LINEAR_EXACT:
        if (x <= c - d / 2) return 0;
        if (x > c + d / 2) return 1;
        return (x - c) / d + 0.5;
    default:
        if (x <= c - 0.5 - (d - 1) / 2) return 0;
        if (x > c - 0.5 + (d - 1) / 2) return 1;
        return (x - (c - 0.5)) / (d - 1) + 0.5;
    }
}

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
                        double want = oracle(&w, (double)x[m]);
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
    enum { N = 1537 };
    static float x[N], y[N];
    for (int function = 0; function < 3; function++) {
        mg_dicom_window w = {
            .center = 700.5, .width = 333.25, .function = (mg_dicom_voi_function)function};
        for (int i = 0; i < N; i++) x[i] = (float)i * 0.9f;
        mg_dicom_apply_window(&w, x, N, y);
        for (int i = 0; i < N; i++) {
            float one;
            mg_dicom_apply_window(&w, &x[i], 1, &one);
            cr_assert_eq(one, y[i]);
        }
    }
}

/* --- files ------------------------------------------------------------------------------------ */

typedef struct grey_file {
    pixel_file f;
    mg_dicom *d;
} grey_file;

static const pixel_image square12 = {
    .rows = 64, .columns = 80, .samples = 1, .allocated = 16, .stored = 12};

enum { N = 64 * 80 };

static void ramp(uint16_t *p) {
    for (int i = 0; i < N; i++) p[i] = (uint16_t)(i * 37 & 4095);
}

static void begin(grey_file *g, const pixel_image *im) {
    pixel_file_begin(&g->f, TS_EXPLICIT);
    pixel_file_describe(&g->f, im);
}

static void end(grey_file *g, const void *data, size_t n) {
    pixel_file_element(&g->f, 0x7FE00010, "OW", data, n);
    g->d = pixel_file_parse(&g->f);
}

static void done(grey_file *g) {
    mg_dicom_close(g->d);
    pixel_file_free(&g->f);
}

static void read_grey(grey_file *g, const mg_dicom_grey_options *o, float *out) {
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_read_grey(g->d, 0, o, out, &err), MG_DICOM_OK, "%s", err.message);
}

Test(grey, window_rescale_and_inversion_in_order) {
    static uint16_t data[N];
    static float out[N];
    ramp(data);
    for (int function = 0; function < 3; function++)
        for (int mono1 = 0; mono1 < 2; mono1++) {
            static const char *const names[] = {"LINEAR", "LINEAR_EXACT", "SIGMOID"};
            pixel_image im = square12;
            im.photometric = mono1 ? "MONOCHROME1" : "MONOCHROME2";
            grey_file g;
            begin(&g, &im);
            pixel_file_text(&g.f, 0x00281050, "DS", "500.5\\10");
            pixel_file_text(&g.f, 0x00281051, "DS", " 801 \\1.5E+02");
            pixel_file_text(&g.f, 0x00281052, "DS", "-1000");
            pixel_file_text(&g.f, 0x00281053, "DS", "2");
            pixel_file_text(&g.f, 0x00281055, "LO", "WIDE\\NARROW");
            pixel_file_text(&g.f, 0x00281056, "CS", names[function]);
            end(&g, data, sizeof data);
            for (int index = 0; index < 2; index++) {
                mg_dicom_window w;
                cr_assert(mg_dicom_window_of(g.d, 0, index, &w));
                cr_expect_eq(w.center, index ? 10 : 500.5);
                cr_expect_eq(w.width, index ? 150 : 801);
                cr_expect_str_eq(w.explanation, index ? "NARROW" : "WIDE");
                mg_dicom_grey_options o = {.window = index};
                read_grey(&g, &o, out);
                for (int i = 0; i < N; i++) {
                    double y = oracle(&w, data[i] * 2.0 - 1000);
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
                cr_assert_float_eq((double)out[i], oracle(&own, data[i] * 2.0 - 1000), 6e-8);
            cr_expect_eq(mg_dicom_apply_modality(g.d, 0, data, N, out, NULL), MG_DICOM_OK);
            for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)(data[i] * 2 - 1000));
            done(&g);
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
        begin(&g, &im);
        end(&g, data, sizeof data);
        read_grey(&g, &o, whole);
        done(&g);
        for (uint32_t y = 0; y < 64; y++) { /* 80 pixels: never a table */
            begin(&g, &row);
            end(&g, data + y * 80, 160);
            read_grey(&g, &o, part + y * 80);
            done(&g);
        }
        cr_expect_arr_eq(whole, part, sizeof whole);
    }
}

Test(grey, without_a_window_smallest_and_largest_count) {
    static uint16_t data[N];
    static float out[N];
    for (int i = 0; i < N; i++) data[i] = (uint16_t)(200 + i % 101);
    grey_file g;
    begin(&g, &square12);
    pixel_file_text(&g.f, 0x00281050, "DS", "no number");
    pixel_file_text(&g.f, 0x00281051, "DS", "0");
    end(&g, data, sizeof data);
    mg_dicom_window w;
    cr_expect_not(mg_dicom_window_of(g.d, 0, 0, &w));
    read_grey(&g, NULL, out);
    for (int i = 0; i < N; i++) cr_assert_float_eq((double)out[i], i % 101 / 100.0, 1e-7);
    done(&g);
    for (int i = 0; i < N; i++) data[i] = 77; /* constant: no NaN */
    begin(&g, &square12);
    end(&g, data, sizeof data);
    read_grey(&g, NULL, out);
    for (int i = 0; i < N; i++) cr_assert_eq(out[i], 0.0f);
    done(&g);
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
        begin(&g, &square12);
        pixel_file_text(&g.f, 0x00281050, "DS", cases[i][0]);
        pixel_file_text(&g.f, 0x00281051, "DS", cases[i][1]);
        pixel_file_text(&g.f, 0x00281056, "CS", cases[i][2]);
        end(&g, data, sizeof data);
        cr_expect_not(mg_dicom_window_of(g.d, 0, 0, &w), "case %zu", i);
        done(&g);
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
            begin(&g, &im);
            /* The VR may well be the wrong one for signed pixels. */
            pixel_file_us(&g.f, 0x00280120, limit ? "US" : "SS", -2000);
            if (limit) pixel_file_us(&g.f, 0x00280121, "US", -1000);
            end(&g, data, sizeof data);
            mg_dicom_grey_options o = {.padding_mask = mask};
            read_grey(&g, &o, out);
            double least = limit ? 0 : -1500;
            for (int i = 0; i < N; i++) {
                bool padded = i < 50 || (limit && i < 60);
                double y = (data[i] - least) / (100 - least);
                cr_assert_eq(mask[i], padded, "pixel %d", i);
                cr_assert_float_eq((double)out[i], padded ? 0 : mono1 ? 1 - y : y, 1e-6);
            }
            done(&g);
        }
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

Test(grey, modality_lut_clamps_at_both_ends) {
    static uint16_t data[N];
    static float out[N];
    uint16_t entries[100];
    ramp(data);
    for (int i = 0; i < 100; i++) entries[i] = (uint16_t)(50000 - 7 * i);
    const uint16_t descriptor[3] = {100, 1000, 16};
    grey_file g;
    begin(&g, &square12);
    put_lut(&g.f, 0x00283000, "US", descriptor, "OW", entries, sizeof entries);
    end(&g, data, sizeof data);
    mg_dicom_grey_options o = {.no_voi = true};
    read_grey(&g, &o, out);
    for (int i = 0; i < N; i++) {
        int at = data[i] < 1000 ? 0 : data[i] > 1099 ? 99 : data[i] - 1000;
        cr_assert_eq(out[i], (float)entries[at]);
    }
    done(&g);
}

Test(grey, lut_of_65536_entries_with_a_signed_start) {
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
    begin(&g, &im);
    put_lut(&g.f, 0x00283000, "US", descriptor, "OW", entries, sizeof entries);
    end(&g, data, sizeof data);
    mg_dicom_grey_options o = {.no_voi = true};
    read_grey(&g, &o, out);
    for (int i = 0; i < N; i++) cr_assert_eq(out[i], (float)(65535 - ((int16_t)data[i] + 32768)));
    done(&g);
}

Test(grey, voi_lut_is_scaled_by_the_bits_it_fills) {
    static uint16_t data[N];
    static float out[N];
    ramp(data);
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
        begin(&g, &square12);
        pixel_file_text(&g.f, 0x00281050, "DS", "100");
        pixel_file_text(&g.f, 0x00281051, "DS", "50");
        put_lut(&g.f, 0x00283010, "US", descriptor, cases[c].packed ? "OB" : "OW",
                cases[c].packed ? (void *)bytes : words,
                cases[c].packed ? sizeof bytes : sizeof words);
        end(&g, data, sizeof data);
        cr_expect(mg_dicom_has_voi_lut(g.d, 0));
        read_grey(&g, NULL, out);
        for (int i = 0; i < N; i++) {
            int at = data[i] < 1000 ? 0 : data[i] > 1255 ? 255 : data[i] - 1000;
            cr_assert_float_eq((double)out[i], (255 - at) / 255.0, 1e-7);
        }
        mg_dicom_grey_options o = {.no_voi_lut = true}; /* the window instead */
        mg_dicom_window w = {100, 50, MG_DICOM_VOI_LINEAR, ""};
        read_grey(&g, &o, out);
        for (int i = 0; i < N; i++) cr_assert_float_eq((double)out[i], oracle(&w, data[i]), 6e-8);
        done(&g);
    }
}

Test(grey, broken_luts_are_errors_or_give_way_to_the_window) {
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
                begin(&g, &square12);
                if (window) pixel_file_text(&g.f, 0x00281050, "DS", "100");
                if (window) pixel_file_text(&g.f, 0x00281051, "DS", "50");
                put_lut(&g.f, modality ? 0x00283000 : 0x00283010, cases[c].vr, cases[c].descriptor,
                        cases[c].data_vr, entries, cases[c].bytes);
                end(&g, data, sizeof data);
                mg_dicom_status status = mg_dicom_read_grey(g.d, 0, NULL, out, &err);
                if (window && !modality) {
                    cr_expect_eq(status, MG_DICOM_OK, "case %zu: %s", c, err.message);
                    cr_expect_gt(mg_dicom_warnings(g.d), 0);
                } else {
                    cr_expect_eq(status, MG_DICOM_ERR_PIXELS, "case %zu", c);
                    cr_expect(strstr(err.message, "LUT"), "%s", err.message);
                }
                done(&g);
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

Test(grey, functional_groups_per_frame_then_shared_then_top) {
    static const uint16_t data[3 * 4] = {0};
    pixel_image im = {
        .rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12, .frames = 3};
    grey_file g;
    begin(&g, &im);
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
    end(&g, data, sizeof data);
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
    done(&g);
}

Test(grey, presentation_lut_shape) {
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
        begin(&g, &im);
        if (cases[c].shape) pixel_file_text(&g.f, 0x20500020, "CS", cases[c].shape);
        end(&g, data, sizeof data);
        read_grey(&g, NULL, out);
        cr_expect_eq(out[0], cases[c].inverted ? 1.0f : 0.0f, "case %zu", c);
        cr_expect_eq(out[3], cases[c].inverted ? 0.75f : 0.25f, "case %zu", c);
        done(&g);
    }
}

Test(grey, colour_and_palette_are_refused) {
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
        begin(&g, &im);
        end(&g, data, sizeof data);
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, NULL, out, &err), MG_DICOM_ERR_UNSUPPORTED);
        cr_expect(strstr(err.message, names[i]), "%s", err.message);
        done(&g);
    }
}

Test(grey, rescale_that_makes_no_sense) {
    static const char *const slopes[] = {"0", "x", "1e999"};
    const uint16_t data[4] = {1, 2, 3, 4};
    for (int i = 0; i < 3; i++) {
        pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12};
        float out[4];
        mg_dicom_error err = {0};
        grey_file g;
        begin(&g, &im);
        pixel_file_text(&g.f, 0x00281053, "DS", slopes[i]);
        end(&g, data, sizeof data);
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, NULL, out, &err), MG_DICOM_ERR_PIXELS);
        cr_expect(strstr(err.message, "Slope"), "%s", err.message);
        mg_dicom_grey_options o = {.no_modality = true};
        cr_expect_eq(mg_dicom_read_grey(g.d, 0, &o, out, NULL), MG_DICOM_OK);
        done(&g);
    }
}
