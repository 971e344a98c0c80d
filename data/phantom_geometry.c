/* phantom_geometry.c: the breast's outline in a view, the distance to its skin, the pectoral muscle
 * and where a finding projects to. */
#include "data/phantom_internal.h"

enum { CELLS_DOWN = 64 }; /* coarse distance grid: cells per image height */

/* A compressed breast seen from above: two half ellipses, the nipple at its foremost point. */
static void outline_cc(phantom_geometry *g, draws *d, float size, float depth) {
    float centre = 0.5f * g->height + draw_range(d, -12.0f, 12.0f);
    float upper = size * draw_range(d, 0.94f, 1.06f), lower = size * draw_range(d, 0.94f, 1.06f);
    float fullness = draw_range(d, 0.78f, 0.98f);
    for (int i = 0; i < PHANTOM_OUTLINE_POINTS; i++) {
        float turns = -0.25f + 0.5f * (float)i / (PHANTOM_OUTLINE_POINTS - 1);
        float s = sin_turns(turns), c = cos_turns(turns);
        g->x[i] = i == 0 || i == PHANTOM_OUTLINE_POINTS - 1 ? 0.0f : depth * pow_of(c, fullness);
        g->y[i] = centre + s * (s < 0 ? upper : lower);
    }
    g->nipple_x = depth;
    g->nipple_y = centre;
    g->top = centre - upper;
    g->bottom = centre + lower;
}

static float bezier(float a, float b, float c, float e, float t) {
    float u = 1.0f - t;
    return u * u * u * a + 3.0f * u * u * t * b + 3.0f * u * t * t * c + t * t * t * e;
}

/* From the side: from the axilla down to the nipple, round below it, back to the fold. */
static void outline_mlo(phantom_geometry *g, draws *d, float size, float depth, bool oblique) {
    float axilla = depth * (oblique ? draw_range(d, 0.42f, 0.72f) : draw_range(d, 0.2f, 0.35f));
    float nipple = 0.5f * g->height + draw_range(d, 5.0f, 25.0f);
    float fold = nipple + size * draw_range(d, 0.85f, 1.05f);
    if (fold > g->height - 8.0f) fold = g->height - 8.0f;
    float sag = draw_range(d, 0.30f, 0.55f), hollow = draw_range(d, -6.0f, 4.0f);
    float under = draw_range(d, 0.45f, 0.62f), fold_x = draw_range(d, -2.0f, 12.0f);
    int half = PHANTOM_OUTLINE_POINTS * 5 / 8;
    for (int i = 0; i < half; i++) {
        float t = (float)i / (float)half, top = -12.0f;
        g->x[i] = bezier(axilla, axilla - 4.0f + hollow, depth, depth, t);
        g->y[i] = bezier(top, nipple * 0.45f, nipple * (1.0f - sag), nipple, t);
    }
    int rest = PHANTOM_OUTLINE_POINTS - half;
    for (int i = 0; i < rest; i++) {
        float t = (float)i / (float)(rest - 1);
        g->x[half + i] = bezier(depth, depth, depth * under, fold_x, t);
        g->y[half + i] = bezier(nipple, nipple + 0.6f * (fold - nipple), fold, fold, t);
    }
    g->x[PHANTOM_OUTLINE_POINTS - 1] = -1.0f;
    g->nipple_x = depth;
    g->nipple_y = nipple;
    g->top = nipple - size * 1.15f;
    g->bottom = fold;
}

/* Skin is not a drawn curve: a slow wave of a millimetre or so along the outline. */
static void wobble(phantom_geometry *g, draws *d) {
    float phase[3], amplitude[3];
    for (int k = 0; k < 3; k++) {
        phase[k] = draw_uniform(d);
        amplitude[k] = draw_range(d, 0.2f, 1.6f) / (float)(k + 1);
    }
    for (int i = 1; i < g->points - 1; i++) {
        float t = (float)i / (float)(g->points - 1), w = 0;
        for (int k = 0; k < 3; k++)
            w += amplitude[k] * sin_turns((float)(k + 1) * 1.3f * t + phase[k]);
        g->x[i] += w * smoothstep(0.0f, 20.0f, g->x[i]);
    }
}

