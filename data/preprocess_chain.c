#include "data/preprocess_chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/crop.h"
#include "data/preprocess_range.h"
#include "ops/imaging.h"

typedef struct chain {
    const mg_memory *memory;
    const mg_device_imaging *imaging;
    const mg_source *source;
    const mg_preprocess_settings *settings;
    int64_t n;
    void *block[8]; /* everything that is not freed yet */
    int blocks;
    float *grey;
} chain;

static void *room(chain *c, size_t bytes) {
    void *block = c->memory->alloc(bytes, "an image to prepare");
    if (block) c->block[c->blocks++] = block;
    return block;
}

/* Frees all but the first `keep` blocks, once the device is through with them. */
static void release(chain *c, int keep) {
    while (c->blocks > keep) c->memory->free(c->block[--c->blocks]);
}

/* MG_ERR_MEMORY: a block was not to be had, which harms nothing. */
static mg_status full(const chain *c, mg_error *err) {
    const char *reason = c->memory->failure(false);
    return mg_fail(err, MG_ERR_MEMORY, "%s", reason ? reason : "the device's memory is full");
}

static mg_status failed(const chain *c, bool wait, mg_error *err) {
    const char *reason = c->memory->failure(wait);
    return reason ? mg_fail(err, MG_ERR_DEVICE, "preparing on the device: %s", reason) : MG_OK;
}

/* The grey value of every word there can be. */
static mg_status fill_table(const chain *c, float *table, mg_error *err) {
    const mg_dicom_stored *s = &c->source->stored;
    const int32_t least = mg_imaging_least(s->word_bytes, s->is_signed);
    const uint32_t levels = mg_imaging_levels(s->word_bytes);
    if (s->plain) {
        static const mg_imaging_window windows[] = {[MG_DICOM_VOI_LINEAR] = MG_IMAGING_LINEAR,
                                                    [MG_DICOM_VOI_LINEAR_EXACT] =
                                                        MG_IMAGING_LINEAR_EXACT,
                                                    [MG_DICOM_VOI_SIGMOID] = MG_IMAGING_SIGMOID};
        mg_imaging_grey g = {.slope = s->slope,
                             .intercept = s->intercept,
                             .window = MG_IMAGING_NO_WINDOW,
                             .centre = s->window.center,
                             .width = s->window.width};
        if (s->windowed) g.window = windows[s->window.function];
        c->imaging->values(&g, least, levels, table);
        return MG_OK;
    }
    float *values = malloc(levels * sizeof *values); /* LUTs, and windows made of the range */
    if (!values) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_dicom_stored_values(s, least, levels, values);
    c->memory->write(table, values, levels * sizeof *values);
    free(values);
    return MG_OK;
}

/* Sends the pixels and makes c->grey of them. */
static mg_status send(chain *c, mg_error *err) {
    const mg_dicom_stored *s = &c->source->stored;
    size_t bytes = (size_t)c->n * (size_t)s->word_bytes;
    c->grey = room(c, (size_t)c->n * sizeof *c->grey);
    void *pixels = c->grey ? room(c, bytes) : NULL;
    float *table = pixels ? room(c, mg_imaging_levels(s->word_bytes) * sizeof *table) : NULL;
    if (!table) return full(c, err);
    c->memory->write(pixels, s->pixels, bytes);
    mg_status status = fill_table(c, table, err);
    if (status) return status;
    mg_imaging_stored stored = {.pixels = pixels,
                                .n = c->n,
                                .word_bytes = s->word_bytes,
                                .is_signed = s->is_signed,
                                .padding_low = 1}; /* none */
    if (c->source->has_mask && s->padded) {
        stored.padding_low = (int32_t)s->padding_low;
        stored.padding_high = (int32_t)s->padding_high;
    }
    c->imaging->look_up(&stored, table, c->grey);
    release(c, 1);
    return MG_OK;
}

