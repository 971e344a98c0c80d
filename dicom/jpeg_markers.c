/* jpeg_markers.c: marker segments (T.81 annex B). Every segment's length is checked against the
 * codestream's end before its contents are looked at, and every step moves forward. */
#include "dicom/jpeg_internal.h"

#include <string.h>

/* clang-format off */
const uint8_t mg_jpeg_natural_order[64] = {
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};
/* clang-format on */

static mg_dicom_status broken(mg_jpeg *j, size_t offset, const char *what) {
    return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, offset, "JPEG: %s at offset %zu", what,
                         offset);
}

size_t mg_jpeg_find_marker(mg_jpeg *j, size_t pos, uint8_t *marker) {
    size_t start = pos;
    while (pos < j->size) {
        const uint8_t *ff = memchr(j->data + pos, 0xFF, j->size - pos);
        if (!ff) break;
        pos = (size_t)(ff - j->data);
        size_t code = pos + 1;
        while (code < j->size && j->data[code] == 0xFF) code++; /* fill bytes */
        if (code == j->size) break;
        if (j->data[code] != 0) {
            if (pos != start)
                mg_codec_warn(j->options, start,
                              "JPEG: %zu bytes before the marker at offset %zu "
                              "belong to no segment",
                              pos - start, pos);
            *marker = j->data[code];
            return code - 1;
        }
        pos = code + 1;
    }
    return j->size;
}

/* DHT: B.2.4.2 */
static mg_dicom_status read_huffman(mg_jpeg *j, size_t pos, size_t end) {
    while (pos < end) {
        if (end - pos < 17) return broken(j, pos, "Huffman table (DHT) cut short");
        unsigned class = j->data[pos] >> 4, id = j->data[pos] & 15;
        if (class > 1 || id > 3)
            return broken(j, pos, "Huffman table (DHT) with class over 1 or identifier over 3");
        const uint8_t *counts = j->data + pos; /* counts[1…16] */
        size_t total = 0;
        for (int i = 1; i <= 16; i++) total += counts[i];
        if (total > 256 || total > end - pos - 17)
            return broken(j, pos,
                          "Huffman table (DHT) with more values than its segment has room "
                          "for");
        if (!mg_jpeg_huffman_build(&j->table[class][id], counts, counts + 17))
            return broken(j, pos, "Huffman table (DHT) whose code lengths are no prefix code");
        pos += 17 + total;
    }
    return MG_DICOM_OK;
}

/* DQT: B.2.4.1 */
static mg_dicom_status read_quantization(mg_jpeg *j, size_t pos, size_t end) {
    while (pos < end) {
        unsigned wide = j->data[pos] >> 4, id = j->data[pos] & 15;
        if (wide > 1 || id > 3)
            return broken(j, pos,
                          "quantization table (DQT) with precision over 1 or identifier "
                          "over 3");
        if (end - pos < 1 + 64 * (1 + wide))
            return broken(j, pos, "quantization table (DQT) cut short");
        const uint8_t *p = j->data + pos + 1;
        for (int i = 0; i < 64; i++, p += 1 + wide)
            j->quant[id][mg_jpeg_natural_order[i]] = wide ? mg_codec_be16(p) : *p;
        j->quant_defined[id] = true;
        pos += 1 + 64 * (1 + wide);
    }
    return MG_DICOM_OK;
}

static mg_dicom_jpeg_process process_of(uint8_t sof) {
    switch (sof) {
    case 0xC0: return MG_DICOM_JPEG_BASELINE;
    case 0xC1: return MG_DICOM_JPEG_EXTENDED;
    case 0xC2: return MG_DICOM_JPEG_PROGRESSIVE;
    case 0xC3: return MG_DICOM_JPEG_LOSSLESS;
    default: return MG_DICOM_JPEG_UNSUPPORTED;
    }
}

