/* plot_axis.h: scales and ticks; for the charts only. */
#ifndef MG_DATA_PLOT_AXIS_H
#define MG_DATA_PLOT_AXIS_H

#include <stdbool.h>

typedef struct mg_axis {
    double low, high; /* values at the ends */
    double from, to;  /* where the ends lie on the page */
    bool log, whole;
} mg_axis;

enum { MG_AXIS_MAX_TICKS = 16 };

double mg_axis_place(const mg_axis *axis, double value);
/* Grows the range to round numbers and at least a little width. */
void mg_axis_round(mg_axis *axis);
/* Round values within the range, about `wanted` of them (decades on a log axis). */
int mg_axis_ticks(const mg_axis *axis, int wanted, double ticks[MG_AXIS_MAX_TICKS]);
/* The tick's text: no more digits than the step needs, "1e−5" for small ones on a log axis. */
void mg_axis_label(const mg_axis *axis, double tick, double step, char out[24]);

#endif