static mg_status unit_range(chain *c, mg_prepared *out, mg_error *err) {
    float range[4] = {0};
    const mg_source *s = c->source;
    size_t bytes = c->imaging->range_scratch(c->n), other = 0;
    if (s->reduce > 0) other = c->imaging->steady_range_scratch(s->rows);
    void *scratch = room(c, bytes > other ? bytes : other);
    float *found = scratch ? room(c, sizeof range) : NULL;
    if (!found) return full(c, err);
    c->imaging->range(c->grey, c->n, scratch, found);
    if (other) c->imaging->steady_range(c->grey, s->rows, s->columns, scratch, found + 2);
    c->memory->read(range, found, (other ? 4 : 2) * sizeof *range);
    release(c, 1);
    mg_status status = failed(c, false, err);
    if (other) mg_unit_range_steady(range + 2, &range[0], &range[1]);
    if (!status) status = mg_unit_range_settle(s, range[0], range[1], out, err);
    if (!status) c->imaging->normalise(c->grey, c->n, out->low, out->high, out->inverted);
    return status;
}

static mg_status crop(const chain *c, mg_geometry *g, mg_error *err) {
    const mg_source *s = c->source;
    switch (c->settings->crop) {
    case MG_CROP_ZERO:
        return mg_crop_zero_device(c->memory, c->imaging, c->grey, s->rows, s->columns, &g->row,
                                   &g->column, err);
    case MG_CROP_BREAST:
        return mg_crop_breast_device(c->memory, c->imaging, c->grey, s->rows, s->columns,
                                     c->settings->margin, &g->row, &g->column, err);
    case MG_CROP_NONE: break;
    }
    g->row = (mg_kept){.count = s->rows};
    g->column = (mg_kept){.count = s->columns};
    return MG_OK;
}

/* The kept indices on the device, as a list in any case. */
static const uint32_t *send_kept(chain *c, const mg_kept *kept, mg_error *err) {
    size_t bytes = kept->count * sizeof(uint32_t);
    uint32_t *list = kept->list, *made = list ? NULL : malloc(bytes);
    uint32_t *on_device = list || made ? room(c, bytes) : NULL;
    if (!on_device) {
        free(made);
        full(c, err);
        return NULL;
    }
    for (uint32_t i = 0; made && i < kept->count; i++) made[i] = kept->first + i;
    c->memory->write(on_device, list ? list : made, bytes);
    free(made);
    return on_device;
}

static mg_status resize(chain *c, const mg_geometry *g, uint16_t *out, mg_error *err) {
    mg_imaging_resize r = {.columns = g->columns,
                           .kept_rows = g->row.count,
                           .kept_columns = g->column.count,
                           .height = g->height,
                           .width = g->width};
    size_t n = (size_t)g->height * g->width;
    r.row = send_kept(c, &g->row, err);
    r.column = r.row ? send_kept(c, &g->column, err) : NULL;
    if (!r.column) return MG_ERR_MEMORY;
    void *scratch = room(c, c->imaging->resize_scratch(&r));
    float *resized = scratch ? room(c, n * sizeof *resized) : NULL;
    uint16_t *levels = resized ? room(c, n * sizeof *levels) : NULL;
    if (!levels) return full(c, err);
    c->imaging->resize(&r, c->grey, scratch, resized);
    c->imaging->quantise(resized, (int64_t)n, levels);
    c->memory->read(out, levels, n * sizeof *levels);
    return failed(c, true, err);
}

static mg_status prepare(chain *c, mg_prepared *out, mg_error *err) {
    mg_geometry *g = &out->geometry;
    /* Whatever failed before this image is another's failure, but will not go away. */
    mg_status status = failed(c, false, err);
    if (!status) status = send(c, err);
    if (!status) status = unit_range(c, out, err);
    if (!status) status = crop(c, g, err);
    if (status) return status;
    out->pixels = malloc((size_t)g->height * g->width * sizeof *out->pixels);
    if (!out->pixels) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    status = resize(c, g, out->pixels, err);
    return status ? status : mg_source_full_geometry(c->source, g, err);
}

mg_status mg_preprocess_chain(const mg_device_plugin *plugin, const mg_source *source,
                              const mg_preprocess_settings *settings, mg_prepared *out,
                              mg_error *err) {
    chain c = {.memory = plugin->memory,
               .imaging = plugin->imaging,
               .source = source,
               .settings = settings,
               .n = (int64_t)source->rows * source->columns};
    out->geometry = (mg_geometry){.rows = source->rows,
                                  .columns = source->columns,
                                  .height = settings->height,
                                  .width = settings->width};
    mg_status status = prepare(&c, out, err);
    release(&c, 0);
    if (status) mg_prepared_free(out);
    else snprintf(out->warning, sizeof out->warning, "%s", source->warning);
    return status;
}
