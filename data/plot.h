/* plot.h: a small drawing list that becomes SVG (for report.html) or pixels (for .png files).
 *
 * Coordinates are in points, y down, (0,0) top left. Colours are roles: in SVG they refer to CSS
 * variables, so that one drawing follows the page from light to dark; in pixels they are the light
 * theme. A failed allocation is remembered and reported by the renderers, so drawing calls need no
 * checks. */
#ifndef MG_DATA_PLOT_H
#define MG_DATA_PLOT_H

#include <stdbool.h>

#include "data/png.h"
#include "data/text.h"
#include "tensor/error.h"

typedef enum mg_plot_color {
    MG_PLOT_INK,   /* text and axes */
    MG_PLOT_SOFT,  /* secondary text */
    MG_PLOT_RULE,  /* grid lines */
    MG_PLOT_PAPER, /* the background */
    MG_PLOT_FIRST, /* series colours, told apart by colour-blind eyes and in grey */
    MG_PLOT_SECOND,
    MG_PLOT_THIRD,
    MG_PLOT_COLORS
} mg_plot_color;

typedef enum mg_plot_anchor { MG_PLOT_START, MG_PLOT_MIDDLE, MG_PLOT_END } mg_plot_anchor;

typedef struct mg_plot_style {
    mg_plot_color color;
    double width;   /* of the stroke, points */
    double dash;    /* length of dashes, 0 for a solid line */
    double opacity; /* 0 means 1 */
} mg_plot_style;

typedef struct mg_plot mg_plot;

mg_plot *mg_plot_create(double width, double height);
void mg_plot_destroy(mg_plot *plot);

/* xy: x0, y0, x1, y1, … */
void mg_plot_polyline(mg_plot *plot, const double *xy, size_t points, mg_plot_style style);
void mg_plot_line(mg_plot *plot, double x0, double y0, double x1, double y1, mg_plot_style style);
/* Filled, no border. */
void mg_plot_polygon(mg_plot *plot, const double *xy, size_t points, mg_plot_style style);
void mg_plot_rect(mg_plot *plot, double x, double y, double width, double height,
                  mg_plot_style style);
void mg_plot_disc(mg_plot *plot, double x, double y, double radius, mg_plot_style style);
/* (x, y): the anchor on the base line. `turned`: reads upwards (for a y axis). UTF-8. */
void mg_plot_text(mg_plot *plot, double x, double y, double size, mg_plot_anchor anchor,
                  mg_plot_color color, bool bold, bool turned, const char *text);

/* An <svg> element with `label` as its accessible name. */
mg_status mg_plot_svg(const mg_plot *plot, const char *label, mg_text *out, mg_error *err);
/* 8-bit RGB pixels, `scale` per point, anti-aliased, `margin` points of white all around; free with
 * mg_png_free(). */
mg_status mg_plot_image(const mg_plot *plot, double scale, double margin, mg_png *out,
                        mg_error *err);
/* A .png file (crash-safe) with a margin. */
mg_status mg_plot_write_png(const mg_plot *plot, double scale, const char *path, mg_error *err);

#endif
