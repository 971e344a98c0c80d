#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/plot_list.h"

/* Colours are classes k0 … k6 (stroke) and f0 … f6 (fill) that the page's style sheet
 * resolves. */

static void number(mg_text *out, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.2f", value);
    char *end = text + strlen(text);
    while (end[-1] == '0') end--;
    if (end[-1] == '.') end--;
    mg_text_bytes(out, text, (size_t)(end - text));
}

static void attribute(mg_text *out, const char *name, double value) {
    mg_text_format(out, " %s=\"", name);
    number(out, value);
    mg_text_add(out, "\"");
}

static void path(mg_text *out, const double *xy, size_t points, bool closed) {
    mg_text_add(out, " d=\"");
    for (size_t i = 0; i < points; i++) {
        mg_text_add(out, i == 0 ? "M" : i == 1 ? "L" : " ");
        number(out, xy[2 * i]);
        mg_text_add(out, " ");
        number(out, xy[2 * i + 1]);
    }
    mg_text_add(out, closed ? "Z\"" : "\"");
}

static void shape(mg_text *out, const mg_plot_item *item) {
    const mg_plot_style *style = &item->style;
    const double *xy = item->data;
    if (item->kind == MG_ITEM_DISC) {
        mg_text_format(out, "<circle class=\"f%d\"", (int)style->color);
        attribute(out, "cx", xy[0]);
        attribute(out, "cy", xy[1]);
        attribute(out, "r", style->width);
    } else {
        bool fill = item->kind == MG_ITEM_FILL;
        mg_text_format(out, "<path class=\"%c%d\"", fill ? 'f' : 'k', (int)style->color);
        path(out, xy, item->points, fill);
        if (!fill) attribute(out, "stroke-width", style->width);
        if (!fill && style->dash > 0) attribute(out, "stroke-dasharray", style->dash);
    }
    if (style->opacity < 1) attribute(out, "opacity", style->opacity);
    mg_text_add(out, "/>");
}

static void text(mg_text *out, const mg_plot_item *item) {
    mg_text_format(out, "<text class=\"f%d\"", (int)item->style.color);
    attribute(out, "x", item->x);
    attribute(out, "y", item->y);
    attribute(out, "font-size", item->size);
    if (item->anchor != MG_PLOT_START)
        mg_text_format(out, " text-anchor=\"%s\"", item->anchor == MG_PLOT_END ? "end" : "middle");
    if (item->bold) mg_text_add(out, " font-weight=\"600\"");
    if (item->turned) {
        mg_text_add(out, " transform=\"rotate(-90 ");
        number(out, item->x);
        mg_text_add(out, " ");
        number(out, item->y);
        mg_text_add(out, ")\"");
    }
    mg_text_add(out, ">");
    mg_text_escaped(out, item->data);
    mg_text_add(out, "</text>");
}

mg_status mg_plot_svg(const mg_plot *plot, const char *label, mg_text *out, mg_error *err) {
    if (!plot || plot->failed) return mg_fail(err, MG_ERR_MEMORY, "no memory for a plot");
    mg_text_add(out, "<svg role=\"img\" viewBox=\"0 0 ");
    number(out, plot->width);
    mg_text_add(out, " ");
    number(out, plot->height);
    mg_text_add(out, "\" aria-label=\"");
    mg_text_escaped(out, label);
    mg_text_add(out, "\">");
    for (size_t i = 0; i < plot->count; i++) {
        if (plot->item[i].kind == MG_ITEM_TEXT) text(out, &plot->item[i]);
        else shape(out, &plot->item[i]);
    }
    mg_text_add(out, "</svg>\n");
    return out->failed ? mg_fail(err, MG_ERR_MEMORY, "no memory for a plot") : MG_OK;
}
