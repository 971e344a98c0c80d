/* jpeg_decode.c: one image from SOI to EOI: markers, the comparison with what the caller expects,
 * scan after scan, output. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>
#include <string.h>

static const mg_dicom_codec_options no_options;

static mg_dicom_status open_stream(mg_jpeg *j, const uint8_t *data, size_t size,
                                   const mg_dicom_codec_options *options, mg_dicom_error *err) {
    memset(j, 0, sizeof *j);
    j->data = data;
    j->size = size;
    j->options = options ? options : &no_options;
    j->err = err;
    j->header.adobe = -1;
    if (!data || size < 2 || data[0] != 0xFF || data[1] != MG_JPEG_SOI)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                             "JPEG: no start of image (FFD8) at the "
                             "codestream's beginning");
    j->pos = 2;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_jpeg_header(const uint8_t *data, size_t size, mg_dicom_codec_header *out,
                                     mg_dicom_error *err) {
    mg_jpeg j;
    mg_dicom_status status = open_stream(&j, data, size, NULL, err);
    bool found = false;
    if (!status) status = mg_jpeg_read_to_scan(&j, &found);
    if (!status && !found)
        status = mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, j.pos,
                               "JPEG: no scan before offset %zu, "
                               "where the codestream ends",
                               j.pos);
    if (!status) *out = j.header;
    return status;
}

static mg_dicom_status check_agreement(mg_jpeg *j) {
    mg_dicom_codec_header *h = &j->header;
    const mg_dicom_codec_frame *f = j->frame;
    if (h->process == MG_DICOM_JPEG_UNSUPPORTED)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_UNSUPPORTED, 0,
                             "JPEG: SOF%d (%s) is not supported", h->sof - MG_JPEG_SOF0,
                             h->sof >= 0xC9 ? "arithmetic coding" : "hierarchical");
    if (h->rows == 0) { /* DNL behind the first scan must then say the same */
        h->rows = f->rows;
        mg_jpeg_lay_out(j);
    }
    if (h->rows != f->rows || h->columns != f->columns || h->components != f->samples)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, 0,
                             "JPEG: the codestream has %u rows, %u "
                             "columns, %d components, but the data set says %u, %u, %d",
                             (unsigned)h->rows, (unsigned)h->columns, h->components,
                             (unsigned)f->rows, (unsigned)f->columns, f->samples);
    if (h->precision > 8 * f->word_bytes)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, 0,
                             "JPEG: %d-bit samples do not fit into "
                             "the data set's %d bits",
                             h->precision, 8 * f->word_bytes);
    if (!j->options->allow_partial && h->least_bytes > j->size)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, 0,
                             "JPEG: %zu bytes cannot hold %u rows of "
                             "%u columns",
                             j->size, (unsigned)h->rows, (unsigned)h->columns);
    return MG_DICOM_OK;
}

static bool all_coded(const mg_jpeg *j) {
    for (int i = 0; i < j->header.components; i++)
        if (!j->component[i].coded) return false;
    return true;
}

static mg_dicom_status decode_scan(mg_jpeg *j) {
    j->in_entropy = false;
    j->next_restart = 0;
    mg_dicom_status status;
    switch (j->header.process) {
    case MG_DICOM_JPEG_LOSSLESS: status = mg_jpeg_lossless_scan(j); break;
    case MG_DICOM_JPEG_PROGRESSIVE: status = mg_jpeg_progressive_scan(j); break;
    default: status = mg_jpeg_sequential_scan(j); break;
    }
    if (status) return status;
    j->in_entropy = false;
    for (int i = 0; i < j->scan.n; i++) j->component[j->scan.component[i]].coded = true;
    return MG_DICOM_OK;
}

/* Behind the last scan only EOI (perhaps after DNL or a comment) is expected. Pixels are complete
 * by then, so whatever else is there is told and passed over; but a number of lines counts. */
static mg_dicom_status read_tail(mg_jpeg *j) {
    bool another = false;
    mg_dicom_error ignored = {0}, *err = j->err;
    j->err = &ignored;
    mg_dicom_status status = mg_jpeg_read_to_scan(j, &another);
    j->err = err;
    if (status && ignored.offset >= 4 && j->data[ignored.offset - 3] == MG_JPEG_DNL)
        return mg_dicom_fail(err, status, ignored.offset, "%s", ignored.message);
    if (status) mg_codec_warn(j->options, ignored.offset, "%s", ignored.message);
    if (another) mg_codec_warn(j->options, j->scan.offset, "JPEG: a scan too many");
    if (!status && !another && j->pos + 1 < j->size)
        mg_codec_warn(j->options, j->pos, "JPEG: %zu bytes behind the end of image",
                      j->size - j->pos);
    return MG_DICOM_OK;
}

