/* geometry.h: where a pixel of the network's input came from in the original image, and back.
 *
 * Coordinates are continuous: pixel i covers [i, i+1), its centre is i + 0.5; y counts rows from
 * the top, x columns from the left. The crop keeps a set of rows and columns (not always
 * contiguous: the zero crop drops interior ones too); the resize then stretches what was kept to
 * the input. */
#ifndef MG_DATA_GEOMETRY_H
#define MG_DATA_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_kept {
    uint32_t first, count; /* kept indices first … first+count-1 when list is NULL */
    uint32_t *list;        /* else `count` ascending original indices; owned */
} mg_kept;

typedef struct mg_geometry {
    uint32_t rows, columns; /* the original image, at its full resolution */
    uint32_t height, width; /* the network's input */
    mg_kept row, column;
    bool flip_horizontal, flip_vertical; /* the input was mirrored after resizing */
} mg_geometry;

void mg_geometry_free(mg_geometry *g);
mg_status mg_geometry_copy(const mg_geometry *from, mg_geometry *to, mg_error *err);

/* Input coordinates -> original coordinates and back. A point in a part that was cropped away maps
 * to the nearest border of what was kept and makes the second function return false. */
void mg_geometry_to_original(const mg_geometry *g, double y, double x, double *oy, double *ox);
bool mg_geometry_to_input(const mg_geometry *g, double oy, double ox, double *y, double *x);

/* How a coarse map (a CAM) lies on the input. */
typedef enum mg_map_alignment {
    MG_ALIGN_STRETCH, /* map cells tile the input: cell centre (i+0.5)*height/map_height */
    MG_ALIGN_STRIDE,  /* where the network looks: strided convolutions with symmetric padding put
                         cell i's centre at input pixel i*stride (stride 2^n next to
                         height/map_height), i.e. at coordinate i*stride + 0.5 */
} mg_map_alignment;

/* Original coordinates of the centre of a map cell. */
void mg_geometry_cell_to_original(const mg_geometry *g, uint32_t map_height, uint32_t map_width,
                                  mg_map_alignment alignment, double cell_y, double cell_x,
                                  double *oy, double *ox);

/* Draws a map [map_height, map_width] into the original geometry, out[rows*columns], smoothly
 * (bilinear); pixels that the crop removed get `outside`. */
mg_status mg_geometry_spread(const mg_geometry *g, const float *map, uint32_t map_height,
                             uint32_t map_width, mg_map_alignment alignment, float outside,
                             float *out, mg_error *err);

#endif
