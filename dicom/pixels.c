/* pixels.c: one frame, from whatever the transfer syntax made of it to stored values.
 *
 * The order is always the same: find the frame's bytes, see what they are (the codestream's own
 * first bytes win over the transfer syntax), hold the codec's header against the data set, decode,
 * and settle sign and precision. */
#include <stdio.h>

#include "dicom/pixel.h"

/* --- transfer syntaxes ------------------------------------------------------------------------ */

typedef enum coding { NATIVE, DEFLATED, RLE, JPEG, JPEG_LS, JPEG_2000, REFUSED, UNKNOWN } coding;

static const char *const coding_names[] = {"native",  "deflated",  "RLE",     "JPEG",
                                           "JPEG-LS", "JPEG 2000", "refused", "unknown"};

typedef struct syntax {
    const char *uid; /* a trailing '*' stands for any ending */
    coding kind;
    const char *name; /* of what is refused */
} syntax;

static const syntax syntaxes[] = {
    {"1.2.840.10008.1.2", NATIVE, NULL},
    {"1.2.840.10008.1.2.1", NATIVE, NULL},
    {"1.2.840.10008.1.2.1.98", NATIVE, NULL}, /* encapsulated uncompressed */
    {"1.2.840.10008.1.2.1.99", NATIVE, NULL},
    {"1.2.840.10008.1.2.2", NATIVE, NULL},
    {"1.2.840.113619.5.2", NATIVE, NULL}, /* GE: implicit, native */
    {"1.2.840.10008.1.2.8.1", DEFLATED, NULL},
    {"1.2.840.10008.1.2.5", RLE, NULL},
    {"1.2.840.10008.1.2.4.80", JPEG_LS, NULL},
    {"1.2.840.10008.1.2.4.81", JPEG_LS, NULL},
    {"1.2.840.10008.1.2.4.90", JPEG_2000, NULL},
    {"1.2.840.10008.1.2.4.91", JPEG_2000, NULL},
    {"1.2.840.10008.1.2.4.92", REFUSED, "JPEG 2000 part 2 multi-component"},
    {"1.2.840.10008.1.2.4.93", REFUSED, "JPEG 2000 part 2 multi-component"},
    {"1.2.840.10008.1.2.4.94", REFUSED, "JPIP: the pixels are on a server"},
    {"1.2.840.10008.1.2.4.95", REFUSED, "JPIP: the pixels are on a server"},
    {"1.2.840.10008.1.2.4.10*", REFUSED, "video (MPEG, H.264, H.265)"},
    {"1.2.840.10008.1.2.4.11*", REFUSED, "JPEG XL"},
    {"1.2.840.10008.1.2.4.201", JPEG_2000, NULL},
    {"1.2.840.10008.1.2.4.202", JPEG_2000, NULL},
    {"1.2.840.10008.1.2.4.203", JPEG_2000, NULL},
    {"1.2.840.10008.1.2.4.204", REFUSED, "JPIP: the pixels are on a server"},
    {"1.2.840.10008.1.2.4.205", REFUSED, "JPIP: the pixels are on a server"},
    {"1.2.840.10008.1.2.4.5*", JPEG, NULL}, /* .50 to .70: the frame header says which process */
    {"1.2.840.10008.1.2.4.6*", JPEG, NULL},
    {"1.2.840.10008.1.2.4.70", JPEG, NULL},
    {"1.2.840.10008.1.2.6.1", REFUSED, "RFC 2557 MIME encapsulation"},
    {"1.2.840.10008.1.2.6.2", REFUSED, "XML encoding"},
    {"1.2.840.10008.1.2.7.*", REFUSED, "SMPTE ST 2110 streams"},
};

static const syntax *syntax_of(const char *uid) {
    static const syntax unknown = {"", UNKNOWN, "unknown"};
    for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++) {
        size_t n = strlen(syntaxes[i].uid);
        bool any = syntaxes[i].uid[n - 1] == '*';
        if (any ? strncmp(uid, syntaxes[i].uid, n - 1) == 0 : strcmp(uid, syntaxes[i].uid) == 0)
            return &syntaxes[i];
    }
    return &unknown;
}