/* A scan of a few bytes can visit every block of a large image. Encoders make some ten scans; time
 * beyond what 32 passes over the image take has to be paid for with bytes. */
static mg_dicom_status limit_work(mg_jpeg *j) {
    enum { FREE_PASSES = 32, BLOCKS_PER_BYTE = 64, SMALL = 1 << 22 };
    uint64_t all = 0, most;
    for (int i = 0; i < j->header.components; i++)
        all += (uint64_t)j->component[i].stride_blocks * j->component[i].plane_blocks_y;
    for (int i = 0; i < j->scan.n; i++) {
        const mg_jpeg_component *c = &j->component[j->scan.component[i]];
        j->work += (uint64_t)c->stride_blocks * c->plane_blocks_y;
    }
    most = FREE_PASSES * all + BLOCKS_PER_BYTE * (uint64_t)j->size;
    if (j->work <= (most > SMALL ? most : SMALL)) return MG_DICOM_OK;
    return mg_dicom_fail(j->err, MG_DICOM_ERR_LIMIT, j->scan.offset,
                         "JPEG: the scans up to offset %llu visit %llu blocks, more than an image "
                         "of %llu blocks in %zu bytes is worth",
                         (unsigned long long)j->scan.offset, (unsigned long long)j->work,
                         (unsigned long long)all, j->size);
}

static mg_dicom_status decode_scans(mg_jpeg *j, bool *started) {
    /* Sequential and lossless scans end by themselves; progressive ones with EOI. A legal stream
     * has at most a scan per coefficient bit; this and limit_work bound hostile ones. */
    enum { MAX_SCANS = 512 };
    for (int scans = 0;; scans++) {
        bool found = false;
        mg_dicom_status status = mg_jpeg_read_to_scan(j, &found);
        if (status) return status;
        if (!found) break;
        if (scans == MAX_SCANS)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_LIMIT, j->scan.offset,
                                 "JPEG: more than %d "
                                 "scans",
                                 MAX_SCANS);
        if (scans == 0) {
            status = check_agreement(j);
            if (status) return status;
        }
        if (j->header.process == MG_DICOM_JPEG_PROGRESSIVE && (status = limit_work(j)))
            return status;
        status = decode_scan(j);
        *started = *started || j->in_entropy || !status;
        if (status) return status;
        if (j->header.process != MG_DICOM_JPEG_PROGRESSIVE && all_coded(j)) return read_tail(j);
    }
    for (int i = 0; i < j->header.components; i++)
        if (!j->component[i].coded)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->pos,
                                 "JPEG: the codestream ends at "
                                 "offset %zu without a scan of component %d",
                                 j->pos, j->component[i].id);
    if (!j->have_frame)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->pos,
                             "JPEG: the codestream ends at "
                             "offset %zu without a frame header (SOF)",
                             j->pos);
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_jpeg_decode(const uint8_t *data, size_t size,
                                     const mg_dicom_codec_frame *frame, void *out,
                                     const mg_dicom_codec_options *options, mg_dicom_error *err) {
    size_t samples = 0;
    mg_dicom_status status = mg_codec_check_frame(frame, out, &samples, err);
    if (status) return status;
    if (frame->word_bytes > 2 || frame->samples > 4)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "JPEG: a frame of %d samples of %d bytes",
                             frame->samples, frame->word_bytes);
    mg_jpeg j;
    mg_dicom_error first = {0};
    status = open_stream(&j, data, size, options, &first);
    j.frame = frame;
    j.out = out;
    if (j.options->allow_partial) memset(out, 0, samples * (size_t)frame->word_bytes);
    bool started = false, partial = false;
    if (!status) status = decode_scans(&j, &started);
    if (status == MG_DICOM_ERR_PIXELS && started && j.options->allow_partial) {
        mg_codec_warn(j.options, first.offset, "partial image: %s", first.message);
        partial = true;
        status = MG_DICOM_OK;
    }
    if (!status && j.header.process == MG_DICOM_JPEG_PROGRESSIVE) mg_jpeg_progressive_finish(&j);
    if (!status && j.header.process != MG_DICOM_JPEG_LOSSLESS) status = mg_jpeg_output(&j);
    if (!status && j.options->partial) *j.options->partial = partial;
    for (int i = 0; i < 4; i++) {
        free(j.component[i].plane);
        free(j.component[i].coefficients);
    }
    free(j.unstuffed);
    return status ? mg_dicom_fail(err, status, first.offset, "%s", first.message) : MG_DICOM_OK;
}
