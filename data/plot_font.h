/* plot_font.h: an alphabet of strokes, drawn for this project, that looks the same at any size.
 *
 * Printable ASCII, a few signs used in reports (– — − × ± ≤ ≥ · • … ° →);
 * anything else becomes a small box. Figures are of equal width. Outlines are in font units:
 * capitals 14, lower case 10, descenders to -4; y up; a point size of s makes the capitals 0.72 s
 * high. */
#ifndef MG_DATA_PLOT_FONT_H
#define MG_DATA_PLOT_FONT_H

#include <stdbool.h>
#include <stddef.h>

/* Width of a UTF-8 string at a size; the same unit as the size. */
double mg_font_width(const char *text, double size);

/* Calls stroke() with each polyline of the string (x right, y down, from the start of the base
 * line, curves flattened); the pen is mg_font_pen() wide and has round ends. */
void mg_font_strokes(const char *text, double size,
                     void (*stroke)(void *arg, const double *xy, size_t points), void *arg);
double mg_font_pen(double size, bool bold);

/* The next character of a UTF-8 string and how many bytes it takes (at least 1; U+FFFD for bytes
 * that are none). */
unsigned mg_font_character(const char *text, size_t *bytes);

#endif
