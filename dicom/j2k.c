/* j2k.c: JPEG 2000 and HTJ2K through OpenJPEG 2.5, behind the gate of j2k_gate.c.
 *
 * The codestream is given to the decoder without its JP2 wrapping and always in strict mode: its
 * lenient mode was seen to read far outside its buffers. What the decoder only warns about is an
 * error here, unless the caller takes partial images; of a truncated stream those are to be had
 * only when the part that is left makes whole tiles. */
#include <stdio.h>
#include <stdlib.h>

#if __has_include(<openjpeg.h>)
#include <openjpeg.h>
#else
#include <openjpeg-2.5/openjpeg.h>
#endif

#include "dicom/pixel.h"

/* --- the codestream as OpenJPEG's stream ------------------------------------------------------ */

typedef struct source {
    const uint8_t *p;
    size_t size, at;
} source;

static OPJ_SIZE_T source_read(void *to, OPJ_SIZE_T n, void *arg) {
    source *s = arg;
    if (s->at >= s->size) return (OPJ_SIZE_T)-1;
    if (n > s->size - s->at) n = s->size - s->at;
    memcpy(to, s->p + s->at, n);
    s->at += n;
    return n;
}

static OPJ_OFF_T source_skip(OPJ_OFF_T n, void *arg) {
    source *s = arg;
    if (n < 0) return -1;
    if ((uint64_t)n > s->size - s->at) n = (OPJ_OFF_T)(s->size - s->at);
    s->at += (size_t)n;
    return n ? n : -1;
}

static OPJ_BOOL source_seek(OPJ_OFF_T to, void *arg) {
    source *s = arg;
    if (to < 0 || (uint64_t)to > s->size) return OPJ_FALSE;
    s->at = (size_t)to;
    return OPJ_TRUE;
}

static opj_stream_t *open_source(source *s) {
    opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_TRUE);
    if (!stream) return NULL;
    opj_stream_set_read_function(stream, source_read);
    opj_stream_set_skip_function(stream, source_skip);
    opj_stream_set_seek_function(stream, source_seek);
    opj_stream_set_user_data(stream, s, NULL);
    opj_stream_set_user_data_length(stream, s->size);
    return stream;
}

/* --- messages --------------------------------------------------------------------------------- */

typedef struct messages {
    char error[160]; /* the first of each */
    char warning[160];
    unsigned damage; /* warnings that speak of broken or missing data */
} messages;

static void keep(char *to, size_t size, const char *text) {
    if (to[0]) return;
    snprintf(to, size, "%s", text);
    for (size_t n = strlen(to); n > 0 && (to[n - 1] == '\n' || to[n - 1] == ' '); n--)
        to[n - 1] = 0;
}

static void on_error(const char *text, void *arg) {
    messages *m = arg;
    keep(m->error, sizeof m->error, text);
}

/* Warnings about what is unusual but harmless; all others mean that pixels are not what
 * they were. */
static bool is_harmless(const char *text) {
    static const char *const harmless[] = {
        "Unknown marker", "SOP marker", /* SOP may be left out where it is announced, EPH not */
        "Known problem",  "Empty",      "not implemented",
        "profile",        "comment",    "Psot value of the current tile-part is equal to zero",
        "TPsot==TNsot",
    };
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strstr(text, harmless[i])) return true;
    return false;
}

static void on_warning(const char *text, void *arg) {
    messages *m = arg;
    keep(m->warning, sizeof m->warning, text);
    if (!is_harmless(text) && m->damage < 1000) {
        if (m->damage++ == 0 && !m->error[0]) keep(m->error, sizeof m->error, text);
    }
}

static void on_info(const char *text, void *arg) { (void)text, (void)arg; }

/* --- samples ---------------------------------------------------------------------------------- */

#define DEFINE_STORE(type)                                                                         \
    static void store_##type(const OPJ_INT32 *from, size_t n, size_t stride, uint32_t mask,        \
                             type *to) {                                                           \
        for (size_t i = 0; i < n; i++) to[i * stride] = (type)((uint32_t)from[i] & mask);          \
    }
DEFINE_STORE(uint8_t)
DEFINE_STORE(uint16_t)
DEFINE_STORE(uint32_t)

