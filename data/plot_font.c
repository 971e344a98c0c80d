#include "data/plot_font.h"

#include <stdlib.h>

/* Outline language: "M x y" moves the pen, "L x y" draws a line, "C x y x y x y" a cubic curve,
 * "h x y" a quarter of an ellipse that leaves horizontally, "v x y" one that leaves vertically. */
typedef struct glyph {
    unsigned character;
    double width;
    const char *outline;
} glyph;

static const glyph glyphs[] = {
    {' ', 3, ""},
    {'!', 0, "M0 14 L0 4.4 M-0.35 0.35 L0 0.7 L0.35 0.35 L0 0 L-0.35 0.35"},
    {'"', 3.2, "M0 14 L0 10 M3.2 14 L3.2 10"},
    {'#', 9.6, "M3.4 14 L1.6 0 M8 14 L6.2 0 M0.6 9.4 L9.6 9.4 M0 4.6 L9 4.6"},
    {'$', 8.4, "M8 11 v4.2 12.8 h0.4 9.9 v4.2 7 h8.4 3.8 v4.2 1.2 h0 3.2 M4.2 15.2 L4.2 -1.2"},
    {'%', 13,
     "M0 10.8 v2.7 14 h5.4 10.8 v2.7 7.6 h0 10.8 M7.6 3.2 v10.3 6.4 h13 3.2 v10.3 0 "
     "h7.6 3.2 M11 14 L2 0"},
    {'&', 10.6,
     "M10.4 0 L2.6 9.4 C1.2 11.2 2 14 4.6 14 h7.2 11.4 C7.2 9 0 8 0 3.8 v4 0 "
     "h9.6 6.6"},
    {'\'', 0, "M0 14 L0 10"},
    {'(', 3.6, "M3.6 15.4 C1.2 12.4 0 9.4 0 6 C0 2.6 1.2 -0.4 3.6 -3.4"},
    {')', 3.6, "M0 15.4 C2.4 12.4 3.6 9.4 3.6 6 C3.6 2.6 2.4 -0.4 0 -3.4"},
    {'*', 6, "M3 14 L3 7.6 M0.2 12.4 L5.8 9.2 M0.2 9.2 L5.8 12.4"},
    {'+', 8.4, "M4.2 10.6 L4.2 2.2 M0 6.4 L8.4 6.4"},
    {',', 0.8, "M0.8 0.3 L0 -2.6"},
    {'-', 4.6, "M0 5.6 L4.6 5.6"},
    {'.', 0, "M-0.35 0.35 L0 0.7 L0.35 0.35 L0 0 L-0.35 0.35"},
    {'/', 6, "M6 15 L0 -2"},
    {'0', 8.4, "M0 7 v4.2 14 h8.4 7 v4.2 0 h0 7"},
    {'1', 8.4, "M1.4 11.2 L5 14 L5 0"},
    {'2', 8.4, "M0.3 10.2 v4.2 14 h8 10.2 C8 7 3 4.4 0 0 L8.4 0"},
    {'3', 8.4, "M0.4 11 v4.1 14 h7.9 10.7 v4.2 7.4 L3 7.4 M4.2 7.4 h8.4 3.7 v4.1 0 h0 3"},
    {'4', 8.4, "M6.2 0 L6.2 14 L0 4 L8.4 4"},
    {'5', 8.4, "M7.6 14 L1.2 14 L0.6 7.4 C1.6 8.6 3 9 4.2 9 h8.4 4.6 v4.2 0 h0 2.6"},
    {'6', 8.4, "M6.8 14 C3 11.6 0 8 0 4.5 v4.2 0 h8.4 4.5 v4.3 8.8 h0.1 5.2"},
    {'7', 8.4, "M0 14 L8.4 14 L3 0"},
    {'8', 8.4, "M4.2 7.4 h0.5 10.7 v4.2 14 h7.9 10.7 v4.2 7.4 h0 3.7 v4.2 0 h8.4 3.7 v4.2 7.4"},
    {'9', 8.4, "M1.6 0 C5.4 2.4 8.4 6 8.4 9.5 v4.2 14 h0 9.5 v4.1 5.2 h8.3 8.8"},
    {':', 0,
     "M-0.35 0.35 L0 0.7 L0.35 0.35 L0 0 L-0.35 0.35 M-0.35 8.3 L0 8.65 L0.35 8.3 L0 7.95 L-0.35 "
     "8.3"},
    {';', 0.8, "M0.8 0.3 L0 -2.6 M0.45 8.3 L0.8 8.65 L1.15 8.3 L0.8 7.95 L0.45 8.3"},
    {'<', 8, "M8 11 L0 6.4 L8 1.8"},
    {'=', 8.4, "M0 8.6 L8.4 8.6 M0 4.2 L8.4 4.2"},
    {'>', 8, "M0 11 L8 6.4 L0 1.8"},
    {'?', 7.4,
     "M0 10.8 v3.7 14 h7.4 10.6 C7.4 7.8 3.6 7.6 3.6 4.2 M3.25 0.35 L3.6 0.7 L3.95 0.35 L3.6 0 "
     "L3.25 0.35"},
    {'@', 14,
     "M10 5 v6.8 8.4 h3.6 5 v6.8 1.6 h10 5 L10 8.4 M10 4.2 v12 1.6 h14 6 v7 13 h0 6 "
     "v7.2 -2.4 h11 -1.4"},
    {'A', 11, "M0 0 L5.5 14 L11 0 M1.9 4.8 L9.1 4.8"},
    {'B', 9.4, "M0 7.4 L5 7.4 M0 0 L0 14 L5 14 h8.7 10.7 v5 7.4 h9.4 3.7 v5 0 L0 0"},
    {'C', 10.6, "M10.5 10.4 v5.8 14 h0 7 v5.8 0 h10.5 3.6"},
    {'D', 10.2, "M0 0 L0 14 L4 14 h10.2 7 v4 0 L0 0"},
    {'E', 8, "M8 14 L0 14 L0 0 L8 0 M0 7.3 L7 7.3"},
    {'F', 8, "M8 14 L0 14 L0 0 M0 7.1 L7 7.1"},
    {'G', 11, "M10.6 10.6 v5.8 14 h0 7 v5.8 0 h11 5 L11 6.6 L6.4 6.6"},
    {'H', 10, "M0 0 L0 14 M10 0 L10 14 M0 7.3 L10 7.3"},
    {'I', 0, "M0 0 L0 14"},
    {'J', 6.4, "M6.4 14 L6.4 4 v3.1 0 h0 3.4"},
    {'K', 9.4, "M0 0 L0 14 M9 14 L0 5.2 M3.5 8.6 L9.4 0"},
    {'L', 7.4, "M0 14 L0 0 L7.4 0"},
    {'M', 12, "M0 0 L0 14 L6 4 L12 14 L12 0"},
    {'N', 10, "M0 0 L0 14 L10 0 L10 14"},
    {'O', 11.8, "M0 7 v5.9 14 h11.8 7 v5.9 0 h0 7"},
    {'P', 9, "M0 0 L0 14 L4.8 14 h9 10.2 v4.8 6.4 L0 6.4"},
    {'Q', 11.8, "M0 7 v5.9 14 h11.8 7 v5.9 0 h0 7 M7.2 3.6 L11.6 -1"},
    {'R', 9.4, "M0 0 L0 14 L4.8 14 h9 10.2 v4.8 6.4 L0 6.4 M4.8 6.4 L9.4 0"},
    {'S', 9, "M8.5 10.9 v4.5 14 h0.5 10.6 v4.6 7.3 h9 3.6 v4.5 0 h0 3.2"},
    {'T', 10, "M0 14 L10 14 M5 14 L5 0"},
    {'U', 10, "M0 14 L0 5 v5 0 h10 5 L10 14"},
    {'V', 10.6, "M0 14 L5.3 0 L10.6 14"},
    {'W', 15, "M0 14 L3.6 0 L7.5 13 L11.4 0 L15 14"},
    {'X', 9.6, "M0 14 L9.6 0 M9.6 14 L0 0"},
    {'Y', 10, "M0 14 L5 6.8 L10 14 M5 6.8 L5 0"},
    {'Z', 9, "M0 14 L9 14 L0 0 L9 0"},
    {'[', 3, "M3 15.4 L0 15.4 L0 -3.4 L3 -3.4"},
    {'\\', 6, "M0 15 L6 -2"},
    {']', 3, "M0 15.4 L3 15.4 L3 -3.4 L0 -3.4"},
    {'^', 7, "M0 9 L3.5 14 L7 9"},
    {'_', 8.4, "M0 -2 L8.4 -2"},
    {'`', 2, "M0 14 L2 11.6"},
    {'a', 7.4, "M0.6 7.9 v3.9 10 h7.4 6.6 L7.4 0 M7.4 5.8 L3.6 5.8 h0 2.9 v3.3 0 h7.4 3.2"},
    {'b', 8, "M0 14 L0 0 M0 5 v4.1 10 h8 5 v4.1 0 h0 5"},
    {'c', 7.4, "M7.3 7.5 v4.1 10 h0 5 v4.1 0 h7.3 2.5"},
    {'d', 8, "M8 14 L8 0 M8 5 v3.9 10 h0 5 v3.9 0 h8 5"},
    {'e', 8, "M0 5.3 L8 5.3 v4.1 10 h0 5 v4.2 0 h7.7 2.3"},
    {'f', 5, "M5 14 L4.6 14 h1.7 11.2 L1.7 0 M0 9.6 L4.8 9.6"},
    {'g', 8, "M8 10 L8 0 v4 -4 h0.5 -1.8 M8 5 v3.9 10 h0 5 v3.9 0 h8 5"},
    {'h', 7.4, "M0 14 L0 0 M0 5.8 v4 10 h7.4 6 L7.4 0"},
    {'i', 0, "M0 10 L0 0 M-0.35 13.6 L0 13.95 L0.35 13.6 L0 13.25 L-0.35 13.6"},
    {'j', 2, "M2 10 L2 -1.4 v-0.4 -4 M1.65 13.6 L2 13.95 L2.35 13.6 L2 13.25 L1.65 13.6"},
    {'k', 7, "M0 14 L0 0 M6.6 10 L0 3.8 M2.6 6.3 L7 0"},
    {'l', 2, "M0 14 L0 2.2 v2 0"},
    {'m', 12.4, "M0 10 L0 0 M0 6 v3.4 10 h6.2 6.6 L6.2 0 M6.2 6 v9.6 10 h12.4 6.6 L12.4 0"},
    {'n', 7.4, "M0 10 L0 0 M0 5.8 v4 10 h7.4 6 L7.4 0"},
    {'o', 8.2, "M0 5 v4.1 10 h8.2 5 v4.1 0 h0 5"},
    {'p', 8, "M0 10 L0 -4 M0 5 v4.1 10 h8 5 v4.1 0 h0 5"},
    {'q', 8, "M8 10 L8 -4 M8 5 v3.9 10 h0 5 v3.9 0 h8 5"},
    {'r', 4.4, "M0 10 L0 0 M0 5.6 v3.4 10 L4.4 9.9"},
    {'s', 6.8, "M6.4 7.8 v3.4 10 h0.4 7.6 v3.5 5.2 h6.8 2.6 v3.4 0 h0 2.2"},
    {'t', 5, "M1.7 13 L1.7 3 v4.4 0 L5 0.1 M0 9.8 L4.8 9.8"},
    {'u', 7.4, "M0 10 L0 4 v3.4 0 h7.4 4.4 M7.4 10 L7.4 0"},
    {'v', 8, "M0 10 L4 0 L8 10"},
    {'w', 11.6, "M0 10 L2.8 0 L5.8 9.4 L8.8 0 L11.6 10"},
    {'x', 7.4, "M0 10 L7.4 0 M7.4 10 L0 0"},
    {'y', 8.2, "M0 10 L4.1 0 M8.2 10 L2.46 -4"},
    {'z', 7, "M0 10 L7 10 L0 0 L7 0"},
    {'{', 4.4, "M4.4 15.4 v2 13 L2 8.4 v0 6 h2 3.6 L2 -1 h4.4 -3.4"},
    {'|', 0, "M0 15.4 L0 -3.4"},
    {'}', 4.4, "M0 15.4 v2.4 13 L2.4 8.4 v4.4 6 h2.4 3.6 L2.4 -1 h0 -3.4"},
    {'~', 8.4, "M0 5.6 C1 7.6 3 7.6 4.2 6.4 C5.4 5.2 7.4 5.2 8.4 7.2"},
    {0xb0, 4.4, "M0 11.8 v2.2 14 h4.4 11.8 v2.2 9.6 h0 11.8"},
    {0xb1, 8.4, "M4.2 12 L4.2 3.6 M0 7.8 L8.4 7.8 M0 0.4 L8.4 0.4"},
    {0xb7, 0, "M-0.35 6.3 L0 6.65 L0.35 6.3 L0 5.95 L-0.35 6.3"},
    {0xd7, 7, "M0 9.9 L7 2.9 M7 9.9 L0 2.9"},
    {0x2013, 8, "M0 5.6 L8 5.6"},
    {0x2014, 14, "M0 5.6 L14 5.6"},
    {0x2022, 2, "M0.65 6.6 L1 6.95 L1.35 6.6 L1 6.25 L0.65 6.6 M0.6 6.6 L1.4 6.6"},
    {0x2026, 9,
     "M-0.35 0.35 L0 0.7 L0.35 0.35 L0 0 L-0.35 0.35 M4.15 0.35 L4.5 0.7 L4.85 0.35 L4.5 0 L4.15 "
     "0.35 M8.65 0.35 L9 0.7 L9.35 0.35 L9 0 L8.65 0.35"},
    {0x2192, 11, "M0 6.4 L11 6.4 M7 10 L11 6.4 L7 2.8"},
    {0x2212, 8.4, "M0 6.4 L8.4 6.4"},
    {0x2264, 8, "M8 12.4 L0 8.2 L8 4 M0 0.6 L8 0.6"},
    {0x2265, 8, "M0 12.4 L8 8.2 L0 4 M0 0.6 L8 0.6"},
};
static const glyph unknown = {0, 7, "M0 0 L0 11 L7 11 L7 0 L0 0"};

