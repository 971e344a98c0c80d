#include "data/preprocess.h"

#include <stdlib.h>
#include <string.h>

#include "data/crop.h"
#include "data/preprocess_device.h"
#include "data/preprocess_range.h"
#include "data/preprocess_read.h"
#include "data/resize.h"
#include "data/sampler.h"

struct mg_preprocessor {
    mg_preprocess_settings settings;
    mg_source source;
    mg_preprocess_device *device; /* or NULL */
    float *input;                 /* height*width before quantisation */
};

mg_preprocessor *mg_preprocessor_create(const mg_preprocess_settings *s, mg_error *err) {
    if (s->height == 0 || s->width == 0 || s->height > 1 << 14 || s->width > 1 << 14) {
        mg_fail(err, MG_ERR_ARG, "network input of %u x %u: 1 … 16384 are possible", s->height,
                s->width);
        return NULL;
    }
    if ((unsigned)s->window > MG_WINDOW_NONE || (unsigned)s->crop > MG_CROP_NONE ||
        !(s->margin >= 0 && s->margin <= 1) || s->reduce < MG_REDUCE_AUTO || s->reduce > 32) {
        mg_fail(err, MG_ERR_ARG, "preprocessing settings out of range");
        return NULL;
    }
    mg_preprocessor *p = calloc(1, sizeof *p);
    if (p) p->settings = *s;
    if (p) p->input = malloc((size_t)s->height * s->width * sizeof *p->input);
    if (p && p->input) return p;
    mg_preprocessor_destroy(p);
    mg_fail(err, MG_ERR_MEMORY, "preprocessing: out of memory");
    return NULL;
}

void mg_preprocessor_destroy(mg_preprocessor *p) {
    if (!p) return;
    mg_source_free(&p->source);
    free(p->input);
    free(p);
}

void mg_preprocessor_use(mg_preprocessor *p, mg_preprocess_device *device) { p->device = device; }

void mg_prepared_free(mg_prepared *p) {
    free(p->pixels);
    mg_geometry_free(&p->geometry);
    *p = (mg_prepared){0};
}

void mg_prepared_input(const mg_prepared *p, int flip, float *out) {
    uint32_t h = p->geometry.height, w = p->geometry.width;
    for (uint32_t y = 0; y < h; y++) {
        const uint16_t *row = p->pixels + (size_t)(flip & MG_FLIP_VERTICAL ? h - 1 - y : y) * w;
        float *to = out + (size_t)y * w;
        if (flip & MG_FLIP_HORIZONTAL)
            for (uint32_t x = 0; x < w; x++) to[x] = (float)row[w - 1 - x] / 65535.0f;
        else
            for (uint32_t x = 0; x < w; x++) to[x] = (float)row[x] / 65535.0f;
    }
}

/* --- range, crop, resize, quantise ------------------------------------------------------------ */

static mg_status crop(const mg_source *s, const mg_preprocess_settings *settings, mg_geometry *g,
                      mg_error *err) {
    switch (settings->crop) {
    case MG_CROP_ZERO: return mg_crop_zero(s->grey, s->rows, s->columns, &g->row, &g->column, err);
    case MG_CROP_BREAST:
        return mg_crop_breast(s->grey, s->rows, s->columns, settings->margin, &g->row, &g->column,
                              err);
    case MG_CROP_NONE: break;
    }
    g->row = (mg_kept){.count = s->rows};
    g->column = (mg_kept){.count = s->columns};
    return MG_OK;
}

static mg_status trace_cropped(const mg_source *s, const mg_geometry *g,
                               const mg_preprocess_trace *trace, mg_error *err) {
    float *pixels = malloc((size_t)g->row.count * g->column.count * sizeof *pixels), *to = pixels;
    if (!pixels) return mg_fail(err, MG_ERR_MEMORY, "trace: out of memory");
    for (uint32_t y = 0; y < g->row.count; y++) {
        uint32_t row = g->row.list ? g->row.list[y] : g->row.first + y;
        for (uint32_t x = 0; x < g->column.count; x++) {
            uint32_t column = g->column.list ? g->column.list[x] : g->column.first + x;
            *to++ = s->grey[(size_t)row * s->columns + column];
        }
    }
    trace->stage(trace->arg, "cropped", pixels, g->row.count, g->column.count);
    free(pixels);
    return MG_OK;
}

