/* j2k_encode.c: JPEG 2000 (ISO 15444-1) codestreams through OpenJPEG. */
#include <stdlib.h>

#if __has_include(<openjpeg.h>)
#include <openjpeg.h>
#else
#include <openjpeg-2.5/openjpeg.h>
#endif

#include "dicom/encode.h"
#include "dicom/internal.h"

typedef struct sink {
    uint8_t *bytes;
    size_t size, capacity, position;
    bool failed;
} sink;

static OPJ_SIZE_T sink_write(void *buffer, OPJ_SIZE_T n, void *user) {
    sink *s = user;
    if (s->failed || n > SIZE_MAX / 4 - s->position) return (OPJ_SIZE_T)-1;
    if (s->position + n > s->capacity) {
        size_t capacity = (s->position + n) * 3 / 2 + 4096;
        uint8_t *grown = realloc(s->bytes, capacity);
        if (!grown) {
            s->failed = true;
            return (OPJ_SIZE_T)-1;
        }
        s->bytes = grown;
        s->capacity = capacity;
    }
    memcpy(s->bytes + s->position, buffer, n);
    s->position += n;
    if (s->position > s->size) s->size = s->position;
    return n;
}

static OPJ_BOOL sink_seek(OPJ_OFF_T to, void *user) {
    sink *s = user;
    if (to < 0 || (size_t)to > s->size) return OPJ_FALSE;
    s->position = (size_t)to;
    return OPJ_TRUE;
}

static OPJ_OFF_T sink_skip(OPJ_OFF_T n, void *user) {
    sink *s = user;
    return sink_seek((OPJ_OFF_T)s->position + n, s) ? n : -1;
}

static void quiet(const char *message, void *user) { (void)message, (void)user; }

/* Samples by component as the 32-bit integers OpenJPEG works on. */
static opj_image_t *make_image(const void *samples, const mg_dicom_codec_frame *f, int precision,
                               bool is_signed) {
    opj_image_cmptparm_t parameters[3] = {0};
    for (int c = 0; c < f->samples; c++) {
        parameters[c].dx = parameters[c].dy = 1;
        parameters[c].w = f->columns;
        parameters[c].h = f->rows;
        parameters[c].prec = (OPJ_UINT32)precision;
        parameters[c].sgnd = is_signed;
    }
    opj_image_t *image = opj_image_create((OPJ_UINT32)f->samples, parameters,
                                          f->samples == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    if (!image) return NULL;
    image->x1 = f->columns;
    image->y1 = f->rows;
    size_t n = (size_t)f->rows * f->columns, step = (size_t)f->samples;
    int unused = 32 - precision;
    for (size_t c = 0; c < step; c++) {
        OPJ_INT32 *to = image->comps[c].data;
        for (size_t i = 0; i < n; i++) {
            uint32_t v = f->word_bytes == 1 ? ((const uint8_t *)samples)[i * step + c]
                                            : ((const uint16_t *)samples)[i * step + c];
            v <<= unused; /* drops what is above the precision, and brings the sign in place */
            to[i] = is_signed ? (OPJ_INT32)v >> unused : (OPJ_INT32)(v >> unused);
        }
    }
    return image;
}

static void set_parameters(opj_cparameters_t *p, const mg_dicom_codec_frame *f, double ratio) {
    opj_set_default_encoder_parameters(p);
    p->tcp_numlayers = 1;
    p->cp_disto_alloc = 1;
    p->tcp_rates[0] = (float)ratio;
    p->irreversible = ratio > 0;
    p->tcp_mct = 0;
    uint32_t side = f->rows < f->columns ? f->rows : f->columns;
    p->numresolution = 1; /* no more halvings than the shorter side allows, at most five */
    while (p->numresolution < 6 && side >> p->numresolution) p->numresolution++;
}

static bool encode(opj_image_t *image, opj_cparameters_t *parameters, sink *to) {
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(1 << 20, OPJ_FALSE);
    bool ok = false;
    if (codec && stream) {
        opj_set_error_handler(codec, quiet, NULL);
        opj_set_warning_handler(codec, quiet, NULL);
        opj_set_info_handler(codec, quiet, NULL);
        opj_stream_set_user_data(stream, to, NULL);
        opj_stream_set_write_function(stream, sink_write);
        opj_stream_set_seek_function(stream, sink_seek);
        opj_stream_set_skip_function(stream, sink_skip);
        ok = opj_setup_encoder(codec, parameters, image) &&
             opj_start_compress(codec, image, stream) && opj_encode(codec, stream) &&
             opj_end_compress(codec, stream);
    }
    if (stream) opj_stream_destroy(stream);
    if (codec) opj_destroy_codec(codec);
    return ok && !to->failed;
}

mg_dicom_status mg_dicom_j2k_encode(const void *samples, const mg_dicom_codec_frame *f,
                                    int precision, bool is_signed, double ratio, uint8_t **out,
                                    size_t *out_size, mg_dicom_error *err) {
    *out = NULL;
    if (precision < 1 || precision > 8 * f->word_bytes || f->word_bytes > 2 || ratio < 0 ||
        (f->samples != 1 && f->samples != 3) || f->rows == 0 || f->columns == 0 ||
        f->rows > 65535 || f->columns > 65535)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG 2000 cannot code this kind of frame");
    opj_cparameters_t parameters;
    set_parameters(&parameters, f, ratio);
    opj_image_t *image = make_image(samples, f, precision, is_signed);
    if (!image) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for JPEG 2000");
    sink to = {0};
    bool ok = encode(image, &parameters, &to);
    opj_image_destroy(image);
    if (!ok) {
        free(to.bytes);
        return mg_dicom_fail(err, to.failed ? MG_DICOM_ERR_MEMORY : MG_DICOM_ERR_PIXELS, 0,
                             "JPEG 2000 encoder failed");
    }
    *out = to.bytes;
    *out_size = to.size;
    return MG_DICOM_OK;
}
