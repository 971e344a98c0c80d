/* grey.c: a grey frame as f32: stored -> padding mask -> modality -> VOI -> presentation. */
#include <stdlib.h>

#include "dicom/grey.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

/* --- stored values of any word ---------------------------------------------------------------- */

#define DEFINE_WORD(name, type)                                                                    \
    static void widen_##name(const type *p, size_t n, double *out) {                               \
        for (size_t i = 0; i < n; i++) out[i] = (double)p[i];                                      \
    }                                                                                              \
    static void limits_##name(const type *p, size_t n, int64_t *least, int64_t *most) {            \
        type a = p[0], b = p[0];                                                                   \
        for (size_t i = 0; i < n; i++) {                                                           \
            a = p[i] < a ? p[i] : a;                                                               \
            b = p[i] > b ? p[i] : b;                                                               \
        }                                                                                          \
        *least = (int64_t)a;                                                                       \
        *most = (int64_t)b;                                                                        \
    }                                                                                              \
    static void between_##name(const type *p, size_t n, type low, type high, uint8_t *mask) {      \
        for (size_t i = 0; i < n; i++) mask[i] = p[i] >= low && p[i] <= high;                      \
    }
DEFINE_WORD(u8, uint8_t)
DEFINE_WORD(s8, int8_t)
DEFINE_WORD(u16, uint16_t)
DEFINE_WORD(s16, int16_t)
DEFINE_WORD(u32, uint32_t)
DEFINE_WORD(s32, int32_t)
DEFINE_WORD(u64, uint64_t)
DEFINE_WORD(s64, int64_t)

#define BY_WORD(image, action)                                                                     \
    switch ((image)->word_bytes * 2 + (image)->is_signed) {                                        \
    case 2: action(u8, uint8_t); break;                                                            \
    case 3: action(s8, int8_t); break;                                                             \
    case 4: action(u16, uint16_t); break;                                                          \
    case 5: action(s16, int16_t); break;                                                           \
    case 8: action(u32, uint32_t); break;                                                          \
    case 9: action(s32, int32_t); break;                                                           \
    case 16: action(u64, uint64_t); break;                                                         \
    default: action(s64, int64_t); break;                                                          \
    }

static void widen(const mg_dicom_image *image, const void *p, size_t first, size_t n, double *out) {
#define WIDEN(name, type) widen_##name((const type *)p + first, n, out)
    BY_WORD(image, WIDEN)
}

/* 64-bit unsigned values beyond 2^63 do not fit; nothing but 16-bit images relies on these. */
static void limits(const mg_dicom_image *image, const void *p, size_t n, int64_t *least,
                   int64_t *most) {
#define LIMITS(name, type) limits_##name(p, n, least, most)
    BY_WORD(image, LIMITS)
}

static void between(const mg_dicom_image *image, const void *p, size_t n, int64_t low, int64_t high,
                    uint8_t *mask) {
#define BETWEEN(name, type) between_##name(p, n, (type)low, (type)high, mask)
    BY_WORD(image, BETWEEN)
}

/* --- evaluation ------------------------------------------------------------------------------- */

enum { CHUNK = 512 };

static void evaluate(const mg_dicom_grey *g, const mg_dicom_image *image, const void *stored,
                     size_t n, float *out) {
    double x[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t part = n - at < CHUNK ? n - at : CHUNK;
        widen(image, stored, at, part, x);
        mg_dicom_grey_values(g, x, part);
        for (size_t i = 0; i < part; i++) out[at + i] = (float)x[i];
    }
}

/* The same of n consecutive values. */
static void evaluate_values(const mg_dicom_grey *g, int64_t first, size_t n, float *out) {
    double x[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t part = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < part; i++) x[i] = (double)(first + (int64_t)(at + i));
        mg_dicom_grey_values(g, x, part);
        for (size_t i = 0; i < part; i++) out[at + i] = (float)x[i];
    }
}

