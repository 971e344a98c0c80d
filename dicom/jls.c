/* jls.c: the markers of JPEG-LS (ITU-T T.87): frame header, preset parameters, scans. */
#include <stdlib.h>

#include "dicom/jls.h"

/* --- header ----------------------------------------------------------------------------------- */

enum { SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DRI = 0xDD, APP8 = 0xE8, SOF_LS = 0xF7, LSE = 0xF8 };

static mg_dicom_status broken(mg_dicom_error *err, size_t at, const char *what) {
    return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, at, "JPEG-LS: %s at byte %zu", what, at);
}

static mg_dicom_status read_frame_header(const uint8_t *p, size_t at, size_t length,
                                         mg_dicom_jls_header *out, mg_dicom_error *err) {
    if (out->components) return broken(err, at, "second frame header");
    if (length < 8 || length != 8 + 3 * (size_t)p[7]) return broken(err, at, "frame header length");
    out->precision = p[2];
    out->rows = (uint32_t)p[3] << 8 | p[4];
    out->columns = (uint32_t)p[5] << 8 | p[6];
    out->components = p[7];
    if (out->precision < 2 || out->precision > 16)
        return broken(err, at, "precision not 2 to 16 bits");
    if (out->rows == 0 || out->columns == 0) return broken(err, at, "empty image");
    if (out->components == 0) return broken(err, at, "no components");
    for (int c = 0; c < out->components; c++)
        if (p[8 + 3 * c + 1] != 0x11) return broken(err, at, "subsampled component");
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_jls_read_header(const uint8_t *data, size_t size, mg_dicom_jls_header *out,
                                         mg_dicom_error *err) {
    *out = (mg_dicom_jls_header){0};
    if (size < 4 || data[0] != 0xFF || data[1] != SOI) return broken(err, 0, "no SOI marker");
    size_t at = 2;
    for (;;) {
        if (size - at < 4) return broken(err, at, "data ends before the first scan");
        if (data[at] != 0xFF) return broken(err, at, "no marker");
        uint8_t code = data[at + 1];
        if (code == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        if (code < 0xC0 || (code >= 0xD0 && code <= EOI)) return broken(err, at, "stray marker");
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > size - at - 2) return broken(err, at, "segment length");
        if (code == SOS) break;
        if (code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC)
            return broken(err, at, "a JPEG, not a JPEG-LS frame header");
        if (code == SOF_LS) {
            mg_dicom_status status = read_frame_header(data + at + 2, at, length, out, err);
            if (status != MG_DICOM_OK) return status;
        }
        at += 2 + length;
    }
    if (!out->components) return broken(err, at, "scan without a frame header");
    return MG_DICOM_OK;
}

/* --- decoding --------------------------------------------------------------------------------- */

typedef struct stream {
    const uint8_t *data;
    size_t size, at;
    const mg_dicom_jls_header *header;
    uint8_t ids[3];            /* of the components, from the frame header */
    unsigned decoded;          /* components that had their scan, one bit each */
    bool framed;               /* the frame header was met */
    mg_jls_parameters presets; /* 0: default */
    uint16_t *samples;
    bool damaged; /* and that is allowed */
    const mg_dicom_codec_options *options;
    mg_dicom_error *err;
} stream;

static unsigned be16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static mg_dicom_status unsupported(stream *s, const char *what) {
    return mg_dicom_fail(s->err, MG_DICOM_ERR_UNSUPPORTED, s->at, "JPEG-LS: %s at byte %zu", what,
                         s->at);
}

static mg_dicom_status read_presets(stream *s, const uint8_t *p, size_t length) {
    if (length < 3) return broken(s->err, s->at, "preset segment too short");
    if (p[2] == 4) return unsupported(s, "oversize image dimensions");
    if (p[2] != 1) return MG_DICOM_OK; /* mapping tables: refused where a scan uses them */
    if (length < 13) return broken(s->err, s->at, "preset segment too short");
    s->presets = (mg_jls_parameters){.maxval = (int)be16(p + 3),
                                     .t1 = (int)be16(p + 5),
                                     .t2 = (int)be16(p + 7),
                                     .t3 = (int)be16(p + 9),
                                     .reset = (int)be16(p + 11)};
    return MG_DICOM_OK;
}

/* SOS parameters and presets into those of the scan, all in range (C.2.3, C.2.4.1.1). */
static mg_dicom_status set_parameters(stream *s, int near, mg_jls_parameters *p) {
    int full = (1 << s->header->precision) - 1;
    *p = s->presets;
    if (!p->maxval) p->maxval = full;
    if (p->maxval > full) return broken(s->err, s->at, "preset MAXVAL beyond the precision");
    if (near > p->maxval / 2) return broken(s->err, s->at, "NEAR beyond half of MAXVAL");
    p->near = near;
    mg_jls_derive(p);
    if (p->t1 <= near || p->t2 < p->t1 || p->t3 < p->t2 || p->t3 > p->maxval)
        return broken(s->err, s->at, "preset thresholds out of order");
    if (p->reset < 3 || p->reset > (p->maxval > 255 ? p->maxval : 255))
        return broken(s->err, s->at, "preset RESET");
    /* The counters of a context must not overflow. */
    if (p->reset > 4096) return unsupported(s, "preset RESET above 4096");
    return MG_DICOM_OK;
}

static mg_dicom_status judge(stream *s, mg_jls_result result, uint32_t row) {
    static const char *const texts[] = {
        [MG_JLS_EARLY] = "entropy-coded data ends early",
        [MG_JLS_INVALID] = "impossible entropy-coded data",
        [MG_JLS_LATE] = "entropy-coded data left over after the last sample",
    };
    if (result == MG_JLS_OK) return MG_DICOM_OK;
    if (result == MG_JLS_MEMORY)
        return mg_dicom_fail(s->err, MG_DICOM_ERR_MEMORY, 0, "JPEG-LS: no memory");
    if (s->options && s->options->allow_partial) {
        s->damaged = true;
        return MG_DICOM_OK;
    }
    return mg_dicom_fail(s->err, MG_DICOM_ERR_PIXELS, s->at,
                         "JPEG-LS: %s, in row %u of the scan at byte %zu", texts[result], row,
                         s->at);
}

static mg_dicom_status read_scan(stream *s, const uint8_t *p, size_t length) {
    int components = length >= 3 ? p[2] : 0, first = 0;
    if (components < 1 || length != 6 + 2 * (size_t)components)
        return broken(s->err, s->at, "scan header length");
    const uint8_t *rest = p + 3 + 2 * components;
    if (components != 1 && components != s->header->components)
        return unsupported(s, "a scan of some of the components");
    while (first < s->header->components && s->ids[first] != p[3]) first++;
    for (int c = 0; c < components; c++) {
        if (first + c >= s->header->components || s->ids[first + c] != p[3 + 2 * c])
            return broken(s->err, s->at, "scan of a component that is not there");
        if (p[4 + 2 * c]) return unsupported(s, "mapping table");
        if (s->decoded >> (first + c) & 1) return broken(s->err, s->at, "component coded twice");
        s->decoded |= 1u << (first + c);
    }
    int interleave = components > 1 ? rest[1] : 0;
    if (rest[2] & 15) return unsupported(s, "point transform");
    if (components > 1 && interleave != 1 && interleave != 2)
        return broken(s->err, s->at, "interleave mode");
    mg_jls_scan scan = {.data = s->data + s->at + 2 + length,
                        .size = s->size - s->at - 2 - length,
                        .rows = s->header->rows,
                        .columns = s->header->columns,
                        .components = components,
                        .interleave = interleave,
                        .out = s->samples + first,
                        .step = (size_t)s->header->components};
    mg_dicom_status status = set_parameters(s, rest[0], &scan.parameters);
    if (status != MG_DICOM_OK) return status;
    size_t used;
    uint32_t row;
    status = judge(s, mg_jls_decode_scan(&scan, &used, &row), row);
    s->at += 2 + length + used;
    return status;
}

/* All components in the frame header's order; more than three were refused before. */
static unsigned all_components(const stream *s) { return (1u << s->header->components) - 1; }

static mg_dicom_status read_segment(stream *s, uint8_t code, const uint8_t *p, size_t length) {
    switch (code) {
    case SOF_LS: /* the first one was checked with the header; another would not have been */
        if (s->framed || length != 8 + 3 * (size_t)s->header->components)
            return broken(s->err, s->at, "second frame header");
        s->framed = true;
        for (int c = 0; c < s->header->components; c++) s->ids[c] = p[8 + 3 * c];
        break;
    case LSE: return read_presets(s, p, length);
    case DRI:
        for (size_t i = 2; i < length; i++)
            if (p[i]) return unsupported(s, "restart intervals");
        break;
    case APP8:
        if (length >= 7 && memcmp(p + 2, "mrfx", 4) == 0 && p[6])
            return unsupported(s, "colour transform");
        break;
    default: break;
    }
    return MG_DICOM_OK;
}

/* The segments were checked up to the first scan; those behind it are checked here. */
static mg_dicom_status read_stream(stream *s) {
    s->at = 2;
    while (s->decoded != all_components(s)) {
        while (s->at + 1 < s->size && s->data[s->at] == 0xFF && s->data[s->at + 1] == 0xFF) s->at++;
        if (s->size - s->at < 4 || s->data[s->at] != 0xFF || s->data[s->at + 1] < 0xC0 ||
            (s->data[s->at + 1] >= 0xD0 && s->data[s->at + 1] <= EOI)) {
            if (s->options && s->options->allow_partial && s->decoded) {
                s->damaged = true;
                return MG_DICOM_OK;
            }
            return broken(s->err, s->at, "the data ends before the last scan");
        }
        const uint8_t *p = s->data + s->at + 2;
        size_t length = be16(p);
        if (length < 2 || length > s->size - s->at - 2)
            return broken(s->err, s->at, "segment length");
        mg_dicom_status status;
        if (s->data[s->at + 1] == SOS) {
            status = read_scan(s, p, length);
        } else {
            status = read_segment(s, s->data[s->at + 1], p, length);
            s->at += 2 + length;
        }
        if (status != MG_DICOM_OK) return status;
        if (s->damaged) return MG_DICOM_OK;
    }
    bool ended = false;
    for (size_t at = s->at; at + 1 < s->size && s->data[at] == 0xFF; at++)
        if (s->data[at + 1] == EOI) ended = true;
    if (!ended && s->options && s->options->on_warning)
        s->options->on_warning(s->options->warning_arg, s->at, "JPEG-LS: no end marker (EOI)");
    return MG_DICOM_OK;
}

/* Samples of 16 bits to words of another size. */
static void narrow(const uint16_t *from, size_t n, int word_bytes, void *out) {
    if (word_bytes == 1)
        for (size_t i = 0; i < n; i++) ((uint8_t *)out)[i] = (uint8_t)from[i];
    else
        for (size_t i = 0; i < n; i++) ((uint32_t *)out)[i] = from[i];
}

mg_dicom_status mg_dicom_jls_decode(const uint8_t *data, size_t size,
                                    const mg_dicom_jls_header *header,
                                    const mg_dicom_codec_frame *frame, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err) {
    size_t n = (size_t)header->rows * header->columns * (size_t)header->components;
    if (header->rows != frame->rows || header->columns != frame->columns ||
        header->components != frame->samples || header->precision > frame->word_bytes * 8 ||
        frame->word_bytes == 8)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG-LS: not the described frame");
    if (header->components > 3)
        return mg_dicom_fail(err, MG_DICOM_ERR_UNSUPPORTED, 0, "JPEG-LS: %d components",
                             header->components);
    /* A row costs at least a bit per scan: what is shorter cannot be whole, however flat. */
    if ((uint64_t)size * 8 < header->rows) return broken(err, size, "the data ends early");
    uint16_t *samples = frame->word_bytes == 2 ? out : malloc(n * sizeof *samples);
    if (!samples) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "JPEG-LS: no memory");
    memset(samples, 0, n * sizeof *samples);
    stream s = {.data = data,
                .size = size,
                .header = header,
                .samples = samples,
                .options = options,
                .err = err};
    mg_dicom_status status = read_stream(&s);
    if (status == MG_DICOM_OK && frame->word_bytes != 2) narrow(samples, n, frame->word_bytes, out);
    if (frame->word_bytes != 2) free(samples);
    if (status == MG_DICOM_OK && options && options->partial) *options->partial = s.damaged;
    return status;
}