/* What the bytes of an encapsulated frame are by their own account; UNKNOWN for no codestream. */
static coding recognise(const uint8_t *p, uint64_t size) {
    static const uint8_t jp2[8] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    if (size < 8) return UNKNOWN;
    if (memcmp(p, jp2, sizeof jp2) == 0) return JPEG_2000;
    if (p[0] == 0xFF && p[1] == 0x4F && p[2] == 0xFF && p[3] == 0x51) return JPEG_2000;
    if (p[0] != 0xFF || p[1] != 0xD8 || p[2] != 0xFF) return UNKNOWN;
    /* SOF55 makes it JPEG-LS; anything else is the JPEG decoder's to judge. */
    for (uint64_t at = 2; size - at >= 4 && p[at] == 0xFF;) {
        if (p[at + 1] == 0xF7) return JPEG_LS;
        if ((p[at + 1] >= 0xC0 && p[at + 1] <= 0xC3) || p[at + 1] == 0xDA) return JPEG;
        uint64_t step = p[at + 1] == 0xFF ? 1 : 2 + ((uint64_t)p[at + 2] << 8 | p[at + 3]);
        if (step > size - at) break;
        at += step;
    }
    return JPEG;
}

/* --- one frame's decoding --------------------------------------------------------------------- */

typedef struct task {
    mg_dicom *d;
    mg_dicom_frames *frames;
    const mg_dicom_image *image;
    mg_dicom_frame_data data;
    uint32_t frame;
    mg_dicom_read_options options;
    bool partial;
    void *out;
    size_t out_size;
    uint32_t rows, columns; /* of the output */
    int precision;          /* of what the decoder delivered; 0: container bits, native rules */
} task;

enum { NOTE_SYNTAX = 1, NOTE_NATIVE = 2, NOTE_EXCEED = 4, NOTE_CODEC = 8 };

/* Says a thing once per file, not once per frame. */
static bool first_time(task *t, uint32_t note) {
    bool first = !(t->frames->noted & note);
    t->frames->noted |= note;
    return first;
}

static bool on_codec_warning(void *arg, uint64_t offset, const char *message) {
    task *t = arg;
    if (first_time(t, NOTE_CODEC))
        mg_dicom_warn(t->d, mg_dicom_frame_position(t->d, &t->data, offset), "frame %u: %s",
                      t->frame + 1, message);
    return true;
}

/* A decoder's complaint with the frame's number and the place in the file. */
static mg_dicom_status pass_on(const task *t, const mg_dicom_error *inner, mg_dicom_error *err) {
    uint64_t at = mg_dicom_frame_position(t->d, &t->data, inner->offset);
    return mg_dicom_fail(err, inner->code, at, "frame %u, data at file offset %llu: %s",
                         t->frame + 1, (unsigned long long)t->data.offset, inner->message);
}

static mg_dicom_codec_frame codec_frame(const task *t) {
    return (mg_dicom_codec_frame){t->image->rows, t->image->columns, t->image->samples,
                                  t->image->word_bytes};
}

static mg_dicom_codec_options codec_options(task *t) {
    return (mg_dicom_codec_options){.allow_partial = t->options.allow_partial,
                                    .partial = &t->partial,
                                    .on_warning = on_codec_warning,
                                    .warning_arg = t};
}

/* Codec header against data set, before anything is decoded. */
static mg_dicom_status compare(const task *t, const char *codec, uint32_t rows, uint32_t columns,
                               int components, int precision, mg_dicom_error *err) {
    const mg_dicom_image *im = t->image;
    if (rows != im->rows || columns != im->columns || components != im->samples)
        return mg_dicom_fail(
            err, MG_DICOM_ERR_PIXELS, 0,
            "the %s header says %u rows x %u columns x %d components, the data set "
            "%u x %u x %d",
            codec, rows, columns, components, im->rows, im->columns, im->samples);
    if (precision > im->word_bytes * 8 || im->bits_allocated == 1)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                             "%s samples of %d bits do not fit BitsAllocated %d", codec, precision,
                             im->bits_allocated);
    return MG_DICOM_OK;
}