static bool store_image(const opj_image_t *image, const mg_dicom_j2k_header *h,
                        const mg_dicom_codec_frame *frame, uint32_t rows, uint32_t columns,
                        void *out) {
    size_t n = (size_t)rows * columns, samples = (size_t)h->components;
    uint32_t mask = (UINT32_C(1) << h->precision) - 1;
    if (image->numcomps != (OPJ_UINT32)h->components) return false;
    for (size_t c = 0; c < samples; c++) {
        const opj_image_comp_t *comp = &image->comps[c];
        if (comp->w != columns || comp->h != rows || !comp->data) return false;
    }
    for (size_t c = 0; c < samples; c++) {
        const OPJ_INT32 *from = image->comps[c].data;
        switch (frame->word_bytes) {
        case 1: store_uint8_t(from, n, samples, mask, (uint8_t *)out + c); break;
        case 2: store_uint16_t(from, n, samples, mask, (uint16_t *)out + c); break;
        default: store_uint32_t(from, n, samples, mask, (uint32_t *)out + c); break;
        }
    }
    return true;
}

/* --- decoding --------------------------------------------------------------------------------- */

/* false: m->error says why. */
static bool decode(opj_codec_t *codec, opj_stream_t *stream, int reduce, bool whole,
                   opj_image_t **image) {
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    parameters.cp_reduce = (OPJ_UINT32)reduce;
    if (!opj_setup_decoder(codec, &parameters)) return false;
    if (!opj_decoder_set_strict_mode(codec, OPJ_TRUE)) return false;
    if (!opj_read_header(stream, codec, image)) return false;
    if (!opj_decode(codec, stream, *image)) return false;
    /* After the last tile: complains about what is missing at the end. The gate has seen to it. */
    return opj_end_decompress(codec, stream) || !whole;
}

static mg_dicom_status check(const mg_dicom_j2k_header *h, const mg_dicom_codec_frame *frame,
                             int reduce, bool allow_partial, mg_dicom_error *err) {
    if (h->rows != frame->rows || h->columns != frame->columns || h->components != frame->samples ||
        h->precision > frame->word_bytes * 8 || frame->word_bytes > 4)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG 2000: not the described frame");
    if (reduce < 0 || reduce > h->levels)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "JPEG 2000: reduce is %d, but the image has %d decomposition levels",
                             reduce, h->levels);
    if (!h->complete && !allow_partial)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, h->damage_offset,
                             "JPEG 2000: %s at byte %llu", h->damage,
                             (unsigned long long)h->damage_offset);
    /* Flat images compress without limit, but large ones only this far in practice. */
    uint64_t samples = (uint64_t)h->rows * h->columns * (uint64_t)h->components;
    if (samples > UINT64_C(1) << 25 && samples >> 17 > h->size)
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0,
                             "JPEG 2000: %zu bytes for %llu samples is not plausible", h->size,
                             (unsigned long long)samples);
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_j2k_decode(const uint8_t *data, const mg_dicom_j2k_header *header,
                                    const mg_dicom_codec_frame *frame, int reduce, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err) {
    bool partial_ok = options && options->allow_partial;
    mg_dicom_status status = check(header, frame, reduce, partial_ok, err);
    if (status != MG_DICOM_OK) return status;
    uint32_t rows = mg_dicom_j2k_reduced(header->y0, header->y1, header->yr, reduce);
    uint32_t columns = mg_dicom_j2k_reduced(header->x0, header->x1, header->xr, reduce);
    source s = {.p = data + header->start, .size = header->size};
    messages m = {0};
    opj_image_t *image = NULL;
    opj_stream_t *stream = open_source(&s);
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    if (!stream || !codec) {
        status = mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "JPEG 2000: no memory");
    } else {
        opj_set_error_handler(codec, on_error, &m);
        opj_set_warning_handler(codec, on_warning, &m);
        opj_set_info_handler(codec, on_info, NULL);
        bool good = decode(codec, stream, reduce, header->complete, &image);
        bool damaged = m.damage || !header->complete;
        if (!good || (damaged && !partial_ok))
            status = mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0, "JPEG 2000: %s",
                                   m.error[0] ? m.error : "the decoder gave up (no memory?)");
        else if (!store_image(image, header, frame, rows, columns, out))
            status = mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                                   "JPEG 2000: the decoder did not deliver the whole image");
        if (options && options->partial) *options->partial = damaged;
        if (!header->terminated) keep(m.warning, sizeof m.warning, "no end marker (EOC)");
        if (status == MG_DICOM_OK && m.warning[0] && options && options->on_warning)
            options->on_warning(options->warning_arg, 0, m.warning);
    }
    if (image) opj_image_destroy(image);
    if (codec) opj_destroy_codec(codec);
    if (stream) opj_stream_destroy(stream);
    return status;
}
