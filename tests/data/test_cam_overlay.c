/* CAM overlays: values where they belong, geometry undone, region and outline drawn, nothing else
 * touched. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/cam_overlay.h"
#include "data/colormap.h"

static void near(double a, double b, double tolerance) {
    cr_assert_float_eq(a, b, tolerance, "%.9g is not %.9g", a, b);
}

Test(cam, threshold_is_mean_plus_one_deviation) {
    float v[] = {1, 2, 3, 4, 5, 9}; /* mean 4, variance (9+4+1+0+1+25)/6 */
    near(mg_cam_threshold(&(mg_cam){.height = 2, .width = 3, .value = v}), 4 + sqrt(40.0 / 6),
         1e-6);
}

Test(cam, passes_through_the_cells_and_stays_smooth) {
    enum { H = 5, W = 4, S = 11, ROWS = H * S, COLUMNS = W * S }; /* odd S: a pixel per centre */
    float v[H * W], out[ROWS * COLUMNS];
    for (int i = 0; i < H * W; i++) v[i] = (float)sin(1.7 * i) * 3;
    mg_cam cam = {.height = H, .width = W, .value = v};
    cr_assert_eq(mg_cam_resample(&cam, ROWS, COLUMNS, -99, out, NULL), MG_OK);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            near((double)out[(y * S + S / 2) * COLUMNS + x * S + S / 2], (double)v[y * W + x],
                 1e-5);
    /* Second differences stay small: no facets. A bilinear map has kinks many times larger. */
    double most = 0;
    for (int x = 1; x + 1 < COLUMNS; x++) {
        const float *p = out + 27 * COLUMNS + x;
        most = fmax(most, fabs((double)p[-1] - 2 * (double)p[0] + (double)p[1]));
    }
    cr_assert(most < 0.25, "%g", most);
}

Test(cam, a_constant_map_stays_constant) {
    float v[6] = {2, 2, 2, 2, 2, 2}, one = 7, out[35];
    cr_assert_eq(
        mg_cam_resample(&(mg_cam){.height = 3, .width = 2, .value = v}, 7, 5, 0, out, NULL), MG_OK);
    for (int i = 0; i < 35; i++) near((double)out[i], 2, 1e-6);
    cr_assert_eq(
        mg_cam_resample(&(mg_cam){.height = 1, .width = 1, .value = &one}, 7, 5, 0, out, NULL),
        MG_OK);
    for (int i = 0; i < 35; i++) near((double)out[i], 7, 1e-6);
}

/* An affine map v = a y + b x of input positions must come back as the same of original positions,
 * away from the mirrored ends. */
static void check_geometry(mg_geometry g, mg_map_alignment alignment, double first, double stride) {
    enum { CELLS = 12, SIDE = 100 };
    float v[CELLS * CELLS], out[SIDE * SIDE];
    for (int i = 0; i < CELLS * CELLS; i++)
        v[i] = (float)(3 * (first + stride * (i / CELLS)) + (first + stride * (i % CELLS)));
    mg_cam cam = {
        .height = CELLS, .width = CELLS, .value = v, .geometry = &g, .alignment = alignment};
    cr_assert_eq(mg_cam_resample(&cam, SIDE, SIDE, -1, out, NULL), MG_OK);
    int inner = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double iy, ix, value = (double)out[y * SIDE + x];
            if (!mg_geometry_to_input(&g, y + 0.5, x + 0.5, &iy, &ix)) {
                near(value, -1, 0);
                continue;
            }
            double low = first + 4 * stride, high = first + (CELLS - 5) * stride;
            if (iy < low || iy > high || ix < low || ix > high) continue;
            near(value, 3 * iy + ix, 2e-2 * 4 * high / 100 + 1e-2);
            inner++;
        }
    }
    cr_assert(inner > 100, "%d", inner);
}

