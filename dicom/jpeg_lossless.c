/* jpeg_lossless.c: scans of JPEG Lossless, process 14 (T.81 annex H).
 *
 * A sample is predicted from its neighbours Ra (left), Rb (above), Rc (above left); the difference
 * is what is coded. Here differences become samples, row by row as far as they have been
 * decoded. */
#include "dicom/jpeg_lossless.h"

#include <stdlib.h>
#include <string.h>

typedef mg_jpeg_lossless lossless;

/* --- prediction ------------------------------------------------------------------------------- */

/* Selection value 1, and every interval's first row: the sum of the differences so far. Eight at a
 * time: sums over pairs, over fours, over eight, and the sample left of them to all. */
static void undo_left(uint16_t *line, uint32_t columns, uint16_t left) {
    typedef uint16_t eight __attribute__((vector_size(16)));
    const eight zero = {0};
    eight before = zero + left;
    uint32_t x = 0;
    for (; x + 8 <= columns; x += 8) {
        eight v;
        memcpy(&v, line + x, sizeof v);
        v += __builtin_shufflevector(zero, v, 0, 8, 9, 10, 11, 12, 13, 14);
        v += __builtin_shufflevector(zero, v, 0, 1, 8, 9, 10, 11, 12, 13);
        v += __builtin_shufflevector(zero, v, 0, 1, 2, 3, 8, 9, 10, 11);
        v += before;
        before = __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7);
        memcpy(line + x, &v, sizeof v);
    }
    left = before[0];
    for (; x < columns; x++) line[x] = left = (uint16_t)(left + line[x]);
}

/* Differences to samples, selection values 2 to 7 of table H.1; all arithmetic is modulo 2^16 but
 * the halvings, for which neighbours are unsigned (int16: signed, as some encoders had them). */
static void undo_prediction(const lossless *s, uint16_t *line, const uint16_t *above) {
    uint32_t columns = s->columns;
    bool int16 = s->j->options->int16_predictor;
    line[0] = (uint16_t)(line[0] + above[0]);
    int32_t a = line[0], c = above[0];
#define NEIGHBOUR(v) (int16 ? (int16_t)(v) : (int32_t)(v))
#define EACH(prediction)                                                                           \
    for (uint32_t x = 1; x < columns; x++) {                                                       \
        int32_t b = NEIGHBOUR(above[x]);                                                           \
        line[x] = (uint16_t)(line[x] + (prediction));                                              \
        a = NEIGHBOUR(line[x]);                                                                    \
        c = b;                                                                                     \
    }
    a = NEIGHBOUR(a), c = NEIGHBOUR(c);
    switch (s->predictor) {
    case 2: EACH(b) break;
    case 3: EACH(c) break;
    case 4: EACH(a + b - c) break;
    case 5: EACH(a + ((b - c) >> 1)) break;
    case 6: EACH(b + ((a - c) >> 1)) break;
    default: EACH((a + b) >> 1) break;
    }
#undef EACH
#undef NEIGHBOUR
}

/* --- rows, intervals, the scan ---------------------------------------------------------------- */

/* All bits that are set in some sample of a row. */
static uint32_t bits_set(const uint16_t *line, uint32_t columns) {
    uint64_t four[4] = {0}, v[4];
    uint32_t x = 0, all = 0;
    for (; x + 16 <= columns; x += 16) {
        memcpy(v, line + x, sizeof v);
        for (int k = 0; k < 4; k++) four[k] |= v[k];
    }
    for (; x < columns; x++) all |= line[x];
    uint64_t any = four[0] | four[1] | four[2] | four[3];
    return all | (uint32_t)((any | any >> 16 | any >> 32 | any >> 48) & 0xFFFF);
}

/* Into the caller's interleaved samples, unless the row has been decoded there. */
static void store_row(const lossless *s, int component, uint32_t row, const uint16_t *line) {
    const mg_dicom_codec_frame *f = s->j->frame;
    size_t step = (size_t)f->samples;
    size_t first = (size_t)row * s->columns * step + (size_t)component;
    if (f->word_bytes == 1) {
        uint8_t *out = (uint8_t *)s->j->out + first;
        for (uint32_t x = 0; x < s->columns; x++, out += step)
            *out = (uint8_t)(line[x] << s->point_transform);
    } else {
        uint16_t *out = (uint16_t *)s->j->out + first;
        if (out == line) return;
        for (uint32_t x = 0; x < s->columns; x++, out += step)
            *out = (uint16_t)(line[x] << s->point_transform);
    }
}

static void clear_row(const lossless *s, int component, uint32_t row) {
    const mg_dicom_codec_frame *f = s->j->frame;
    for (uint32_t x = 0; x < s->columns; x++) {
        size_t at = ((size_t)row * s->columns + x) * (size_t)f->samples + (size_t)component;
        if (f->word_bytes == 1) ((uint8_t *)s->j->out)[at] = 0;
        else ((uint16_t *)s->j->out)[at] = 0;
    }
}

