/* grey_source.c: where a frame's rescale, windows, LUTs and padding are written down.
 *
 * Multi-frame objects keep them in functional groups (PS3.3 C.7.6.16): per frame first, then shared
 * by all, then the top level, which single-frame objects use. */
#include <math.h>
#include <stdio.h>

#include "dicom/grey.h"

#define SHARED_GROUPS        MG_DICOM_TAG(0x5200, 0x9229)
#define PER_FRAME_GROUPS     MG_DICOM_TAG(0x5200, 0x9230)
#define FRAME_VOI_LUT        MG_DICOM_TAG(0x0028, 0x9132)
#define VALUE_TRANSFORMATION MG_DICOM_TAG(0x0028, 0x9145)
#define MODALITY_LUT         MG_DICOM_TAG(0x0028, 0x3000)
#define VOI_LUT              MG_DICOM_TAG(0x0028, 0x3010)
#define INTERCEPT            MG_DICOM_TAG(0x0028, 0x1052)
#define SLOPE                MG_DICOM_TAG(0x0028, 0x1053)
#define CENTER               MG_DICOM_TAG(0x0028, 0x1050)
#define WIDTH                MG_DICOM_TAG(0x0028, 0x1051)
#define EXPLANATION          MG_DICOM_TAG(0x0028, 0x1055)
#define FUNCTION             MG_DICOM_TAG(0x0028, 0x1056)
#define LUT_EXPLANATION      MG_DICOM_TAG(0x0028, 0x3003)
#define PADDING              MG_DICOM_TAG(0x0028, 0x0120)
#define PADDING_LIMIT        MG_DICOM_TAG(0x0028, 0x0121)

static const mg_dicom_element *first_item(const mg_dicom *d, const mg_dicom_element *parent,
                                          uint32_t tag) {
    const mg_dicom_element *sequence = mg_dicom_find_in(d, parent, tag);
    return sequence ? mg_dicom_item(d, sequence, 0) : NULL;
}

/* Functional group `tag` of a frame, or NULL. */
static const mg_dicom_element *group_of(const mg_dicom *d, uint32_t frame, uint32_t tag) {
    const mg_dicom_element *frames = mg_dicom_find(d, PER_FRAME_GROUPS), *found = NULL;
    if (frames && frame <= INT32_MAX) {
        const mg_dicom_element *item = mg_dicom_item(d, frames, (int)frame);
        if (item) found = first_item(d, item, tag);
    }
    if (!found) {
        const mg_dicom_element *shared = first_item(d, NULL, SHARED_GROUPS);
        if (shared) found = first_item(d, shared, tag);
    }
    return found;
}

/* --- modality --------------------------------------------------------------------------------- */

/* 1 read, 0 not there or empty, -1 not a number. */
static int read_real(const mg_dicom *d, const mg_dicom_element *item, uint32_t tag, double *out) {
    const mg_dicom_element *e = mg_dicom_find_in(d, item, tag);
    if (!e || e->length == 0) return 0;
    return mg_dicom_element_double(d, e, 0, out) && isfinite(*out) ? 1 : -1;
}