static float distance_to_outline(const phantom_geometry *g, float x, float y) {
    float best = 1e12f;
    bool inside = false;
    for (int i = 0; i + 1 < g->points; i++) {
        float ax = g->x[i], ay = g->y[i], bx = g->x[i + 1] - ax, by = g->y[i + 1] - ay;
        float px = x - ax, py = y - ay, length = bx * bx + by * by;
        float t = length > 0 ? clamp((px * bx + py * by) / length, 0.0f, 1.0f) : 0.0f;
        float ex = px - t * bx, ey = py - t * by, square = ex * ex + ey * ey;
        if (square < best) best = square;
        if ((ay > y) != (ay + by > y) && x < ax + bx * (y - ay) / by) inside = !inside;
    }
    float distance = sqrtf(best);
    return inside ? distance : -distance;
}

static void grid_shape(const mg_phantom_settings *s, int *columns, int *rows, float *step) {
    *step = MG_PHANTOM_FIELD_MM / CELLS_DOWN;
    *rows = CELLS_DOWN + 2;
    *columns = (int)(MG_PHANTOM_FIELD_MM * (float)s->columns / (float)s->rows / *step) + 3;
}

size_t mg_phantom_grid_size(const mg_phantom_settings *s) {
    int columns, rows;
    float step;
    grid_shape(s, &columns, &rows, &step);
    return (size_t)columns * (size_t)rows;
}

static void draw_muscle(phantom_geometry *g, draws *d, bool oblique) {
    g->muscle = oblique;
    g->muscle_x = g->x[0] * draw_range(d, 0.55f, 0.95f);
    g->muscle_y = g->nipple_y * draw_range(d, 0.65f, 1.12f);
    g->muscle_bend = draw_range(d, -3.0f, 9.0f);
}

void mg_phantom_geometry_draw(phantom_geometry *g, const mg_phantom_settings *s,
                              const mg_phantom_patient *p, const mg_phantom_image *image) {
    draws woman = draws_of(s->seed, STREAM_GEOMETRY, p->index, 0);
    draws view = draws_of(s->seed, STREAM_GEOMETRY, p->index,
                          1 + (uint32_t)image->breast * 64 + (uint32_t)image->view * 8 +
                              (uint32_t)image->repeat);
    bool side_view = image->view != MG_PHANTOM_CC, oblique = image->view == MG_PHANTOM_MLO;
    g->height = MG_PHANTOM_FIELD_MM;
    g->width = g->height * (float)s->columns / (float)s->rows;
    float size = draw_range(&woman, 66.0f, 106.0f);
    float depth = size * draw_range(&woman, 0.85f, 1.3f);
    float nipple = draw_range(&woman, 3.5f, 5.5f), profile = draw_range(&woman, -3.0f, 2.0f);
    size *= draw_range(&view, 0.97f, 1.03f);
    depth *= draw_range(&view, 0.97f, 1.03f) * (side_view ? 1.04f : 1.0f);
    float deepest = g->width - 22.0f;
    if (depth > deepest) depth = deepest;
    g->points = PHANTOM_OUTLINE_POINTS;
    if (side_view) outline_mlo(g, &view, size, depth, oblique);
    else outline_cc(g, &view, size, depth);
    wobble(g, &view);
    draw_muscle(g, &view, oblique);
    g->turn = oblique ? draw_range(&view, 0.2f, 0.35f) : 0.0f;
    /* The nipple is a disc that sticks out of the skin by its radius plus `profile`. */
    g->nipple_radius = nipple;
    g->nipple_x = g->x[g->points / 2];
    for (int i = 0; i < g->points; i++)
        if (g->x[i] > g->nipple_x) g->nipple_x = g->x[i], g->nipple_y = g->y[i];
    g->nipple_x += profile - 1.5f;
    grid_shape(s, &g->grid_columns, &g->grid_rows, &g->grid_step);
    for (int j = 0; j < g->grid_rows; j++)
        for (int i = 0; i < g->grid_columns; i++)
            g->distance[j * g->grid_columns + i] =
                distance_to_outline(g, (float)i * g->grid_step, (float)j * g->grid_step);
}

