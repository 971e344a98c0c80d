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
    double x[CHUNK];
    for (size_t at = 0; at < entries; at += CHUNK) {
        size_t part = entries - at < CHUNK ? entries - at : CHUNK;
        for (size_t i = 0; i < part; i++) x[i] = (double)(least + (int64_t)(at + i));
        mg_dicom_grey_values(g, x, part);
        for (size_t i = 0; i < part; i++) table[at + i] = (float)x[i];
    }
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

static mg_dicom_status choose_voi(mg_dicom *d, uint32_t frame, const mg_dicom_grey_options *o,
                                  mg_dicom_grey *g, mg_dicom_error *err) {
    const mg_dicom_element *lut = mg_dicom_voi_lut_item(d, frame);
    if (o->no_voi) return MG_DICOM_OK;
    if (o->override) {
        if (!mg_dicom_window_valid(o->override))
            return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "window %g/%g has no valid width",
                                 o->override->center, o->override->width);
        g->voi.kind = MG_DICOM_VOI_WINDOW;
        g->voi.window = *o->override;
        return MG_DICOM_OK;
    }
    bool window = mg_dicom_window_of(d, frame, o->window, &g->voi.window);
    if (!window && o->window > 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the file has no window number %d",
                             o->window);
    if (lut && (!o->no_voi_lut || !window) && o->window == 0) {
        mg_dicom_error broken = {0};
        mg_dicom_status status =
            mg_dicom_lut_read(d, lut, g->modality.signed_output, &g->voi.lut, &broken);
        if (status == MG_DICOM_OK) {
            g->voi.kind = MG_DICOM_VOI_LUT;
            return status;
        }
        mg_dicom_lut_free(&g->voi.lut);
        if (!window || status == MG_DICOM_ERR_MEMORY)
            return mg_dicom_fail(err, status, broken.offset, "VOI LUT: %s", broken.message);
        mg_dicom_warn(d, broken.offset, "VOI LUT not used: %.120s", broken.message);
    }
    g->voi.kind = window ? MG_DICOM_VOI_WINDOW : MG_DICOM_VOI_RANGE;
    return MG_DICOM_OK;
}

static bool is_inverse(const mg_dicom *d, const mg_dicom_image *image) {
    char shape[32] = "";
    if (strcmp(image->photometric, "MONOCHROME1") == 0) return true;
    return mg_dicom_text(d, MG_DICOM_TAG(0x2050, 0x0020), shape, sizeof shape) &&
           strcmp(shape, "INVERSE") == 0;
}

typedef struct grey_task {
    mg_dicom *d;
    uint32_t frame;
    mg_dicom_grey_options options;
    mg_dicom_image image;
    uint32_t rows, columns;
    void *stored;
    mg_dicom_grey grey;
    uint8_t *mask; /* the caller's, or own_mask */
    uint8_t *own_mask;
} grey_task;

static mg_dicom_status load(grey_task *t, mg_dicom_error *err) {
    mg_dicom_frames *frames;
    mg_dicom_status status = mg_dicom_frames_of(t->d, &frames, err);
    if (status != MG_DICOM_OK) return status;
    t->image = frames->image;
    if (t->image.samples != 1 || strncmp(t->image.photometric, "MONOCHROME", 10) != 0 ||
        (t->image.photometric[10] != '1' && t->image.photometric[10] != '2'))
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "not a grey image: PhotometricInterpretation is '%s'",
                             t->image.photometric);
    t->stored = malloc(t->image.frame_bytes);
    if (!t->stored)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for a frame of %zu bytes",
                             t->image.frame_bytes);
    mg_dicom_read_options read = t->options.read;
    read.rows = &t->rows;
    read.columns = &t->columns;
    status = mg_dicom_read_frame(t->d, t->frame, &read, t->stored, t->image.frame_bytes, err);
    if (status != MG_DICOM_OK) return status;
    if (t->options.read.rows) *t->options.read.rows = t->rows;
    if (t->options.read.columns) *t->options.read.columns = t->columns;
    return MG_DICOM_OK;
}

/* Marks padding in t->mask, which stays NULL when there is none to mark or to keep out. */
static mg_dicom_status mark_padding(grey_task *t, mg_dicom_error *err) {
    size_t n = (size_t)t->rows * t->columns;
    int64_t low, high;
    bool padded = mg_dicom_padding_of(t->d, &t->image, &low, &high);
    if (t->options.padding_mask) memset(t->options.padding_mask, 0, n);
    if (!padded) return MG_DICOM_OK;
    t->mask = t->options.padding_mask;
    if (!t->mask) t->mask = t->own_mask = malloc(n);
    if (!t->mask)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for the padding mask");
    between(&t->image, t->stored, n, low, high, t->mask);
    return MG_DICOM_OK;
}

static mg_dicom_status run(grey_task *t, float *out, mg_dicom_error *err) {
    mg_dicom_status status = load(t, err);
    if (status == MG_DICOM_OK) status = mark_padding(t, err);
    t->grey.modality.signed_output = t->image.is_signed;
    if (status == MG_DICOM_OK && !t->options.no_modality)
        status = mg_dicom_modality_read(t->d, &t->image, t->frame, &t->grey.modality, err);
    if (status == MG_DICOM_OK) status = choose_voi(t->d, t->frame, &t->options, &t->grey, err);
    if (status != MG_DICOM_OK) return status;
    size_t n = (size_t)t->rows * t->columns;
    t->grey.invert = !t->options.no_presentation && is_inverse(t->d, &t->image);
    if (t->grey.voi.kind == MG_DICOM_VOI_RANGE)
        find_range(&t->grey, &t->image, t->stored, n, t->mask);
    if (!evaluate_by_table(&t->grey, &t->image, &t->options, t->stored, n, out))
        evaluate(&t->grey, &t->image, t->stored, n, out);
    if (t->mask && t->grey.voi.kind != MG_DICOM_VOI_NONE)
        for (size_t i = 0; i < n; i++) out[i] = t->mask[i] ? 0.0f : out[i];
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_read_grey(mg_dicom *d, uint32_t frame,
                                   const mg_dicom_grey_options *options, float *out,
                                   mg_dicom_error *err) {
    if (!d || !out || (options && options->window < 0))
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "read_grey: NULL or negative argument");
    grey_task t = {.d = d, .frame = frame};
    if (options) t.options = *options;
    mg_dicom_status status = run(&t, out, err);
    free(t.stored);
    free(t.own_mask);
    mg_dicom_lut_free(&t.grey.modality.lut);
    mg_dicom_lut_free(&t.grey.voi.lut);
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
