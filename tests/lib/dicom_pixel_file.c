#include "tests/lib/dicom_pixel_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <charls/charls.h>
#if __has_include(<openjpeg.h>)
#include <openjpeg.h>
#else
#include <openjpeg-2.5/openjpeg.h>
#endif

static void give_up(const char *what) {
    fprintf(stderr, "dicom_pixel_file: %s\n", what);
    abort();
}

/* --- bytes ------------------------------------------------------------------------------------ */

void pixel_file_raw(pixel_file *f, const void *data, size_t n) {
    if (f->size + n > f->capacity) {
        f->capacity = (f->size + n) * 2 + 4096;
        f->bytes = realloc(f->bytes, f->capacity);
        if (!f->bytes) give_up("no memory");
    }
    if (n) memcpy(f->bytes + f->size, data, n);
    f->size += n;
}

static void put(pixel_file *f, uint32_t v, int bytes) {
    uint8_t b[4];
    for (int i = 0; i < bytes; i++) b[i] = (uint8_t)(v >> 8 * (f->big_endian ? bytes - 1 - i : i));
    pixel_file_raw(f, b, (size_t)bytes);
}

static void put_tag(pixel_file *f, uint32_t tag) {
    put(f, tag >> 16, 2);
    put(f, tag & 0xFFFF, 2);
}

static bool is_long(const char *vr) {
    static const char *const names[] = {"OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UN", "UT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(vr, names[i]) == 0) return true;
    return false;
}

static void put_header(pixel_file *f, uint32_t tag, const char *vr, uint32_t length) {
    put_tag(f, tag);
    if (f->implicit) {
        put(f, length, 4);
        return;
    }
    pixel_file_raw(f, vr, 2);
    if (is_long(vr)) {
        put(f, 0, 2);
        put(f, length, 4);
    } else {
        put(f, length, 2);
    }
}

void pixel_file_element(pixel_file *f, uint32_t tag, const char *vr, const void *data, size_t n) {
    put_header(f, tag, vr, (uint32_t)(n + n % 2));
    pixel_file_raw(f, data, n);
    if (n % 2) pixel_file_raw(f, strchr("OU", vr[0]) ? "" : " ", 1);
}

void pixel_file_us(pixel_file *f, uint32_t tag, const char *vr, int value) {
    uint8_t b[2] = {(uint8_t)(value & 255), (uint8_t)(value >> 8 & 255)};
    if (f->big_endian) {
        uint8_t t = b[0];
        b[0] = b[1];
        b[1] = t;
    }
    pixel_file_element(f, tag, vr, b, 2);
}

void pixel_file_text(pixel_file *f, uint32_t tag, const char *vr, const char *text) {
    pixel_file_element(f, tag, vr, text, strlen(text));
}

void pixel_file_open(pixel_file *f, uint32_t tag) {
    if (tag == 0xFFFEE000) {
        put_tag(f, tag);
        put(f, 0xFFFFFFFF, 4);
    } else {
        put_header(f, tag, "SQ", 0xFFFFFFFF);
    }
}

void pixel_file_close(pixel_file *f, bool item) {
    put_tag(f, item ? 0xFFFEE00D : 0xFFFEE0DD);
    put(f, 0, 4);
}

/* --- files ------------------------------------------------------------------------------------ */

void pixel_file_begin(pixel_file *f, const char *transfer_syntax) {
    uint8_t preamble[132] = {0};
    *f = (pixel_file){0};
    memcpy(preamble + 128, "DICM", 4);
    pixel_file_raw(f, preamble, sizeof preamble);
    size_t n = strlen(transfer_syntax), even = n + n % 2;
    uint32_t length = (uint32_t)(8 + even);
    put_header(f, 0x00020000, "UL", 4);
    put(f, length, 4);
    put_header(f, 0x00020010, "UI", (uint32_t)even);
    pixel_file_raw(f, transfer_syntax, n);
    if (n % 2) pixel_file_raw(f, "", 1);
    f->implicit = strcmp(transfer_syntax, TS_IMPLICIT) == 0;
    f->big_endian = strcmp(transfer_syntax, TS_BIG) == 0;
}

void pixel_file_free(pixel_file *f) {
    free(f->bytes);
    *f = (pixel_file){0};
}

void pixel_file_describe(pixel_file *f, const pixel_image *im) {
    const char *photometric = im->photometric    ? im->photometric
                              : im->samples == 3 ? "RGB"
                                                 : "MONOCHROME2";
    pixel_file_us(f, 0x00280002, "US", im->samples);
    pixel_file_text(f, 0x00280004, "CS", photometric);
    if (im->samples > 1) pixel_file_us(f, 0x00280006, "US", im->planar);
    if (im->frames) {
        char text[16];
        snprintf(text, sizeof text, "%d", im->frames);
        pixel_file_text(f, 0x00280008, "IS", text);
    }
    pixel_file_us(f, 0x00280010, "US", (int)im->rows);
    pixel_file_us(f, 0x00280011, "US", (int)im->columns);
    pixel_file_us(f, 0x00280100, "US", im->allocated);
    pixel_file_us(f, 0x00280101, "US", im->stored);
    pixel_file_us(f, 0x00280102, "US", im->high ? im->high : im->stored - 1);
    pixel_file_us(f, 0x00280103, "US", im->sign);
}

void pixel_file_fragments(pixel_file *f, const uint32_t *offsets, size_t n) {
    put_header(f, 0x7FE00010, "OB", 0xFFFFFFFF);
    put_tag(f, 0xFFFEE000);
    put(f, (uint32_t)(4 * n), 4);
    for (size_t i = 0; i < n; i++) put(f, offsets[i], 4);
}

void pixel_file_fragment(pixel_file *f, const void *data, size_t n) {
    put_tag(f, 0xFFFEE000);
    put(f, (uint32_t)(n + n % 2), 4);
    pixel_file_raw(f, data, n);
    if (n % 2) pixel_file_raw(f, "", 1);
}

void pixel_file_end(pixel_file *f) { pixel_file_close(f, false); }

void pixel_file_native(pixel_file *f, const char *transfer_syntax, const pixel_image *image,
                       const void *data, size_t n) {
    pixel_file_begin(f, transfer_syntax);
    pixel_file_describe(f, image);
    pixel_file_element(f, 0x7FE00010, image->allocated > 8 ? "OW" : "OB", data, n);
}

mg_dicom *pixel_file_parse(const pixel_file *f) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(f->bytes, f->size, NULL, &err);
    if (!d) give_up(err.message);
    return d;
}

