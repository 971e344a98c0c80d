#include "data/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sampler.h"

mg_augment_settings mg_augment_defaults(void) {
    return (mg_augment_settings){.flip_horizontal = 0.5f,
                                 .flip_vertical = 0.5f,
                                 .rotation = 30,
                                 .translation = 0.1f,
                                 .scale_low = 0.75f,
                                 .scale_high = 1,
                                 .shear = 15};
}

/* --- functions whose bits the C library does not decide -------------------------------------- */

static const double pi = 3.14159265358979323846;

/* Taylor series; |x| <= pi/2 leaves an error below 1e-16. Sums run from the smallest term. */
static double sine(double x) {
    double square = x * x, sum = 0;
    for (int k = 23; k >= 3; k -= 2) sum = (1 + sum) * -square / (double)(k * (k - 1));
    return x * (1 + sum);
}

static double cosine(double x) {
    double square = x * x, sum = 0;
    for (int k = 24; k >= 2; k -= 2) sum = (1 + sum) * -square / (double)(k * (k - 1));
    return 1 + sum;
}

/* e^x for |x| <= 40: 2^n times a series over |r| <= ln2/2. */
static double exponential(double x) {
    double n = floor(x / 0.69314718055994530942 + 0.5);
    double r = x - n * 0.69314718055994530942, sum = 1;
    for (int k = 18; k >= 1; k--) sum = 1 + sum * r / (double)k;
    return ldexp(sum, (int)n);
}

/* ln x for x > 0: exponent plus 2 artanh((m-1)/(m+1)) of the mantissa. */
static double logarithm(double x) {
    int exponent;
    double m = frexp(x, &exponent); /* exact */
    if (m < 0.70710678118654752440) m *= 2, exponent--;
    double t = (m - 1) / (m + 1), square = t * t, sum = 0;
    for (int k = 27; k >= 3; k -= 2) sum = (sum + 1.0 / (double)k) * square;
    return 2 * t * (1 + sum) + (double)exponent * 0.69314718055994530942;
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* Numbers of the stream. Append only: they are part of every training run. */
enum {
    DRAW_FLIP_H,
    DRAW_FLIP_V,
    DRAW_ROTATION,
    DRAW_TRANSLATE_X,
    DRAW_TRANSLATE_Y,
    DRAW_SCALE,
    DRAW_SHEAR,
    DRAW_CONTRAST,
    DRAW_BRIGHTNESS,
    DRAW_GAMMA,
};

static double between(const mg_rng_key *key, uint32_t i, double low, double high) {
    return low + (high - low) * (double)mg_rng_uniform(key, i);
}

static double around_zero(const mg_rng_key *key, uint32_t i, double range) {
    return between(key, i, -range, range);
}

void mg_augment_sample(const mg_augment_settings *s, uint64_t seed, uint32_t epoch, uint32_t sample,
                       uint32_t height, uint32_t width, mg_augment_draw *out) {
    mg_rng_key key = {seed, MG_RNG_AUGMENT, epoch, sample};
    *out = (mg_augment_draw){0};
    if (mg_rng_uniform(&key, DRAW_FLIP_H) < s->flip_horizontal) out->flip |= MG_FLIP_HORIZONTAL;
    if (mg_rng_uniform(&key, DRAW_FLIP_V) < s->flip_vertical) out->flip |= MG_FLIP_VERTICAL;
    out->rotation = around_zero(&key, DRAW_ROTATION, s->rotation);
    double dx = around_zero(&key, DRAW_TRANSLATE_X, (double)s->translation * width);
    double dy = around_zero(&key, DRAW_TRANSLATE_Y, (double)s->translation * height);
    out->translate_x = (int)floor(dx + 0.5);
    out->translate_y = (int)floor(dy + 0.5);
    out->scale = between(&key, DRAW_SCALE, s->scale_low, s->scale_high);
    if (!(out->scale > 0)) out->scale = 1;
    out->shear_x = around_zero(&key, DRAW_SHEAR, s->shear);
    out->contrast = 1 + around_zero(&key, DRAW_CONTRAST, s->contrast);
    if (out->contrast < 0) out->contrast = 0;
    out->brightness = around_zero(&key, DRAW_BRIGHTNESS, s->brightness);
    out->gamma = s->gamma > 0 ? exponential(around_zero(&key, DRAW_GAMMA, s->gamma)) : 1;
}

/* --- geometry --------------------------------------------------------------------------------- */

/* The inverse of T(centre) T(translate) R(rotation) Shear(x) Shear(y) Scale T(-centre), written out
 * as torchvision documents it for RandomAffine, about the centre. */
void mg_augment_matrix(const mg_augment_draw *draw, double m[6]) {
    double rotation = draw->rotation * pi / 180;
    double sx = draw->shear_x * pi / 180, sy = draw->shear_y * pi / 180;
    double cos_sy = cosine(sy), tan_sx = sine(sx) / cosine(sx);
    double cos_difference = cosine(rotation - sy), sin_difference = sine(rotation - sy);
    double a = cos_difference / cos_sy;
    double b = -cos_difference * tan_sx / cos_sy - sine(rotation);
    double c = sin_difference / cos_sy;
    double d = -sin_difference * tan_sx / cos_sy + cosine(rotation);
    double scale = draw->scale;
    m[0] = d / scale;
    m[1] = -b / scale;
    m[3] = -c / scale;
    m[4] = a / scale;
    m[2] = -(m[0] * draw->translate_x + m[1] * draw->translate_y);
    m[5] = -(m[3] * draw->translate_x + m[4] * draw->translate_y);
}

/* The map from output to source indices, flips included: source = (ax x + bx y + cx, …). */
typedef struct map {
    double ax, bx, cx, ay, by, cy;
} map;

static map index_map(const mg_augment_draw *draw, uint32_t height, uint32_t width) {
    double m[6], mx = 0.5 * ((double)width - 1), my = 0.5 * ((double)height - 1);
    mg_augment_matrix(draw, m);
    map t = {m[0], m[1], m[2] + mx - m[0] * mx - m[1] * my,
             m[3], m[4], m[5] + my - m[3] * mx - m[4] * my};
    if (draw->flip & MG_FLIP_HORIZONTAL) t.ax = -t.ax, t.bx = -t.bx, t.cx = 2 * mx - t.cx;
    if (draw->flip & MG_FLIP_VERTICAL) t.ay = -t.ay, t.by = -t.by, t.cy = 2 * my - t.cy;
    return t;
}

void mg_augment_index_map(const mg_augment_draw *draw, uint32_t height, uint32_t width,
                          double out[6]) {
    map t = index_map(draw, height, width);
    out[0] = t.ax, out[1] = t.bx, out[2] = t.cx;
    out[3] = t.ay, out[4] = t.by, out[5] = t.cy;
}

/* --- intensity -------------------------------------------------------------------------------- */

static double gamma_of(const mg_augment_draw *draw, double v) {
    if (draw->gamma == 1 || v <= 0) return v;
    double e = logarithm(v) * draw->gamma;
    return e < -40 ? 0 : exponential(e);
}

/* Grey level to output for all 65,536 levels: gamma, contrast about the mean, brightness. */
static void make_table(const mg_augment_draw *draw, const uint16_t *in, size_t n, float *table) {
    for (uint32_t i = 0; i < 65536; i++) table[i] = (float)i / 65535.0f;
    if (draw->contrast == 1 && draw->brightness == 0 && draw->gamma == 1) return;
    for (uint32_t i = 0; i < 65536; i++) table[i] = (float)gamma_of(draw, (double)i / 65535.0);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)table[in[i]];
    double mean = sum / (double)n;
    for (uint32_t i = 0; i < 65536; i++) {
        double v = ((double)table[i] - mean) * draw->contrast + mean + draw->brightness;
        table[i] = (float)(v < 0 ? 0 : v > 1 ? 1 : v);
    }
}