static mg_dicom_status read_rescale(const mg_dicom *d, const mg_dicom_element *item,
                                    mg_dicom_modality *out, mg_dicom_error *err) {
    int slope = read_real(d, item, SLOPE, &out->slope);
    int intercept = read_real(d, item, INTERCEPT, &out->intercept);
    if (slope < 0 || intercept < 0 || (slope && out->slope == 0))
        return mg_dicom_fail(
            err, MG_DICOM_ERR_PIXELS, 0,
            "Rescale %s is %s; stored values can be had without it (no_modality, --no-modality)",
            intercept < 0 ? "Intercept" : "Slope",
            slope > 0 && intercept >= 0 ? "0" : "not a number");
    if (!slope) out->slope = 1;
    if (!intercept) out->intercept = 0;
    out->rescale = out->slope != 1 || out->intercept != 0;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_modality_read(const mg_dicom *d, const mg_dicom_image *image,
                                       uint32_t frame, mg_dicom_modality *out,
                                       mg_dicom_error *err) {
    *out = (mg_dicom_modality){.slope = 1, .signed_output = image->is_signed};
    const mg_dicom_element *group = group_of(d, frame, VALUE_TRANSFORMATION);
    const mg_dicom_element *lut = group ? NULL : first_item(d, NULL, MODALITY_LUT);
    if (lut) {
        out->signed_output = false;
        return mg_dicom_lut_read(d, lut, image->is_signed, &out->lut, err);
    }
    mg_dicom_status status = read_rescale(d, group, out, err);
    if (out->intercept < 0 || out->slope < 0) out->signed_output = true;
    return status;
}

/* --- VOI -------------------------------------------------------------------------------------- */

bool mg_dicom_window_valid(const mg_dicom_window *w) {
    if (!isfinite(w->center) || !isfinite(w->width)) return false;
    return w->function == MG_DICOM_VOI_LINEAR ? w->width >= 1 : w->width > 0;
}

static bool read_window(const mg_dicom *d, const mg_dicom_element *item, int index,
                        mg_dicom_window *out, bool *named) {
    const mg_dicom_element *center = mg_dicom_find_in(d, item, CENTER);
    const mg_dicom_element *width = mg_dicom_find_in(d, item, WIDTH);
    const mg_dicom_element *function = mg_dicom_find_in(d, item, FUNCTION);
    const mg_dicom_element *explanation = mg_dicom_find_in(d, item, EXPLANATION);
    char name[32] = "";
    *out = (mg_dicom_window){.function = MG_DICOM_VOI_LINEAR};
    if (!center || !width || !mg_dicom_element_double(d, center, index, &out->center) ||
        !mg_dicom_element_double(d, width, index, &out->width)) {
        *named = center && width && index < mg_dicom_count(d, center);
        return false;
    }
    *named = true;
    if (function && mg_dicom_element_text(d, function, 0, name, sizeof name) > 0) {
        if (strcmp(name, "SIGMOID") == 0) out->function = MG_DICOM_VOI_SIGMOID;
        if (strcmp(name, "LINEAR_EXACT") == 0) out->function = MG_DICOM_VOI_LINEAR_EXACT;
    }
    if (!explanation ||
        mg_dicom_element_text(d, explanation, index, out->explanation, sizeof out->explanation) < 0)
        out->explanation[0] = 0;
    return mg_dicom_window_valid(out);
}

bool mg_dicom_window_of(const mg_dicom *d, uint32_t frame, int index, mg_dicom_window *out) {
    if (!d || !out || index < 0) return false;
    const mg_dicom_element *group = group_of(d, frame, FRAME_VOI_LUT);
    bool named;
    return (group && read_window(d, group, index, out, &named)) ||
           read_window(d, NULL, index, out, &named);
}

bool mg_dicom_window_named(const mg_dicom *d, uint32_t frame, int index, mg_dicom_window *out) {
    const mg_dicom_element *group = group_of(d, frame, FRAME_VOI_LUT);
    bool named = false;
    if (group) read_window(d, group, index, out, &named);
    if (!named) read_window(d, NULL, index, out, &named);
    return named;
}

void mg_dicom_unknown_function(const mg_dicom *d, uint32_t frame, char out[32]) {
    const mg_dicom_element *group = group_of(d, frame, FRAME_VOI_LUT);
    const mg_dicom_element *e = group ? mg_dicom_find_in(d, group, FUNCTION) : NULL;
    if (!e) e = mg_dicom_find(d, FUNCTION);
    if (mg_dicom_element_text(d, e, 0, out, 32) <= 0 || strcmp(out, "LINEAR") == 0 ||
        strcmp(out, "SIGMOID") == 0 || strcmp(out, "LINEAR_EXACT") == 0)
        out[0] = 0;
}

const mg_dicom_element *mg_dicom_voi_lut_item(const mg_dicom *d, uint32_t frame, int index) {
    const mg_dicom_element *group = group_of(d, frame, FRAME_VOI_LUT);
    const mg_dicom_element *luts = group ? mg_dicom_find_in(d, group, VOI_LUT) : NULL;
    if (!luts || !mg_dicom_item(d, luts, 0)) luts = mg_dicom_find(d, VOI_LUT);
    return luts ? mg_dicom_item(d, luts, index) : NULL;
}

bool mg_dicom_voi_lut_of(const mg_dicom *d, uint32_t frame, int index, char explanation[64]) {
    const mg_dicom_element *lut = d && index >= 0 ? mg_dicom_voi_lut_item(d, frame, index) : NULL;
    const mg_dicom_element *e = lut ? mg_dicom_find_in(d, lut, LUT_EXPLANATION) : NULL;
    if (explanation && mg_dicom_element_text(d, e, 0, explanation, 64) < 0) explanation[0] = 0;
    return lut != NULL;
}

bool mg_dicom_has_voi_lut(const mg_dicom *d, uint32_t frame) {
    return mg_dicom_voi_lut_of(d, frame, 0, NULL);
}

/* --- padding ---------------------------------------------------------------------------------- */

/* A padding value as the pixels have it: the VR may be unsigned where the pixels are signed, and
 * the bits above BitsStored are gone from them. */
static int64_t as_stored(const mg_dicom_image *image, int64_t value) {
    int64_t v = value;
    if (image->bits_stored >= 63) return v;
    int64_t least = image->is_signed ? -(INT64_C(1) << (image->bits_stored - 1)) : 0;
    int64_t most = least + (INT64_C(1) << image->bits_stored) - 1;
    if (v >= least && v <= most) return v;
    v &= (INT64_C(1) << image->bits_stored) - 1;
    return v > most ? v - (INT64_C(1) << image->bits_stored) : v;
}

bool mg_dicom_padding_of(const mg_dicom *d, const mg_dicom_image *image, int64_t *low,
                         int64_t *high) {
    int64_t value, limit;
    if (!mg_dicom_int(d, PADDING, &value)) return false;
    value = as_stored(image, value);
    limit = mg_dicom_int(d, PADDING_LIMIT, &limit) ? as_stored(image, limit) : value;
    *low = value < limit ? value : limit;
    *high = value < limit ? limit : value;
    return true;
}
