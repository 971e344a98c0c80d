/* phantom_findings.c: lesions and their harmless lookalikes. */
#include "data/phantom_internal.h"

/* A mass: a soft disc whose outline is pushed about by noise.
 * irregular: 0 smooth … 0.5 ragged; edge: mm over which it fades; halo: strength of a dark
 * rim. */
typedef struct mass {
    float x, y, rx, ry, cosine, sine, strength, irregular, edge, halo, grain;
} mass;

#define MOST_NOISE 1.3f

static void draw_mass(mg_phantom_renderer *r, const mass *m, bool masked) {
    float reach =
        (m->rx > m->ry ? m->rx : m->ry) / (1.0f - MOST_NOISE * m->irregular) + m->edge + 1.0f;
    float small = m->rx < m->ry ? m->rx : m->ry, soft = m->edge / small;
    int left = (int)((m->x - reach) / r->mm), right = (int)((m->x + reach) / r->mm) + 1;
    int top = (int)((m->y - reach) / r->mm), bottom = (int)((m->y + reach) / r->mm) + 1;
    if (left < 0) left = 0;
    if (top < 0) top = 0;
    for (int row = top; row <= bottom && row < r->rows; row++)
        for (int column = left; column <= right && column < r->columns; column++) {
            float dx = ((float)column + 0.5f) * r->mm - m->x;
            float dy = ((float)row + 0.5f) * r->mm - m->y;
            float a = (dx * m->cosine + dy * m->sine) / m->rx;
            float b = (dy * m->cosine - dx * m->sine) / m->ry;
            float noise =
                canvas_at(&r->web, 1.6f * (m->x + dx) + 17.0f, 1.6f * (m->y + dy) + 91.0f);
            noise = clamp(noise, -MOST_NOISE, MOST_NOISE); /* keeps the mass in one piece */
            float rho = sqrtf(a * a + b * b) * (1.0f + m->irregular * noise);
            float body = 1.0f - smoothstep(1.0f - soft, 1.0f + soft, rho);
            size_t at = (size_t)row * (size_t)r->columns + (size_t)column;
            float rim = m->halo > 0 ? clamp(1.0f - fabsf(rho - 1.25f) * 5.0f, 0.0f, 1.0f) : 0.0f;
            float value = m->strength * (body * (1.0f + m->grain * noise) - m->halo * rim);
            r->image[at] += value * r->thickness[at];
            if (masked && body > 0.3f && r->breast[at]) r->mask[at] = 255;
        }
}

static mass mass_of(const mg_phantom_finding *f, draws *d, float x, float y) {
    float turns = draw_uniform(d), oval = draw_range(d, 0.72f, 1.0f);
    return (mass){.x = x,
                  .y = y,
                  .rx = f->radius,
                  .ry = f->radius * oval,
                  .cosine = cos_turns(turns),
                  .sine = sin_turns(turns),
                  .strength = f->contrast,
                  .edge = 1.0f,
                  .grain = 0.06f};
}

/* An irregular dense core; strands of uneven length and width leave it at uneven angles. */
static void spiculated(mg_phantom_renderer *r, const mg_phantom_finding *f, draws *d, float x,
                       float y) {
    mass m = mass_of(f, d, x, y);
    m.irregular = 0.35f;
    m.edge = 2.4f;
    m.grain = 0.10f;
    draw_mass(r, &m, true);
    int n = 15 + draw_below(d, 10);
    float start = draw_uniform(d);
    for (int i = 0; i < n; i++) {
        float turns = start + ((float)i + draw_range(d, -0.6f, 0.6f)) / (float)n;
        float reach = f->radius * draw_range(d, 1.4f, 2.6f), bend = 0.16f * draw_normal(d);
        float c = cos_turns(turns), s = sin_turns(turns), from = 0.8f * f->radius;
        float half = 0.5f * (from + reach), strength = f->contrast * draw_range(d, 0.3f, 0.7f);
        phantom_stroke stroke = {
            .x = {x + c * from, x + c * half - s * bend * reach, x + c * reach},
            .y = {y + s * from, y + s * half + c * bend * reach, y + s * reach},
            .width = {f->radius * draw_range(d, 0.3f, 0.55f), 0.5f},
            .strength = {0.6f * strength, 0.1f * strength, 0.7f * strength},
        };
        mg_phantom_stroke(r, &stroke, true);
    }
}

/* Fine calcifications: `n` specks within `extent` mm of the centre, or strewn far over
 * the breast. */
static void specks(mg_phantom_renderer *r, float bright, draws *d, float x, float y, int n,
                   float extent, bool masked) {
    for (int i = 0; i < n; i++) {
        float a = 0.5f * draw_normal(d), b = 0.5f * draw_normal(d);
        float size = draw_range(d, 0.35f, 0.75f), strength = bright * draw_range(d, 0.6f, 1.2f);
        float sx = x + a * extent, sy = y + b * extent;
        if (mg_phantom_depth(&r->geometry, sx, sy) < 3.0f) continue;
        mg_phantom_speck(r, sx, sy, size, strength, masked);
        if (draw_chance(d, 0.4f)) /* a tail: specks are not round */
            mg_phantom_speck(r, sx + size, sy + 0.7f * size * draw_normal(d), 0.7f * size, strength,
                             masked);
    }
}