static mg_dicom_status decode_jpeg(task *t, mg_dicom_error *err) {
    mg_dicom_codec_header h;
    mg_dicom_codec_frame frame = codec_frame(t);
    mg_dicom_codec_options options = codec_options(t);
    mg_dicom_status status = mg_dicom_jpeg_header(t->data.bytes, t->data.size, &h, err);
    if (status == MG_DICOM_OK)
        status = compare(t, "JPEG", h.rows ? h.rows : t->image->rows, h.columns, h.components,
                         h.precision, err);
    if (status == MG_DICOM_OK && frame.word_bytes > 2)
        status =
            mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                          "JPEG with BitsAllocated %d is not supported", t->image->bits_allocated);
    if (status != MG_DICOM_OK) return status;
    t->precision = h.precision;
    return mg_dicom_jpeg_decode(t->data.bytes, t->data.size, &frame, t->out, &options, err);
}

static mg_dicom_status decode_jls(task *t, mg_dicom_error *err) {
    mg_dicom_jls_header h;
    mg_dicom_codec_frame frame = codec_frame(t);
    mg_dicom_codec_options options = codec_options(t);
    mg_dicom_status status = mg_dicom_jls_read_header(t->data.bytes, t->data.size, &h, err);
    if (status == MG_DICOM_OK)
        status = compare(t, "JPEG-LS", h.rows, h.columns, h.components, h.precision, err);
    if (status != MG_DICOM_OK) return status;
    t->precision = h.precision;
    return mg_dicom_jls_decode(t->data.bytes, t->data.size, &h, &frame, t->out, &options, err);
}

static mg_dicom_status decode_j2k(task *t, mg_dicom_error *err) {
    mg_dicom_j2k_header h;
    mg_dicom_codec_frame frame = codec_frame(t);
    mg_dicom_codec_options options = codec_options(t);
    mg_dicom_status status = mg_dicom_j2k_read_header(t->data.bytes, t->data.size, &h, err);
    if (status == MG_DICOM_OK)
        status = compare(t, "JPEG 2000", h.rows, h.columns, h.components, h.precision, err);
    if (status != MG_DICOM_OK) return status;
    int reduce = t->options.reduce;
    if (reduce > 0 && reduce <= 32) {
        t->rows = mg_dicom_j2k_reduced(h.y0, h.y1, h.yr, reduce);
        t->columns = mg_dicom_j2k_reduced(h.x0, h.x1, h.xr, reduce);
    }
    uint64_t need = (uint64_t)t->rows * t->columns * (uint64_t)(frame.samples * frame.word_bytes);
    if (t->out_size < need)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the output holds %zu of %llu bytes",
                             t->out_size, (unsigned long long)need);
    t->precision = h.precision;
    return mg_dicom_j2k_decode(t->data.bytes, &h, &frame, reduce, t->out, &options, err);
}

static mg_dicom_status decode_rle(task *t, mg_dicom_error *err) {
    mg_dicom_codec_frame frame = codec_frame(t);
    mg_dicom_codec_options options = codec_options(t);
    if (t->image->bits_allocated == 1)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "RLE with BitsAllocated 1 is not supported");
    return mg_dicom_rle_decode(t->data.bytes, t->data.size, &frame, t->out, &options, err);
}

