/* jpeg_lossless.c: scans of JPEG Lossless, process 14 (T.81 annex H).
 *
 * A sample is predicted from its neighbours Ra (left), Rb (above), Rc (above left); the difference
 * is coded as a category SSSS (0…16) by a Huffman code, followed by SSSS additional bits. A row is
 * decoded in two steps: first all differences, then the prediction is undone. The first step is
 * bound by the latency from one table access to the next, so that a table that yields up to three
 * whole differences (code and additional bits) at once is what makes it fast. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    GROUP_BITS = 12, /* 4096 groups of 8 bytes: most of a first-level cache */
    GROUPS_PER_REFILL = 56 / GROUP_BITS,
    ROW_TAIL = 4 * GROUPS_PER_REFILL, /* a group writes 4 samples, of which up to 3 count */
};

/* What the next GROUP_BITS bits begin with: differences that are complete within them. The whole
 * struct is copied into the row; what is not a difference is overwritten by the next group. */
typedef struct group {
    uint16_t difference[3];
    uint8_t bits;  /* of all the differences together */
    uint8_t count; /* 0: the first is longer than GROUP_BITS */
} group;
_Static_assert(sizeof(group) == 8, "a group is copied into a row as four samples");

typedef struct lossless {
    mg_jpeg *j;
    int n; /* components of the scan */
    const mg_jpeg_huffman *table[4];
    group *groups;     /* one component only */
    uint16_t *scratch; /* rows that are not decoded into the output: two per component */
    uint32_t rows, columns;
    uint32_t rows_per_interval; /* or rows, without restarts */
    unsigned predictor, point_transform;
    uint16_t initial; /* prediction of the first sample of an interval */
    bool extra_16;    /* the encoder wrote additional bits for SSSS 16 */
    bool failed;      /* met bits that are no code */
} lossless;

/* --- differences ------------------------------------------------------------------------------ */

/* One difference modulo 2^16, with at least 32 bits in the reservoir. */
static inline uint16_t one_difference(lossless *s, mg_jpeg_bits *b, const mg_jpeg_huffman *table) {
    int category = mg_jpeg_symbol(b, table);
    if (__builtin_expect(category < 0 || category > 15, 0)) {
        if (category != 16) {
            s->failed = true;
            return 0;
        }
        /* SSSS 16 has no additional bits. An old encoder wrote 16 of them, of which only the two
         * patterns that mean -32768 and 32768 can occur. */
        uint32_t next = mg_jpeg_peek(b, 16);
        if (s->extra_16 && (next == 0x8000 || next == 0x7FFF)) mg_jpeg_skip(b, 16);
        return 0x8000;
    }
    return (uint16_t)mg_jpeg_extend(mg_jpeg_take(b, (unsigned)category), (unsigned)category);
}

static mg_dicom_status build_groups(lossless *s) {
    enum { N = 1 << GROUP_BITS };
    s->groups = malloc(N * sizeof *s->groups);
    if (!s->groups)
        return mg_dicom_fail(s->j->err, MG_DICOM_ERR_MEMORY, s->j->scan.offset,
                             "JPEG: no memory for "
                             "the decoding table");
    /* First every group of one difference, … */
    uint8_t bits[N];
    uint16_t difference[N];
    for (uint32_t i = 0; i < N; i++) {
        mg_jpeg_bits b = {.bits = (uint64_t)i << (64 - GROUP_BITS), .count = 56};
        lossless probe = {0};
        bool category_16 =
            s->extra_16 &&
            mg_jpeg_symbol(&(mg_jpeg_bits){.bits = b.bits, .count = 56}, s->table[0]) == 16;
        difference[i] = one_difference(&probe, &b, s->table[0]);
        unsigned used = 56 - b.count;
        bits[i] = probe.failed || category_16 || used > GROUP_BITS ? 0 : (uint8_t)used;
    }
    /* … then as many of them in a row as fit. */
    for (uint32_t i = 0; i < N; i++) {
        group g = {0};
        while (g.count < 3) {
            uint32_t rest = (i << g.bits) & (N - 1);
            if (!bits[rest] || g.bits + bits[rest] > GROUP_BITS) break;
            g.difference[g.count++] = difference[rest];
            g.bits = (uint8_t)(g.bits + bits[rest]);
        }
        s->groups[i] = g;
    }
    return MG_DICOM_OK;
}

/* The differences of one row of a scan with one component. */
static void row_differences(lossless *s, uint16_t *line) {
    mg_jpeg_bits b = s->j->bits;
    const group *groups = s->groups;
    uint32_t x = 0, columns = s->columns;
    while (x + ROW_TAIL <= columns && b.pos <= b.size) {
        mg_jpeg_refill(&b);
        for (int i = 0; i < GROUPS_PER_REFILL; i++) {
            const group *g = &groups[b.bits >> (64 - GROUP_BITS)];
            if (__builtin_expect(g->count == 0, 0)) {
                mg_jpeg_refill(&b);
                line[x++] = one_difference(s, &b, s->table[0]);
                break;
            }
            memcpy(line + x, g, sizeof *g);
            x += g->count;
            mg_jpeg_skip(&b, g->bits);
        }
    }
    while (x < columns) {
        mg_jpeg_refill(&b);
        line[x++] = one_difference(s, &b, s->table[0]);
    }
    s->j->bits = b;
}

