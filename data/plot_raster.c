#include "data/plot_raster.h"

#include <math.h>
#include <stdlib.h>

#include "data/plot_font.h"

/* Coverage of a rectangle of pixels. A shape is gathered here first and blended once, so that its
 * parts never darken each other where they overlap. */
typedef struct mask {
    int left, top, width, height;
    float *value; /* height × (width + 2): the fill needs two cells beyond the right border */
} mask;

static int clamp_int(double v, int low, int high) {
    return v < low ? low : v > high ? high : (int)v;
}

/* Room for the bounding box of the points, grown by `margin`, cut to the picture. False when
 * nothing of it is visible. */
static bool mask_open(mask *m, mg_raster *raster, const double *xy, size_t points, double margin) {
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (size_t i = 0; i < points; i++) {
        x0 = fmin(x0, xy[2 * i]);
        x1 = fmax(x1, xy[2 * i]);
        y0 = fmin(y0, xy[2 * i + 1]);
        y1 = fmax(y1, xy[2 * i + 1]);
    }
    if (!(x0 <= x1 && y0 <= y1)) return false;
    m->left = clamp_int(floor(x0 - margin), 0, raster->width);
    m->top = clamp_int(floor(y0 - margin), 0, raster->height);
    m->width = clamp_int(ceil(x1 + margin), 0, raster->width) - m->left;
    m->height = clamp_int(ceil(y1 + margin), 0, raster->height) - m->top;
    if (m->width <= 0 || m->height <= 0) return false;
    m->value = calloc((size_t)m->height * (size_t)(m->width + 2), sizeof *m->value);
    if (!m->value) raster->failed = true;
    return m->value != NULL;
}

static float *mask_row(mask *m, int y) {
    return m->value + (size_t)(y - m->top) * (size_t)(m->width + 2);
}

/* Blends the ink through the mask and lets the mask go. */
static void mask_close(mask *m, mg_raster *raster, mg_ink ink) {
    for (int y = m->top; y < m->top + m->height; y++) {
        const float *row = mask_row(m, y);
        uint8_t *pixel = raster->rgb + 3 * ((size_t)y * (size_t)raster->width + (size_t)m->left);
        for (int x = 0; x < m->width; x++, pixel += 3) {
            double a = ink.opacity * (double)row[x];
            if (a <= 0) continue;
            for (int c = 0; c < 3; c++)
                pixel[c] = (uint8_t)(pixel[c] + a * (ink.rgb[c] - pixel[c]) + 0.5);
        }
    }
    free(m->value);
}

/* --- strokes ---------------------------------------------------------------------------------- */

/* Coverage of a pixel by a round-ended line falls linearly over one pixel at its border; a line
 * thinner than a pixel keeps that width and gets fainter instead. */
static void add_segment(mask *m, double x0, double y0, double x1, double y1, double width) {
    double half = fmax(width, 1) / 2, strength = fmin(width, 1), reach = half + 1;
    int top = clamp_int(floor(fmin(y0, y1) - reach), m->top, m->top + m->height);
    int bottom = clamp_int(ceil(fmax(y0, y1) + reach), m->top, m->top + m->height);
    int left = clamp_int(floor(fmin(x0, x1) - reach), m->left, m->left + m->width);
    int right = clamp_int(ceil(fmax(x0, x1) + reach), m->left, m->left + m->width);
    double dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    for (int y = top; y < bottom; y++) {
        float *row = mask_row(m, y);
        for (int x = left; x < right; x++) {
            double px = x + 0.5 - x0, py = y + 0.5 - y0;
            double t = square > 0 ? fmin(1, fmax(0, (px * dx + py * dy) / square)) : 0;
            double distance = hypot(px - t * dx, py - t * dy);
            double c = strength * fmin(1, half + 0.5 - distance);
            if (c > (double)row[x - m->left]) row[x - m->left] = (float)c;
        }
    }
}

/* Cuts the polyline into dashes; the pattern runs on around corners. */
static void add_dashes(mask *m, const double *xy, size_t points, double width, double dash) {
    double at = 0; /* position within dash + gap */
    for (size_t i = 1; i < points; i++) {
        double x0 = xy[2 * i - 2], y0 = xy[2 * i - 1], dx = xy[2 * i] - x0, dy = xy[2 * i + 1] - y0;
        double length = hypot(dx, dy), done = 0;
        while (done < length) {
            bool on = at < dash;
            double step = fmin(length - done, on ? dash - at : 2 * dash - at);
            step = fmax(step, 1e-6 * dash);
            if (on) {
                double a = done / length, b = fmin(1, (done + step) / length);
                add_segment(m, x0 + a * dx, y0 + a * dy, x0 + b * dx, y0 + b * dy, width);
            }
            done += step;
            at += step;
            if (at >= 2 * dash) at = 0;
        }
    }
}

