/* Resizing and augmentation against torchvision, crops, geometry. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/crop.h"
#include "data/geometry.h"
#include "data/resize.h"
#include "data/sampler.h"
#include "tensor/rng.h"
#include "tests/golden/resample.h"

/* The oracle's image. */
static uint16_t pixel(uint64_t y, uint64_t x, uint64_t k) {
    return (uint16_t)(y * y * (3 + k) + x * x * 7 + x * y * (5 + 2 * k) + 11 * x + 131 * k);
}

static mg_geometry whole(uint32_t rows, uint32_t columns, uint32_t height, uint32_t width) {
    return (mg_geometry){.rows = rows,
                         .columns = columns,
                         .height = height,
                         .width = width,
                         .row = {.count = rows},
                         .column = {.count = columns}};
}

Test(resize, agrees_with_torchvision) {
    for (size_t k = 0; k < sizeof resize_cases / sizeof *resize_cases; k++) {
        unsigned r = resize_cases[k].rows, c = resize_cases[k].columns;
        unsigned h = resize_cases[k].height, w = resize_cases[k].width;
        float *in = malloc(r * c * sizeof *in), *out = malloc(h * w * sizeof *out);
        for (unsigned y = 0; y < r; y++)
            for (unsigned x = 0; x < c; x++) in[y * c + x] = (float)pixel(y, x, k) / 65535.0f;
        mg_geometry g = whole(r, c, h, w);
        cr_assert_eq(mg_resize(in, &g, out, NULL), MG_OK);
        for (unsigned i = 0; i < h * w; i++)
            cr_assert_float_eq(out[i], resize_cases[k].out[i], 1e-6f, "case %zu, pixel %u: %.9g", k,
                               i, (double)out[i]);
        free(in);
        free(out);
    }
}

/* Cropping first and resizing the copy gives the same bits as resizing with kept lists. */
Test(resize, kept_rows_and_columns) {
    enum { R = 31, C = 29, H = 11, W = 7 };
    static float in[R * C], part[R * C], a[H * W], b[H * W];
    for (unsigned i = 0; i < R * C; i++) in[i] = (float)pixel(i / C, i % C, 1) / 65535.0f;
    uint32_t rows[] = {2, 3, 4, 9, 10, 11, 12, 20, 21, 22, 23, 24, 29};
    uint32_t columns[] = {1, 2, 3, 5, 8, 13, 14, 15, 16, 17, 21, 28};
    mg_geometry g = whole(R, C, H, W);
    g.row = (mg_kept){.first = 2, .count = 13, .list = rows};
    g.column = (mg_kept){.first = 1, .count = 12, .list = columns};
    for (int y = 0; y < 13; y++)
        for (int x = 0; x < 12; x++) part[y * 12 + x] = in[rows[y] * C + columns[x]];
    mg_geometry small = whole(13, 12, H, W);
    cr_assert_eq(mg_resize(in, &g, a, NULL), MG_OK);
    cr_assert_eq(mg_resize(part, &small, b, NULL), MG_OK);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
}

Test(augment, agrees_with_torchvision) {
    for (size_t k = 0; k < sizeof affine_cases / sizeof *affine_cases; k++) {
        unsigned h = affine_cases[k].height, w = affine_cases[k].width;
        uint16_t *in = malloc(h * w * sizeof *in);
        float *out = malloc(h * w * sizeof *out);
        for (unsigned i = 0; i < h * w; i++) in[i] = pixel(i / w, i % w, k);
        mg_augment_draw d = {.flip = affine_cases[k].flip,
                             .rotation = affine_cases[k].rotation,
                             .translate_x = affine_cases[k].tx,
                             .translate_y = affine_cases[k].ty,
                             .scale = affine_cases[k].scale,
                             .shear_x = affine_cases[k].shear_x,
                             .shear_y = affine_cases[k].shear_y,
                             .contrast = 1,
                             .gamma = 1};
        mg_augment_apply(&d, in, h, w, out);
        for (unsigned i = 0; i < h * w; i++)
            cr_assert_float_eq(out[i], affine_cases[k].out[i], 2e-5f, "case %zu, pixel %u: %g, %g",
                               k, i, (double)out[i], (double)affine_cases[k].out[i]);
        free(in);
        free(out);
    }
}

Test(augment, nothing_drawn_changes_nothing) {
    enum { H = 19, W = 23 };
    static uint16_t in[H * W];
    static float out[H * W];
    for (unsigned i = 0; i < H * W; i++) in[i] = pixel(i / W, i % W, 0);
    mg_augment_settings none = {.scale_low = 1, .scale_high = 1};
    mg_augment_draw d;
    mg_augment_sample(&none, 1, 2, 3, H, W, &d);
    mg_augment_apply(&d, in, H, W, out);
    for (unsigned i = 0; i < H * W; i++) cr_assert_eq(out[i], (float)in[i] / 65535.0f);
}