/* The differences of one row of a scan with several components, which alternate. */
static void row_differences_interleaved(lossless *s, uint16_t *const line[4]) {
    mg_jpeg_bits b = s->j->bits;
    for (uint32_t x = 0; x < s->columns; x++) {
        for (int i = 0; i < s->n; i++) {
            mg_jpeg_refill(&b);
            line[i][x] = one_difference(s, &b, s->table[i]);
        }
    }
    s->j->bits = b;
}

/* --- prediction ------------------------------------------------------------------------------- */

/* Selection value 1, and every interval's first row: the sum of the differences so far. */
static void undo_left(uint16_t *line, uint32_t columns, uint16_t left) {
    for (uint32_t x = 0; x < columns; x++) line[x] = left = (uint16_t)(left + line[x]);
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

/* All bits that are set in some sample; blocks of constant size, which compilers vectorise. */
static uint32_t bits_set(const uint16_t *line, uint32_t columns) {
    enum { BLOCK = 32 };
    uint16_t lane[BLOCK] = {0};
    uint32_t x = 0, all = 0;
    for (; x + BLOCK <= columns; x += BLOCK)
        for (int k = 0; k < BLOCK; k++) lane[k] |= line[x + (uint32_t)k];
    for (; x < columns; x++) all |= line[x];
    for (int k = 0; k < BLOCK; k++) all |= lane[k];
    return all;
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

/* Where row `row` of the scan's i-th component is decoded. */
static uint16_t *line_of(const lossless *s, int i, uint32_t row) {
    if (!s->scratch) return (uint16_t *)s->j->out + (size_t)row * s->columns;
    return s->scratch + ((size_t)i * 2 + (row & 1)) * s->columns;
}

static mg_dicom_status decode_row(lossless *s, uint32_t row, bool first_of_interval) {
    mg_jpeg *j = s->j;
    uint16_t *line[4] = {0};
    for (int i = 0; i < s->n; i++) line[i] = line_of(s, i, row);
    if (s->n == 1) row_differences(s, line[0]);
    else row_differences_interleaved(s, line);
    if (s->failed || mg_jpeg_bits_overrun(&j->bits)) return mg_jpeg_entropy_error(j, "row", row);
    uint32_t max = (1u << (j->header.precision - (int)s->point_transform)) - 1;
    for (int i = 0; i < s->n; i++) {
        if (first_of_interval) undo_left(line[i], s->columns, s->initial);
        else if (s->predictor == 1) undo_left(line[i], s->columns, line_of(s, i, row - 1)[0]);
        else undo_prediction(s, line[i], line_of(s, i, row - 1));
        if (bits_set(line[i], s->columns) > max)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, mg_jpeg_bit_offset(j),
                                 "JPEG: a sample "
                                 "of row %u is over %u, the most that %d bits can say (near offset "
                                 "%llu)",
                                 (unsigned)row, (unsigned)max, j->header.precision,
                                 (unsigned long long)mg_jpeg_bit_offset(j));
        store_row(s, j->scan.component[i], row, line[i]);
    }
    return MG_DICOM_OK;
}

static mg_dicom_status decode_rows(lossless *s) {
    mg_jpeg *j = s->j;
    mg_dicom_status status = mg_jpeg_interval_open(j);
    j->in_entropy = true;
    for (uint32_t row = 0; row < s->rows; row++) {
        bool first = row % s->rows_per_interval == 0;
        if (!status && first && row) status = mg_jpeg_interval_close(j, true);
        if (!status) status = decode_row(s, row, first);
        if (!status) continue;
        if (!j->options->allow_partial) return status;
        for (int i = 0; i < s->n; i++) clear_row(s, j->scan.component[i], row);
    }
    return status ? status : mg_jpeg_interval_close(j, false);
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
static mg_dicom_status run(lossless *s, size_t start, bool extra_16) {
    s->j->pos = start;
    s->j->next_restart = 0;
    s->failed = false;
    s->extra_16 = extra_16;
    if (s->n == 1) {
        free(s->groups);
        mg_dicom_status status = build_groups(s);
        if (status) return status;
    }
    return decode_rows(s);
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
    if (!direct) {
        s.scratch = malloc((size_t)s.n * 2 * s.columns * sizeof *s.scratch);
        if (!s.scratch)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_MEMORY, j->scan.offset,
                                 "JPEG: no memory for "
                                 "rows of %u samples",
                                 (unsigned)s.columns);
    }
    size_t start = j->pos;
    status = run(&s, start, false);
    if (status == MG_DICOM_ERR_PIXELS && has_category_16(&s)) {
        /* Perhaps the known encoder that wrote additional bits for SSSS 16: then all fits. */
        mg_dicom_error *err = j->err, ignored = {0};
        j->err = &ignored;
        bool fits = run(&s, start, true) == MG_DICOM_OK;
        if (!fits && j->options->allow_partial) run(&s, start, false);
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
    free(s.scratch);
    return status;
}
