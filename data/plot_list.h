/* plot_list.h: what a drawing list holds; for its renderers only. */
#ifndef MG_DATA_PLOT_LIST_H
#define MG_DATA_PLOT_LIST_H

#include "data/plot.h"

typedef enum mg_plot_kind { MG_ITEM_LINE, MG_ITEM_FILL, MG_ITEM_DISC, MG_ITEM_TEXT } mg_plot_kind;

typedef struct mg_plot_item {
    mg_plot_kind kind;
    mg_plot_style style; /* a disc's radius is in width */
    size_t points;
    double x, y, size; /* of text */
    mg_plot_anchor anchor;
    bool bold, turned;
    void *data; /* double xy[2 * points], or the text */
} mg_plot_item;

struct mg_plot {
    double width, height;
    mg_plot_item *item;
    size_t count, capacity;
    bool failed;
};

#endif
