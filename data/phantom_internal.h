/* phantom_internal.h: what the renderer's parts share. Nothing outside data/phantom_*.c and its
 * tests includes it. Coordinates are millimetres unless a name says pixels. */
#ifndef MG_DATA_PHANTOM_INTERNAL_H
#define MG_DATA_PHANTOM_INTERNAL_H

#include "data/phantom.h"
#include "data/phantom_math.h"

/* --- canvas: a square of noise, periodic, MG_PHANTOM_CANVAS_MM wide --------------------------- */

#define MG_PHANTOM_CANVAS_MM 256.0f

typedef struct phantom_canvas {
    int side; /* texels, a power of two */
    float *texel;
    float *spare; /* as large: the level below while refining */
} phantom_canvas;

/* Fills with noise of mean 0 and variance 1 in which each octave has `falloff` times the amplitude
 * of the coarser one before it: its power falls as 1/frequency^(2 - 2*log2(falloff)), so 0.71 gives
 * the 1/f^3 of mammograms (Burgess 1999). Octaves outside shortest…longest mm are left out. */
void mg_phantom_canvas_fill(phantom_canvas *canvas, uint64_t seed, int patient, uint32_t sample,
                            float longest, float shortest, float falloff);

static inline float canvas_at(const phantom_canvas *c, float x, float y) {
    float scale = (float)c->side / MG_PHANTOM_CANVAS_MM;
    float fx = x * scale, fy = y * scale;
    float bx = floorf(fx), by = floorf(fy);
    int mask = c->side - 1, ix = (int)bx & mask, iy = (int)by & mask;
    float tx = fx - bx, ty = fy - by;
    int jx = (ix + 1) & mask;
    const float *r0 = c->texel + (size_t)iy * c->side;
    const float *r1 = c->texel + (size_t)((iy + 1) & mask) * c->side;
    float a = r0[ix] + (r0[jx] - r0[ix]) * tx, b = r1[ix] + (r1[jx] - r1[ix]) * tx;
    return a + (b - a) * ty;
}

/* --- geometry of one view --------------------------------------------------------------------- */

enum { PHANTOM_OUTLINE_POINTS = 112 };

typedef struct phantom_geometry {
    float width, height; /* of the field */
    int points;
    float x[PHANTOM_OUTLINE_POINTS], y[PHANTOM_OUTLINE_POINTS]; /* skin, from top to bottom */
    float nipple_x, nipple_y, nipple_radius;
    float top, bottom; /* of the breast itself, in y (an MLO's axilla lies above) */
    bool muscle;
    float muscle_x, muscle_y, muscle_bend; /* its edge from (muscle_x, 0) to (0, muscle_y) */
    float turn;                            /* how much of `medial` an oblique view sees */
    /* Signed distance to the skin (positive inside) on a coarse grid. */
    int grid_columns, grid_rows;
    float grid_step;
    float *distance;
} phantom_geometry;

void mg_phantom_geometry_draw(phantom_geometry *g, const mg_phantom_settings *s,
                              const mg_phantom_patient *patient, const mg_phantom_image *image);
/* Samples needed for `distance` at this image size. */
size_t mg_phantom_grid_size(const mg_phantom_settings *s);

/* Distance to the skin, nipple included. */
float mg_phantom_depth(const phantom_geometry *g, float x, float y);

/* mm inside the pectoral muscle's edge; negative outside. */
float mg_phantom_muscle_depth(const phantom_geometry *g, float x, float y);

/* Where a view shows a finding, at least `margin` mm under the skin; false: out of its field. */
bool mg_phantom_project(const phantom_geometry *g, const mg_phantom_finding *f,
                        mg_phantom_view view, float margin, float *x, float *y);

/* --- renderer --------------------------------------------------------------------------------- */

struct mg_phantom_renderer {
    mg_phantom_settings settings;
    int columns, rows;
    float mm;                  /* per pixel */
    phantom_canvas cloud, web; /* power-law noise; band of 3 … 24 mm */
    phantom_geometry geometry;
    float *image, *scratch; /* 0 background … 1 full scale */
    float *thickness;       /* 0 outside the breast … 1 */
    float *line;            /* one row */
    uint8_t *mask, *breast;
    uint16_t *pixels;
};

/* Parenchyma, skin, muscle, strands and vessels. */
void mg_phantom_tissue(mg_phantom_renderer *r, const mg_phantom_patient *patient,
                       const mg_phantom_image *image);
/* All findings of the breast, and the mask of the malignant ones. */
void mg_phantom_findings(mg_phantom_renderer *r, const mg_phantom_patient *patient,
                         const mg_phantom_image *image);
/* Blur, noise, processing, markers, mirroring, quantisation. */
void mg_phantom_detect(mg_phantom_renderer *r, const mg_phantom_patient *patient,
                       const mg_phantom_image *image, mg_phantom_pixels *out);

/* --- brushes (additive; all within the image's bounds) ---------------------------------------- */

typedef struct phantom_stroke {
    float x[3], y[3];  /* control points of a quadratic curve */
    float width[2];    /* mm at both ends */
    float strength[3]; /* at both ends and in the middle */
} phantom_stroke;

void mg_phantom_stroke(mg_phantom_renderer *r, const phantom_stroke *stroke, bool masked);
/* A speck of calcium: a small soft disc, antialiased by area. */
void mg_phantom_speck(mg_phantom_renderer *r, float x, float y, float radius, float strength,
                      bool masked);

#endif
