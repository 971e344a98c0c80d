/* phantom_tissue.c: what a healthy breast looks like: fat, gland, strands, vessels,
 * skin, muscle. */
#include "data/phantom_internal.h"

#define FAT    0.20f
#define GLAND  0.44f /* more than fat */
#define MUSCLE 0.30f /* more than fat */

/* One view's own numbers, drawn once. */
typedef struct look {
    float cover;              /* shifts the threshold between fat and gland */
    float subcutaneous;       /* mm of fat under the skin */
    float behind;             /* mm of fat in front of the chest wall */
    float reach;              /* half height of the glandular cone, of the breast's */
    float tilt;               /* the gland lies more to one side (upper outer quadrant) */
    float skin, skin_mm;      /* its strength and thickness */
    float offset_x, offset_y; /* into the canvases */
    float equalise;
} look;

static look draw_look(draws *d, const mg_phantom_machine *m, char density, bool side_view) {
    static const float cover[4] = {-1.05f, -0.55f, 0.05f, 0.75f};
    look k = {.cover = cover[density - 'A'] + draw_range(d, -0.2f, 0.2f)};
    k.subcutaneous = draw_range(d, 5.0f, 10.0f);
    k.behind = draw_range(d, 6.0f, 18.0f);
    k.reach = draw_range(d, 0.62f, 0.9f);
    k.tilt = draw_range(d, -0.25f, 0.05f) * (side_view ? 1.3f : 1.0f);
    k.skin = draw_range(d, 0.03f, 0.12f);
    k.skin_mm = draw_range(d, 1.0f, 2.2f);
    k.offset_x = draw_range(d, 0.0f, MG_PHANTOM_CANVAS_MM);
    k.offset_y = draw_range(d, 0.0f, MG_PHANTOM_CANVAS_MM);
    k.equalise = clamp(m->equalise + draw_range(d, -0.1f, 0.1f), 0.0f, 1.0f);
    return k;
}

/* How much beam path runs through the breast: a rounded edge, evened out by the processing. */
static float thickness_at(float depth, float equalise) {
    float u = clamp(depth * (1.0f / 24.0f), 0.0f, 1.0f), round = sqrtf(u * (2.0f - u));
    float v = clamp(depth * (1.0f / 5.0f), 0.0f, 1.0f), flat = v * (2.0f - v);
    return mix(round, flat, equalise);
}

/* 0 … 1: where glandular tissue can be. A cone that opens from the nipple to the chest wall,
 * clear of skin and chest wall. */
static float envelope(const phantom_geometry *g, const look *k, float x, float y, float depth,
                      float ragged) {
    float behind_nipple = g->nipple_x - x;
    float half = 0.5f * (g->bottom - g->top);
    float lateral = (y - g->nipple_y) / half - k->tilt * clamp(behind_nipple / 60.0f, 0.0f, 1.0f);
    float cone = k->reach * smoothstep(-25.0f, 55.0f, behind_nipple);
    float wedge = 1.0f - smoothstep(0.55f * cone, 1.15f * cone + 0.05f, fabsf(lateral));
    float near = 1.0f - smoothstep(6.0f, 26.0f, behind_nipple);
    float under =
        mix(k->subcutaneous, 1.5f, near * (1.0f - smoothstep(0.0f, 0.25f, fabsf(lateral))));
    float skin = smoothstep(under, under + 9.0f, depth + 3.0f * ragged);
    float back = smoothstep(k->behind * 0.4f, k->behind + 22.0f, x + 5.0f * ragged);
    return wedge * skin * (0.25f + 0.75f * back);
}

/* Bright along the zero lines of a noise: the walls between fat lobules. */
static float ridge(float noise, float sharpness) {
    float r = 1.0f - sharpness * fabsf(noise);
    return r > 0 ? r * r : 0.0f;
}

