/* phantom.c: one image from plan to pixels. */
#include "data/phantom_internal.h"

#include <stdlib.h>

static bool canvas_create(phantom_canvas *c, int side) {
    size_t n = (size_t)side * (size_t)side;
    c->side = side;
    c->texel = malloc(n * sizeof *c->texel);
    c->spare = malloc(n * sizeof *c->spare);
    return c->texel && c->spare;
}

static void canvas_destroy(phantom_canvas *c) {
    free(c->texel);
    free(c->spare);
}

mg_phantom_renderer *mg_phantom_renderer_create(const mg_phantom_settings *s) {
    mg_phantom_renderer *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->settings = *s;
    r->columns = s->columns;
    r->rows = s->rows;
    r->mm = MG_PHANTOM_FIELD_MM / (float)s->rows;
    size_t n = (size_t)s->rows * (size_t)s->columns;
    int side = 256;
    while (side < s->rows && side < 4096) side *= 2;
    r->image = malloc(n * sizeof *r->image);
    r->scratch = malloc(n * sizeof *r->scratch);
    r->thickness = malloc(n * sizeof *r->thickness);
    r->line = malloc((size_t)s->columns * sizeof *r->line);
    r->mask = malloc(n);
    r->breast = malloc(n);
    r->pixels = malloc(n * sizeof *r->pixels);
    r->geometry.distance = malloc(mg_phantom_grid_size(s) * sizeof *r->geometry.distance);
    bool ok = canvas_create(&r->cloud, side) && canvas_create(&r->web, 256);
    if (ok && r->image && r->scratch && r->thickness && r->line && r->mask && r->breast &&
        r->pixels && r->geometry.distance)
        return r;
    mg_phantom_renderer_destroy(r);
    return NULL;
}

void mg_phantom_renderer_destroy(mg_phantom_renderer *r) {
    if (!r) return;
    canvas_destroy(&r->cloud);
    canvas_destroy(&r->web);
    free(r->image);
    free(r->scratch);
    free(r->thickness);
    free(r->line);
    free(r->mask);
    free(r->breast);
    free(r->pixels);
    free(r->geometry.distance);
    free(r);
}

void mg_phantom_render(mg_phantom_renderer *r, const mg_phantom_patient *p, int image,
                       mg_phantom_pixels *out) {
    MG_ASSERT(image >= 0 && image < p->images);
    const mg_phantom_image *i = &p->image[image];
    *out = (mg_phantom_pixels){.rows = r->rows, .columns = r->columns, .spacing_mm = r->mm};
    mg_phantom_geometry_draw(&r->geometry, &r->settings, p, i);
    mg_phantom_tissue(r, p, i);
    mg_phantom_findings(r, p, i);
    mg_phantom_detect(r, p, i, out);
    out->pixels = r->pixels;
    out->mask = r->mask;
    out->breast = r->breast;
    out->has_lesion = p->breast[i->breast].cancer;
}
