#include "data/preprocess_read.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/png.h"

mg_status mg_source_reserve(mg_source *s, uint32_t rows, uint32_t columns, mg_error *err) {
    size_t n = (size_t)rows * columns;
    if (rows == 0 || columns == 0)
        return mg_fail(err, MG_ERR_FORMAT, "an image of %u x %u pixels", rows, columns);
    if (n > (size_t)1 << 28)
        return mg_fail(err, MG_ERR_MEMORY, "%u x %u pixels: more than 2^28", rows, columns);
    s->rows = s->full_rows = rows;
    s->columns = s->full_columns = columns;
    s->reduce = 0;
    if (n <= s->capacity) return MG_OK;
    free(s->grey);
    free(s->mask);
    s->grey = malloc(n * sizeof *s->grey);
    s->mask = malloc(n);
    s->capacity = s->grey && s->mask ? n : 0;
    return s->capacity
               ? MG_OK
               : mg_fail(err, MG_ERR_MEMORY, "%u x %u pixels: out of memory", rows, columns);
}

void mg_source_free(mg_source *s) {
    free(s->grey);
    free(s->mask);
    mg_dicom_stored_free(&s->stored);
    *s = (mg_source){0};
}

/* --- DICOM ------------------------------------------------------------------------------------ */

static mg_status from_dicom(const mg_dicom_error *e, mg_error *err) {
    mg_status code = MG_ERR_FORMAT;
    if (e->code == MG_DICOM_ERR_IO) code = MG_ERR_IO;
    else if (e->code == MG_DICOM_ERR_MEMORY || e->code == MG_DICOM_ERR_LIMIT) code = MG_ERR_MEMORY;
    else if (e->code == MG_DICOM_ERR_UNSUPPORTED) code = MG_ERR_UNSUPPORTED;
    else if (e->code == MG_DICOM_ERR_ARG) code = MG_ERR_ARG;
    return mg_fail(err, code, "%s", e->message);
}

static int choose_reduce(const mg_dicom_image *image, const mg_preprocess_settings *s) {
    if (s->reduce != MG_REDUCE_AUTO) return s->reduce;
    int n = 0;
    while (n < 5 && image->rows >> (n + 1) >= s->height && image->columns >> (n + 1) >= s->width)
        n++;
    return n;
}

/* Streams with fewer levels of resolution than asked for give their coarsest. */
static mg_dicom_status read_stored(mg_source *s, mg_dicom *d, mg_dicom_grey_options *o,
                                   mg_dicom_error *e) {
    for (;; o->read.reduce--) {
        *e = (mg_dicom_error){0};
        mg_dicom_status status = mg_dicom_read_stored(d, 0, o, &s->stored, e);
        if (status != MG_DICOM_ERR_ARG || o->read.reduce == 0) return status;
    }
}

/* The values before any step, for the trace only: a second decoding is no matter there. */
static mg_status trace_stored(mg_source *s, mg_dicom *d, int reduce,
                              const mg_preprocess_trace *trace, mg_error *err) {
    mg_dicom_error e = {0};
    uint32_t rows = s->rows, columns = s->columns;
    mg_dicom_grey_options o = {
        .no_modality = true,
        .no_voi = true,
        .no_presentation = true,
        .read = {.reduce = reduce, .rows = &rows, .columns = &columns},
    };
    if (read_stored(s, d, &o, &e)) return from_dicom(&e, err);
    mg_dicom_stored_grey(&s->stored, NULL, s->grey, NULL);
    mg_dicom_stored_free(&s->stored);
    trace->stage(trace->arg, "stored", s->grey, rows, columns);
    return MG_OK;
}

static void pass_on(void *arg, float *values, size_t n) {
    mg_source *s = arg;
    s->on_values(s, values, n);
}

mg_status mg_source_evaluate(mg_source *s, mg_error *err) {
    mg_dicom_error e = {0};
    mg_dicom_grey_options o = {
        .padding_mask = s->has_mask ? s->mask : NULL,
        .on_values = s->on_values && !s->has_mask && !s->reduce ? pass_on : NULL,
        .arg = s,
    };
    mg_dicom_status status = mg_dicom_stored_grey(&s->stored, &o, s->grey, &e);
    mg_dicom_stored_free(&s->stored);
    return status ? from_dicom(&e, err) : MG_OK;
}

static mg_status read_pixels(mg_source *s, mg_dicom *d, const mg_preprocess_settings *settings,
                             const mg_preprocess_trace *trace, mg_error *err) {
    mg_dicom_error e = {0};
    mg_dicom_image image;
    if (mg_dicom_image_info(d, &image, &e)) return from_dicom(&e, err);
    if (image.frames != 1)
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%u frames: only single images can be used; export the projection as one",
                       image.frames);
    if (image.samples != 1)
        return mg_fail(err, MG_ERR_UNSUPPORTED, "a colour image (%s), not a mammogram",
                       image.photometric);
    mg_status status = mg_source_reserve(s, image.rows, image.columns, err);
    int reduce = choose_reduce(&image, settings);
    if (!status && trace) status = trace_stored(s, d, reduce, trace, err);
    if (status) return status;
    s->has_mask = settings->window != MG_WINDOW_SEED; /* the seed knows no padding */
    s->invert = strcmp(image.photometric, "MONOCHROME1") == 0;
    mg_dicom_window window;
    s->has_window = settings->window == MG_WINDOW_SEED && mg_dicom_window_of(d, 0, 0, &window) &&
                    isfinite(window.center) && isfinite(window.width) && window.width > 0;
    if (s->has_window) {
        s->center = window.center;
        s->width = window.width;
    }
    mg_dicom_grey_options o = {
        .no_voi = settings->window != MG_WINDOW_DICOM,
        .no_presentation = true,
        .read = {.reduce = reduce, .rows = &s->rows, .columns = &s->columns},
    };
    if (read_stored(s, d, &o, &e)) return from_dicom(&e, err);
    if (s->rows == 0 || s->columns == 0)
        return mg_fail(err, MG_ERR_FORMAT, "nothing is left at 1/%d of the resolution",
                       1 << o.read.reduce);
    s->reduce = s->rows == s->full_rows ? 0 : o.read.reduce; /* other codecs know no reduction */
    if (mg_dicom_warnings(d) > 0)
        snprintf(s->warning, sizeof s->warning, "%s", mg_dicom_warning(d, 0));
    return s->keep_stored ? MG_OK : mg_source_evaluate(s, err);
}

