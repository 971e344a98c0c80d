/* image.c: the image description (PS3.3 C.7.6.3), read and validated before anything is made of it.
 *
 * Everything later leans on what is promised here: 1 ≤ rows, columns ≤ 65535, samples 1 or 3,
 * BitsAllocated one of 1, 8, 16, 32, 64, 1 ≤ BitsStored ≤ BitsAllocated, BitsStored-1 ≤
 * HighBit < BitsAllocated, and a frame_bytes that did not overflow and respects the caller's
 * limit. */
#include <stdio.h>

#include "dicom/pixel.h"

#define FLOAT_PIXELS  MG_DICOM_TAG(0x7FE0, 0x0008)
#define DOUBLE_PIXELS MG_DICOM_TAG(0x7FE0, 0x0009)

typedef struct attribute {
    uint32_t tag;
    const char *name;
    int64_t least, most;
} attribute;

/* 1 found, 0 not there or empty, -1 failed. */
static int read_number(const mg_dicom *d, const attribute *a, int64_t *out, mg_dicom_error *err) {
    const mg_dicom_element *e = mg_dicom_find(d, a->tag);
    if (!e || e->length == 0) return 0;
    if (!mg_dicom_element_int(d, e, 0, out)) {
        char text[40] = "";
        if (mg_dicom_element_text(d, e, 0, text, sizeof text) < 0) text[0] = 0;
        mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset, "%s (VR %s) is not a number: '%.32s'",
                      a->name, e->vr, text);
        return -1;
    }
    if (*out < a->least || *out > a->most) {
        mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset, "%s is %lld, expected %lld to %lld",
                      a->name, (long long)*out, (long long)a->least, (long long)a->most);
        return -1;
    }
    return 1;
}

static mg_dicom_status missing(mg_dicom_error *err, const char *name) {
    return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0, "%s is missing from the image description",
                         name);
}

static mg_dicom_status read_size(const mg_dicom *d, mg_dicom_image *out, mg_dicom_error *err) {
    static const attribute rows = {MG_DICOM_TAG(0x28, 0x10), "Rows", 1, 65535};
    static const attribute columns = {MG_DICOM_TAG(0x28, 0x11), "Columns", 1, 65535};
    int64_t v = 0;
    int got = read_number(d, &rows, &v, err);
    if (got <= 0) return got ? MG_DICOM_ERR_PIXELS : missing(err, rows.name);
    out->rows = (uint32_t)v;
    got = read_number(d, &columns, &v, err);
    if (got <= 0) return got ? MG_DICOM_ERR_PIXELS : missing(err, columns.name);
    out->columns = (uint32_t)v;
    return MG_DICOM_OK;
}

static mg_dicom_status read_frames(const mg_dicom *d, mg_dicom *warn_to, mg_dicom_image *out,
                                   mg_dicom_error *err) {
    static const attribute frames = {MG_DICOM_TAG(0x28, 0x08), "NumberOfFrames", 0, INT32_MAX};
    int64_t v = 1;
    if (read_number(d, &frames, &v, err) < 0) return MG_DICOM_ERR_PIXELS;
    if (v == 0) {
        if (warn_to) mg_dicom_warn(warn_to, 0, "NumberOfFrames is 0, taken as 1");
        v = 1;
    }
    out->frames = (uint32_t)v;
    return MG_DICOM_OK;
}

/* Samples per pixel that a photometric interpretation has, 0 for one we do not know. */
static int samples_of(const char *photometric) {
    static const struct {
        const char *name;
        int samples;
    } known[] = {
        {"MONOCHROME1", 1},
        {"MONOCHROME2", 1},
        {"PALETTE COLOR", 1},
        {"RGB", 3},
        {"YBR_FULL", 3},
        {"YBR_FULL_422", 3},
        {"YBR_ICT", 3},
        {"YBR_RCT", 3},
        {"YBR_PARTIAL_422", 3},
        {"YBR_PARTIAL_420", 3},
        {"HSV", 3},
        {"XYB", 3},
        {"ARGB", 4},
        {"CMYK", 4},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(photometric, known[i].name) == 0) return known[i].samples;
    return 0;
}

static mg_dicom_status read_colour(const mg_dicom *d, mg_dicom *warn_to, mg_dicom_image *out,
                                   mg_dicom_error *err) {
    static const attribute samples = {MG_DICOM_TAG(0x28, 0x02), "SamplesPerPixel", 1, 4};
    static const attribute planar = {MG_DICOM_TAG(0x28, 0x06), "PlanarConfiguration", 0, 1};
    char text[64] = "";
    bool named = mg_dicom_text(d, MG_DICOM_TAG(0x28, 0x04), text, sizeof text) && text[0];
    int64_t v = 0;
    int got = read_number(d, &samples, &v, err);
    if (got < 0) return MG_DICOM_ERR_PIXELS;
    int expected = samples_of(text);
    if (!got) v = expected ? expected : 1;
    if (!got && warn_to)
        mg_dicom_warn(warn_to, 0, "SamplesPerPixel is missing, taken as %d", (int)v);
    if (!named) {
        strcpy(text, v == 3 ? "RGB" : "MONOCHROME2");
        if (warn_to)
            mg_dicom_warn(warn_to, 0, "PhotometricInterpretation is missing, taken as %s", text);
    } else if (!expected && warn_to) {
        mg_dicom_warn(warn_to, 0, "PhotometricInterpretation '%.20s' is not a known one", text);
    }
    if (v == 2 || v == 4)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "images with %d samples per pixel are not supported", (int)v);
    if (expected && expected != v)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                             "SamplesPerPixel is %d, but PhotometricInterpretation %.20s has %d",
                             (int)v, text, expected);
    out->samples = (int)v;
    snprintf(out->photometric, sizeof out->photometric, "%.19s", text);
    v = 0;
    if (out->samples > 1 && read_number(d, &planar, &v, err) < 0) return MG_DICOM_ERR_PIXELS;
    out->planar = v == 1;
    return MG_DICOM_OK;
}