static void quantise(const float *in, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        float v = in[i] * 65535.0f + 0.5f;
        out[i] = (uint16_t)(v < 0 ? 0 : v > 65535.0f ? 65535 : (int)v);
    }
}

static mg_status finish(mg_preprocessor *p, const mg_preprocess_trace *trace, mg_prepared *out,
                        mg_error *err) {
    const mg_preprocess_settings *s = &p->settings;
    mg_geometry *g = &out->geometry;
    size_t n = (size_t)s->height * s->width;
    *g = (mg_geometry){.rows = p->source.rows,
                       .columns = p->source.columns,
                       .height = s->height,
                       .width = s->width};
    mg_status status = mg_unit_range(&p->source, trace, out, err);
    if (!status) status = crop(&p->source, s, g, err);
    if (!status && trace) status = trace_cropped(&p->source, g, trace, err);
    if (!status) status = mg_resize(p->source.grey, g, p->input, err);
    if (!status) status = mg_source_full_geometry(&p->source, g, err);
    if (!status) {
        out->pixels = malloc(n * sizeof *out->pixels);
        if (!out->pixels) status = mg_fail(err, MG_ERR_MEMORY, "preprocessing: out of memory");
    }
    if (status) {
        mg_prepared_free(out);
        return status;
    }
    quantise(p->input, n, out->pixels);
    memcpy(out->warning, p->source.warning, sizeof out->warning);
    if (trace) {
        mg_prepared_input(out, 0, p->input);
        trace->stage(trace->arg, "input", p->input, s->height, s->width);
    }
    return MG_OK;
}

/* The steps after decoding, where they are to be done. */
static mg_status from_source(mg_preprocessor *p, const mg_preprocess_trace *trace, mg_prepared *out,
                             mg_error *err) {
    bool done = false;
    mg_status status = MG_OK;
    if (p->device && !trace)
        status = mg_preprocess_on_device(p->device, &p->source, &p->settings, out, &done, err);
    if (!status && !done && p->source.stored.pixels) status = mg_source_evaluate(&p->source, err);
    if (!status && !done) status = finish(p, trace, out, err);
    mg_dicom_stored_free(&p->source.stored);
    return status;
}

mg_status mg_preprocess_file(mg_preprocessor *p, const char *path, const mg_preprocess_trace *trace,
                             mg_prepared *out, mg_error *err) {
    *out = (mg_prepared){0};
    p->source.on_values = trace ? NULL : mg_unit_range_of_values;
    p->source.keep_stored = p->device && !trace;
    mg_status status = mg_source_read(&p->source, path, &p->settings, trace, err);
    p->source.keep_stored = false;
    if (status) return status;
    mg_error inner = {0};
    status = from_source(p, trace, out, &inner);
    return status ? mg_fail(err, status, "%s: %s", path, inner.message) : MG_OK;
}

mg_status mg_preprocess_pixels(mg_preprocessor *p, float *pixels, uint32_t rows, uint32_t columns,
                               bool invert, mg_prepared *out, mg_error *err) {
    *out = (mg_prepared){0};
    if (rows == 0 || columns == 0)
        return mg_fail(err, MG_ERR_ARG, "an image of %u x %u pixels", rows, columns);
    mg_source own = p->source;
    p->source = (mg_source){.grey = pixels,
                            .rows = rows,
                            .columns = columns,
                            .full_rows = rows,
                            .full_columns = columns,
                            .invert = invert};
    mg_status status = finish(p, NULL, out, err);
    p->source = own;
    return status;
}

mg_status mg_preprocess_display(mg_preprocessor *p, const char *path, float **pixels,
                                uint32_t *rows, uint32_t *columns, mg_error *err) {
    *pixels = NULL;
    mg_prepared ranges = {0};
    mg_error inner = {0};
    mg_preprocess_settings full = p->settings;
    full.reduce = 0;
    p->source.on_values = mg_unit_range_of_values;
    mg_status status = mg_source_read(&p->source, path, &full, NULL, err);
    if (status) return status;
    status = mg_unit_range(&p->source, NULL, &ranges, &inner);
    if (status) return mg_fail(err, status, "%s: %s", path, inner.message);
    size_t n = (size_t)p->source.rows * p->source.columns;
    *pixels = malloc(n * sizeof **pixels);
    if (!*pixels) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
    memcpy(*pixels, p->source.grey, n * sizeof **pixels);
    *rows = p->source.rows;
    *columns = p->source.columns;
    return MG_OK;
}