static mg_status read_dicom(mg_source *s, const char *path, const mg_preprocess_settings *settings,
                            const mg_preprocess_trace *trace, mg_error *err) {
    mg_dicom_error e = {0};
    mg_dicom *d = mg_dicom_open(path, NULL, &e);
    if (!d) return from_dicom(&e, err);
    mg_status status = read_pixels(s, d, settings, trace, err);
    mg_dicom_close(d);
    return status;
}

/* --- PNG -------------------------------------------------------------------------------------- */

static float sample(const mg_png *png, size_t i) {
    return png->bits == 16 ? (float)((const uint16_t *)png->pixels)[i]
                           : (float)((const uint8_t *)png->pixels)[i];
}

/* Grey that was saved as RGB is fine; an overlay or a photograph is not. */
static bool is_coloured(const mg_png *png) {
    size_t n = (size_t)png->width * png->height, step = (size_t)png->channels;
    for (size_t i = 0; i < n * step && step >= 3; i += step)
        if (sample(png, i) != sample(png, i + 1) || sample(png, i) != sample(png, i + 2))
            return true;
    return false;
}

static mg_status read_png(mg_source *s, const char *path, const mg_preprocess_trace *trace,
                          mg_error *err) {
    mg_png png;
    mg_status status = mg_png_read(path, &png, err);
    if (status) return status;
    if (is_coloured(&png))
        status =
            mg_fail(err, MG_ERR_UNSUPPORTED, "%s: a colour image (PNG), not a mammogram", path);
    if (!status) status = mg_source_reserve(s, png.height, png.width, err);
    size_t n = (size_t)png.width * png.height, step = (size_t)png.channels;
    for (size_t i = 0; i < n && !status; i++) {
        if (step < 3) s->grey[i] = sample(&png, i * step);
        else /* ITU-R BT.601 luma */
            s->grey[i] = 0.299f * sample(&png, i * step) + 0.587f * sample(&png, i * step + 1) +
                         0.114f * sample(&png, i * step + 2);
    }
    mg_png_free(&png);
    if (!status && trace) trace->stage(trace->arg, "stored", s->grey, s->rows, s->columns);
    return status;
}

mg_status mg_source_read(mg_source *s, const char *path, const mg_preprocess_settings *settings,
                         const mg_preprocess_trace *trace, mg_error *err) {
    s->has_mask = s->has_window = s->invert = s->finished = false;
    s->warning[0] = '\0';
    mg_dicom_stored_free(&s->stored); /* of a file that failed half-way */
    uint8_t head[8];
    FILE *f = fopen(path, "rb");
    if (!f) return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    size_t n = fread(head, 1, sizeof head, f);
    int why = ferror(f) ? errno : 0;
    fclose(f);
    if (why) return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(why));
    if (n == 0) return mg_fail(err, MG_ERR_FORMAT, "%s: the file is empty", path);
    mg_error inner = {0};
    mg_status status;
    if (mg_png_recognise(head, n)) return read_png(s, path, trace, err);
    status = read_dicom(s, path, settings, trace, &inner);
    if (!status) return MG_OK;
    return strstr(inner.message, path) ? mg_fail(err, status, "%s", inner.message)
                                       : mg_fail(err, status, "%s: %s", path, inner.message);
}

/* --- back to the file's rows and columns ------------------------------------------------------ */

/* Kept rows of an image of n >> reduce rows (rounded up) as rows of the full one. */
static mg_status enlarge(mg_kept *kept, int reduce, uint32_t n, mg_error *err) {
    uint32_t unit = UINT32_C(1) << reduce;
    if (!kept->list) {
        uint32_t end = (kept->first + kept->count) * unit;
        kept->first *= unit;
        kept->count = (end < n ? end : n) - kept->first;
        return MG_OK;
    }
    uint32_t *list = malloc((size_t)kept->count * unit * sizeof *list), count = 0;
    if (!list) return mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
    for (uint32_t i = 0; i < kept->count; i++)
        for (uint32_t k = kept->list[i] * unit; k < (kept->list[i] + 1) * unit && k < n; k++)
            list[count++] = k;
    free(kept->list);
    *kept = (mg_kept){.first = list[0], .count = count, .list = list};
    return MG_OK;
}

mg_status mg_source_full_geometry(const mg_source *s, mg_geometry *g, mg_error *err) {
    mg_status status = MG_OK;
    if (s->reduce > 0) status = enlarge(&g->row, s->reduce, s->full_rows, err);
    if (s->reduce > 0 && !status) status = enlarge(&g->column, s->reduce, s->full_columns, err);
    g->rows = s->full_rows;
    g->columns = s->full_columns;
    return status;
}