static const double unit = 0.72 / 14; /* of the point size */
static const double gap = 3.7;        /* between glyphs, half of it on either side */

unsigned mg_font_character(const char *text, size_t *bytes) {
    const unsigned char *s = (const unsigned char *)text;
    *bytes = 1;
    if (s[0] < 0x80) return s[0];
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 1;
    unsigned code = n > 1 ? s[0] & (0x7fu >> n) : 0xfffd;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0xfffd;
        code = code << 6 | (s[i] & 0x3f);
    }
    *bytes = n;
    return code;
}

static const glyph *find_glyph(unsigned character) {
    for (size_t i = 0; i < sizeof glyphs / sizeof *glyphs; i++)
        if (glyphs[i].character == character) return &glyphs[i];
    return &unknown;
}

double mg_font_width(const char *text, double size) {
    double width = 0;
    for (size_t n; *text; text += n) width += find_glyph(mg_font_character(text, &n))->width + gap;
    return width * unit * size;
}

double mg_font_pen(double size, bool bold) { return (bold ? 2.5 : 1.55) * unit * size; }

enum { CURVE_STEPS = 10, MAX_POINTS = 128 };

typedef struct pen {
    double left, size; /* origin of the glyph, scale */
    double x, y;       /* where the pen is, font units */
    double xy[2 * MAX_POINTS];
    size_t points;
    void (*stroke)(void *arg, const double *xy, size_t points);
    void *arg;
} pen;