Test(augment, draws_are_keyed_and_in_range) {
    mg_augment_settings s = mg_augment_defaults();
    s.contrast = 0.3f, s.brightness = 0.1f, s.gamma = 0.4f;
    mg_augment_draw d, e;
    double flips = 0, rotation = 0;
    enum { N = 4000 };
    for (uint32_t i = 0; i < N; i++) {
        mg_augment_sample(&s, 7, 1, i, 955, 500, &d);
        mg_augment_sample(&s, 7, 1, i, 955, 500, &e);
        cr_assert_eq(memcmp(&d, &e, sizeof d), 0);
        cr_assert(fabs(d.rotation) <= 30 && d.scale >= 0.75 && d.scale <= 1);
        cr_assert(abs(d.translate_x) <= 50 && abs(d.translate_y) <= 96);
        cr_assert(fabs(d.shear_x) <= 15 && d.shear_y == 0);
        cr_assert(d.contrast >= 0.7 - 1e-6 && d.contrast <= 1.3 + 1e-6);
        cr_assert(d.gamma > 0.67 && d.gamma < 1.5 && fabs(d.brightness) <= 0.1 + 1e-6);
        flips += (d.flip & MG_FLIP_HORIZONTAL) != 0;
        rotation += d.rotation;
    }
    cr_assert_float_eq(flips / N, 0.5, 0.04);
    cr_assert_float_eq(rotation / N, 0, 1.4);
    mg_augment_sample(&s, 7, 1, 0, 955, 500, &d);
    mg_augment_sample(&s, 7, 2, 0, 955, 500, &e);
    cr_assert_neq(d.rotation, e.rotation, "another epoch");
    mg_augment_sample(&s, 8, 1, 0, 955, 500, &e);
    cr_assert_neq(d.rotation, e.rotation, "another seed");
}

/* Our own sine, exponential and logarithm against the C library's, through what uses them. */
Test(augment, own_functions_are_accurate) {
    for (double angle = -45; angle <= 45; angle += 0.37) {
        mg_augment_draw d = {.rotation = angle, .scale = 1};
        double m[6], a = angle * acos(-1) / 180;
        mg_augment_matrix(&d, m);
        cr_assert_float_eq(m[0], cos(a), 4e-16);
        cr_assert_float_eq(m[1], sin(a), 4e-16);
    }
    uint16_t in[4] = {1, 655, 30000, 65535};
    float out[4];
    for (double gamma = 0.3; gamma < 3; gamma += 0.1) {
        mg_augment_draw d = {.scale = 1, .contrast = 1, .gamma = gamma};
        mg_augment_apply(&d, in, 1, 4, out);
        for (int i = 0; i < 4; i++) {
            float expected = (float)pow(in[i] / 65535.0, gamma);
            cr_assert_float_eq(out[i], expected, 1e-7f * expected + 1e-12f, "%g %g", (double)out[i],
                               (double)expected);
        }
    }
}

Test(augment, contrast_and_brightness_are_torchvision_s) {
    uint16_t in[4] = {0, 13107, 26214, 65535}; /* 0, .2, .4, 1: mean .4 */
    float out[4], expected[4] = {0.25f, 0.35f, 0.45f, 0.75f};
    mg_augment_draw d = {.scale = 1, .contrast = 0.5, .brightness = 0.05, .gamma = 1};
    mg_augment_apply(&d, in, 1, 4, out);
    for (int i = 0; i < 4; i++) cr_assert_float_eq(out[i], expected[i], 1e-6f);
    d.contrast = 4, d.brightness = 0; /* clipped at both ends */
    mg_augment_apply(&d, in, 1, 4, out);
    cr_assert(out[0] == 0 && out[1] == 0 && fabsf(out[2] - 0.4f) < 1e-6f && out[3] == 1);
}

/* --- geometry --------------------------------------------------------------------------------- */

