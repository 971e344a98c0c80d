/* Drawing: coverage is exact, text has every character, axes have round ticks, both renderers show
 * the same list. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/plot.h"
#include "data/plot_axis.h"
#include "data/plot_charts.h"
#include "data/plot_font.h"
#include "data/plot_raster.h"

enum { SIDE = 40 };
static uint8_t rgb[3 * SIDE * SIDE];
static const mg_ink black = {{0, 0, 0}, 1};

static mg_raster white(void) {
    memset(rgb, 255, sizeof rgb);
    return (mg_raster){.width = SIDE, .height = SIDE, .rgb = rgb};
}

/* Ink on the page in pixels. */
static double ink(void) {
    double sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) sum += 1 - rgb[3 * i] / 255.0;
    return sum;
}

Test(raster, fills_cover_their_area) {
    mg_raster r = white();
    double square[] = {5.25, 7.5, 15.75, 7.5, 15.75, 18.25, 5.25, 18.25};
    mg_raster_fill(&r, square, 4, black);
    cr_assert_float_eq(ink(), 10.5 * 10.75, 0.2);
    cr_assert_eq(rgb[3 * (10 * SIDE + 10)], 0);
    cr_assert_float_eq(rgb[3 * (10 * SIDE + 5)], 255 * 0.25, 1.01,
                       "a column three quarters covered");
    r = white();
    double triangle[] = {30.3, 2.1, 38.8, 33.7, 3.2, 20.4};
    mg_raster_fill(&r, triangle, 3, black);
    double area = fabs((38.8 - 30.3) * (20.4 - 2.1) - (3.2 - 30.3) * (33.7 - 2.1)) / 2;
    cr_assert_float_eq(ink(), area, 1);
}

Test(raster, shapes_may_reach_over_the_border) {
    mg_raster r = white();
    double huge[] = {-1e4, -1e4, 1e4, -1e4, 1e4, 1e4, -1e4, 1e4};
    mg_raster_fill(&r, huge, 4, black);
    cr_assert_float_eq(ink(), SIDE * SIDE, 1e-9);
    r = white();
    double left[] = {-20, 10, 10, 10, 10, 30, -20, 30};
    mg_raster_fill(&r, left, 4, black);
    cr_assert_float_eq(ink(), 200, 0.1);
    r = white();
    double right[] = {30, -10, 80, -10, 80, 90, 30, 90};
    mg_raster_fill(&r, right, 4, black);
    cr_assert_float_eq(ink(), 400, 0.1);
    r = white();
    double outside[] = {50, 50, 60, 50, 60, 60};
    mg_raster_fill(&r, outside, 3, black);
    mg_raster_stroke(&r, outside, 3, 2, 0, black);
    mg_raster_text(&r, 300, -100, 12, false, false, black, "away");
    cr_assert_eq(ink(), 0);
}

Test(raster, strokes_have_their_width) {
    mg_raster r = white();
    mg_raster_stroke(&r, (double[]){10, 20, 30, 20}, 2, 3, 0, black);
    cr_assert_float_eq(ink(), 20 * 3 + 3.14159 * 1.5 * 1.5, 2);
    r = white();
    mg_raster_stroke(&r, (double[]){10, 20, 30, 20}, 2, 0.5, 0, black);
    cr_assert_float_eq(ink(), 10, 1, "a hair line is faint, not wide");
    r = white();
    mg_raster_stroke(&r, (double[]){4, 20, 36, 20}, 2, 2, 4, black);
    cr_assert(ink() < 0.75 * 64 && ink() > 0.5 * 64, "dashes: %g", ink());
    /* Joints are not darker: a path back over itself is the same path. */
    r = white();
    mg_ink half = {{0, 0, 0}, 0.5};
    mg_raster_stroke(&r, (double[]){10, 20, 30, 20, 10, 20}, 3, 4, 0, half);
    cr_assert_float_eq(rgb[3 * (20 * SIDE + 20)], 127.5, 1);
}

Test(raster, nan_and_empty_draw_nothing) {
    mg_raster r = white();
    mg_raster_fill(&r, (double[]){NAN, NAN, NAN, NAN, NAN, NAN}, 3, black);
    mg_raster_stroke(&r, NULL, 0, 1, 0, black);
    mg_raster_text(&r, 10, 10, 12, false, false, black, "");
    cr_assert_eq(ink(), 0);
}

static size_t strokes;
static void count_stroke(void *arg, const double *xy, size_t points) {
    double *box = arg;
    strokes++;
    for (size_t i = 0; i < points; i++) {
        box[0] = fmin(box[0], xy[2 * i]);
        box[1] = fmax(box[1], xy[2 * i]);
        box[2] = fmin(box[2], xy[2 * i + 1]);
        box[3] = fmax(box[3], xy[2 * i + 1]);
    }
}