/* For words of up to 16 bits: each value that can occur once, then a lookup per pixel. */
static bool evaluate_by_table(const mg_dicom_grey *g, const mg_dicom_image *image,
                              const mg_dicom_grey_options *o, const void *stored, size_t n,
                              float *out) {
    int64_t least, most;
    if (image->word_bytes > 2 || n < 4096) return false;
    limits(image, stored, n, &least, &most);
    size_t entries = (size_t)(most - least) + 1;
    if (entries > n) return false;
    float *table = malloc(entries * sizeof *table);
    if (!table) return false; /* slower without, but the same */
    evaluate_values(g, least, entries, table);
    if (o && o->on_values) o->on_values(o->arg, table, entries);
#define LOOK_UP(name, type)                                                                        \
    for (size_t i = 0; i < n; i++) out[i] = table[(int64_t)((const type *)stored)[i] - least]
    BY_WORD(image, LOOK_UP)
    free(table);
    return true;
}

/* Smallest and largest value after the modality step, padding left out. */
static void find_range(mg_dicom_grey *g, const mg_dicom_image *image, const void *stored, size_t n,
                       const uint8_t *mask) {
    double x[CHUNK], least = 0, most = 0;
    bool any = false;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t part = n - at < CHUNK ? n - at : CHUNK;
        widen(image, stored, at, part, x);
        mg_dicom_modality_values(&g->modality, x, part);
        for (size_t i = 0; i < part; i++) {
            if (mask && mask[at + i]) continue;
            if (!any || x[i] < least) least = x[i];
            if (!any || x[i] > most) most = x[i];
            any = true;
        }
    }
    g->voi.least = least;
    g->voi.most = most;
}

/* --- composition ------------------------------------------------------------------------------ */

/* Once per file, not once per frame; pixels.c has the lower bits. */
enum { NOTE_LUT = 256, NOTE_NO_LUT = 512, NOTE_FUNCTION = 1024, NOTE_WINDOW = 2048 };

static bool first_time(mg_dicom *d, uint32_t note) {
    mg_dicom_frames *frames = d->frame_state;
    bool first = !frames || !(frames->noted & note);
    if (frames) frames->noted |= note;
    return first;
}

/* Windows come first in counting; where the file has none, its VOI LUTs are counted. */
static const mg_dicom_element *choose_lut(const mg_dicom *d, uint32_t frame,
                                          const mg_dicom_grey_options *o, bool window,
                                          bool *unusable) {
    mg_dicom_window any;
    bool windows = mg_dicom_window_of(d, frame, 0, &any);
    *unusable = !window && mg_dicom_window_named(d, frame, o->window, &any);
    if (windows && o->window > 0) return NULL;
    return mg_dicom_voi_lut_item(d, frame, o->window);
}

/* Some units say 16 bits and mean those of the pixels, or 8: their images would be nearly black.
 * Entries that fill more are as bright as the standard makes them. */
static void shrink_lut(mg_dicom *d, mg_dicom_lut *lut, int stored_bits) {
    int bits = lut->used <= 8 ? 8 : lut->used <= stored_bits ? stored_bits : 16;
    if (lut->bits != 16 || bits >= 16) return;
    lut->bits = bits;
    if (first_time(d, NOTE_LUT))
        mg_dicom_warn(d, 0,
                      "the VOI LUT says 16 bits per entry, but its entries fill %d: taken as %d",
                      lut->used, bits);
}

static mg_dicom_status choose_voi(mg_dicom *d, uint32_t frame, const mg_dicom_grey_options *o,
                                  int stored_bits, mg_dicom_grey *g, mg_dicom_error *err) {
    if (o->no_voi) return MG_DICOM_OK;
    if (o->override) {
        if (!mg_dicom_window_valid(o->override))
            return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "window %g/%g has no valid width",
                                 o->override->center, o->override->width);
        g->voi.kind = MG_DICOM_VOI_WINDOW;
        g->voi.window = *o->override;
        return MG_DICOM_OK;
    }
    bool window = mg_dicom_window_of(d, frame, o->window, &g->voi.window), named = false;
    const mg_dicom_element *lut = choose_lut(d, frame, o, window, &named);
    if (!window && !lut && o->window > 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the file has no usable window number %d",
                             o->window + 1);
    if (lut && (!o->no_voi_lut || !window)) {
        mg_dicom_error broken = {0};
        mg_dicom_status status =
            mg_dicom_lut_read(d, lut, g->modality.signed_output, &g->voi.lut, &broken);
        if (status == MG_DICOM_OK) {
            g->voi.kind = MG_DICOM_VOI_LUT;
            shrink_lut(d, &g->voi.lut, stored_bits);
            return status;
        }
        mg_dicom_lut_free(&g->voi.lut);
        if (!window || status == MG_DICOM_ERR_MEMORY)
            return mg_dicom_fail(err, status, broken.offset, "VOI LUT: %s", broken.message);
        if (first_time(d, NOTE_NO_LUT))
            mg_dicom_warn(d, broken.offset, "VOI LUT not used: %.120s", broken.message);
    }
    g->voi.kind = window ? MG_DICOM_VOI_WINDOW : MG_DICOM_VOI_RANGE;
    char function[32] = "";
    if (window) mg_dicom_unknown_function(d, frame, function);
    if (function[0] && first_time(d, NOTE_FUNCTION))
        mg_dicom_warn(d, 0, "VOI LUT Function '%s' is not a known one, taken as LINEAR", function);
    if (named && first_time(d, NOTE_WINDOW))
        mg_dicom_warn(d, 0,
                      "window %d (centre %g, width %g) cannot be used: the image's own range is "
                      "taken instead",
                      o->window + 1, g->voi.window.center, g->voi.window.width);
    return MG_DICOM_OK;
}