Test(geometry, there_and_back) {
    uint32_t rows[] = {5, 6, 7, 40, 41, 60}, columns[] = {0, 1, 2, 30};
    mg_geometry g = whole(100, 80, 955, 500);
    for (int k = 0; k < 4; k++) {
        g.flip_horizontal = k & 1;
        g.flip_vertical = k & 2;
        for (int lists = 0; lists < 2; lists++) {
            g.row = lists ? (mg_kept){5, 6, rows} : (mg_kept){10, 70, NULL};
            g.column = lists ? (mg_kept){0, 4, columns} : (mg_kept){20, 33, NULL};
            for (double y = 0.5; y < 955; y += 13.7)
                for (double x = 0.5; x < 500; x += 7.3) {
                    double oy, ox, iy, ix;
                    mg_geometry_to_original(&g, y, x, &oy, &ox);
                    cr_assert(mg_geometry_to_input(&g, oy, ox, &iy, &ix));
                    cr_assert(fabs(iy - y) < 1e-9 && fabs(ix - x) < 1e-9, "%g %g -> %g %g", y, x,
                              iy, ix);
                }
        }
    }
    double y, x;
    cr_assert(!mg_geometry_to_input(&g, 20, 1, &y, &x), "row 20 was dropped");
    cr_assert_eq(g.flip_vertical ? 955 - y : y, 3 * 955.0 / 6, "the border between rows 7 and 40");
    cr_assert(!mg_geometry_to_input(&g, 2, 1, &y, &x), "above the first kept row");
}

Test(geometry, corners_of_a_contiguous_crop) {
    mg_geometry g = whole(3000, 2000, 955, 500);
    g.row = (mg_kept){.first = 100, .count = 1910};
    g.column = (mg_kept){.first = 700, .count = 1000};
    double y, x;
    mg_geometry_to_original(&g, 0, 0, &y, &x);
    cr_assert(y == 100 && x == 700);
    mg_geometry_to_original(&g, 955, 500, &y, &x);
    cr_assert(y == 2010 && x == 1700);
    mg_geometry_cell_to_original(&g, 30, 16, MG_ALIGN_STRIDE, 2, 3, &y, &x);
    cr_assert(fabs(y - (100 + 64.5 * 2)) < 1e-9 && fabs(x - (700 + 96.5 * 2)) < 1e-9);
    mg_geometry_cell_to_original(&g, 30, 16, MG_ALIGN_STRETCH, 0, 15, &y, &x);
    cr_assert(fabs(y - (100 + 1910 / 60.0)) < 1e-9 && fabs(x - (700 + 1000 * 31 / 32.0)) < 1e-9);
    mg_geometry copy;
    cr_assert_eq(mg_geometry_copy(&g, &copy, NULL), MG_OK);
    cr_assert(copy.row.first == 100 && copy.row.list == NULL);
}

/* A map that is linear in position must come out linear in position. */
Test(geometry, spread_is_smooth_and_placed_right) {
    enum { R = 60, C = 40 };
    float map[6 * 5], out[R * C];
    for (int i = 0; i < 30; i++) map[i] = (float)(i / 5) * 10 + (float)(i % 5);
    mg_geometry g = whole(R, C, 96, 80);
    g.row = (mg_kept){.first = 12, .count = 48};
    g.column = (mg_kept){.first = 0, .count = 20};
    for (int flip = 0; flip < 2; flip++) {
        g.flip_vertical = flip;
        cr_assert_eq(mg_geometry_spread(&g, map, 6, 5, MG_ALIGN_STRETCH, -1, out, NULL), MG_OK);
        cr_assert(out[0] == -1 && out[11 * C + 3] == -1 && out[20 * C + 20] == -1);
        cr_assert(out[12 * C] != -1 && out[59 * C + 19] != -1);
        for (int y = 17; y < 55; y++) {
            double cell = (y + 0.5 - 12) / 8 - 0.5, x = (9 + 0.5) / 4 - 0.5;
            if (flip) cell = 5 - cell;
            cr_assert_float_eq(out[y * C + 9], (float)(10 * cell + x), 1e-4f);
        }
    }
    float one = 3;
    cr_assert_eq(mg_geometry_spread(&g, &one, 1, 1, MG_ALIGN_STRIDE, 0, out, NULL), MG_OK);
    cr_assert_eq(out[30 * C + 5], 3);
    cr_assert_eq(mg_geometry_spread(&g, &one, 0, 1, MG_ALIGN_STRIDE, 0, out, NULL), MG_ERR_ARG);
}

/* --- crops ------------------------------------------------------------------------------------ */

