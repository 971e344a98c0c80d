/* phantom_detector.c: from the ideal image to stored pixel values: exposure, noise, processing,
 * markers, orientation, quantisation. */
#include "data/phantom_internal.h"

#include <stdlib.h>

/* 5 x 7 letters, a byte a row, bit 4 leftmost. */
static const struct glyph {
    char letter;
    uint8_t row[7];
} glyphs[] = {
    {'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}},
    {'R', {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}},
    {'C', {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}},
    {'M', {0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}},
    {'O', {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}},
    {'-', {0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00}},
};

static const struct glyph *glyph_of(char letter) {
    for (size_t i = 0; i < sizeof glyphs / sizeof *glyphs; i++)
        if (glyphs[i].letter == letter) return &glyphs[i];
    return NULL;
}

/* The exposure and the operator: drawn per image. */
typedef struct shot {
    float gain, background, haze, noise, marker, cell;
    float marker_x, marker_y;
    float strip; /* mm of a white border along one edge; 0: none */
    int strip_edge;
    float collimated; /* mm at the far edge that no beam reached */
} shot;

static shot draw_shot(draws *d, const mg_phantom_machine *m, float mm) {
    shot s = {.gain = draw_range(d, 0.90f, 1.10f)};
    s.background = m->background * draw_range(d, 0.7f, 1.3f);
    s.haze = draw_range(d, 0.0f, 0.02f);
    /* A larger pixel collects more quanta; display processing keeps some of the grain. */
    s.noise = m->noise * draw_range(d, 0.8f, 1.25f) * (mm > 0.25f ? 0.25f / mm : 1.0f);
    s.marker = 1.05f;
    s.cell = draw_range(d, 0.75f, 1.05f);
    s.marker_x = draw_range(d, 8.0f, 16.0f);
    s.marker_y = draw_range(d, 8.0f, 22.0f);
    s.strip = draw_range(d, 0.8f, 3.0f);
    s.strip_edge = draw_below(d, 3);
    if (!draw_chance(d, 0.03f)) s.strip = 0.0f;
    s.collimated = draw_range(d, 3.0f, 9.0f);
    return s;
}

/* v^gamma with a soft shoulder below 1, by table: a power per pixel would cost as much as the
 * tissue. Because of the shoulder nothing in a breast outshines the marker, so the brightest pixel
 * of an image, to which normalisation refers, says nothing about what is in the breast. */
enum { TONE_STEPS = 1024 };
#define TONE_RANGE 2.0f

static float shoulder(float v) {
    const float knee = 0.65f, room = 0.33f;
    return v < knee ? v : knee + room * (1.0f - exp_of((knee - v) / room));
}

static void tone_table(float gamma, float table[TONE_STEPS + 2]) {
    for (int i = 0; i < TONE_STEPS + 2; i++)
        table[i] = shoulder(pow_of((float)i * (TONE_RANGE / TONE_STEPS), gamma));
}

static float tone(const float *table, float v) {
    float f = clamp(v * (TONE_STEPS / TONE_RANGE), 0.0f, (float)TONE_STEPS);
    int i = (int)f;
    return mix(table[i], table[i + 1], f - (float)i);
}

static void expose(mg_phantom_renderer *r, const shot *s, const mg_rng_key *key, float gamma) {
    float table[TONE_STEPS + 2];
    tone_table(gamma, table);
    int64_t n = (int64_t)r->rows * r->columns;
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        mg_rng_words(key, (uint32_t)(i >> 2), w);
        for (int64_t k = i; k < n && k < i + 4; k++) {
            float row = (float)(k / r->columns) / (float)r->rows;
            float behind = s->background + s->haze * row;
            float v = tone(table, s->gain * r->image[k]) + behind * (1.0f - 0.7f * r->thickness[k]);
            /* Fewer quanta get through dense tissue, and the logarithm makes their noise larger. */
            float sigma = s->noise * (0.25f + 0.75f * clamp(v, 0.0f, 1.3f));
            r->image[k] = v + sigma * word_normal(w[k & 3]);
        }
    }
}

/* Unsharp mask against a box of about 2 mm, separable with running sums. */
static void box_rows(const float *in, float *out, int columns, int rows, int radius) {
    float scale = 1.0f / (float)(2 * radius + 1);
    for (int y = 0; y < rows; y++) {
        const float *a = in + (size_t)y * (size_t)columns;
        float *b = out + (size_t)y * (size_t)columns;
        for (int x = 0; x < columns; x++) {
            float sum = 0;
            for (int k = -radius; k <= radius; k++) {
                int at = x + k < 0 ? 0 : x + k >= columns ? columns - 1 : x + k;
                sum += a[at];
            }
            b[x] = sum * scale;
        }
    }
}

static void sharpen(mg_phantom_renderer *r, float strength) {
    if (strength <= 0) return;
    int radius = (int)(0.9f / r->mm + 0.5f), columns = r->columns, rows = r->rows;
    if (radius < 1) radius = 1;
    if (radius > 4) radius = 4; /* grain and edges only: the cost must not grow with the image */
    box_rows(r->image, r->scratch, columns, rows, radius);
    float scale = strength / (float)(2 * radius + 1);
    for (int y = 0; y < rows; y++) {
        float *row = r->image + (size_t)y * (size_t)columns;
        float *sum = r->line;
        memset(sum, 0, (size_t)columns * sizeof *sum);
        for (int k = -radius; k <= radius; k++) {
            int from = y + k < 0 ? 0 : y + k >= rows ? rows - 1 : y + k;
            const float *b = r->scratch + (size_t)from * (size_t)columns;
            for (int x = 0; x < columns; x++) sum[x] += b[x];
        }
        for (int x = 0; x < columns; x++) row[x] = row[x] * (1.0f + strength) - scale * sum[x];
    }
}