static float parenchyma(const mg_phantom_renderer *r, const look *k, float x, float y,
                        float depth) {
    const phantom_geometry *g = &r->geometry;
    float ox = x + k->offset_x, oy = y + k->offset_y;
    float warp_x = canvas_at(&r->web, 0.22f * oy + 40.0f, 0.22f * ox);
    float warp_y = canvas_at(&r->web, 0.22f * ox + 111.0f, 0.22f * oy + 70.0f);
    /* Coordinates in which lines of constant v run to a point behind the nipple. */
    float behind = g->nipple_x - x;
    float v = (y - g->nipple_y) * 75.0f / (clamp(behind, -5.0f, 300.0f) + 35.0f);
    float cloud = canvas_at(&r->cloud, ox + 6.0f * warp_x, oy + 6.0f * warp_y);
    float along = 0.40f * (behind + 9.0f * warp_x) + k->offset_y;
    float across = 0.8f * v + 7.0f * warp_y + k->offset_x;
    float strand = canvas_at(&r->web, along, across);
    float lobule = canvas_at(&r->web, 0.55f * ox + 5.0f * warp_y, 0.55f * oy + 5.0f * warp_x);
    float fine = canvas_at(&r->web, 1.3f * ox + 9.0f * warp_x + 50.0f, 1.3f * oy - 9.0f * warp_y);
    float where = envelope(g, k, x, y, depth, warp_x);
    float walls =
        0.5f * ridge(strand, 1.1f) + 0.35f * ridge(lobule, 1.3f) + 0.25f * ridge(fine, 1.2f);
    float level = 0.55f * cloud + 0.40f * strand + 1.9f * where - 1.15f + k->cover;
    float dense = smoothstep(-0.9f, 1.7f, level) * (0.10f + 0.90f * where);
    float grain = canvas_at(&r->cloud, 2.7f * ox + 3.0f * warp_x, 2.7f * oy + 3.0f * warp_y);
    walls *= 1.0f + 0.22f * grain;
    float gland = dense * (0.62f + 0.42f * walls + 0.06f * grain) + walls * (0.08f + 0.14f * where);
    return FAT * (1.0f + 0.12f * cloud + 0.05f * grain) + GLAND * gland;
}

static void fill_row(mg_phantom_renderer *r, const look *k, int row) {
    const phantom_geometry *g = &r->geometry;
    float y = ((float)row + 0.5f) * r->mm;
    size_t at = (size_t)row * (size_t)r->columns;
    for (int column = 0; column < r->columns; column++, at++) {
        float x = ((float)column + 0.5f) * r->mm, depth = mg_phantom_depth(g, x, y);
        float inside = clamp(0.5f + depth / r->mm, 0.0f, 1.0f);
        r->breast[at] = depth > 0 ? 255 : 0;
        r->thickness[at] = 0.0f;
        r->image[at] = 0.0f;
        if (inside <= 0.0f) continue;
        float thickness = thickness_at(depth, k->equalise);
        float value = parenchyma(r, k, x, y, depth);
        float muscle = mg_phantom_muscle_depth(g, x, y);
        if (muscle > -6.0f) {
            float fibre = canvas_at(&r->web, 0.15f * y - 0.05f * x, 0.5f * x + 0.25f * y);
            float part = smoothstep(-2.5f, 5.0f, muscle + 0.8f * fibre);
            float bright = MUSCLE * (0.65f + 0.5f * smoothstep(0.0f, 45.0f, muscle));
            value = mix(value, FAT + bright + 0.25f * (value - FAT) + 0.02f * fibre, part);
        }
        float s = (depth - 0.8f * k->skin_mm) / k->skin_mm, band = 1.0f - s * s;
        float skin = band > 0 ? k->skin * band * band : 0.0f;
        r->thickness[at] = thickness * inside;
        r->image[at] = inside * (thickness * value + skin);
    }
}

