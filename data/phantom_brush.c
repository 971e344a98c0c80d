/* phantom_brush.c: thin curves and small discs, added to the image with area-true antialiasing. */
#include "data/phantom_internal.h"

static void put(mg_phantom_renderer *r, int column, int row, float value, bool masked) {
    if (column < 0 || row < 0 || column >= r->columns || row >= r->rows) return;
    size_t at = (size_t)row * (size_t)r->columns + (size_t)column;
    r->image[at] += value * r->thickness[at];
    if (masked && r->breast[at] && value > 0.01f) r->mask[at] = 255;
}

/* A straight piece in pixels. It is walked along its longer axis, from one pixel centre to the next
 * in a half-open interval, so that pieces that meet end to end add nothing twice. */
typedef struct piece {
    float ax, ay, bx, by; /* along, across of both ends (axes swapped when steep) */
    float width[2], strength[2];
    bool steep;
} piece;

static void draw_piece(mg_phantom_renderer *r, const piece *p, bool masked) {
    float low = p->ax < p->bx ? p->ax : p->bx, high = p->ax < p->bx ? p->bx : p->ax;
    float slope = (p->by - p->ay) / (p->bx - p->ax);
    float cosine = 1.0f / sqrtf(1.0f + slope * slope);
    int limit = p->steep ? r->rows : r->columns, first = (int)ceilf(low), last = (int)ceilf(high);
    if (first < 0) first = 0;
    if (last > limit) last = limit;
    for (int i = first; i < last; i++) {
        float t = ((float)i - p->ax) / (p->bx - p->ax);
        float centre = p->ay + slope * ((float)i - p->ax);
        float half = 0.5f * mix(p->width[0], p->width[1], t);
        float strength = mix(p->strength[0], p->strength[1], t);
        float wide = half < 0.9f ? 0.9f : half; /* thinner than a pixel: fainter instead */
        strength *= half / wide;
        float reach = wide / cosine;
        for (int j = (int)ceilf(centre - reach); (float)j <= centre + reach; j++) {
            float a = ((float)j - centre) * cosine / wide, profile = 1.0f - a * a;
            profile *= profile * strength;
            if (p->steep) put(r, j, i, profile, masked);
            else put(r, i, j, profile, masked);
        }
    }
}

/* Through the three given values, by halves. */
static float strength_at(const phantom_stroke *s, float t) {
    return t < 0.5f ? mix(s->strength[0], s->strength[2], 2.0f * t)
                    : mix(s->strength[2], s->strength[1], 2.0f * t - 1.0f);
}

void mg_phantom_stroke(mg_phantom_renderer *r, const phantom_stroke *s, bool masked) {
    enum { PIECES = 10 };
    float scale = 1.0f / r->mm, px = 0, py = 0;
    for (int i = 0; i <= PIECES; i++) {
        float t = (float)i / PIECES, u = 1.0f - t;
        float x = (u * u * s->x[0] + 2.0f * u * t * s->x[1] + t * t * s->x[2]) * scale;
        float y = (u * u * s->y[0] + 2.0f * u * t * s->y[1] + t * t * s->y[2]) * scale;
        if (i > 0) {
            float t0 = (float)(i - 1) / PIECES;
            piece p = {.steep = fabsf(y - py) > fabsf(x - px)};
            p.ax = p.steep ? py : px, p.ay = p.steep ? px : py;
            p.bx = p.steep ? y : x, p.by = p.steep ? x : y;
            p.width[0] = mix(s->width[0], s->width[1], t0) * scale;
            p.width[1] = mix(s->width[0], s->width[1], t) * scale;
            p.strength[0] = strength_at(s, t0);
            p.strength[1] = strength_at(s, t);
            if (fabsf(p.bx - p.ax) > 1e-4f) draw_piece(r, &p, masked);
        }
        px = x;
        py = y;
    }
}

void mg_phantom_speck(mg_phantom_renderer *r, float x, float y, float radius, float strength,
                      bool masked) {
    float scale = 1.0f / r->mm, cx = x * scale, cy = y * scale, pixels = radius * scale;
    float wide = pixels < 1.0f ? 1.0f : pixels;
    strength *= (pixels / wide) * (pixels / wide);
    for (int j = (int)ceilf(cy - wide); (float)j <= cy + wide; j++)
        for (int i = (int)ceilf(cx - wide); (float)i <= cx + wide; i++) {
            float a = ((float)i - cx) / wide, b = ((float)j - cy) / wide;
            float profile = 1.0f - (a * a + b * b);
            if (profile > 0) put(r, i, j, strength * profile, masked);
        }
}