/* Native samples, in fragments or not, deflated or not; sign and mask are settled there. */
static mg_dicom_status decode_native(task *t, coding kind, mg_dicom_error *err) {
    const mg_dicom_element *e = &t->d->elements[t->d->pixel_element];
    bool yy_cb_cr = mg_dicom_is_422(t->image) && !t->frames->full_422;
    mg_dicom_native_layout layout = {.yy_cb_cr = yy_cb_cr};
    if (!t->d->encapsulated) {
        layout.big_endian = t->d->big_endian;
        layout.words = strcmp(e->vr, "OB") != 0;
    }
    mg_dicom_frame_data data = t->data;
    data.offset = 0; /* pass_on adds the frame's place */
    if (kind == DEFLATED)
        return mg_dicom_deflated_unpack(t->image, yy_cb_cr, &data, t->options.allow_partial,
                                        &t->partial, t->out, err);
    return mg_dicom_native_unpack(t->image, &layout, &data, t->options.allow_partial, &t->partial,
                                  t->out, err);
}

/* --- sign and precision ----------------------------------------------------------------------- */

/* Overlay planes inside the pixel words: bits above BitsStored that are not part of the value. */
static bool has_embedded_overlay(const mg_dicom *d) {
    for (uint32_t group = 0x6000; group < 0x6020; group += 2) {
        int64_t position = 0;
        if (mg_dicom_int(d, MG_DICOM_TAG(group, 0x0102), &position) && position > 0 &&
            !mg_dicom_find(d, MG_DICOM_TAG(group, 0x3000)))
            return true;
    }
    return false;
}

/* The codec delivered `precision` bits per sample; its idea of the sign does not count, the data
 * set's does. The value is in the lower of both precisions. Only when BitsStored is too small for
 * what is there (some mammography units write files like that) are the codec's bits kept. */
static void settle(task *t) {
    const mg_dicom_image *im = t->image;
    size_t n = (size_t)t->rows * t->columns * (size_t)im->samples;
    if (!t->precision) { /* RLE: words as they were before compression */
        mg_dicom_mask_samples(t->out, n, im->word_bytes, im->high_bit + 1 - im->bits_stored,
                              im->bits_stored, im->is_signed);
        return;
    }
    int bits = t->precision < im->bits_stored ? t->precision : im->bits_stored;
    if (t->precision > im->bits_stored && t->options.reduce > 0) {
        /* The low-pass band overshoots at edges. */
        mg_dicom_clamp_samples(t->out, n, im->word_bytes, t->precision, im->bits_stored,
                               im->is_signed);
        return;
    }
    if (mg_dicom_samples_exceed(t->out, n, im->word_bytes, t->precision, im->bits_stored,
                                im->is_signed) &&
        !has_embedded_overlay(t->d)) {
        bits = t->precision;
        if (first_time(t, NOTE_EXCEED))
            mg_dicom_warn(t->d, t->data.offset,
                          "frame %u: values exceed BitsStored %d, the codec's %d bits are kept",
                          t->frame + 1, im->bits_stored, t->precision);
    }
    mg_dicom_mask_samples(t->out, n, im->word_bytes, 0, bits, im->is_signed);
}

/* --- dispatch --------------------------------------------------------------------------------- */

/* What the frame really is; notes when that is not what the transfer syntax says. */
static mg_dicom_status choose(task *t, coding *out, mg_dicom_error *err) {
    const char *uid = mg_dicom_transfer_syntax(t->d);
    const syntax *declared = syntax_of(uid);
    if (declared->kind == REFUSED || declared->kind == UNKNOWN)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, t->data.offset,
                             "pixel data of transfer syntax '%s' (%s) is not supported", uid,
                             declared->name);
    *out = declared->kind;
    if (!t->d->encapsulated) {
        if (declared->kind == NATIVE) return MG_DICOM_OK;
        /* Accepted only when the length proves it. */
        const mg_dicom_element *e = &t->d->elements[t->d->pixel_element];
        uint64_t size = mg_dicom_native_size(t->image, false, 0), total;
        if (!mg_dicom_mul(size, t->image->frames, &total) ||
            e->length - e->length % 2 != total + total % 2)
            return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, t->data.offset,
                                 "transfer syntax '%s' is %s, but the pixel data is not in "
                                 "fragments",
                                 uid, coding_names[declared->kind]);
        if (first_time(t, NOTE_NATIVE))
            mg_dicom_warn(t->d, t->data.offset, "transfer syntax '%s', but native pixel data", uid);
        *out = NATIVE;
        return MG_DICOM_OK;
    }
    coding found = recognise(t->data.bytes, t->data.size);
    if (found != UNKNOWN && found != declared->kind && declared->kind != DEFLATED) {
        if (first_time(t, NOTE_SYNTAX))
            mg_dicom_warn(t->d, t->data.offset, "transfer syntax '%s', but the frame is %s", uid,
                          coding_names[found]);
        *out = found;
    }
    return MG_DICOM_OK;
}