Test(crop, zero_drops_interior_lines_too) {
    enum { R = 8, C = 6 };
    static float p[R * C];
    p[2 * C + 1] = 0.5f, p[5 * C + 4] = 1, p[6 * C + 1] = 1e-6f;
    mg_kept row, column;
    cr_assert_eq(mg_crop_zero(p, R, C, &row, &column, NULL), MG_OK);
    cr_assert(row.count == 3 && row.list[0] == 2 && row.list[1] == 5 && row.list[2] == 6);
    cr_assert(column.count == 2 && column.list[0] == 1 && column.list[1] == 4);
    free(row.list);
    free(column.list);
    for (int i = 0; i < R * C; i++) p[i] = i / C >= 3;
    cr_assert_eq(mg_crop_zero(p, R, C, &row, &column, NULL), MG_OK);
    cr_assert(row.first == 3 && row.count == 5 && !row.list && column.count == C && !column.list);
    memset(p, 0, sizeof p);
    cr_assert_eq(mg_crop_zero(p, R, C, &row, &column, NULL), MG_OK);
    cr_assert(row.count == R && column.count == C, "nothing left: all is kept");
}

/* A half-ellipse against the left border with fat, a dense core and a dim skin line. */
enum { ROWS = 1200, COLUMNS = 900, TOP = 200, BOTTOM = 1000, RIGHT = 500 };

static float *breast(float background, float noise) {
    float *p = malloc((size_t)ROWS * COLUMNS * sizeof *p);
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLUMNS; x++) {
            float dy = (float)(y - (TOP + BOTTOM) / 2) / ((BOTTOM - TOP) / 2.0f);
            float r = dy * dy + (float)x * (float)x / ((float)RIGHT * RIGHT);
            float v = background + noise * mg_rng_uniform(&key, (uint32_t)(y * COLUMNS + x));
            if (r < 1) v += r > 0.9f ? 0.12f : r > 0.4f ? 0.3f : 0.6f;
            p[(size_t)y * COLUMNS + x] = v;
        }
    return p;
}

static void fill(float *p, int y0, int y1, int x0, int x1, float v) {
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) p[(size_t)y * COLUMNS + x] = v;
}

static void check_box(float *p, const char *what) {
    mg_kept row, column;
    cr_assert_eq(mg_crop_breast(p, ROWS, COLUMNS, 0.01f, &row, &column, NULL), MG_OK);
    int top = (int)row.first, bottom = (int)(row.first + row.count);
    int left = (int)column.first, right = (int)(column.first + column.count);
    cr_assert(top <= TOP + 4 && top >= TOP - 40, "%s: top %d", what, top);
    cr_assert(bottom >= BOTTOM - 4 && bottom <= BOTTOM + 40, "%s: bottom %d", what, bottom);
    cr_assert(left == 0 && right >= RIGHT - 4 && right <= RIGHT + 40, "%s: %d to %d", what, left,
              right);
    free(p);
}

Test(crop, breast_survives_what_real_images_have) {
    check_box(breast(0, 0), "black background");
    check_box(breast(0.05f, 0.03f), "grey, noisy background");
    float *p = breast(0.01f, 0.01f);
    fill(p, 60, 100, 700, 860, 1.0f); /* a label, 40 pixels high */
    fill(p, 1120, 1150, 640, 700, 0.9f);
    check_box(p, "label and marker");
    p = breast(0, 0.01f);
    fill(p, 0, 12, 0, COLUMNS, 1);
    fill(p, ROWS - 12, ROWS, 0, COLUMNS, 1);
    fill(p, 0, ROWS, COLUMNS - 12, COLUMNS, 1);
    check_box(p, "white frame");
    p = breast(0, 0.01f);
    fill(p, 0, ROWS, 640, 650, 0.8f);
    fill(p, 100, 106, 0, COLUMNS, 0.8f);
    check_box(p, "bright stripes, one across the breast's edge");
}

Test(crop, doubtful_images_are_kept_whole) {
    float *p = malloc((size_t)ROWS * COLUMNS * sizeof *p);
    mg_kept row, column;
    for (int i = 0; i < ROWS * COLUMNS; i++) p[i] = 0;
    p[5] = 1; /* a single lit pixel */
    cr_assert_eq(mg_crop_breast(p, ROWS, COLUMNS, 0.01f, &row, &column, NULL), MG_OK);
    cr_assert(row.count == ROWS && column.count == COLUMNS);
    for (int i = 0; i < ROWS * COLUMNS; i++) p[i] = 1;
    p[0] = 0;
    cr_assert_eq(mg_crop_breast(p, ROWS, COLUMNS, 0.01f, &row, &column, NULL), MG_OK);
    cr_assert(row.count == ROWS && column.count == COLUMNS);
    float tiny[6] = {0, 0, 1, 1, 0, 1};
    cr_assert_eq(mg_crop_breast(tiny, 2, 3, 0.01f, &row, &column, NULL), MG_OK);
    cr_assert(row.first + row.count <= 2 && column.first + column.count <= 3 && row.count > 0);
    free(p);
}
