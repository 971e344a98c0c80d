#include "data/resize.h"

#include <stdlib.h>
#include <string.h>

#include "data/lanes.h"

/* Taps of one output pixel: weights[k] belongs to input first + k. */
typedef struct taps {
    uint32_t *first, *count;
    float *weight; /* out * most */
    uint32_t most;
} taps;

static void taps_free(taps *t) {
    free(t->first);
    free(t->weight);
    *t = (taps){0};
}

static double triangle(double centre, double support, uint32_t k) {
    double d = ((double)k - centre + 0.5) / support;
    double w = d < 0 ? 1 + d : 1 - d;
    return w > 0 ? w : 0;
}

static bool taps_create(taps *t, uint32_t in, uint32_t out) {
    double scale = (double)in / (double)out;
    double support = scale > 1 ? scale : 1;
    t->most = 2 * (uint32_t)(support + 1) + 2;
    t->first = malloc(2 * (size_t)out * sizeof *t->first);
    t->weight = calloc((size_t)out * t->most, sizeof *t->weight);
    if (!t->first || !t->weight) return false;
    t->count = t->first + out;
    for (uint32_t i = 0; i < out; i++) {
        double centre = scale * ((double)i + 0.5);
        double low = centre - support + 0.5, high = centre + support + 0.5;
        uint32_t from = low > 0 ? (uint32_t)low : 0;
        uint32_t to = high < (double)in ? (uint32_t)high : in;
        double total = 0;
        for (uint32_t k = from; k < to; k++) total += triangle(centre, support, k);
        for (uint32_t k = from; k < to; k++)
            t->weight[(size_t)i * t->most + (k - from)] =
                (float)(triangle(centre, support, k) / total);
        t->first[i] = from;
        t->count[i] = to - from;
    }
    return true;
}

/* Four pixels at a time; the tail goes one by one with the same arithmetic. */
static void add_row(float *restrict sum, const float *restrict row, float weight, uint32_t n) {
    uint32_t x = 0;
    for (; x + LANES <= n; x += LANES) {
        lanes_store(sum + x, lanes_load(sum + x) + lanes_load(row + x) * weight);
    }
    for (; x < n; x++) sum[x] += row[x] * weight;
}

static void rows_into(const float *in, const mg_geometry *g, const taps *t, uint32_t y,
                      uint32_t first_column, uint32_t width, float *sum) {
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (uint32_t k = 0; k < t->count[y]; k++) {
        uint32_t i = t->first[y] + k;
        uint32_t row = g->row.list ? g->row.list[i] : g->row.first + i;
        add_row(sum, in + (size_t)row * g->columns + first_column,
                t->weight[(size_t)y * t->most + k], width);
    }
}

mg_status mg_resize(const float *in, const mg_geometry *g, float *out, mg_error *err) {
    const mg_kept *column = &g->column;
    uint32_t first = column->list ? column->list[0] : column->first;
    uint32_t last = column->list ? column->list[column->count - 1] : first + column->count - 1;
    uint32_t width = last - first + 1;
    taps ys = {0}, xs = {0};
    float *sum = malloc((size_t)width * sizeof *sum);
    if (!sum || !taps_create(&ys, g->row.count, g->height) ||
        !taps_create(&xs, column->count, g->width)) {
        free(sum);
        taps_free(&ys);
        taps_free(&xs);
        return mg_fail(err, MG_ERR_MEMORY, "resize to %u x %u: out of memory", g->height, g->width);
    }
    for (uint32_t y = 0; y < g->height; y++) {
        rows_into(in, g, &ys, y, first, width, sum);
        if (column->list) /* close the gaps of dropped columns */
            for (uint32_t i = 0; i < column->count; i++) sum[i] = sum[column->list[i] - first];
        float *to = out + (size_t)y * g->width;
        for (uint32_t x = 0; x < g->width; x++) {
            const float *p = sum + xs.first[x], *w = xs.weight + (size_t)x * xs.most;
            float value = 0;
            for (uint32_t k = 0; k < xs.count[x]; k++) value += p[k] * w[k];
            to[x] = value;
        }
    }
    free(sum);
    taps_free(&ys);
    taps_free(&xs);
    return MG_OK;
}