/* Sizes of the components from the sampling factors (A.1.1, A.2.3). */
void mg_jpeg_lay_out(mg_jpeg *j) {
    mg_dicom_codec_header *h = &j->header;
    j->max_h = j->max_v = 1;
    for (int i = 0; i < h->components; i++) {
        if (j->component[i].h > j->max_h) j->max_h = j->component[i].h;
        if (j->component[i].v > j->max_v) j->max_v = j->component[i].v;
    }
    uint32_t mcu_w = 8 * (uint32_t)j->max_h, mcu_h = 8 * (uint32_t)j->max_v;
    uint32_t mcus_x = (h->columns + mcu_w - 1) / mcu_w, mcus_y = (h->rows + mcu_h - 1) / mcu_h;
    uint64_t blocks = 0, samples = 0;
    h->subsampled = false;
    for (int i = 0; i < h->components; i++) {
        mg_jpeg_component *c = &j->component[i];
        uint32_t mh = (uint32_t)j->max_h, mv = (uint32_t)j->max_v;
        c->width = (h->columns * c->h + mh - 1) / mh;
        c->height = (h->rows * c->v + mv - 1) / mv;
        c->blocks_x = (c->width + 7) / 8;
        c->blocks_y = (c->height + 7) / 8;
        c->stride_blocks = mcus_x * c->h;
        c->plane_blocks_y = mcus_y * c->v;
        memset(c->bits_known, -1, sizeof c->bits_known);
        blocks += (uint64_t)c->blocks_x * c->blocks_y;
        samples += (uint64_t)c->width * c->height;
        if (c->h != j->max_h || c->v != j->max_v) h->subsampled = true;
        h->component[i].id = c->id;
        h->component[i].h = c->h;
        h->component[i].v = c->v;
    }
    /* At least one bit per sample, or one for the DC and (sequential) one for the AC of a block. */
    if (h->process == MG_DICOM_JPEG_LOSSLESS) h->least_bytes = samples / 8;
    else if (h->process == MG_DICOM_JPEG_PROGRESSIVE) h->least_bytes = blocks / 8;
    else if (h->process != MG_DICOM_JPEG_UNSUPPORTED) h->least_bytes = blocks / 4;
}

/* SOFn: B.2.2 */
static mg_dicom_status read_frame(mg_jpeg *j, uint8_t marker, size_t pos, size_t end) {
    const uint8_t *p = j->data + pos;
    mg_dicom_codec_header *h = &j->header;
    if (j->have_frame) return broken(j, pos, "a second frame header (SOF)");
    if (end - pos < 6) return broken(j, pos, "frame header (SOF) cut short");
    h->sof = marker;
    h->process = process_of(marker);
    h->precision = p[0];
    h->rows = mg_codec_be16(p + 1);
    h->columns = mg_codec_be16(p + 3);
    h->components = p[5];
    if (h->components < 1 || h->components > 4)
        return broken(j, pos, "frame header (SOF) with a number of components that is not 1 to 4");
    if (end - pos < 6 + 3 * (size_t)h->components)
        return broken(j, pos, "frame header (SOF) cut short");
    if (h->columns == 0) return broken(j, pos, "frame header (SOF) with 0 columns");
    bool lossless = h->process == MG_DICOM_JPEG_LOSSLESS;
    bool baseline = h->process == MG_DICOM_JPEG_BASELINE;
    if (lossless ? h->precision < 2 || h->precision > 16
                 : h->precision != 8 && (baseline || h->precision != 12))
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, pos,
                             "JPEG: precision %d at offset %zu is "
                             "not one of SOF%d (%s)",
                             h->precision, pos, marker - MG_JPEG_SOF0,
                             lossless   ? "2 to 16"
                             : baseline ? "8"
                                        : "8 or 12");
    for (int i = 0; i < h->components; i++) {
        const uint8_t *q = p + 6 + 3 * i;
        mg_jpeg_component *c = &j->component[i];
        *c = (mg_jpeg_component){.id = q[0], .h = q[1] >> 4, .v = q[1] & 15, .quant = q[2]};
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4)
            return broken(j, pos, "frame header (SOF) with a sampling factor that is not 1 to 4");
        if (!lossless && c->quant > 3)
            return broken(j, pos, "frame header (SOF) with a quantization table over 3");
        for (int k = 0; k < i; k++)
            if (j->component[k].id == c->id)
                return broken(j, pos, "frame header (SOF) with two components of one identifier");
    }
    mg_jpeg_lay_out(j);
    j->have_frame = true;
    return MG_DICOM_OK;
}

/* SOS: B.2.3 */
static mg_dicom_status read_scan_header(mg_jpeg *j, size_t pos, size_t end) {
    const uint8_t *p = j->data + pos;
    mg_jpeg_scan *s = &j->scan;
    if (!j->have_frame) return broken(j, pos, "a scan (SOS) before any frame header (SOF)");
    s->n = p[0];
    if (end == pos || s->n < 1 || s->n > 4 || end - pos < 4 + 2 * (size_t)s->n)
        return broken(j, pos, "scan header (SOS) cut short or without 1 to 4 components");
    for (int i = 0; i < s->n; i++) {
        const uint8_t *q = p + 1 + 2 * i;
        int k = 0;
        while (k < j->header.components && j->component[k].id != q[0]) k++;
        if (k == j->header.components)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, pos,
                                 "JPEG: the scan header at offset "
                                 "%zu names component %d, which the frame header does not",
                                 pos, q[0]);
        if (i && k <= s->component[i - 1])
            return broken(j, pos, "scan header (SOS) with components repeated or out of order");
        s->component[i] = (uint8_t)k;
        s->dc_table[i] = q[1] >> 4;
        s->ac_table[i] = q[1] & 15;
        if (s->dc_table[i] > 3 || s->ac_table[i] > 3)
            return broken(j, pos, "scan header (SOS) with a Huffman table over 3");
    }
    const uint8_t *q = p + 1 + 2 * s->n;
    s->ss = q[0];
    s->se = q[1];
    s->ah = q[2] >> 4;
    s->al = q[2] & 15;
    if (j->header.process == MG_DICOM_JPEG_LOSSLESS && !j->header.predictor) {
        j->header.predictor = s->ss;
        j->header.point_transform = s->al;
    }
    return MG_DICOM_OK;
}

