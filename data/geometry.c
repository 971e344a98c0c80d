#include "data/geometry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mg_geometry_free(mg_geometry *g) {
    free(g->row.list);
    free(g->column.list);
    *g = (mg_geometry){0};
}

static mg_status copy_kept(const mg_kept *from, mg_kept *to, mg_error *err) {
    *to = *from;
    if (!from->list) return MG_OK;
    to->list = malloc((size_t)from->count * sizeof *to->list);
    if (!to->list) return mg_fail(err, MG_ERR_MEMORY, "geometry: out of memory");
    memcpy(to->list, from->list, (size_t)from->count * sizeof *to->list);
    return MG_OK;
}

mg_status mg_geometry_copy(const mg_geometry *from, mg_geometry *to, mg_error *err) {
    *to = *from;
    to->row.list = to->column.list = NULL;
    mg_status status = copy_kept(&from->row, &to->row, err);
    if (!status) status = copy_kept(&from->column, &to->column, err);
    if (status) mg_geometry_free(to);
    return status;
}

/* --- one axis --------------------------------------------------------------------------------- */

static double to_original(const mg_kept *kept, uint32_t size, bool flip, double t) {
    if (flip) t = (double)size - t;
    t = t * (double)kept->count / (double)size;
    if (!kept->list) return (double)kept->first + t;
    double whole = floor(t);
    if (whole < 0) whole = 0;
    if (whole > (double)kept->count - 1) whole = (double)kept->count - 1;
    return (double)kept->list[(uint32_t)whole] + (t - whole);
}

/* Position in the kept axis of original coordinate o; *inside is cleared when o was cropped off. */
static double kept_position(const mg_kept *kept, double o, bool *inside) {
    if (!kept->list) {
        double t = o - (double)kept->first;
        if (t < 0 || t > (double)kept->count) *inside = false;
        return t < 0 ? 0 : t > (double)kept->count ? (double)kept->count : t;
    }
    /* The first kept index above o; the one before it is the last that begins at or before o. */
    uint32_t low = 0, high = kept->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((double)kept->list[middle] > o) high = middle;
        else low = middle + 1;
    }
    if (low == 0) {
        *inside = false;
        return 0;
    }
    double within = o - (double)kept->list[low - 1];
    if (within > 1) {
        *inside = false;
        within = 1;
    }
    return (double)(low - 1) + within;
}

static double to_input(const mg_kept *kept, uint32_t size, bool flip, double o, bool *inside) {
    double t = kept_position(kept, o, inside) * (double)size / (double)kept->count;
    return flip ? (double)size - t : t;
}

void mg_geometry_to_original(const mg_geometry *g, double y, double x, double *oy, double *ox) {
    *oy = to_original(&g->row, g->height, g->flip_vertical, y);
    *ox = to_original(&g->column, g->width, g->flip_horizontal, x);
}

bool mg_geometry_to_input(const mg_geometry *g, double oy, double ox, double *y, double *x) {
    bool inside = true;
    *y = to_input(&g->row, g->height, g->flip_vertical, oy, &inside);
    *x = to_input(&g->column, g->width, g->flip_horizontal, ox, &inside);
    return inside;
}

/* --- coarse maps ------------------------------------------------------------------------------ */

/* The power of two next to size/cells: what a chain of stride-2 layers has done. */
static double stride_of(uint32_t size, uint32_t cells) {
    double stride = 1;
    while (stride * 1.5 * (double)cells < (double)size) stride *= 2;
    return stride;
}

static double cell_to_input(uint32_t size, uint32_t cells, mg_map_alignment alignment, double i) {
    if (alignment == MG_ALIGN_STRIDE) return i * stride_of(size, cells) + 0.5;
    return (i + 0.5) * (double)size / (double)cells;
}

static double input_to_cell(uint32_t size, uint32_t cells, mg_map_alignment alignment, double t) {
    if (alignment == MG_ALIGN_STRIDE) return (t - 0.5) / stride_of(size, cells);
    return t * (double)cells / (double)size - 0.5;
}

void mg_geometry_cell_to_original(const mg_geometry *g, uint32_t map_height, uint32_t map_width,
                                  mg_map_alignment alignment, double cell_y, double cell_x,
                                  double *oy, double *ox) {
    mg_geometry_to_original(g, cell_to_input(g->height, map_height, alignment, cell_y),
                            cell_to_input(g->width, map_width, alignment, cell_x), oy, ox);
}

/* For one axis of the original: the two map cells around each pixel centre and the weight of the
 * second; a weight below 0 marks a pixel outside the crop. */
typedef struct tap {
    uint32_t cell;
    float weight;
} tap;

static tap *make_taps(const mg_kept *kept, uint32_t original, uint32_t size, bool flip,
                      uint32_t cells, mg_map_alignment alignment) {
    tap *taps = malloc((size_t)original * sizeof *taps);
    if (!taps) return NULL;
    for (uint32_t i = 0; i < original; i++) {
        bool inside = true;
        double t = to_input(kept, size, flip, (double)i + 0.5, &inside);
        double c = input_to_cell(size, cells, alignment, t);
        if (c < 0) c = 0;
        if (c > (double)cells - 1) c = (double)cells - 1;
        uint32_t cell = (uint32_t)c;
        if (cells > 1 && cell > cells - 2) cell = cells - 2;
        taps[i] = (tap){cell, inside ? (float)(c - (double)cell) : -1.0f};
    }
    return taps;
}

mg_status mg_geometry_spread(const mg_geometry *g, const float *map, uint32_t map_height,
                             uint32_t map_width, mg_map_alignment alignment, float outside,
                             float *out, mg_error *err) {
    if (map_height == 0 || map_width == 0)
        return mg_fail(err, MG_ERR_ARG, "a map of %u x %u cells", map_height, map_width);
    tap *ys = make_taps(&g->row, g->rows, g->height, g->flip_vertical, map_height, alignment);
    tap *xs = make_taps(&g->column, g->columns, g->width, g->flip_horizontal, map_width, alignment);
    mg_status status = MG_OK;
    if (!ys || !xs) status = mg_fail(err, MG_ERR_MEMORY, "geometry: out of memory");
    for (uint32_t y = 0; y < g->rows && !status; y++) {
        const float *above = map + (size_t)ys[y].cell * map_width;
        const float *below = map_height > 1 ? above + map_width : above;
        float v = ys[y].weight, *row = out + (size_t)y * g->columns;
        for (uint32_t x = 0; x < g->columns; x++) {
            float h = xs[x].weight;
            uint32_t i = xs[x].cell, j = map_width > 1 ? i + 1 : i;
            float top = above[i] + h * (above[j] - above[i]);
            float bottom = below[i] + h * (below[j] - below[i]);
            row[x] = v < 0 || h < 0 ? outside : top + v * (bottom - top);
        }
    }
    free(ys);
    free(xs);
    return status;
}