static mg_dicom_status read_depth(const mg_dicom *d, mg_dicom *warn_to, mg_dicom_image *out,
                                  mg_dicom_error *err) {
    static const attribute allocated = {MG_DICOM_TAG(0x28, 0x100), "BitsAllocated", 1, 64};
    static const attribute stored = {MG_DICOM_TAG(0x28, 0x101), "BitsStored", 1, 64};
    static const attribute high = {MG_DICOM_TAG(0x28, 0x102), "HighBit", 0, 65535};
    static const attribute sign = {MG_DICOM_TAG(0x28, 0x103), "PixelRepresentation", 0, 1};
    int64_t ba = 0, bs = 0, hb = 0, pr = 0;
    int got = read_number(d, &allocated, &ba, err);
    if (got <= 0) return got ? MG_DICOM_ERR_PIXELS : missing(err, allocated.name);
    if (ba != 1 && ba != 8 && ba != 16 && ba != 32 && ba != 64)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "BitsAllocated is %d, expected 1, 8, 16, 32 or 64", (int)ba);
    got = read_number(d, &stored, &bs, err);
    if (got < 0) return MG_DICOM_ERR_PIXELS;
    if (!got) bs = ba;
    if (!got && warn_to) mg_dicom_warn(warn_to, 0, "BitsStored is missing, taken as %d", (int)bs);
    if (bs > ba)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                             "BitsStored is %d, more than the %d of BitsAllocated", (int)bs,
                             (int)ba);
    got = read_number(d, &high, &hb, err);
    if (got < 0) return MG_DICOM_ERR_PIXELS;
    if (!got) hb = bs - 1;
    if (hb < bs - 1 || hb >= ba) {
        /* In compressed pixel data the codec says where the bits are; the number means nothing. */
        if (!d->encapsulated)
            return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                                 "HighBit is %d, expected %d to %d (BitsStored %d, BitsAllocated "
                                 "%d)",
                                 (int)hb, (int)bs - 1, (int)ba - 1, (int)bs, (int)ba);
        if (warn_to) mg_dicom_warn(warn_to, 0, "HighBit %d is impossible, ignored", (int)hb);
        hb = bs - 1;
    }
    if (read_number(d, &sign, &pr, err) < 0) return MG_DICOM_ERR_PIXELS;
    out->bits_allocated = (int)ba;
    out->bits_stored = (int)bs;
    out->high_bit = (int)hb;
    out->is_signed = pr == 1 && ba > 1;
    return MG_DICOM_OK;
}

static mg_dicom_status measure(const mg_dicom *d, mg_dicom_image *out, mg_dicom_error *err) {
    uint64_t limit = d->options.max_samples ? d->options.max_samples : UINT64_C(1) << 28;
    uint64_t samples = 0, bytes = 0;
    out->word_bytes = out->bits_allocated <= 8 ? 1 : out->bits_allocated / 8;
    bool fits = mg_dicom_mul((uint64_t)out->rows * out->columns, (uint64_t)out->samples, &samples);
    if (!fits || samples > limit)
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0,
                             "a frame of %u x %u pixels with %d samples is more than the limit of "
                             "%llu samples (max_samples)",
                             out->rows, out->columns, out->samples, (unsigned long long)limit);
    if (!mg_dicom_mul(samples, (uint64_t)out->word_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0, "a frame is larger than memory");
    out->frame_bytes = (size_t)bytes;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_describe(const mg_dicom *d, mg_dicom *warn_to, mg_dicom_image *out,
                                  mg_dicom_error *err) {
    *out = (mg_dicom_image){0};
    if (mg_dicom_find(d, FLOAT_PIXELS) || mg_dicom_find(d, DOUBLE_PIXELS))
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "floating-point pixel data (7FE0,0008/0009) is not supported");
    if (!d->options.stop_at_pixels && d->pixel_element == MG_DICOM_NONE)
        return mg_dicom_fail(err, MG_DICOM_ERR_NO_PIXELS, 0,
                             "the data set has no pixel data (7FE0,0010)%s",
                             d->truncated ? ": the file is cut off" : "");
    if (!mg_dicom_find(d, MG_DICOM_TAG(0x28, 0x10)) && !mg_dicom_find(d, MG_DICOM_TAG(0x28, 0x11)))
        return mg_dicom_fail(err, MG_DICOM_ERR_NO_PIXELS, 0,
                             "the data set describes no image: Rows and Columns are missing");
    mg_dicom_status status = read_size(d, out, err);
    if (status == MG_DICOM_OK) status = read_colour(d, warn_to, out, err);
    if (status == MG_DICOM_OK) status = read_depth(d, warn_to, out, err);
    if (status == MG_DICOM_OK) status = read_frames(d, warn_to, out, err);
    if (status == MG_DICOM_OK) status = measure(d, out, err);
    return status;
}

mg_dicom_status mg_dicom_image_info(const mg_dicom *d, mg_dicom_image *out, mg_dicom_error *err) {
    if (!d || !out) return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "image_info: NULL argument");
    return mg_dicom_describe(d, NULL, out, err);
}

bool mg_dicom_is_422(const mg_dicom_image *image) {
    return strcmp(image->photometric, "YBR_FULL_422") == 0 ||
           strcmp(image->photometric, "YBR_PARTIAL_422") == 0;
}
