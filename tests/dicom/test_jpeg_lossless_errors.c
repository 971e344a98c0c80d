/* JPEG Lossless streams with one thing wrong: each is refused with a message that says what and
 * where, or, where asked for, yields what there is and says so. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "tensor/rng.h"
#include "tests/lib/jpeg_writer.h"

enum { ROWS = 12, COLUMNS = 16 };

static const mg_dicom_codec_frame frame = {ROWS, COLUMNS, 1, 2};

typedef struct stream {
    uint16_t image[ROWS * COLUMNS];
    uint8_t *data;
    size_t size, start, end; /* of the entropy-coded data */
} stream;

/* 12-bit noise, 5-bit codes for all categories (so codes 17…31 are unassigned). */
static stream make(uint32_t restart_rows) {
    stream s;
    mg_rng_key key = {.seed = 11, .purpose = MG_RNG_TEST};
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
        s.image[i] = (uint16_t)(1000 + mg_rng_below(&key, i, 64));
    jpeg_writer_options o = {.rows = ROWS,
                             .columns = COLUMNS,
                             .components = 1,
                             .precision = 12,
                             .predictor = 1,
                             .restart_rows = {restart_rows}};
    s.data = jpeg_writer_lossless(s.image, &o, &s.size);
    s.start = jpeg_writer_scan_start(s.data, s.size);
    s.end = jpeg_writer_scan_end(s.data, s.size);
    return s;
}

static size_t find(const stream *s, uint8_t marker) {
    for (size_t i = 0; i + 1 < s->size; i++)
        if (s->data[i] == 0xFF && s->data[i + 1] == marker) return i;
    cr_assert_fail("no marker %02X", marker);
    return 0;
}

/* The stream (freed here) must fail with this status and a message with `text` in it. */
static void refuse(stream s, mg_dicom_codec_frame f, mg_dicom_status status, const char *text) {
    uint16_t *out = malloc((size_t)f.rows * f.columns * 8);
    mg_dicom_error err = {0};
    mg_dicom_status got = mg_dicom_jpeg_decode(s.data, s.size, &f, out, NULL, &err);
    cr_assert_eq(got, status, "\"%s\": status %d, %s", text, got, err.message);
    cr_assert(strstr(err.message, text), "\"%s\", not \"%s\"", err.message, text);
    cr_assert(err.offset <= s.size);
    free(out);
    free(s.data);
}

static void refuse_pixels(stream s, const char *text) {
    refuse(s, frame, MG_DICOM_ERR_PIXELS, text);
}

Test(jpeg_lossless_errors, another_image_than_described) {
    refuse(make(0), (mg_dicom_codec_frame){ROWS + 1, COLUMNS, 1, 2}, MG_DICOM_ERR_PIXELS,
           "12 rows, 16 columns, 1 components, but the data set says 13, 16, 1");
    refuse(make(0), (mg_dicom_codec_frame){ROWS, COLUMNS, 3, 2}, MG_DICOM_ERR_PIXELS,
           "says 12, 16, 3");
    refuse(make(0), (mg_dicom_codec_frame){ROWS, COLUMNS, 1, 1}, MG_DICOM_ERR_PIXELS,
           "12-bit samples do not fit into the data set's 8 bits");
    refuse(make(0), (mg_dicom_codec_frame){ROWS, COLUMNS, 1, 4}, MG_DICOM_ERR_ARG, "4 bytes");
    refuse(make(0), (mg_dicom_codec_frame){0, COLUMNS, 1, 2}, MG_DICOM_ERR_ARG, "0 rows");
}

Test(jpeg_lossless_errors, data_ends_early) {
    stream s = make(0);
    memmove(s.data + s.end - 20, s.data + s.end, s.size - s.end); /* EOI comes too soon */
    s.size -= 20;
    size_t end = s.end - 20;
    mg_dicom_error err = {0};
    uint16_t out[ROWS * COLUMNS];
    cr_assert_eq(mg_dicom_jpeg_decode(s.data, s.size, &frame, out, NULL, &err),
                 MG_DICOM_ERR_PIXELS);
    char expected[100];
    snprintf(expected, sizeof expected, "ends early, at offset %zu", end);
    cr_assert(strstr(err.message, expected), "%s", err.message);
    free(s.data);
    for (size_t cut = 1; cut < 100; cut += 7) {
        s = make(0);
        s.size = s.end - cut;
        refuse_pixels(s, "");
    }
}

Test(jpeg_lossless_errors, data_ends_late) {
    stream s = make(0);
    s.data = realloc(s.data, s.size + 8);
    memmove(s.data + s.end + 4, s.data + s.end, s.size - s.end);
    memcpy(s.data + s.end, "\x12\x34\x56\x78", 4);
    s.size += 4;
    refuse_pixels(s, "4 bytes of entropy-coded data are left over");
}