/* The mask of a cluster is the disc that holds it, not its single specks. */
static void mask_disc(mg_phantom_renderer *r, float x, float y, float radius) {
    for (int row = 0; row < r->rows; row++)
        for (int column = 0; column < r->columns; column++) {
            float dx = ((float)column + 0.5f) * r->mm - x, dy = ((float)row + 0.5f) * r->mm - y;
            size_t at = (size_t)row * (size_t)r->columns + (size_t)column;
            if (dx * dx + dy * dy < radius * radius && r->breast[at]) r->mask[at] = 255;
        }
}

static void lymph_node(mg_phantom_renderer *r, const mg_phantom_finding *f, draws *d, float x,
                       float y) {
    mass m = mass_of(f, d, x, y);
    m.ry = 0.6f * m.rx;
    m.strength *= 0.5f;
    draw_mass(r, &m, false);
    m.x += 0.25f * m.rx * m.sine;
    m.y -= 0.25f * m.rx * m.cosine;
    m.rx *= 0.55f, m.ry *= 0.5f;
    m.strength *= -0.8f;
    draw_mass(r, &m, false);
}

/* Two parallel broken lines along a winding path. */
static void vascular(mg_phantom_renderer *r, const mg_phantom_finding *f, draws *d, float x,
                     float y) {
    float ux = 0.95f, uy = 0.3f * draw_normal(d), apart = draw_range(d, 0.7f, 1.1f);
    int n = (int)(f->radius / 1.2f);
    for (int i = 0; i < n; i++) {
        float turn = 0.12f * draw_normal(d), vx = ux - turn * uy, vy = uy + turn * ux;
        float norm = 1.0f / sqrtf(vx * vx + vy * vy);
        ux = vx * norm, uy = vy * norm;
        x += 1.2f * ux, y += 1.2f * uy;
        for (int wall = -1; wall <= 1; wall += 2) {
            float gap = draw_uniform(d), strength = f->contrast * draw_range(d, 0.5f, 1.3f);
            float sx = x - uy * apart * (float)wall, sy = y + ux * apart * (float)wall;
            if (gap < 0.7f && mg_phantom_depth(&r->geometry, sx, sy) > 3.0f)
                mg_phantom_speck(r, sx, sy, 0.6f, strength, false);
        }
    }
}

static void draw_finding(mg_phantom_renderer *r, const mg_phantom_finding *f,
                         const mg_phantom_patient *p, mg_phantom_view view) {
    float x, y, margin = f->radius + 5.0f;
    if (f->kind == MG_PHANTOM_VASCULAR || f->kind == MG_PHANTOM_COARSE) margin = 8.0f;
    if (!mg_phantom_project(&r->geometry, f, view, margin, &x, &y)) return;
    draws d = draws_of(r->settings.seed, STREAM_FINDING, p->index, f->stream + (uint32_t)view);
    mass m;
    switch (f->kind) {
    case MG_PHANTOM_SPICULATED:
        spiculated(r, f, &d, x, y);
        if (draw_chance(&d, 0.85f)) specks(r, f->speck, &d, x, y, 14, f->radius, true);
        break;
    case MG_PHANTOM_LOBULATED:
        m = mass_of(f, &d, x, y);
        m.irregular = 0.14f, m.strength *= 1.15f;
        draw_mass(r, &m, true);
        specks(r, f->speck, &d, x, y, 12, 0.9f * f->radius, true);
        break;
    case MG_PHANTOM_CLUSTER:
        specks(r, f->speck, &d, x, y, 22, f->radius, true);
        mask_disc(r, x, y, f->radius);
        break;
    case MG_PHANTOM_BENIGN_MASS:
        m = mass_of(f, &d, x, y);
        m.rx *= 1.06f, m.ry *= 1.06f; /* as bright an area as spicules add to a malignant one */
        m.irregular = 0.05f, m.edge = 1.9f, m.halo = 0.05f;
        draw_mass(r, &m, false);
        break;
    case MG_PHANTOM_LYMPH_NODE: lymph_node(r, f, &d, x, y); break;
    case MG_PHANTOM_SCATTERED:
        specks(r, f->speck, &d, x, y, 4 + draw_below(&d, 6), 55.0f, false);
        break;
    case MG_PHANTOM_COARSE: mg_phantom_speck(r, x, y, f->radius, f->contrast, false); break;
    case MG_PHANTOM_VASCULAR: vascular(r, f, &d, x, y); break;
    case MG_PHANTOM_KIND_COUNT: break;
    }
}

void mg_phantom_findings(mg_phantom_renderer *r, const mg_phantom_patient *p,
                         const mg_phantom_image *image) {
    memset(r->mask, 0, (size_t)r->rows * (size_t)r->columns);
    const mg_phantom_breast *b = &p->breast[image->breast];
    for (int i = 0; i < b->findings; i++) draw_finding(r, &b->finding[i], p, image->view);
}
