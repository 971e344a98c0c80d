#include "data/image_statistics.h"

#include <math.h>
#include <stdlib.h>

const char *mg_image_quantity_name(mg_image_quantity q) {
    static const char *const names[MG_IMAGE_QUANTITIES] = {
        [MG_IMAGE_ROWS] = "rows",
        [MG_IMAGE_COLUMNS] = "columns",
        [MG_IMAGE_KEPT_ROWS] = "rows kept",
        [MG_IMAGE_KEPT_COLUMNS] = "columns kept",
        [MG_IMAGE_ASPECT] = "rows/columns",
        [MG_IMAGE_KEPT_ASPECT] = "rows/columns kept",
        [MG_IMAGE_LOWEST] = "lowest value",
        [MG_IMAGE_HIGHEST] = "highest value",
        [MG_IMAGE_MEAN] = "input mean",
        [MG_IMAGE_DEVIATION] = "input deviation",
        [MG_IMAGE_DARK] = "input share of 0",
    };
    return names[q];
}

mg_image_summary mg_image_summarise(const mg_prepared *p) {
    const mg_geometry *g = &p->geometry;
    size_t n = (size_t)g->height * g->width, dark = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += p->pixels[i];
        dark += p->pixels[i] == 0;
    }
    double mean = (double)sum / (double)n, square = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)p->pixels[i] - mean;
        square += d * d;
    }
    return (mg_image_summary){{
        [MG_IMAGE_ROWS] = g->rows,
        [MG_IMAGE_COLUMNS] = g->columns,
        [MG_IMAGE_KEPT_ROWS] = g->row.count,
        [MG_IMAGE_KEPT_COLUMNS] = g->column.count,
        [MG_IMAGE_ASPECT] = (double)g->rows / g->columns,
        [MG_IMAGE_KEPT_ASPECT] = (double)g->row.count / g->column.count,
        [MG_IMAGE_LOWEST] = (double)p->lowest,
        [MG_IMAGE_HIGHEST] = (double)p->highest,
        [MG_IMAGE_MEAN] = mean / 65535,
        [MG_IMAGE_DEVIATION] = sqrt(square / (double)n) / 65535,
        [MG_IMAGE_DARK] = (double)dark / (double)n,
    }};
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

mg_status mg_image_distribution(const mg_image_summary *images, size_t n, mg_image_quantity q,
                                mg_distribution *out, mg_error *err) {
    if (n == 0) return mg_fail(err, MG_ERR_ARG, "statistics of no images");
    double *v = malloc(n * sizeof *v), sum = 0;
    if (!v) return mg_fail(err, MG_ERR_MEMORY, "statistics of %zu images: out of memory", n);
    for (size_t i = 0; i < n; i++) sum += v[i] = images[i].value[q];
    qsort(v, n, sizeof *v, ascending);
    *out = (mg_distribution){
        v[0],    quantile(v, n, 0.05), quantile(v, n, 0.5), sum / (double)n, quantile(v, n, 0.95),
        v[n - 1]};
    free(v);
    return MG_OK;
}