static mg_dicom_status decode(task *t, mg_dicom_error *err) {
    coding kind = UNKNOWN;
    mg_dicom_status status = choose(t, &kind, err);
    if (status != MG_DICOM_OK) return status;
    if (kind != JPEG_2000 && t->out_size < t->image->frame_bytes)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the output holds %zu of %zu bytes",
                             t->out_size, t->image->frame_bytes);
    if (kind != JPEG_2000) t->options.reduce = 0;
    mg_dicom_error inner = {0};
    switch (kind) {
    case JPEG: status = decode_jpeg(t, &inner); break;
    case JPEG_LS: status = decode_jls(t, &inner); break;
    case JPEG_2000: status = decode_j2k(t, &inner); break;
    case RLE: status = decode_rle(t, &inner); break;
    default: status = decode_native(t, kind, &inner); break;
    }
    if (status != MG_DICOM_OK) return pass_on(t, &inner, err);
    if (kind != NATIVE && kind != DEFLATED) settle(t);
    return MG_DICOM_OK;
}

/* A frame of which nothing is there, for callers that take partial images. */
static mg_dicom_status make_empty(task *t, mg_dicom_error *err) {
    int reduce = t->options.reduce;
    if (syntax_of(mg_dicom_transfer_syntax(t->d))->kind == JPEG_2000 && reduce > 0 &&
        reduce <= 32) {
        t->rows = mg_dicom_j2k_reduced(0, t->rows, 1, reduce);
        t->columns = mg_dicom_j2k_reduced(0, t->columns, 1, reduce);
    }
    uint64_t need =
        (uint64_t)t->rows * t->columns * (uint64_t)(t->image->samples * t->image->word_bytes);
    if (t->out_size < need)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the output holds %zu of %llu bytes",
                             t->out_size, (unsigned long long)need);
    memset(t->out, 0, (size_t)need);
    t->partial = true;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_read_frame(mg_dicom *d, uint32_t frame,
                                    const mg_dicom_read_options *options, void *out,
                                    size_t out_size, mg_dicom_error *err) {
    if (!d || !out) return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "read_frame: NULL argument");
    task t = {.d = d, .frame = frame, .out = out, .out_size = out_size};
    if (options) t.options = *options;
    if (t.options.reduce < 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "reduce is negative: %d", t.options.reduce);
    mg_dicom_status status = mg_dicom_frames_of(d, &t.frames, err);
    if (status != MG_DICOM_OK) return status;
    t.image = &t.frames->image;
    t.rows = t.image->rows;
    t.columns = t.image->columns;
    bool missing = frame < t.image->frames && frame >= t.frames->located;
    if (missing && t.options.allow_partial) {
        status = make_empty(&t, err);
    } else {
        status = mg_dicom_frame_open(d, t.frames, frame, &t.data, err);
        if (status == MG_DICOM_OK) status = decode(&t, err);
    }
    mg_dicom_frame_close(&t.data);
    if (status != MG_DICOM_OK) return status;
    if (t.partial)
        mg_dicom_warn(d, t.data.offset, "frame %u is partial: data is missing or broken",
                      frame + 1);
    if (t.options.partial) *t.options.partial = t.partial;
    if (t.options.rows) *t.options.rows = t.rows;
    if (t.options.columns) *t.options.columns = t.columns;
    return MG_DICOM_OK;
}