Test(cam, undoes_crop_resize_and_flip) {
    mg_geometry g = {.rows = 100,
                     .columns = 100,
                     .height = 384,
                     .width = 384,
                     .row = {.first = 10, .count = 80},
                     .column = {.first = 0, .count = 64}};
    check_geometry(g, MG_ALIGN_STRETCH, 16, 32);
    check_geometry(g, MG_ALIGN_STRIDE, 0.5, 32);
    g.flip_horizontal = g.flip_vertical = true;
    check_geometry(g, MG_ALIGN_STRETCH, 16, 32);
}

Test(cam, refuses_another_image) {
    float v[4] = {0}, out[4];
    mg_geometry g = {.rows = 3,
                     .columns = 2,
                     .height = 8,
                     .width = 8,
                     .row = {.count = 3},
                     .column = {.count = 2}};
    mg_cam cam = {.height = 2, .width = 2, .value = v, .geometry = &g};
    mg_error err = {0};
    cr_assert_eq(mg_cam_resample(&cam, 2, 2, 0, out, &err), MG_ERR_ARG);
    cr_assert(strstr(err.message, "3 x 2"), "%s", err.message);
}

/* --- pictures --------------------------------------------------------------------------------- */

enum { ROWS = 160, COLUMNS = 96 };
static float grey[ROWS * COLUMNS], hot[10 * 6];

static mg_cam hot_cam(void) {
    for (int i = 0; i < ROWS * COLUMNS; i++) grey[i] = 0.4f;
    memset(hot, 0, sizeof hot);
    hot[4 * 6 + 3] = 4;
    return (mg_cam){.height = 10, .width = 6, .value = hot};
}

static const uint8_t *pixel(const mg_png *p, int y, int x) {
    return (const uint8_t *)p->pixels + 3 * (y * (int)p->width + x);
}

Test(cam, overlay_colours_the_region_only) {
    mg_cam cam = hot_cam();
    mg_png p;
    mg_cam_overlay_options o = {.no_caption = true, .probability = NAN, .calibrated = NAN};
    mg_error err = {0};
    cr_assert_eq(mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &p, &err), MG_OK, "%s", err.message);
    cr_assert(p.width == COLUMNS && p.height == ROWS && p.channels == 3 && p.bits == 8);
    const uint8_t *far = pixel(&p, 150, 5), *peak = pixel(&p, 72, 56);
    cr_assert(far[0] == 102 && far[1] == 102 && far[2] == 102, "untouched grey");
    cr_assert(peak[0] > 150 && peak[0] > peak[2] + 20, "warm at the peak: %d %d %d", peak[0],
              peak[1], peak[2]);
    int coloured = 0;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        const uint8_t *q = pixel(&p, i / COLUMNS, i % COLUMNS);
        coloured += q[0] != q[2];
    }
    cr_assert(coloured > 150 && coloured < 1500, "%d", coloured);
    mg_png_free(&p);
}

Test(cam, a_flat_map_shows_nothing) {
    mg_cam cam = hot_cam();
    memset(hot, 0, sizeof hot);
    mg_png p;
    mg_cam_overlay_options o = {.probability = 0.2, .calibrated = 0.01, .title = "1_L"};
    cr_assert_eq(mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &p, NULL), MG_OK);
    cr_assert(p.height > ROWS, "there is a caption");
    for (int i = 0; i < ROWS * COLUMNS; i++)
        cr_assert_eq(pixel(&p, i / COLUMNS, i % COLUMNS)[0], 102);
    mg_png_free(&p);
}

