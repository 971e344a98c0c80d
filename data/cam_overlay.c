#include "data/cam_overlay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cam_caption.h"
#include "data/cam_resample.h"
#include "data/colormap.h"

double mg_cam_threshold(const mg_cam *cam) {
    int n = cam->height * cam->width;
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++) mean += (double)cam->value[i] / n;
    for (int i = 0; i < n; i++) {
        double d = (double)cam->value[i] - mean;
        square += d * d / n;
    }
    return mean + sqrt(square);
}

/* --- grids ------------------------------------------------------------------------------------ */

/* The picture's size and the three fields it is painted from. */
typedef struct canvas {
    int height, width;
    float *grey;   /* 0 … 1 */
    float *map;    /* NaN where cropped away */
    float *lesion; /* share of mask pixels; NULL without a mask */
} canvas;

typedef struct source {
    const float *grey; /* one of the two */
    const uint8_t *mask;
    int rows, columns;
} source;

static double source_value(const source *s, int row, int column) {
    size_t i = (size_t)row * (size_t)s->columns + (size_t)column;
    if (s->mask) return s->mask[i] != 0;
    return fmin(1, fmax(0, (double)s->grey[i])); /* fmax drops NaN */
}

/* Mean over the part of the source that a target pixel covers, borders weighted by area. */
static double area_mean(const source *s, double top, double bottom, double left, double right) {
    double sum = 0, area = 0;
    for (int y = (int)top; y < s->rows && y < bottom; y++) {
        double tall = fmin(y + 1, bottom) - fmax(y, top);
        for (int x = (int)left; x < s->columns && x < right; x++) {
            double part = tall * (fmin(x + 1, right) - fmax(x, left));
            sum += part * source_value(s, y, x);
            area += part;
        }
    }
    return area > 0 ? sum / area : 0;
}

static void shrink(const source *s, int height, int width, float *out) {
    if (height == s->rows && width == s->columns) {
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) *out++ = (float)source_value(s, y, x);
        return;
    }
    double tall = (double)s->rows / height, wide = (double)s->columns / width;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            *out++ = (float)area_mean(s, y * tall, (y + 1) * tall, x * wide, (x + 1) * wide);
}

/* How far, in pixels, a point is from the contour field = level, to first order; signed. */
static double contour_distance(const float *field, int height, int width, int y, int x,
                               double level) {
    const float *f = field + (size_t)y * (size_t)width + (size_t)x;
    int left = x > 0, right = x + 1 < width, up = y > 0, down = y + 1 < height;
    double dx = right + left ? ((double)f[right] - (double)f[-left]) / (right + left) : 0;
    double dy = up + down ? ((double)f[down * width] - (double)f[-up * width]) / (up + down) : 0;
    double slope = hypot(dx, dy);
    if (!(slope > 0)) return (double)*f > level ? 1e9 : -1e9; /* flat, or next to the crop */
    return ((double)*f - level) / slope;
}

/* The field's largest step from one pixel to the next: what is further than that from the level, a
 * few times over, is nowhere near the contour. */
static double largest_step(const float *field, int height, int width) {
    float most = 0;
    for (int y = 0; y < height; y++) {
        const float *row = field + (size_t)y * (size_t)width;
        for (int x = 0; x < width; x++) { /* comparisons with NaN are false */
            float across = x ? fabsf(row[x] - row[x - 1]) : 0;
            float down = y ? fabsf(row[x] - row[x - width]) : 0;
            if (across > most) most = across;
            if (down > most) most = down;
        }
    }
    return (double)most;
}

/* Two passes of a 3 × 3 mean, so that the border of a binary mask has a slope to measure. */
static void soften(float *field, float *room, int height, int width) {
    for (int pass = 0; pass < 2; pass++) {
        memcpy(room, field, (size_t)height * (size_t)width * sizeof *room);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                float sum = 0;
                int n = 0;
                for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < height; v++)
                    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < width; u++, n++)
                        sum += room[(size_t)v * (size_t)width + (size_t)u];
                field[(size_t)y * (size_t)width + (size_t)x] = sum / (float)n;
            }
        }
    }
}

static void canvas_free(canvas *c) {
    free(c->grey);
    free(c->map);
    free(c->lesion);
}

static mg_status canvas_fill(canvas *c, const float *grey, int rows, int columns, const mg_cam *cam,
                             const mg_cam_overlay_options *o, mg_error *err) {
    size_t n = (size_t)c->height * (size_t)c->width;
    c->grey = malloc(n * sizeof *c->grey);
    c->map = malloc(n * sizeof *c->map);
    c->lesion = o->mask ? malloc(n * sizeof *c->lesion) : NULL;
    if (!c->grey || !c->map || (o->mask && !c->lesion))
        return mg_fail(err, MG_ERR_MEMORY, "no memory for a picture of %d x %d", c->height,
                       c->width);
    if (o->mask) {
        shrink(&(source){.mask = o->mask, .rows = rows, .columns = columns}, c->height, c->width,
               c->lesion);
        soften(c->lesion, c->grey, c->height, c->width);
    }
    shrink(&(source){.grey = grey, .rows = rows, .columns = columns}, c->height, c->width, c->grey);
    return mg_cam_sample(cam, rows, columns, c->height, c->width, NAN, c->map, err);
}