/* --- resampling ------------------------------------------------------------------------------- */

/* One pixel whose four neighbours may lie outside, where everything is 0. */
static float border_pixel(const uint16_t *in, const float *table, int64_t h, int64_t w, int64_t x,
                          int64_t y, float fx, float fy) {
    float v[4] = {0, 0, 0, 0};
    for (int k = 0; k < 4; k++) {
        int64_t px = x + (k & 1), py = y + (k >> 1);
        if (px >= 0 && px < w && py >= 0 && py < h) v[k] = table[in[py * w + px]];
    }
    float top = v[0] + fx * (v[1] - v[0]), bottom = v[2] + fx * (v[3] - v[2]);
    return top + fy * (bottom - top);
}

static void resample(const map *t, const uint16_t *in, const float *table, uint32_t height,
                     uint32_t width, float *out) {
    int64_t h = height, w = width;
    for (int64_t y = 0; y < h; y++) {
        double row_x = t->bx * (double)y + t->cx, row_y = t->by * (double)y + t->cy;
        for (int64_t x = 0; x < w; x++) {
            double sx = t->ax * (double)x + row_x, sy = t->ay * (double)x + row_y;
            float *to = &out[y * w + x];
            *to = 0;
            if (!(sx > -1 && sx < (double)w && sy > -1 && sy < (double)h)) continue;
            int64_t ix = (int64_t)(sx + 1) - 1, iy = (int64_t)(sy + 1) - 1; /* floor */
            float fx = (float)(sx - (double)ix), fy = (float)(sy - (double)iy);
            if (ix < 0 || iy < 0 || ix + 1 >= w || iy + 1 >= h) {
                *to = border_pixel(in, table, h, w, ix, iy, fx, fy);
                continue;
            }
            const uint16_t *p = in + iy * w + ix;
            float a = table[p[0]], b = table[p[1]], c = table[p[w]], d = table[p[w + 1]];
            float top = a + fx * (b - a), bottom = c + fx * (d - c);
            *to = top + fy * (bottom - top);
        }
    }
}

void mg_augment_apply(const mg_augment_draw *draw, const uint16_t *in, uint32_t height,
                      uint32_t width, float *out) {
    static _Thread_local float table[65536];
    size_t n = (size_t)height * width;
    make_table(draw, in, n, table);
    map t = index_map(draw, height, width);
    resample(&t, in, table, height, width, out);
}