/* The i-th component's differences of a row become samples; `above` is the row before, or NULL for
 * an interval's first. */
static mg_dicom_status finish_row(lossless *s, int i, uint32_t row, uint16_t *line,
                                  const uint16_t *above) {
    mg_jpeg *j = s->j;
    if (!above) undo_left(line, s->columns, s->initial);
    else if (s->predictor == 1) undo_left(line, s->columns, above[0]);
    else undo_prediction(s, line, above);
    uint32_t max = (1u << (j->header.precision - (int)s->point_transform)) - 1;
    if (bits_set(line, s->columns) > max) {
        uint32_t x = 0;
        while (line[x] <= max) x++;
        return mg_dicom_fail(
            j->err, MG_DICOM_ERR_PIXELS, j->interval_start,
            "JPEG: row %u, column %u is %u; %d bits hold %u at the most (data from "
            "offset %zu)",
            (unsigned)row, (unsigned)x, (unsigned)line[x], j->header.precision, (unsigned)max,
            j->interval_start);
    }
    store_row(s, j->scan.component[i], row, line);
    return MG_DICOM_OK;
}

/* Rows *row … end-1, an interval of a scan of one component. Differences come in portions that
 * know nothing of rows. They are decoded into the output where its words allow it, else into
 * `window`, behind the row that was finished last; each row is finished as soon as it is complete.
 * *row: the first row that is not finished. */
static mg_dicom_status decode_interval(lossless *s, uint16_t *window, uint32_t *row, uint32_t end) {
    size_t columns = s->columns, decoded = 0; /* from `line`, the line of *row, on */
    uint16_t *line = window ? window + columns : (uint16_t *)s->j->out + *row * columns;
    const uint16_t *above = NULL;
    while (*row < end) {
        size_t left = (end - *row) * columns - decoded;
        size_t room = columns + MG_JPEG_DIFFERENCES_ROOM - decoded; /* of the window */
        decoded += mg_jpeg_differences(s, line + decoded, window && room < left ? room : left);
        for (; decoded >= columns; line += columns, decoded -= columns) {
            mg_dicom_status status = finish_row(s, 0, *row, line, above);
            if (status) return status;
            above = line;
            ++*row;
        }
        if (s->failed && *row < end) return mg_jpeg_entropy_error(s->j, "row", *row);
        if (window && above) { /* to the front: the last row and what is decoded of the next */
            memmove(window, above, (columns + decoded) * sizeof *window);
            above = window;
            line = window + columns;
        }
    }
    return MG_DICOM_OK;
}

/* The same for a scan of several components; `window` holds two rows of each. */
static mg_dicom_status decode_interval_interleaved(lossless *s, uint16_t *window, uint32_t *row,
                                                   uint32_t end) {
    for (uint32_t first = *row; *row < end; ++*row) {
        uint16_t *line[4] = {0};
        for (int i = 0; i < s->n; i++) line[i] = window + ((size_t)i * 2 + (*row & 1)) * s->columns;
        mg_jpeg_differences_interleaved(s, line);
        if (s->failed) return mg_jpeg_entropy_error(s->j, "row", *row);
        for (int i = 0; i < s->n; i++) {
            const uint16_t *above = window + ((size_t)i * 2 + (~*row & 1)) * s->columns;
            mg_dicom_status status = finish_row(s, i, *row, line[i], *row == first ? NULL : above);
            if (status) return status;
        }
    }
    return MG_DICOM_OK;
}

static mg_dicom_status decode_rows(lossless *s, uint16_t *window) {
    mg_jpeg *j = s->j;
    mg_dicom_status status = mg_jpeg_interval_open(j);
    j->in_entropy = true;
    uint32_t row = 0;
    while (!status && row < s->rows) {
        uint32_t left = s->rows - row;
        uint32_t end = row + (left < s->rows_per_interval ? left : s->rows_per_interval);
        status = s->n == 1 ? decode_interval(s, window, &row, end)
                           : decode_interval_interleaved(s, window, &row, end);
        if (!status) status = mg_jpeg_interval_close(j, row < s->rows);
    }
    if (status && j->options->allow_partial)
        for (; row < s->rows; row++)
            for (int i = 0; i < s->n; i++) clear_row(s, j->scan.component[i], row);
    return status;
}

