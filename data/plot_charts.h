/* plot_charts.h: the charts of a report, each a drawing to be rendered as SVG or PNG. All are
 * MG_CHART_WIDTH points wide, so that their text stays readable on a phone. NULL when memory
 * runs out. */
#ifndef MG_DATA_PLOT_CHARTS_H
#define MG_DATA_PLOT_CHARTS_H

#include "data/metrics_evaluation.h"
#include "data/plot.h"

enum { MG_CHART_WIDTH = 360 };

typedef struct mg_chart_series {
    const char *name; /* shown in the legend; NULL: not in the legend */
    size_t count;
    const double *x, *y; /* NaN breaks the line */
    mg_plot_color color;
    bool dashed, steps, dots;
} mg_chart_series;

typedef struct mg_chart {
    const char *title, *x_label, *y_label;
    double x_low, x_high; /* both 0: from the data */
    double y_low, y_high; /* both 0: from the data */
    bool y_log, square;   /* square: equal side lengths (ROC) */
    bool x_whole;         /* ticks at whole numbers only (epochs) */
    bool diagonal;        /* a thin line from corner to corner */
    double mark_x;        /* a vertical mark with `mark`; ignored while mark is NULL */
    const char *mark;
    bool mark_low; /* its text stands at the bottom */
} mg_chart;

/* Any x-y chart. */
mg_plot *mg_chart_lines(const mg_chart *chart, const mg_chart_series *series, size_t count);

/* ROC with its area and interval in the legend; NULL names are left out. Up to four evaluations. */
mg_plot *mg_chart_roc(const mg_evaluation *const *evaluations, const char *const *names,
                      size_t count);
/* Precision over recall at natural prevalence or, balanced, at one half. */
mg_plot *mg_chart_precision_recall(const mg_evaluation *const *evaluations,
                                   const char *const *names, size_t count, bool balanced);
/* Reliability with Wilson intervals, and how many items each bin has. */
mg_plot *mg_chart_reliability(const mg_reliability *reliability, const char *title);
/* Which probabilities the two classes get: shares of each class per bin. */
mg_plot *mg_chart_distribution(const mg_reliability *reliability, const char *title);
/* Two by two, shares of each true class, counts below. */
mg_plot *mg_chart_confusion(const mg_metrics *metrics, const char *title);

#endif