static bool is_inverse(const mg_dicom *d, const mg_dicom_image *image) {
    char shape[32] = "";
    if (strcmp(image->photometric, "MONOCHROME1") == 0) return true;
    return mg_dicom_text(d, MG_DICOM_TAG(0x2050, 0x0020), shape, sizeof shape) &&
           strcmp(shape, "INVERSE") == 0;
}

/* What mg_dicom_stored keeps to itself. */
struct mg_dicom_steps {
    mg_dicom_grey grey;
    mg_dicom_image image;
};

static mg_dicom_status load(mg_dicom *d, uint32_t frame, const mg_dicom_grey_options *o,
                            mg_dicom_stored *s, mg_dicom_error *err) {
    mg_dicom_frames *frames;
    mg_dicom_status status = mg_dicom_frames_of(d, &frames, err);
    if (status != MG_DICOM_OK) return status;
    mg_dicom_image *image = &s->steps->image;
    *image = frames->image;
    if (image->samples != 1 || strncmp(image->photometric, "MONOCHROME", 10) != 0 ||
        (image->photometric[10] != '1' && image->photometric[10] != '2'))
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "not a grey image: PhotometricInterpretation is '%s'",
                             image->photometric);
    s->pixels = malloc(image->frame_bytes);
    if (!s->pixels)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for a frame of %zu bytes",
                             image->frame_bytes);
    mg_dicom_read_options read = o->read;
    read.rows = &s->rows;
    read.columns = &s->columns;
    status = mg_dicom_read_frame(d, frame, &read, s->pixels, image->frame_bytes, err);
    if (status != MG_DICOM_OK) return status;
    if (o->read.rows) *o->read.rows = s->rows;
    if (o->read.columns) *o->read.columns = s->columns;
    s->word_bytes = image->word_bytes;
    s->is_signed = image->is_signed;
    s->padded = mg_dicom_padding_of(d, image, &s->padding_low, &s->padding_high);
    return MG_DICOM_OK;
}

static void mark_padding(const mg_dicom_stored *s, uint8_t *mask) {
    between(&s->steps->image, s->pixels, (size_t)s->rows * s->columns, s->padding_low,
            s->padding_high, mask);
}

static mg_dicom_status range_of(mg_dicom_stored *s, mg_dicom_error *err) {
    size_t n = (size_t)s->rows * s->columns;
    uint8_t *mask = s->padded ? malloc(n) : NULL;
    if (s->padded && !mask)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for the padding mask");
    if (mask) mark_padding(s, mask);
    find_range(&s->steps->grey, &s->steps->image, s->pixels, n, mask);
    free(mask);
    return MG_DICOM_OK;
}

/* The steps in numbers, for those that consist of no more. */
static void describe(mg_dicom_stored *s) {
    const mg_dicom_grey *g = &s->steps->grey;
    s->windowed = g->voi.kind == MG_DICOM_VOI_WINDOW;
    s->plain =
        !g->modality.lut.values && !g->invert && (s->windowed || g->voi.kind == MG_DICOM_VOI_NONE);
    s->slope = g->modality.rescale ? g->modality.slope : 1;
    s->intercept = g->modality.rescale ? g->modality.intercept : 0;
    s->window = g->voi.window;
}