Test(cam, shrinks_outlines_lesions_and_leaves_the_crop_alone) {
    mg_cam cam = hot_cam();
    static uint8_t mask[ROWS * COLUMNS];
    for (int y = 20; y < 60; y++) memset(mask + y * COLUMNS + 20, 1, 30);
    mg_geometry g = {.rows = ROWS,
                     .columns = COLUMNS,
                     .height = 320,
                     .width = 192,
                     .row = {.first = 0, .count = ROWS},
                     .column = {.first = 0, .count = 48}};
    cam.geometry = &g;
    for (int i = 0; i < 60; i++)
        hot[i] = (float)(i % 6); /* rises to the right border of the crop */
    mg_png p;
    mg_cam_overlay_options o = {
        .no_caption = true, .max_side = 80, .mask = mask, .no_outline = true};
    cr_assert_eq(mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &p, NULL), MG_OK);
    cr_assert(p.width == 48 && p.height == 80);
    for (int y = 40; y < 80; y++)
        for (int x = 25; x < 48; x++) cr_assert_eq(pixel(&p, y, x)[0], 102, "outside the crop");
    cr_assert(pixel(&p, 60, 22)[0] != pixel(&p, 60, 22)[2], "coloured inside");
    const uint8_t *edge = pixel(&p, 20, 10), *inside = pixel(&p, 20, 14);
    cr_assert(edge[1] > 150 || pixel(&p, 20, 9)[1] > 150, "the lesion has a bright outline");
    cr_assert_eq(inside[1], 102);
    mg_png_free(&p);
}

Test(cam, refuses_what_is_not_a_number) {
    mg_cam cam = hot_cam();
    hot[7] = NAN;
    mg_png p;
    mg_cam_overlay_options o = {0};
    mg_error err = {0};
    cr_assert_eq(mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &p, &err), MG_ERR_NUMERIC);
    cr_assert(strstr(err.message, "cell 7"));
    cr_assert_null(p.pixels);
    hot[7] = 0;
    cr_assert_eq(mg_cam_overlay(grey, 0, 5, &cam, &o, &p, NULL), MG_ERR_ARG);
    grey[5] = NAN; /* a pixel without a value is black, not undefined */
    o.no_caption = true;
    cr_assert_eq(mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &p, NULL), MG_OK);
    cr_assert_eq(pixel(&p, 0, 5)[0], 0);
    mg_png_free(&p);
}

/* --- colours ---------------------------------------------------------------------------------- */

Test(colormap, oklab_known_values_and_back) { /* the table in Ottosson's article, in sRGB terms */
    double lab[3], rgb[3];
    mg_oklab_from_srgb((double[]){1, 1, 1}, lab);
    near(lab[0], 1, 1e-4);
    near(lab[1], 0, 1e-4);
    mg_oklab_from_srgb((double[]){1, 0, 0}, lab);
    near(lab[0], 0.62796, 1e-4);
    near(lab[1], 0.22486, 1e-4);
    near(lab[2], 0.12585, 1e-4);
    for (int i = 0; i < 125; i++) {
        double in[3] = {i % 5 / 4.0, i / 5 % 5 / 4.0, i / 25 / 4.0};
        mg_oklab_from_srgb(in, lab);
        mg_srgb_from_oklab(lab, rgb);
        for (int k = 0; k < 3; k++) near(rgb[k], in[k], 1e-5);
    }
}

Test(colormap, even_steps_and_rising_lightness) {
    const uint8_t(*c)[3] = mg_colormap_ember();
    double before[3], lab[3], step[16];
    for (int i = 0; i <= 240; i += 15) { /* 15 apart: the rounding to 8 bits averages out */
        double rgb[3] = {c[i][0] / 255.0, c[i][1] / 255.0, c[i][2] / 255.0};
        mg_oklab_from_srgb(rgb, lab);
        if (i) {
            cr_assert(lab[0] > before[0], "lightness falls at %d", i);
            step[i / 15 - 1] = sqrt(pow(lab[0] - before[0], 2) + pow(lab[1] - before[1], 2) +
                                    pow(lab[2] - before[2], 2));
        }
        memcpy(before, lab, sizeof lab);
    }
    double least = 1, most = 0;
    for (int i = 0; i < 16; i++) {
        least = fmin(least, step[i]);
        most = fmax(most, step[i]);
    }
    cr_assert(most < 1.12 * least, "steps from %g to %g", least, most);
}