Test(font, every_character_is_drawn_within_its_box) {
    const double size = 14 / 0.72; /* capitals 14 high */
    for (int c = '!'; c <= '~'; c++) {
        char text[2] = {(char)c, 0};
        double box[4] = {1e9, -1e9, 1e9, -1e9}, width = mg_font_width(text, size);
        strokes = 0;
        mg_font_strokes(text, size, count_stroke, box);
        cr_assert(strokes > 0, "%c has no strokes", c);
        cr_assert(box[0] > 0.2 && box[1] < width - 0.2, "%c is wider than it says", c);
        cr_assert(box[2] >= -15.5 && box[3] <= 4.1, "%c is too tall", c);
    }
    for (int c = '1'; c <= '9'; c++)
        cr_assert_eq(mg_font_width((char[]){(char)c, 0}, 10), mg_font_width("0", 10));
    cr_assert_float_eq(mg_font_width("abc", 24), 2 * mg_font_width("abc", 12), 1e-9);
    double box[4] = {1e9, -1e9, 1e9, -1e9};
    strokes = 0;
    mg_font_strokes("\xff\xc3", 10, count_stroke, box); /* not UTF-8, cut off: two boxes */
    cr_assert_eq(strokes, 2);
}

Test(axis, ticks_are_round) {
    double t[MG_AXIS_MAX_TICKS];
    mg_axis a = {.low = 0.23, .high = 0.81, .from = 0, .to = 100};
    mg_axis_round(&a);
    cr_assert_float_eq(a.low, 0.2, 1e-12);
    cr_assert_float_eq(a.high, 0.9, 1e-12);
    int n = mg_axis_ticks(&a, 5, t);
    cr_assert(n >= 4 && n <= 8);
    for (int i = 0; i < n; i++) cr_assert_float_eq(t[i] * 10, round(t[i] * 10), 1e-9);
    mg_axis epochs = {.low = 1, .high = 3, .from = 0, .to = 1, .whole = true};
    n = mg_axis_ticks(&epochs, 6, t);
    cr_assert(n == 3 && t[0] == 1 && t[2] == 3);
    mg_axis rate = {.low = 2e-6, .high = 1e-3, .from = 0, .to = 90, .log = true};
    mg_axis_round(&rate);
    n = mg_axis_ticks(&rate, 5, t);
    cr_assert(n == 4);
    cr_assert_float_eq(mg_axis_place(&rate, 1e-4), 60, 1e-9);
    char label[24];
    mg_axis_label(&rate, 1e-5, 1, label);
    cr_assert_str_eq(label, "1e−5");
    mg_axis_label(&a, 0.30000000000000004, 0.1, label);
    cr_assert_str_eq(label, "0.3");
    mg_axis flat = {.low = 0.5, .high = 0.5};
    mg_axis_round(&flat);
    cr_assert(flat.high > flat.low);
}

Test(plot, svg_and_pixels_of_one_list) {
    mg_plot *p = mg_plot_create(100, 60);
    mg_plot_rect(p, 10, 10, 30, 20, (mg_plot_style){.color = MG_PLOT_FIRST});
    mg_plot_line(p, 0, 50, 100, 50, (mg_plot_style){.color = MG_PLOT_INK, .width = 2, .dash = 4});
    mg_plot_text(p, 50, 30, 12, MG_PLOT_START, MG_PLOT_INK, true, false, "a<b");
    mg_text svg = {0};
    cr_assert_eq(mg_plot_svg(p, "x & y", &svg, NULL), MG_OK);
    cr_assert(strstr(svg.data, "viewBox=\"0 0 100 60\" aria-label=\"x &amp; y\""));
    cr_assert(strstr(svg.data, "<path class=\"f4\" d=\"M10 10L40 10 40 30 10 30Z\"/>"), "%s",
              svg.data);
    cr_assert(strstr(svg.data, "stroke-dasharray=\"4\""));
    cr_assert(strstr(svg.data, ">a&lt;b</text>"));
    mg_text_free(&svg);
    mg_png png;
    cr_assert_eq(mg_plot_image(p, 2, 5, &png, NULL), MG_OK);
    cr_assert(png.width == 220 && png.height == 140);
    const uint8_t *in = (const uint8_t *)png.pixels + 3 * (50 * 220 + 60);
    cr_assert(in[0] == 0x1f && in[1] == 0x5f && in[2] == 0xa8);
    mg_png_free(&png);
    cr_assert_eq(mg_plot_image(p, 1e6, 0, &png, NULL), MG_ERR_ARG);
    mg_plot_destroy(p);
    cr_assert_eq(mg_plot_svg(NULL, "", &svg, NULL), MG_ERR_MEMORY);
}

Test(plot, charts_survive_odd_data) {
    double x[] = {1, 2, 3, 4}, y[] = {NAN, 0.5, INFINITY, 0.5}, zero[] = {0, 0, 0, 0};
    mg_chart chart = {.title = "t", .y_log = true};
    mg_chart_series series[] = {{.name = "one", .count = 4, .x = x, .y = y, .dots = true},
                                {.name = "two", .count = 4, .x = x, .y = zero},
                                {.name = "none", .count = 0}};
    for (int steps = 0; steps < 2; steps++) {
        chart.y_log = !steps;
        series[0].steps = steps;
        mg_plot *p = mg_chart_lines(&chart, series, 3);
        mg_text svg = {0};
        cr_assert_eq(mg_plot_svg(p, "", &svg, NULL), MG_OK);
        cr_assert_null(strstr(svg.data, "nan"));
        cr_assert_null(strstr(svg.data, "inf"));
        mg_text_free(&svg);
        mg_plot_destroy(p);
    }
}