/* --- codestreams ------------------------------------------------------------------------------ */

codestream encode_jls(const encoding *e, const uint16_t *samples) {
    size_t pixels = (size_t)e->rows * e->columns, n = pixels * (size_t)e->samples;
    size_t word = e->bits <= 8 ? 1 : 2, size = 0, written = 0;
    uint8_t *source = malloc(n * word + 1);
    charls_frame_info info = {e->columns, e->rows, e->bits, e->samples};
    charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
    if (!source || !encoder) give_up("no memory");
    for (size_t i = 0; i < n; i++) {
        size_t to = e->interleave ? i : i % (size_t)e->samples * pixels + i / (size_t)e->samples;
        if (word == 1) source[to] = (uint8_t)samples[i];
        else memcpy(source + 2 * to, &samples[i], 2);
    }
    int bad = charls_jpegls_encoder_set_frame_info(encoder, &info);
    bad = bad || charls_jpegls_encoder_set_near_lossless(encoder, e->near_lossless);
    bad = bad || (e->samples > 1 && charls_jpegls_encoder_set_interleave_mode(
                                        encoder, (charls_interleave_mode)e->interleave));
    bad = bad || charls_jpegls_encoder_get_estimated_destination_size(encoder, &size);
    codestream out = {malloc(size * 2 + 4096), 0};
    if (!out.bytes) give_up("no memory");
    bad = bad ||
          charls_jpegls_encoder_set_destination_buffer(encoder, out.bytes, size * 2 + 4096) ||
          charls_jpegls_encoder_encode_from_buffer(encoder, source, n * word, 0) ||
          charls_jpegls_encoder_get_bytes_written(encoder, &written);
    if (bad) give_up("CharLS does not encode");
    out.size = written;
    charls_jpegls_encoder_destroy(encoder);
    free(source);
    return out;
}

