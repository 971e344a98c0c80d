#include "tests/lib/jpeg_writer.h"

#include <stdlib.h>

typedef struct writer {
    const uint16_t *samples;
    const jpeg_writer_options *o;
    uint8_t *out;
    size_t size;
    uint32_t bits;
    int pending;
    uint16_t code[17];
    int length[17];
} writer;

static void byte(writer *w, int v) { w->out[w->size++] = (uint8_t)v; }

static void word(writer *w, int v) {
    byte(w, v >> 8 & 255);
    byte(w, v & 255);
}

static void put_bit(writer *w, int bit) {
    w->bits = w->bits << 1 | (uint32_t)bit;
    if (++w->pending < 8) return;
    byte(w, (int)w->bits & 255);
    if ((w->bits & 255) == 255) byte(w, 0);
    w->pending = 0;
}

static void put_bits(writer *w, uint32_t v, int n) {
    while (n-- > 0) put_bit(w, (int)(v >> n & 1));
}

static void flush(writer *w) {
    while (w->pending) put_bit(w, 1);
}

/* Codes of 5 bits for all 17 categories, or of 1 bit for category 16 up to 16 bits for 1 and 0. */
static void put_table(writer *w) {
    bool ladder = w->o->long_codes;
    word(w, 0xFFC4);
    word(w, 19 + 17);
    byte(w, 0);
    for (int l = 1; l <= 16; l++) byte(w, ladder ? (l == 16 ? 2 : 1) : l == 5 ? 17 : 0);
    uint32_t code = 0;
    for (int i = 0; i < 17; i++) {
        int category = ladder ? 16 - i : i, l = ladder ? (i < 16 ? i + 1 : 16) : 5;
        byte(w, category);
        w->length[category] = l;
        w->code[category] = (uint16_t)code++;
        if (ladder && i < 15) code <<= 1;
    }
}

static int neighbour(const writer *w, int64_t row, int64_t column, int c) {
    const jpeg_writer_options *o = w->o;
    size_t at = ((size_t)row * o->columns + (size_t)column) * (size_t)o->components + (size_t)c;
    int v = w->samples[at] >> o->point_transform;
    return o->int16_predictor ? (int16_t)v : v;
}

static int predict(const writer *w, uint32_t row, uint32_t column, int c, bool first_row) {
    const jpeg_writer_options *o = w->o;
    if (first_row && column == 0) return 1 << (o->precision - o->point_transform - 1);
    if (first_row) return neighbour(w, row, (int64_t)column - 1, c);
    if (column == 0) return neighbour(w, (int64_t)row - 1, 0, c);
    int ra = neighbour(w, row, (int64_t)column - 1, c);
    int rb = neighbour(w, (int64_t)row - 1, column, c);
    int rc = neighbour(w, (int64_t)row - 1, (int64_t)column - 1, c);
    switch (o->predictor) {
    case 1: return ra;
    case 2: return rb;
    case 3: return rc;
    case 4: return ra + rb - rc;
    case 5: return ra + ((rb - rc) >> 1);
    case 6: return rb + ((ra - rc) >> 1);
    default: return (ra + rb) >> 1;
    }
}

static void put_sample(writer *w, uint32_t row, uint32_t column, int c, bool first_row) {
    int difference =
        (int16_t)(neighbour(w, row, column, c) - predict(w, row, column, c, first_row));
    int magnitude = difference < 0 ? -difference : difference, category = 0;
    while (magnitude >> category) category++;
    put_bits(w, w->code[category], w->length[category]);
    if (category == 16) {
        if (w->o->extra_16) put_bits(w, 0x8000, 16);
        return;
    }
    uint32_t extra = (uint32_t)(difference < 0 ? difference - 1 : difference);
    put_bits(w, extra & ((1u << category) - 1), category);
}

static void put_scan(writer *w, int scan, int first, int n) {
    const jpeg_writer_options *o = w->o;
    uint32_t restart = o->restart_rows[scan];
    word(w, 0xFFDD);
    word(w, 4);
    word(w, (int)(restart * o->columns));
    word(w, 0xFFDA);
    word(w, 6 + 2 * n);
    byte(w, n);
    for (int c = first; c < first + n; c++) word(w, (10 + c) << 8);
    byte(w, o->predictor);
    byte(w, 0);
    byte(w, o->point_transform);
    int marker = 0;
    for (uint32_t row = 0; row < o->rows; row++) {
        bool first_row = restart ? row % restart == 0 : row == 0;
        if (first_row && row) {
            flush(w);
            word(w, 0xFFD0 + marker++ % 8);
        }
        for (uint32_t column = 0; column < o->columns; column++)
            for (int c = first; c < first + n; c++) put_sample(w, row, column, c, first_row);
    }
    flush(w);
    if (o->late_lines && scan == 0) {
        word(w, 0xFFDC);
        word(w, 4);
        word(w, (int)o->rows);
    }
}

uint8_t *jpeg_writer_lossless(const uint16_t *samples, const jpeg_writer_options *o, size_t *size) {
    writer w = {.samples = samples, .o = o};
    w.out = malloc((size_t)o->rows * (o->columns * (size_t)o->components * 12 + 8) + 1024);
    if (!w.out) abort();
    word(&w, 0xFFD8);
    word(&w, 0xFFC3);
    word(&w, 8 + 3 * o->components);
    byte(&w, o->precision);
    word(&w, o->late_lines ? 0 : (int)o->rows);
    word(&w, (int)o->columns);
    byte(&w, o->components);
    for (int c = 0; c < o->components; c++) {
        byte(&w, 10 + c);
        word(&w, 0x1100);
    }
    put_table(&w);
    int scans = o->separate_scans ? o->components : 1;
    for (int s = 0; s < scans; s++) put_scan(&w, s, s, o->separate_scans ? 1 : o->components);
    if (!o->no_eoi) word(&w, 0xFFD9);
    *size = w.size;
    return w.out;
}

size_t jpeg_writer_scan_start(const uint8_t *data, size_t size) {
    for (size_t i = 0; i + 4 < size; i++)
        if (data[i] == 0xFF && data[i + 1] == 0xDA)
            return i + 2 + (size_t)(data[i + 2] << 8 | data[i + 3]);
    return size;
}

size_t jpeg_writer_scan_end(const uint8_t *data, size_t size) {
    for (size_t i = jpeg_writer_scan_start(data, size); i + 1 < size; i++)
        if (data[i] == 0xFF && data[i + 1] != 0 && (data[i + 1] & 0xF8) != 0xD0) return i;
    return size;
}