static mg_dicom_status read_lines(mg_jpeg *j, size_t pos, size_t end) { /* DNL: B.2.5 */
    if (end - pos < 2) return broken(j, pos, "number of lines (DNL) cut short");
    uint32_t rows = mg_codec_be16(j->data + pos);
    if (j->have_frame && j->frame && rows != j->header.rows)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, pos,
                             "JPEG: the number of lines (DNL) at "
                             "offset %zu is %u, but the image has %u rows",
                             pos, (unsigned)rows, (unsigned)j->header.rows);
    return MG_DICOM_OK;
}

static void read_application(mg_jpeg *j, uint8_t marker, const uint8_t *p, size_t n) {
    mg_dicom_codec_header *h = &j->header;
    if (marker == MG_JPEG_APP0 && n >= 5 && memcmp(p, "JFIF", 5) == 0) h->jfif = true;
    if (marker == MG_JPEG_APP14 && n >= 12 && memcmp(p, "Adobe", 5) == 0) h->adobe = p[11];
    if (h->adobe == 0) h->color = MG_DICOM_JPEG_COLOR_NONE;
    else if (h->adobe > 0 || h->jfif) h->color = MG_DICOM_JPEG_COLOR_YCC;
}

static mg_dicom_status read_segment(mg_jpeg *j, uint8_t marker, size_t pos, size_t end) {
    switch (marker) {
    case MG_JPEG_DHT: return read_huffman(j, pos, end);
    case MG_JPEG_DQT: return read_quantization(j, pos, end);
    case MG_JPEG_DNL: return read_lines(j, pos, end);
    case MG_JPEG_DRI:
        if (end - pos < 2) return broken(j, pos, "restart interval (DRI) cut short");
        j->restart_interval = mg_codec_be16(j->data + pos);
        return MG_DICOM_OK;
    case MG_JPEG_DAC:
    case MG_JPEG_DHP:
    case MG_JPEG_EXP:
        return mg_dicom_fail(j->err, MG_DICOM_ERR_UNSUPPORTED, pos,
                             "JPEG: %s coding (marker FF%02X "
                             "at offset %zu) is not supported",
                             marker == MG_JPEG_DAC ? "arithmetic" : "hierarchical", marker, pos);
    case MG_JPEG_SOS: return read_scan_header(j, pos, end);
    default:
        if (marker >= MG_JPEG_SOF0 && marker <= MG_JPEG_SOF15 && marker != MG_JPEG_JPG)
            return read_frame(j, marker, pos, end);
        if (marker >= MG_JPEG_APP0 && marker <= MG_JPEG_APP15)
            read_application(j, marker, j->data + pos, end - pos);
        return MG_DICOM_OK; /* comments, application data, reserved segments: passed over */
    }
}

static bool has_no_segment(uint8_t marker) {
    return marker == MG_JPEG_TEM || (marker >= MG_JPEG_RST0 && marker <= MG_JPEG_SOI);
}

mg_dicom_status mg_jpeg_read_to_scan(mg_jpeg *j, bool *found) {
    *found = false;
    for (;;) {
        uint8_t marker = 0;
        size_t at = mg_jpeg_find_marker(j, j->pos, &marker);
        if (at >= j->size) {
            mg_codec_warn(j->options, j->size, "JPEG: no end of image (EOI)");
            j->pos = j->size;
            return MG_DICOM_OK;
        }
        j->pos = at + 2;
        if (marker == MG_JPEG_EOI) return MG_DICOM_OK;
        if (has_no_segment(marker)) {
            mg_codec_warn(j->options, at, "JPEG: marker FF%02X out of place", marker);
            continue;
        }
        if (j->size - j->pos < 2) return broken(j, at, "segment cut off before its length");
        size_t length = mg_codec_be16(j->data + j->pos);
        if (length < 2 || length > j->size - j->pos)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, at,
                                 "JPEG: segment FF%02X at offset %zu "
                                 "has length %zu; %zu bytes are left",
                                 marker, at, length, j->size - j->pos);
        size_t start = j->pos + 2, end = j->pos + length;
        mg_dicom_status status = read_segment(j, marker, start, end);
        if (status) return status;
        j->pos = end;
        if (marker == MG_JPEG_SOS) {
            j->scan.offset = at;
            *found = true;
            return MG_DICOM_OK;
        }
    }
}