/* Cooper's ligaments and ducts: thin bent strands, most of them along the way to the nipple. */
static void strands(mg_phantom_renderer *r, draws *d, float amount) {
    const phantom_geometry *g = &r->geometry;
    int n = (int)(amount * 340.0f);
    for (int i = 0; i < n; i++) {
        float x = g->nipple_x * draw_uniform(d);
        float y = mix(g->top, g->bottom, draw_uniform(d));
        float length = draw_range(d, 6.0f, 30.0f), spread = 0.5f * draw_normal(d);
        float bend = 0.22f * draw_normal(d), width = draw_range(d, 0.5f, 1.6f);
        float strength = draw_range(d, 0.010f, 0.045f);
        bool arc = draw_chance(d, 0.3f);
        if (mg_phantom_depth(g, x, y) < 3.0f || mg_phantom_muscle_depth(g, x, y) > 0) continue;
        float ux = g->nipple_x - x + 12.0f, uy = g->nipple_y - y;
        float norm = 1.0f / sqrtf(ux * ux + uy * uy);
        ux *= norm, uy *= norm;
        float s = clamp(arc ? 1.2f : spread, -1.2f, 1.2f), c = sqrtf(1.0f / (1.0f + s * s));
        float dx = (ux - s * uy) * c * length * 0.5f, dy = (uy + s * ux) * c * length * 0.5f;
        float bx = -dy * 2.0f * bend, by = dx * 2.0f * bend;
        phantom_stroke stroke = {.x = {x - dx, x + bx, x + dx},
                                 .y = {y - dy, y + by, y + dy},
                                 .width = {width, 0.6f * width},
                                 .strength = {0.0f, 0.0f, strength}};
        mg_phantom_stroke(r, &stroke, false);
    }
}

/* A few veins: long, winding, wider than strands. */
static void vessels(mg_phantom_renderer *r, draws *d) {
    const phantom_geometry *g = &r->geometry;
    int n = 1 + draw_below(d, 4);
    for (int i = 0; i < n; i++) {
        float x = draw_range(d, 0.05f, 0.4f) * g->nipple_x;
        float y = mix(g->top, g->bottom, draw_range(d, 0.12f, 0.88f));
        float ux = 0.9f, uy = 0.35f * draw_normal(d), width = draw_range(d, 1.2f, 2.4f);
        float strength = draw_range(d, 0.03f, 0.07f);
        int pieces = 3 + draw_below(d, 4);
        for (int k = 0; k < pieces; k++) {
            float length = draw_range(d, 9.0f, 18.0f), turn = 0.35f * draw_normal(d);
            float vx = ux - turn * uy, vy = uy + turn * ux;
            float norm = 1.0f / sqrtf(vx * vx + vy * vy);
            vx *= norm, vy *= norm;
            phantom_stroke s = {
                .x = {x, x + 0.5f * length * ux, x + 0.5f * length * (ux + vx)},
                .y = {y, y + 0.5f * length * uy, y + 0.5f * length * (uy + vy)},
                .width = {width, 0.88f * width},
                .strength = {strength, strength, strength},
            };
            mg_phantom_stroke(r, &s, false);
            x = s.x[2], y = s.y[2], ux = vx, uy = vy, width *= 0.88f;
        }
    }
}

void mg_phantom_tissue(mg_phantom_renderer *r, const mg_phantom_patient *p,
                       const mg_phantom_image *image) {
    uint64_t seed = r->settings.seed;
    /* Both exposures of one view, and nothing else, share their tissue. */
    uint32_t sample = (uint32_t)image->breast * 8 + (uint32_t)image->view;
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    draws d = draws_of(seed, STREAM_TISSUE, p->index, sample);
    look k = draw_look(&d, m, p->density, image->view != MG_PHANTOM_CC);
    mg_phantom_canvas_fill(&r->cloud, seed, p->index, sample, 128.0f, 0.0f, 0.70f);
    mg_phantom_canvas_fill(&r->web, seed, p->index, sample + 64, 20.0f, 3.0f, 0.5f);
    for (int row = 0; row < r->rows; row++) fill_row(r, &k, row);
    float amount = 0.75f + 0.18f * (float)(p->density - 'A');
    strands(r, &d, amount);
    vessels(r, &d);
}