/* Everything the scan header says, before anything is decoded. */
static mg_dicom_status check_scan(lossless *s) {
    mg_jpeg *j = s->j;
    const mg_jpeg_scan *scan = &j->scan;
    uint64_t at = scan->offset;
    mg_dicom_status bad = MG_DICOM_ERR_PIXELS;
    if (scan->ss < 1 || scan->ss > 7)
        return mg_dicom_fail(j->err, bad, at,
                             "JPEG: predictor %d in the scan header at offset %llu; "
                             "1 to 7 exist",
                             scan->ss, (unsigned long long)at);
    if (scan->al >= j->header.precision)
        return mg_dicom_fail(j->err, bad, at,
                             "JPEG: point transform %d of %d-bit samples in the scan "
                             "header at offset %llu",
                             scan->al, j->header.precision, (unsigned long long)at);
    if (scan->se || scan->ah)
        mg_codec_warn(j->options, at, "JPEG: Se and Ah of a lossless scan are not 0");
    if (j->header.subsampled)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_UNSUPPORTED, at,
                             "JPEG: lossless coding of "
                             "subsampled components is not supported");
    for (int i = 0; i < scan->n; i++) {
        const mg_jpeg_component *c = &j->component[scan->component[i]];
        s->table[i] = &j->table[0][scan->dc_table[i]];
        if (!s->table[i]->defined)
            return mg_dicom_fail(j->err, bad, at,
                                 "JPEG: the scan at offset %llu uses Huffman table "
                                 "%d, which no DHT has defined",
                                 (unsigned long long)at, scan->dc_table[i]);
        if (c->coded)
            return mg_dicom_fail(j->err, bad, at,
                                 "JPEG: a second scan of component %d at offset "
                                 "%llu",
                                 c->id, (unsigned long long)at);
        if (scan->n > 1 && (c->h != 1 || c->v != 1))
            return mg_dicom_fail(j->err, MG_DICOM_ERR_UNSUPPORTED, at,
                                 "JPEG: interleaved lossless "
                                 "scans with sampling factors other than 1 are not supported");
    }
    if (j->restart_interval % s->columns)
        return mg_dicom_fail(j->err, bad, at,
                             "JPEG: a restart interval of %u samples is not a number "
                             "of whole rows of %u",
                             (unsigned)j->restart_interval, (unsigned)s->columns);
    return MG_DICOM_OK;
}

/* Decodes the scan from `start` on in one of the two readings of SSSS 16. */
static mg_dicom_status run(lossless *s, uint16_t *window, size_t start, bool extra_16) {
    s->j->pos = start;
    s->j->next_restart = 0;
    s->failed = false;
    s->extra_16 = extra_16;
    s->lanes_lost = 0;
    mg_dicom_status status = s->n == 1 ? mg_jpeg_differences_prepare(s) : MG_DICOM_OK;
    return status ? status : decode_rows(s, window);
}

static bool has_category_16(const lossless *s) {
    for (int i = 0; i < s->n; i++)
        if (memchr(s->table[i]->values, 16, (size_t)s->table[i]->n_values)) return true;
    return false;
}

mg_dicom_status mg_jpeg_lossless_scan(mg_jpeg *j) {
    lossless s = {
        .j = j,
        .n = j->scan.n,
        .rows = j->header.rows,
        .columns = j->header.columns,
        .predictor = j->scan.ss,
        .point_transform = j->scan.al,
        .initial = (uint16_t)(1u << j->header.precision >> j->scan.al >> 1),
    };
    mg_dicom_status status = check_scan(&s);
    if (status) return status;
    s.rows_per_interval = j->restart_interval ? j->restart_interval / s.columns : s.rows;
    bool direct =
        s.n == 1 && j->frame->samples == 1 && j->frame->word_bytes == 2 && s.point_transform == 0;
    uint16_t *window = NULL;
    if (!direct) {
        size_t columns = s.columns;
        size_t size = s.n == 1 ? 2 * columns + MG_JPEG_DIFFERENCES_ROOM : 2 * columns * (size_t)s.n;
        window = malloc(size * sizeof *window);
        if (!window)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_MEMORY, j->scan.offset,
                                 "JPEG: no memory for %zu samples", size);
    }
    size_t start = j->pos;
    status = run(&s, window, start, false);
    if (status == MG_DICOM_ERR_PIXELS && has_category_16(&s)) {
        /* Perhaps the known encoder that wrote additional bits for SSSS 16: then all fits. */
        mg_dicom_error *err = j->err, ignored = {0};
        j->err = &ignored;
        bool fits = run(&s, window, start, true) == MG_DICOM_OK;
        if (!fits && j->options->allow_partial) run(&s, window, start, false);
        j->err = err;
        if (fits) {
            memset(err, 0, sizeof *err);
            status = MG_DICOM_OK;
            mg_codec_warn(j->options, j->scan.offset,
                          "JPEG: the encoder wrote additional bits for "
                          "differences of 32768; they were passed over");
        }
    }
    free(s.groups);
    free(s.lane_space);
    free(window);
    return status;
}