Test(jpeg_lossless_errors, unassigned_code) {
    stream s = make(0);
    memset(s.data + s.start + 8, 0xF5, 4); /* 11110…: not among the first 17 of 5 bits */
    refuse_pixels(s, "unassigned Huffman code");
    s = make(0);
    size_t table = find(&s, 0xC4);
    s.data[table + 5 + 16 + 6] = 17; /* the value of category 6 */
    refuse_pixels(s, "unassigned Huffman code");
}

/* Differences that lead out of 0…4095. */
Test(jpeg_lossless_errors, sample_out_of_range) {
    stream s = make(0);
    s.data[find(&s, 0xC3) + 4] = 10; /* SOF: 10 bits, while values start at 1000 of 1023 */
    refuse_pixels(s, "10 bits hold 1023 at the most");
}

Test(jpeg_lossless_errors, restarts) {
    stream s = make(3);
    size_t rst = find(&s, 0xD1);
    s.data[rst + 1] = 0xD3;
    refuse_pixels(s, "restart marker RST3 at offset");
    s = make(3);
    rst = find(&s, 0xD1);
    memmove(s.data + rst, s.data + rst + 2, s.size - rst - 2);
    s.size -= 2;
    refuse_pixels(s, "of entropy-coded data are left over"); /* two intervals read as one */
    s = make(3);
    size_t dri = find(&s, 0xDD);
    s.data[dri + 4] = s.data[dri + 5] = 0; /* no intervals announced */
    refuse_pixels(s, "ends early");
    s = make(3);
    dri = find(&s, 0xDD);
    s.data[dri + 5]++;
    refuse_pixels(s, "not a number of whole rows");
}

Test(jpeg_lossless_errors, markers_and_tables) {
    stream s = make(0);
    s.data[1] = 0xD9;
    refuse_pixels(s, "no start of image");
    s = make(0);
    s.data[find(&s, 0xC3) + 3] = 1; /* length of SOF */
    refuse_pixels(s, "has length 1");
    s = make(0);
    s.data[find(&s, 0xC3) + 4] = 17;
    refuse_pixels(s, "precision 17");
    s = make(0);
    s.data[find(&s, 0xC3) + 1] = 0xCB;
    refuse(s, frame, MG_DICOM_ERR_UNSUPPORTED, "arithmetic");
    s = make(0);
    s.data[find(&s, 0xC3) + 1] = 0xC7;
    refuse(s, frame, MG_DICOM_ERR_UNSUPPORTED, "hierarchical");
    s = make(0);
    s.data[find(&s, 0xC4) + 4] = 0x05;
    refuse_pixels(s, "identifier over 3");
    s = make(0);
    s.data[find(&s, 0xC4) + 5] = 4; /* four codes of one bit */
    refuse_pixels(s, "more values than");
    s = make(0);
    size_t table = find(&s, 0xC4) + 5;
    s.data[table] = 17; /* seventeen codes of one bit instead of five */
    s.data[table + 4] = 0;
    refuse_pixels(s, "no prefix code");
    s = make(0);
    s.data[find(&s, 0xDA) + 6] = 0x30;
    refuse_pixels(s, "Huffman table 3, which no DHT has defined");
    s = make(0);
    s.data[find(&s, 0xDA) + 5] = 99;
    refuse_pixels(s, "names component 99");
    s = make(0);
    s.data[find(&s, 0xDA) + 7] = 8;
    refuse_pixels(s, "predictor 8");
    s = make(0);
    s.data[find(&s, 0xDA) + 9] = 12;
    refuse_pixels(s, "point transform 12 of 12-bit");
    s = make(0);
    s.data[find(&s, 0xC3) + 1] = 0xE5; /* no SOF at all */
    refuse_pixels(s, "before any frame header");
    s = make(0);
    s.data[find(&s, 0xDA) + 1] = 0xE5; /* no SOS */
    refuse_pixels(s, "without a scan");
}

/* Few bytes that speak of many samples must not be believed. */
Test(jpeg_lossless_errors, bomb) {
    stream s = make(0);
    size_t sof = find(&s, 0xC3);
    memset(s.data + sof + 5, 0xFF, 4);
    mg_dicom_codec_header h;
    cr_assert_eq(mg_dicom_jpeg_header(s.data, s.size, &h, NULL), MG_DICOM_OK);
    cr_assert_eq(h.least_bytes, 65535ull * 65535 / 8);
    s.data[sof + 5] = 4; /* 1279 x 65535 would be 168 MB: never touched */
    uint16_t *out = malloc(1279u * 65535u * 2ul);
    mg_dicom_error err = {0};
    mg_dicom_codec_frame f = {1279, 65535, 1, 2};
    cr_assert_eq(mg_dicom_jpeg_decode(s.data, s.size, &f, out, NULL, &err), MG_DICOM_ERR_PIXELS);
    cr_assert(strstr(err.message, "cannot hold 1279 rows of 65535 columns"), "%s", err.message);
    free(out);
    free(s.data);
}