float mg_phantom_depth(const phantom_geometry *g, float x, float y) {
    float fx = clamp(x / g->grid_step, 0.0f, (float)(g->grid_columns - 2) + 0.999f);
    float fy = clamp(y / g->grid_step, 0.0f, (float)(g->grid_rows - 2) + 0.999f);
    int i = (int)fx, j = (int)fy;
    float tx = fx - (float)i, ty = fy - (float)j;
    const float *r = g->distance + j * g->grid_columns + i;
    float above = mix(r[0], r[1], tx);
    float below = mix(r[g->grid_columns], r[g->grid_columns + 1], tx);
    float skin = mix(above, below, ty);
    float nx = x - g->nipple_x, ny = y - g->nipple_y, near = nx * nx + ny * ny;
    if (near > 400.0f) return skin;
    float nipple = g->nipple_radius - sqrtf(near);
    /* Smooth maximum: the areola rises into the nipple over 4 mm. */
    float blend = clamp(0.5f + 0.125f * (nipple - skin), 0.0f, 1.0f);
    return mix(skin, nipple, blend) + 4.0f * blend * (1.0f - blend);
}

float mg_phantom_muscle_depth(const phantom_geometry *g, float x, float y) {
    if (!g->muscle) return -100.0f;
    float slope = sqrtf(g->muscle_x * g->muscle_x + g->muscle_y * g->muscle_y);
    float t = clamp(y / g->muscle_y, 0.0f, 1.0f);
    float edge = g->muscle_x * (1.0f - y / g->muscle_y) + g->muscle_bend * 4.0f * t * (1.0f - t);
    return (edge - x) * g->muscle_y / slope;
}

/* The stretch of y inside the breast at depth x; the muscle and the axilla do not count. */
static void extent(const phantom_geometry *g, float x, float *low, float *high) {
    *low = g->nipple_y, *high = g->nipple_y;
    while (*low > g->top && *low > 2.0f && mg_phantom_depth(g, x, *low) > 0 &&
           mg_phantom_muscle_depth(g, x, *low) < -4.0f)
        *low -= 2.0f;
    while (*high < g->height - 2.0f && mg_phantom_depth(g, x, *high) > 0) *high += 2.0f;
}

bool mg_phantom_project(const phantom_geometry *g, const mg_phantom_finding *f,
                        mg_phantom_view view, float margin, float *x, float *y) {
    *x = f->depth * g->nipple_x;
    if (f->kind == MG_PHANTOM_LYMPH_NODE) { /* in the axilla, which only oblique views reach */
        if (view != MG_PHANTOM_MLO) return false;
        *x = f->depth * 2.0f * g->muscle_x;
        *y = 12.0f + (f->superior + 1.0f) * 160.0f;
    } else {
        float across = view == MG_PHANTOM_CC ? f->medial : f->superior + g->turn * f->medial;
        float low, high;
        extent(g, *x, &low, &high);
        *y = 0.5f * (low + high) + 0.5f * (high - low) * clamp(across, -0.8f, 0.8f);
    }
    for (int i = 0; i < 60; i++) {
        float here = mg_phantom_depth(g, *x, *y);
        if (here >= margin) return true;
        float gx = mg_phantom_depth(g, *x + 1.0f, *y) - mg_phantom_depth(g, *x - 1.0f, *y);
        float gy = mg_phantom_depth(g, *x, *y + 1.0f) - mg_phantom_depth(g, *x, *y - 1.0f);
        float length = sqrtf(gx * gx + gy * gy);
        if (length < 1e-3f) gx = -1.0f, gy = 0.0f, length = 1.0f;
        float step = clamp(margin - here, 0.5f, 4.0f) / length;
        *x = clamp(*x + step * gx, 3.0f, g->width);
        *y = clamp(*y + step * gy, 3.0f, g->height - 3.0f);
    }
    return mg_phantom_depth(g, *x, *y) >= 0.5f * margin;
}