static void mirror(mg_phantom_renderer *r) {
    for (int y = 0; y < r->rows; y++) {
        size_t a = (size_t)y * (size_t)r->columns, b = a + (size_t)r->columns - 1;
        for (; a < b; a++, b--) {
            float v = r->image[a];
            r->image[a] = r->image[b], r->image[b] = v;
            uint8_t m = r->mask[a];
            r->mask[a] = r->mask[b], r->mask[b] = m;
            m = r->breast[a];
            r->breast[a] = r->breast[b], r->breast[b] = m;
        }
    }
}

/* Fills a rectangle given in mm. */
static void fill(mg_phantom_renderer *r, float x0, float y0, float x1, float y1, float v) {
    int left = (int)(x0 / r->mm), right = (int)(x1 / r->mm);
    int top = (int)(y0 / r->mm), bottom = (int)(y1 / r->mm);
    for (int y = top < 0 ? 0 : top; y < bottom && y < r->rows; y++)
        for (int x = left < 0 ? 0 : left; x < right && x < r->columns; x++)
            r->image[(size_t)y * (size_t)r->columns + (size_t)x] = v;
}

/* Lead letters in the corner that the breast leaves free: after mirroring, so they
 * stay readable. */
static void marker(mg_phantom_renderer *r, const shot *s, char laterality, const char *view) {
    char text[8] = {laterality, '-', 0};
    for (int i = 0; i < 4 && view[i]; i++) text[i + 2] = view[i];
    float advance = 6.0f * s->cell, width = advance * (float)strlen(text);
    float x = laterality == 'L' ? r->geometry.width - s->marker_x - width : s->marker_x;
    for (int i = 0; text[i]; i++) {
        const struct glyph *g = glyph_of(text[i]);
        for (int row = 0; g && row < 7; row++)
            for (int bit = 0; bit < 5; bit++) {
                if (!(g->row[row] & 0x10 >> bit)) continue;
                float left = x + s->cell * (float)bit, top = s->marker_y + s->cell * (float)row;
                fill(r, left, top, left + s->cell, top + s->cell, s->marker);
            }
        x += advance;
    }
}

static void strip(mg_phantom_renderer *r, const shot *s, char laterality) {
    const phantom_geometry *g = &r->geometry;
    if (s->strip <= 0) return;
    if (s->strip_edge == 0) fill(r, 0, 0, g->width, s->strip, 0.95f);
    else if (s->strip_edge == 1) fill(r, 0, g->height - s->strip, g->width, g->height, 0.95f);
    else if (laterality == 'L') fill(r, g->width - s->strip, 0, g->width, g->height, 0.95f);
    else fill(r, 0, 0, s->strip, g->height, 0.95f);
}

/* Stored values: full scale lies at 4/5 of the range, so that nothing of interest is clipped. */
static void quantise(mg_phantom_renderer *r, const mg_phantom_machine *m, const shot *s,
                     char laterality, mg_phantom_pixels *out) {
    float most = (float)((1 << m->bits) - 1), low = 0.02f * most, span = 0.78f * most;
    float floor_value = m->padding == 0 ? 1.0f : 0.0f;
    float ceiling = m->padding == (int)most && m->monochrome1 ? most - 1.0f : most;
    size_t n = (size_t)r->rows * (size_t)r->columns;
    for (size_t i = 0; i < n; i++) {
        float v = low + span * r->image[i];
        if (m->monochrome1) v = most - v;
        r->pixels[i] = (uint16_t)(clamp(v, floor_value, ceiling) + 0.5f);
    }
    if (m->padding >= 0) {
        int wide = (int)(s->collimated / r->mm);
        for (int y = 0; y < r->rows; y++)
            for (int x = 0; x < wide && x < r->columns; x++) {
                int column = laterality == 'L' ? r->columns - 1 - x : x;
                r->pixels[(size_t)y * (size_t)r->columns + (size_t)column] = (uint16_t)m->padding;
            }
    }
    float center = low + 0.42f * span;
    out->window_center = floorf(m->monochrome1 ? most - center : center);
    out->window_width = floorf(m->sigmoid ? 0.75f * span : 0.84f * span);
}

void mg_phantom_detect(mg_phantom_renderer *r, const mg_phantom_patient *p,
                       const mg_phantom_image *image, mg_phantom_pixels *out) {
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    uint32_t sample =
        (uint32_t)image->breast * 16 + (uint32_t)image->view * 2 + (uint32_t)image->repeat;
    draws d = draws_of(r->settings.seed, STREAM_DETECTOR, p->index, sample);
    mg_rng_key noise = stream_key(r->settings.seed, STREAM_NOISE, p->index, sample);
    shot s = draw_shot(&d, m, r->mm);
    expose(r, &s, &noise, m->gamma);
    sharpen(r, m->sharpen);
    char laterality = p->breast[image->breast].laterality;
    if (laterality == 'R') mirror(r);
    strip(r, &s, laterality);
    marker(r, &s, laterality, mg_phantom_view_name(image->view));
    quantise(r, m, &s, laterality, out);
    float x = r->geometry.nipple_x / r->mm;
    out->nipple_x = laterality == 'R' ? (float)r->columns - x : x;
    out->nipple_y = r->geometry.nipple_y / r->mm;
}