/* --- painting --------------------------------------------------------------------------------- */

typedef struct paint {
    double threshold, top, alpha;
    double ring;  /* strength of the border: faint where the whole map is */
    double line;  /* width of outlines, pixels */
    double reach; /* map values further than this from the threshold are off the outline */
    bool outline;
    const uint8_t (*colors)[3];
} paint;

static void mix(double rgb[3], const uint8_t color[3], double part) {
    for (int k = 0; k < 3; k++) rgb[k] += part * (color[k] - rgb[k]);
}

static double line_coverage(double distance, double width) {
    return fmin(1, fmax(0, width / 2 + 0.5 - fabs(distance)));
}

static void paint_pixel(const canvas *c, const paint *p, int y, int x, uint8_t out[3]) {
    static const uint8_t white[3] = {255, 255, 255};
    size_t i = (size_t)y * (size_t)c->width + (size_t)x;
    double grey = 255 * (double)c->grey[i], rgb[3] = {grey, grey, grey}, v = (double)c->map[i];
    if (isfinite(v) && p->top > p->threshold) {
        double distance = v > p->threshold ? 1e9 : -1e9;
        if (fabs(v - p->threshold) < p->reach)
            distance = contour_distance(c->map, c->height, c->width, y, x, p->threshold);
        double inside = fmin(1, fmax(0, distance + 0.5));
        double level = fmin(1, fmax(0, (v - p->threshold) / (p->top - p->threshold)));
        const uint8_t *color =
            p->colors[(int)(MG_CAM_FIRST_COLOR + level * (255 - MG_CAM_FIRST_COLOR))];
        mix(rgb, color, inside * p->alpha * (0.3 + 0.7 * level));
        if (p->outline) mix(rgb, p->colors[215], p->ring * line_coverage(distance, p->line));
    }
    if (c->lesion && c->lesion[i] > 0 && c->lesion[i] < 1) {
        double distance = contour_distance(c->lesion, c->height, c->width, y, x, 0.5);
        mix(rgb, white, 0.9 * line_coverage(distance, p->line));
    }
    for (int k = 0; k < 3; k++) out[k] = (uint8_t)(rgb[k] + 0.5);
}

static double highest(const mg_cam *cam) {
    double top = -INFINITY;
    for (int i = 0; i < cam->height * cam->width; i++) top = fmax(top, (double)cam->value[i]);
    return top;
}

static mg_status check(int rows, int columns, const mg_cam *cam, mg_error *err) {
    if (rows < 1 || columns < 1 || rows > 32768 || columns > 32768)
        return mg_fail(err, MG_ERR_ARG, "cannot draw an overlay of %d x %d pixels", rows, columns);
    for (int i = 0; i < cam->height * cam->width; i++)
        if (!isfinite(cam->value[i]))
            return mg_fail(err, MG_ERR_NUMERIC, "cell %d of the activation map is not a number", i);
    return MG_OK;
}

mg_status mg_cam_overlay(const float *grey, int rows, int columns, const mg_cam *cam,
                         const mg_cam_overlay_options *options, mg_png *out, mg_error *err) {
    *out = (mg_png){0};
    mg_status status = check(rows, columns, cam, err);
    if (status) return status;
    int longest = rows > columns ? rows : columns;
    double scale = options->max_side > 0 && options->max_side < longest
                       ? (double)options->max_side / longest
                       : 1;
    canvas c = {.height = (int)fmax(1, round(rows * scale)),
                .width = (int)fmax(1, round(columns * scale))};
    int caption = options->no_caption ? 0 : mg_cam_caption_height(c.width);
    paint p = {.threshold = mg_cam_threshold(cam),
               .top = options->range_high > 0 ? options->range_high : highest(cam),
               .alpha = options->alpha > 0 ? options->alpha : 0.55,
               .line = fmax(1.2, fmin(c.height, c.width) / 330.0),
               .outline = !options->no_outline,
               .colors = mg_colormap_ember()};
    double strength = (highest(cam) - p.threshold) / (p.top - p.threshold);
    p.ring = 0.3 + 0.6 * fmin(1, fmax(0, strength));
    uint8_t *rgb = malloc(3 * (size_t)c.width * (size_t)(c.height + caption));
    status = rgb ? canvas_fill(&c, grey, rows, columns, cam, options, err)
                 : mg_fail(err, MG_ERR_MEMORY, "no memory for an overlay");
    if (!status) {
        p.reach = 1.5 * (p.line / 2 + 1) * largest_step(c.map, c.height, c.width);
        for (int y = 0; y < c.height; y++)
            for (int x = 0; x < c.width; x++)
                paint_pixel(&c, &p, y, x, rgb + 3 * ((size_t)y * (size_t)c.width + (size_t)x));
        *out = (mg_png){.width = (uint32_t)c.width,
                        .height = (uint32_t)(c.height + caption),
                        .channels = 3,
                        .bits = 8,
                        .pixels = rgb};
        if (caption) status = mg_cam_caption(out, c.height, p.threshold, p.top, options, err);
    }
    canvas_free(&c);
    if (status) {
        free(rgb);
        *out = (mg_png){0};
    }
    return status;
}
