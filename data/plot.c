/* The drawing list and its pixels; plot_svg.c makes the SVG. */
#include "data/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/plot_font.h"
#include "data/plot_list.h"
#include "data/plot_raster.h"

mg_plot *mg_plot_create(double width, double height) {
    mg_plot *plot = calloc(1, sizeof *plot);
    if (plot) *plot = (mg_plot){.width = width, .height = height};
    return plot;
}

void mg_plot_destroy(mg_plot *plot) {
    if (!plot) return;
    for (size_t i = 0; i < plot->count; i++) free(plot->item[i].data);
    free(plot->item);
    free(plot);
}

/* A new item with a copy of `size` bytes; NULL (and the plot marked) without memory. */
static mg_plot_item *add_item(mg_plot *plot, mg_plot_kind kind, const void *data, size_t size) {
    if (plot->failed) return NULL;
    if (plot->count == plot->capacity) {
        size_t capacity = plot->capacity ? 2 * plot->capacity : 64;
        mg_plot_item *item = realloc(plot->item, capacity * sizeof *item);
        if (!item) {
            plot->failed = true;
            return NULL;
        }
        plot->item = item;
        plot->capacity = capacity;
    }
    void *copy = malloc(size);
    if (!copy) {
        plot->failed = true;
        return NULL;
    }
    memcpy(copy, data, size);
    mg_plot_item *item = &plot->item[plot->count++];
    *item = (mg_plot_item){.kind = kind, .data = copy};
    return item;
}

static void add_shape(mg_plot *plot, mg_plot_kind kind, const double *xy, size_t points,
                      mg_plot_style style) {
    if (points == 0) return;
    mg_plot_item *item = add_item(plot, kind, xy, 2 * points * sizeof *xy);
    if (!item) return;
    item->points = points;
    item->style = style;
    if (item->style.opacity == 0) item->style.opacity = 1;
}

void mg_plot_polyline(mg_plot *plot, const double *xy, size_t points, mg_plot_style style) {
    add_shape(plot, MG_ITEM_LINE, xy, points, style);
}

void mg_plot_line(mg_plot *plot, double x0, double y0, double x1, double y1, mg_plot_style style) {
    add_shape(plot, MG_ITEM_LINE, (double[]){x0, y0, x1, y1}, 2, style);
}

void mg_plot_polygon(mg_plot *plot, const double *xy, size_t points, mg_plot_style style) {
    add_shape(plot, MG_ITEM_FILL, xy, points, style);
}

void mg_plot_rect(mg_plot *plot, double x, double y, double width, double height,
                  mg_plot_style style) {
    double xy[] = {x, y, x + width, y, x + width, y + height, x, y + height};
    add_shape(plot, MG_ITEM_FILL, xy, 4, style);
}

void mg_plot_disc(mg_plot *plot, double x, double y, double radius, mg_plot_style style) {
    style.width = radius;
    add_shape(plot, MG_ITEM_DISC, (double[]){x, y}, 1, style);
}

void mg_plot_text(mg_plot *plot, double x, double y, double size, mg_plot_anchor anchor,
                  mg_plot_color color, bool bold, bool turned, const char *text) {
    mg_plot_item *item = add_item(plot, MG_ITEM_TEXT, text, strlen(text) + 1);
    if (!item) return;
    item->style = (mg_plot_style){.color = color, .opacity = 1};
    item->x = x;
    item->y = y;
    item->size = size;
    item->anchor = anchor;
    item->bold = bold;
    item->turned = turned;
}

/* --- pixels ----------------------------------------------------------------------------------- */

static const uint8_t light[MG_PLOT_COLORS][3] = {
    [MG_PLOT_INK] = {0x1c, 0x23, 0x2b},   [MG_PLOT_SOFT] = {0x5b, 0x66, 0x72},
    [MG_PLOT_RULE] = {0xdf, 0xe3, 0xe8},  [MG_PLOT_PAPER] = {0xff, 0xff, 0xff},
    [MG_PLOT_FIRST] = {0x1f, 0x5f, 0xa8}, [MG_PLOT_SECOND] = {0xc6, 0x5d, 0x0e},
    [MG_PLOT_THIRD] = {0x0f, 0x7d, 0x6b},
};

static void paint_text(mg_raster *raster, const mg_plot_item *item, double scale, double margin,
                       mg_ink ink) {
    double width = mg_font_width(item->data, item->size);
    double x = item->x + margin, y = item->y + margin;
    double back = item->anchor == MG_PLOT_END      ? width
                  : item->anchor == MG_PLOT_MIDDLE ? width / 2
                                                   : 0;
    if (item->turned) y += back;
    else x -= back;
    mg_raster_text(raster, x * scale, y * scale, item->size * scale, item->bold, item->turned, ink,
                   item->data);
}

static void paint_shape(mg_raster *raster, const mg_plot_item *item, double scale, double margin,
                        mg_ink ink) {
    double *xy = malloc(2 * item->points * sizeof *xy);
    if (!xy) {
        raster->failed = true;
        return;
    }
    for (size_t i = 0; i < 2 * item->points; i++)
        xy[i] = (((double *)item->data)[i] + margin) * scale;
    double width = item->style.width * scale;
    if (item->kind == MG_ITEM_LINE)
        mg_raster_stroke(raster, xy, item->points, width, item->style.dash * scale, ink);
    else if (item->kind == MG_ITEM_FILL) mg_raster_fill(raster, xy, item->points, ink);
    else mg_raster_disc(raster, xy[0], xy[1], width, ink);
    free(xy);
}

mg_status mg_plot_image(const mg_plot *plot, double scale, double margin, mg_png *out,
                        mg_error *err) {
    *out = (mg_png){0};
    double w = ceil((plot->width + 2 * margin) * scale);
    double h = ceil((plot->height + 2 * margin) * scale);
    if (!(w >= 1 && h >= 1 && w <= 16384 && h <= 16384))
        return mg_fail(err, MG_ERR_ARG, "a plot of %g x %g pixels", w, h);
    size_t size = 3 * (size_t)w * (size_t)h;
    uint8_t *rgb = malloc(size);
    if (plot->failed || !rgb) {
        free(rgb);
        return mg_fail(err, MG_ERR_MEMORY, "no memory for a plot");
    }
    memset(rgb, 0xff, size);
    mg_raster raster = {.width = (int)w, .height = (int)h, .rgb = rgb};
    for (size_t i = 0; i < plot->count; i++) {
        const mg_plot_item *item = &plot->item[i];
        const uint8_t *c = light[item->style.color];
        mg_ink ink = {{c[0], c[1], c[2]}, item->style.opacity};
        if (item->kind == MG_ITEM_TEXT) paint_text(&raster, item, scale, margin, ink);
        else paint_shape(&raster, item, scale, margin, ink);
    }
    if (raster.failed) {
        free(rgb);
        return mg_fail(err, MG_ERR_MEMORY, "no memory to draw a plot");
    }
    *out = (mg_png){
        .width = (uint32_t)w, .height = (uint32_t)h, .channels = 3, .bits = 8, .pixels = rgb};
    return MG_OK;
}

mg_status mg_plot_write_png(const mg_plot *plot, double scale, const char *path, mg_error *err) {
    if (!plot) return mg_fail(err, MG_ERR_MEMORY, "%s: no memory to draw it", path);
    mg_png png;
    mg_status status = mg_plot_image(plot, scale, 14, &png, err);
    if (status) return status;
    status = mg_png_write(path, &png, err);
    free(png.pixels);
    return status;
}