/* Whole rows before the break are right, everything from the broken row on is zero. */
Test(jpeg_lossless_errors, partial_image) {
    for (int samples = 1; samples <= 2; samples++) {
        for (size_t cut = 10; cut < 150; cut += 20) {
            stream s = make(samples == 1 ? 0 : 4);
            s.size = s.end - cut;
            uint16_t out[ROWS * COLUMNS];
            memset(out, 0xAA, sizeof out);
            bool partial = false;
            mg_dicom_codec_options options = {.allow_partial = true, .partial = &partial};
            mg_dicom_error err = {0};
            cr_assert_eq(mg_dicom_jpeg_decode(s.data, s.size, &frame, out, &options, &err),
                         MG_DICOM_OK, "%s", err.message);
            cr_assert(partial);
            cr_assert_eq(err.code, MG_DICOM_OK);
            int row = 0;
            while (row < ROWS && !memcmp(out + row * COLUMNS, s.image + row * COLUMNS, COLUMNS * 2))
                row++;
            cr_assert(row < ROWS);
            for (int i = row * COLUMNS; i < ROWS * COLUMNS; i++) cr_assert_eq(out[i], 0);
            free(s.data);
        }
    }
    stream s = make(0);
    bool partial = true;
    uint16_t out[ROWS * COLUMNS];
    mg_dicom_codec_options options = {.allow_partial = true, .partial = &partial};
    cr_assert_eq(mg_dicom_jpeg_decode(s.data, s.size, &frame, out, &options, NULL), MG_DICOM_OK);
    cr_assert(!partial && !memcmp(out, s.image, sizeof out));
    free(s.data);
}

/* The same where the data is decoded in several lanes at once: a cut anywhere, and a byte that
 * makes an unassigned code or a shift of all that follows. */
Test(jpeg_lossless_errors, partial_image_in_lanes) {
    enum { SIDE = 400, N = SIDE * SIDE };
    uint16_t *image = malloc(N * sizeof *image), *out = malloc(N * sizeof *out);
    mg_rng_key key = {.seed = 12, .purpose = MG_RNG_TEST};
    for (uint32_t i = 0; i < N; i++) image[i] = (uint16_t)(1000 + mg_rng_below(&key, i, 200));
    jpeg_writer_options o = {
        .rows = SIDE, .columns = SIDE, .components = 1, .precision = 12, .predictor = 1};
    size_t size;
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    size_t start = jpeg_writer_scan_start(data, size);
    mg_dicom_codec_frame f = {SIDE, SIDE, 1, 2};
    for (uint32_t i = 0; i < 40; i++) {
        size_t at = start + mg_rng_below(&key, N + i, (uint32_t)(size - start - 3));
        size_t n = i & 1 ? at : size;
        uint8_t *copy = malloc(n);
        memcpy(copy, data, n);
        if (n > at) memset(copy + at, 0xFD, n - at < 4 ? n - at : 4); /* 11111…: unassigned */
        bool partial = false;
        mg_dicom_codec_options options = {.allow_partial = true, .partial = &partial};
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_jpeg_decode(copy, n, &f, out, &options, &err), MG_DICOM_OK, "%s",
                     err.message);
        cr_assert(partial);
        size_t row = 0;
        while (row < SIDE && !memcmp(out + row * SIDE, image + row * SIDE, SIDE * sizeof *out))
            row++;
        double part = (double)(at - start) / (double)(size - start);
        cr_assert(row < SIDE && (double)row >= part * SIDE - 5, "%zu rows of %g", row, part * SIDE);
        for (size_t k = row * SIDE; k < N; k++) cr_assert_eq(out[k], 0);
        cr_assert_eq(mg_dicom_jpeg_decode(copy, n, &f, out, NULL, &err), MG_DICOM_ERR_PIXELS);
        char expected[40];
        snprintf(expected, sizeof expected, "in row %zu", row);
        cr_assert(strstr(err.message, expected) || n < N / 8, "%s, not %s", err.message, expected);
        free(copy);
    }
    free(data);
    free(image);
    free(out);
}

/* Any damage ends in an answer; under a sanitizer this is where overruns would show. */
Test(jpeg_lossless_errors, random_damage) {
    mg_rng_key key = {.seed = 5, .purpose = MG_RNG_TEST};
    for (uint32_t i = 0; i < 4000; i++) {
        stream s = make(i % 3 ? 0 : 2);
        for (uint32_t k = 0; k <= i % 5; k++) {
            uint32_t at = mg_rng_below(&key, i * 16 + 2 * k, (uint32_t)s.size);
            s.data[at] = (uint8_t)mg_rng_below(&key, i * 16 + 2 * k + 1, 256);
        }
        uint8_t *exact = malloc(s.size); /* so that reading one byte too far is seen */
        memcpy(exact, s.data, s.size);
        uint16_t out[ROWS * COLUMNS];
        mg_dicom_codec_options options = {.allow_partial = i & 1};
        mg_dicom_error err = {0};
        mg_dicom_status status = mg_dicom_jpeg_decode(exact, s.size, &frame, out, &options, &err);
        cr_assert_eq(status, err.code);
        cr_assert(!status || err.message[0]);
        free(exact);
        free(s.data);
    }
}