static void pen_to(pen *p, double x, double y) {
    if (p->points < MAX_POINTS) {
        p->xy[2 * p->points] = (p->left + x) * unit * p->size;
        p->xy[2 * p->points + 1] = -y * unit * p->size;
        p->points++;
    }
    p->x = x;
    p->y = y;
}

static void pen_up(pen *p) {
    if (p->points) p->stroke(p->arg, p->xy, p->points);
    p->points = 0;
}

static void pen_curve(pen *p, const double c[6]) {
    double x = p->x, y = p->y;
    for (int i = 1; i <= CURVE_STEPS; i++) {
        double t = (double)i / CURVE_STEPS, s = 1 - t;
        double a = s * s * s, b = 3 * s * s * t, d = 3 * s * t * t, e = t * t * t;
        pen_to(p, a * x + b * c[0] + d * c[2] + e * c[4], a * y + b * c[1] + d * c[3] + e * c[5]);
    }
}

/* A quarter of an ellipse, slightly squared (0.5523 would be round): plainer at small sizes. */
static void pen_quarter(pen *p, bool horizontal, double x, double y) {
    const double k = 0.58;
    double dx = x - p->x, dy = y - p->y;
    if (horizontal) pen_curve(p, (double[]){p->x + k * dx, p->y, x, y - k * dy, x, y});
    else pen_curve(p, (double[]){p->x, p->y + k * dy, x - k * dx, y, x, y});
}

static void draw_glyph(pen *p, const char *outline) {
    while (*outline) {
        char command = *outline++;
        if (command == ' ') continue;
        double v[6];
        int count = command == 'C' ? 6 : 2;
        for (int i = 0; i < count; i++) {
            char *end;
            v[i] = strtod(outline, &end);
            outline = end;
        }
        switch (command) {
        case 'M':
            pen_up(p);
            pen_to(p, v[0], v[1]);
            break;
        case 'L': pen_to(p, v[0], v[1]); break;
        case 'C': pen_curve(p, v); break;
        default: pen_quarter(p, command == 'h', v[0], v[1]);
        }
    }
    pen_up(p);
}

void mg_font_strokes(const char *text, double size,
                     void (*stroke)(void *arg, const double *xy, size_t points), void *arg) {
    pen p = {.left = gap / 2, .size = size, .stroke = stroke, .arg = arg};
    for (size_t n; *text; text += n) {
        const glyph *g = find_glyph(mg_font_character(text, &n));
        draw_glyph(&p, g->outline);
        p.left += g->width + gap;
    }
}