void mg_raster_stroke(mg_raster *raster, const double *xy, size_t points, double width, double dash,
                      mg_ink ink) {
    mask m;
    if (!mask_open(&m, raster, xy, points, width / 2 + 2)) return;
    if (dash > 0) {
        add_dashes(&m, xy, points, width, dash);
    } else if (points == 1) {
        add_segment(&m, xy[0], xy[1], xy[0], xy[1], width);
    } else {
        for (size_t i = 1; i < points; i++)
            add_segment(&m, xy[2 * i - 2], xy[2 * i - 1], xy[2 * i], xy[2 * i + 1], width);
    }
    mask_close(&m, raster, ink);
}

/* --- fills ------------------------------------------------------------------------------------ */

/* Signed area coverage: a piece of edge inside one pixel adds, to that pixel, the area to its right
 * within the pixel, and the rest of its height to the next one; running sums along the row then
 * give the coverage. Left of the mask everything counts in full, right of it nothing. */
static void add_piece(float *row, int width, double xa, double xb, double height) {
    double middle = (xa + xb) / 2;
    int cell = (int)floor(fmin(xa, xb));
    if (middle <= 0) {
        row[0] += (float)height;
    } else if (cell < width) {
        double inside = middle - cell;
        row[cell] += (float)(height * (1 - inside));
        row[cell + 1] += (float)(height * inside);
    }
}

/* One edge, cut at every row and column it crosses; coordinates relative to the mask. */
static void add_edge(mask *m, double x0, double y0, double x1, double y1) {
    double sign = y1 > y0 ? 1 : -1;
    if (y1 < y0) {
        double t = x0;
        x0 = x1;
        x1 = t;
        t = y0;
        y0 = y1;
        y1 = t;
    }
    if (!(y1 > y0) || y1 <= 0 || y0 >= m->height) return;
    double slope = (x1 - x0) / (y1 - y0);
    int first = y0 > 0 ? (int)y0 : 0;
    for (int y = first; y < m->height && y < y1; y++) {
        double top = fmax(y, y0), bottom = fmin(y + 1, y1);
        double xa = x0 + (top - y0) * slope, xb = x0 + (bottom - y0) * slope;
        float *row = mask_row(m, m->top + y);
        double span = fabs(xb - xa), from = xa, step = xb > xa ? 1 : -1;
        double limit = m->width + 1;
        if (span < 1e-12 || fmin(xa, xb) > limit || fmax(xa, xb) < 0) {
            add_piece(row, m->width + 1, xa, xa, sign * (bottom - top));
            continue;
        }
        while (from != xb) {
            double next = step > 0 ? floor(from) + 1 : ceil(from) - 1;
            if (step > 0 ? next > xb : next < xb) next = xb;
            double part = fabs(next - from) / span;
            add_piece(row, m->width + 1, from, next, sign * part * (bottom - top));
            from = next;
        }
    }
}

void mg_raster_fill(mg_raster *raster, const double *xy, size_t points, mg_ink ink) {
    mask m;
    if (points < 3 || !mask_open(&m, raster, xy, points, 1)) return;
    for (size_t i = 0; i < points; i++) {
        size_t j = (i + 1) % points;
        add_edge(&m, xy[2 * i] - m.left, xy[2 * i + 1] - m.top, xy[2 * j] - m.left,
                 xy[2 * j + 1] - m.top);
    }
    for (int y = m.top; y < m.top + m.height; y++) {
        float *row = mask_row(&m, y), sum = 0;
        for (int x = 0; x < m.width; x++) {
            sum += row[x];
            row[x] = fminf(1, fabsf(sum));
        }
    }
    mask_close(&m, raster, ink);
}

void mg_raster_disc(mg_raster *raster, double x, double y, double radius, mg_ink ink) {
    mg_raster_stroke(raster, (double[]){x, y}, 1, 2 * radius, 0, ink);
}

/* --- text ------------------------------------------------------------------------------------- */

typedef struct writing {
    mask *m;
    double x, y, width;
    bool turned;
} writing;

static void write_stroke(void *arg, const double *xy, size_t points) {
    const writing *w = arg;
    double x0 = 0, y0 = 0;
    for (size_t i = 0; i < points; i++) {
        double x = w->x + (w->turned ? xy[2 * i + 1] : xy[2 * i]);
        double y = w->y + (w->turned ? -xy[2 * i] : xy[2 * i + 1]);
        if (i) add_segment(w->m, x0, y0, x, y, w->width);
        x0 = x;
        y0 = y;
    }
}

void mg_raster_text(mg_raster *raster, double x, double y, double size, bool bold, bool turned,
                    mg_ink ink, const char *text) {
    double width = mg_font_width(text, size);
    double far[] = {x, y, turned ? x : x + width, turned ? y - width : y};
    mask m;
    if (!mask_open(&m, raster, far, 2, size)) return;
    writing w = {&m, x, y, mg_font_pen(size, bold), turned};
    mg_font_strokes(text, size, write_stroke, &w);
    mask_close(&m, raster, ink);
}