mg_dicom_status mg_dicom_read_stored(mg_dicom *d, uint32_t frame,
                                     const mg_dicom_grey_options *options, mg_dicom_stored *out,
                                     mg_dicom_error *err) {
    mg_dicom_grey_options o = {0};
    if (options) o = *options;
    if (out) *out = (mg_dicom_stored){0};
    if (!d || !out || o.window < 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "read_stored: NULL or negative argument");
    out->steps = calloc(1, sizeof *out->steps);
    if (!out->steps) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for a frame");
    mg_dicom_grey *g = &out->steps->grey;
    mg_dicom_status status = load(d, frame, &o, out, err);
    g->modality.signed_output = out->is_signed;
    if (status == MG_DICOM_OK && !o.no_modality)
        status = mg_dicom_modality_read(d, &out->steps->image, frame, &g->modality, err);
    if (status == MG_DICOM_OK)
        status = choose_voi(d, frame, &o, out->steps->image.bits_stored, g, err);
    if (status == MG_DICOM_OK && g->voi.kind == MG_DICOM_VOI_RANGE) status = range_of(out, err);
    if (status == MG_DICOM_OK) {
        g->invert = !o.no_presentation && is_inverse(d, &out->steps->image);
        describe(out);
    } else {
        mg_dicom_stored_free(out);
    }
    return status;
}

void mg_dicom_stored_free(mg_dicom_stored *s) {
    free(s->pixels);
    if (s->steps) {
        mg_dicom_lut_free(&s->steps->grey.modality.lut);
        mg_dicom_lut_free(&s->steps->grey.voi.lut);
    }
    free(s->steps);
    *s = (mg_dicom_stored){0};
}

void mg_dicom_stored_values(const mg_dicom_stored *s, int64_t first, size_t n, float *out) {
    evaluate_values(&s->steps->grey, first, n, out);
}

mg_dicom_status mg_dicom_stored_grey(const mg_dicom_stored *s, const mg_dicom_grey_options *options,
                                     float *out, mg_dicom_error *err) {
    size_t n = (size_t)s->rows * s->columns;
    bool blank = s->padded && s->steps->grey.voi.kind != MG_DICOM_VOI_NONE;
    uint8_t *mask = options ? options->padding_mask : NULL, *own = NULL;
    if (mask) memset(mask, 0, n);
    else if (blank && !(mask = own = malloc(n)))
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for the padding mask");
    if (mask && s->padded) mark_padding(s, mask);
    const mg_dicom_grey *g = &s->steps->grey;
    if (!evaluate_by_table(g, &s->steps->image, options, s->pixels, n, out))
        evaluate(g, &s->steps->image, s->pixels, n, out);
    for (size_t i = 0; blank && i < n; i++) out[i] = mask[i] ? 0.0f : out[i];
    free(own);
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_read_grey(mg_dicom *d, uint32_t frame,
                                   const mg_dicom_grey_options *options, float *out,
                                   mg_dicom_error *err) {
    if (!d || !out || (options && options->window < 0))
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "read_grey: NULL or negative argument");
    mg_dicom_stored stored;
    mg_dicom_status status = mg_dicom_read_stored(d, frame, options, &stored, err);
    if (status != MG_DICOM_OK) return status;
    status = mg_dicom_stored_grey(&stored, options, out, err);
    mg_dicom_stored_free(&stored);
    return status;
}

mg_dicom_status mg_dicom_apply_modality(const mg_dicom *d, uint32_t frame, const void *stored,
                                        size_t n, float *out, mg_dicom_error *err) {
    mg_dicom_image image;
    mg_dicom_grey g = {0};
    if (!d || !stored || !out)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "apply_modality: NULL argument");
    mg_dicom_status status = mg_dicom_describe(d, NULL, &image, err);
    if (status == MG_DICOM_OK) status = mg_dicom_modality_read(d, &image, frame, &g.modality, err);
    if (status == MG_DICOM_OK && n > 0 && !evaluate_by_table(&g, &image, NULL, stored, n, out))
        evaluate(&g, &image, stored, n, out);
    mg_dicom_lut_free(&g.modality.lut);
    return status;
}