typedef struct sink {
    codestream *out;
    size_t at, capacity;
} sink;

static OPJ_SIZE_T sink_write(void *data, OPJ_SIZE_T n, void *arg) {
    sink *s = arg;
    if (s->at + n > s->capacity) {
        s->capacity = (s->at + n) * 2;
        s->out->bytes = realloc(s->out->bytes, s->capacity);
        if (!s->out->bytes) give_up("no memory");
    }
    memcpy(s->out->bytes + s->at, data, n);
    s->at += n;
    if (s->at > s->out->size) s->out->size = s->at;
    return n;
}
static OPJ_OFF_T sink_skip(OPJ_OFF_T n, void *arg) {
    sink *s = arg;
    s->at += (size_t)n;
    return n;
}
static OPJ_BOOL sink_seek(OPJ_OFF_T to, void *arg) {
    sink *s = arg;
    s->at = (size_t)to;
    return OPJ_TRUE;
}

static opj_image_t *make_image(const encoding *e, const uint16_t *samples) {
    opj_image_cmptparm_t parts[3] = {0};
    for (int c = 0; c < e->samples; c++) {
        parts[c].dx = parts[c].dy = 1;
        parts[c].w = e->columns;
        parts[c].h = e->rows;
        parts[c].prec = (OPJ_UINT32)e->bits;
        parts[c].sgnd = e->is_signed;
    }
    opj_image_t *image = opj_image_create((OPJ_UINT32)e->samples, parts,
                                          e->samples == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    if (!image) give_up("no memory");
    image->x1 = e->columns;
    image->y1 = e->rows;
    int shift = 32 - e->bits;
    for (size_t i = 0; i < (size_t)e->rows * e->columns; i++)
        for (int c = 0; c < e->samples; c++) {
            uint32_t v = samples[i * (size_t)e->samples + (size_t)c];
            image->comps[c].data[i] =
                e->is_signed ? (int32_t)(v << shift) >> shift : (int32_t)(v << shift >> shift);
        }
    return image;
}

codestream encode_j2k(const encoding *e, const uint16_t *samples) {
    opj_cparameters_t p;
    opj_set_default_encoder_parameters(&p);
    p.numresolution = e->levels + 1;
    p.irreversible = e->lossy;
    p.tcp_mct = e->mct;
    p.tcp_numlayers = e->layers ? e->layers : 1;
    p.cp_disto_alloc = 1;
    for (int i = 0; i < p.tcp_numlayers; i++)
        p.tcp_rates[i] = i + 1 == p.tcp_numlayers ? (e->lossy ? 4 : 0) : (float)(40 >> i);
    if (e->tile) {
        p.tile_size_on = OPJ_TRUE;
        p.cp_tdx = p.cp_tdy = e->tile;
    }
    codestream out = {0};
    sink s = {.out = &out};
    opj_image_t *image = make_image(e, samples);
    opj_codec_t *codec = opj_create_compress(e->jp2 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_FALSE);
    if (!codec || !stream) give_up("no memory");
    opj_stream_set_write_function(stream, sink_write);
    opj_stream_set_skip_function(stream, sink_skip);
    opj_stream_set_seek_function(stream, sink_seek);
    opj_stream_set_user_data(stream, &s, NULL);
    bool good = opj_setup_encoder(codec, &p, image) && opj_start_compress(codec, image, stream) &&
                opj_encode(codec, stream) && opj_end_compress(codec, stream);
    if (!good) give_up("OpenJPEG does not encode");
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return out;
}

uint32_t pixel_random(uint32_t *state) {
    uint32_t x = *state += 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return x ^ x >> 16;
}
