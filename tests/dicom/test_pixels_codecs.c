/* JPEG-LS and JPEG 2000 through the gates: round trips of every depth, sign and precision rules,
 * headers that contradict the data set, damage. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/pixel.h"
#include "tests/lib/dicom_pixel_file.h"

static uint16_t *smooth_noise(const encoding *e, uint32_t seed) {
    size_t n = (size_t)e->rows * e->columns * (size_t)e->samples;
    uint16_t *p = malloc(n * sizeof *p);
    cr_assert(p);
    for (size_t i = 0; i < n; i++) {
        uint32_t wave = (uint32_t)(i % 37 * 13 + i / 53 * 5), noise = pixel_random(&seed);
        uint32_t v = i % 11 == 0 ? noise : wave + (noise & 7);
        p[i] = (uint16_t)(v & ((1u << e->bits) - 1));
    }
    return p;
}

/* A file with one frame of stream s. */
static mg_dicom *wrap(const char *syntax, const pixel_image *im, const uint8_t *p, size_t n,
                      pixel_file *f) {
    pixel_file_begin(f, syntax);
    pixel_file_describe(f, im);
    pixel_file_fragments(f, NULL, 0);
    pixel_file_fragment(f, p, n);
    pixel_file_end(f);
    return pixel_file_parse(f);
}

static int64_t stored_at(const void *p, const pixel_image *im, size_t i) {
    if (im->allocated == 8) return im->sign ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
    if (im->allocated == 16) return im->sign ? ((const int16_t *)p)[i] : ((const uint16_t *)p)[i];
    return im->sign ? ((const int32_t *)p)[i] : (int64_t)((const uint32_t *)p)[i];
}

static int64_t extend(uint32_t v, int bits, bool is_signed) {
    return is_signed && v >> (bits - 1) & 1 ? (int64_t)v - (INT64_C(1) << bits) : (int64_t)v;
}

static void round_trip(const char *syntax, const encoding *e, int allocated, bool is_signed) {
    uint16_t *samples = smooth_noise(e, (uint32_t)e->bits);
    codestream s = strcmp(syntax, TS_JLS) == 0 ? encode_jls(e, samples) : encode_j2k(e, samples);
    pixel_image im = {.rows = e->rows,
                      .columns = e->columns,
                      .samples = e->samples,
                      .allocated = allocated,
                      .stored = e->bits,
                      .sign = is_signed};
    size_t n = (size_t)e->rows * e->columns * (size_t)e->samples;
    void *out = malloc(n * (size_t)allocated / 8);
    pixel_file f;
    mg_dicom *d = wrap(syntax, &im, s.bytes, s.size, &f);
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, n * (size_t)allocated / 8, &err), MG_DICOM_OK,
                 "%d bits in %d, %u x %u: %s", e->bits, allocated, e->rows, e->columns,
                 err.message);
    for (size_t i = 0; i < n; i++) {
        int64_t want = extend(samples[i], e->bits, is_signed), got = stored_at(out, &im, i);
        int64_t off = got > want ? got - want : want - got;
        cr_assert_leq(off, e->near_lossless, "%d bits in %d, sample %zu: %lld, not %lld", e->bits,
                      allocated, i, (long long)got, (long long)want);
    }
    cr_expect_eq(mg_dicom_warnings(d), 0, "%s", mg_dicom_warning(d, 0));
    mg_dicom_close(d);
    pixel_file_free(&f);
    free(s.bytes);
    free(samples);
    free(out);
}

Test(pixels_codecs, jls_every_depth) {
    for (int bits = 2; bits <= 16; bits++)
        for (int sign = 0; sign < 2; sign++)
            for (int allocated = bits <= 8 ? 8 : 16; allocated <= 32; allocated *= 2) {
                encoding e = {.rows = 19, .columns = 33, .samples = 1, .bits = bits};
                round_trip(TS_JLS, &e, allocated, sign);
            }
}

Test(pixels_codecs, jls_sizes_colour_near) {
    static const uint32_t sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {2, 2}, {64, 65}};
    for (size_t i = 0; i < 5; i++)
        for (int interleave = 0; interleave < 3; interleave++)
            for (int bits = 8; bits <= 12; bits += 4) {
                encoding e = {.rows = sizes[i][0],
                              .columns = sizes[i][1],
                              .samples = 3,
                              .bits = bits,
                              .interleave = interleave};
                round_trip(TS_JLS, &e, bits == 8 ? 8 : 16, false);
                e.samples = 1;
                e.near_lossless = 3;
                round_trip(TS_JLS, &e, 16, false);
            }
}

Test(pixels_codecs, j2k_every_depth) {
    for (int bits = 2; bits <= 16; bits++)
        for (int sign = 0; sign < 2; sign++)
            for (int allocated = bits <= 8 ? 8 : 16; allocated <= 32; allocated *= 2) {
                encoding e = {.rows = 19,
                              .columns = 33,
                              .samples = 1,
                              .bits = bits,
                              .is_signed = sign,
                              .levels = 3,
                              .jp2 = bits % 2};
                round_trip(TS_J2K, &e, allocated, sign);
            }
}

Test(pixels_codecs, j2k_sizes_colour_tiles) {
    static const uint32_t sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {2, 2}, {64, 65}};
    for (size_t i = 0; i < 5; i++)
        for (int mct = 0; mct < 2; mct++)
            for (int tile = 0; tile <= 32; tile += 32) {
                encoding e = {.rows = sizes[i][0],
                              .columns = sizes[i][1],
                              .samples = 3,
                              .bits = 8,
                              .mct = mct,
                              .tile = tile,
                              .levels = i < 4 ? 0 : 2};
                round_trip(TS_J2K, &e, 8, false);
            }
}

/* --- sign and precision ----------------------------------------------------------------------- */

typedef struct precision_case {
    int coded_bits;
    bool coded_sign;
    int stored, sign;
    uint16_t coded;
    int64_t want;
} precision_case;

Test(pixels_codecs, the_data_set_decides_sign_and_the_lower_precision_the_value) {
    static const precision_case cases[] = {
        {14, true, 16, 1, 0x3830, -2000},  /* narrower codec, both signed */
        {16, true, 14, 1, 0xF830, -2000},  /* wider codec, both signed */
        {13, false, 13, 1, 0x1830, -2000}, /* codec unsigned, data set signed */
        {16, false, 16, 1, 0xF830, -2000},
        {16, true, 16, 0, 0xF830, 63536},  /* codec signed, data set unsigned */
        {11, false, 16, 0, 0x07FF, 2047},  /* narrower codec, unsigned */
        {16, false, 12, 0, 0x0FFF, 4095},  /* wider codec, value fits */
        {16, false, 12, 1, 0xF830, -2000}, /* two's complement in wide words */
        {12, true, 16, 1, 0x0800, -2048},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const precision_case *c = &cases[i];
        encoding e = {.rows = 4,
                      .columns = 4,
                      .samples = 1,
                      .bits = c->coded_bits,
                      .is_signed = c->coded_sign,
                      .levels = 1};
        pixel_image im = {.rows = 4,
                          .columns = 4,
                          .samples = 1,
                          .allocated = 16,
                          .stored = c->stored,
                          .sign = c->sign};
        uint16_t samples[16], out[16];
        for (int k = 0; k < 16; k++) samples[k] = k ? 1 : c->coded;
        codestream s = encode_j2k(&e, samples);
        pixel_file f;
        mg_dicom *d = wrap(TS_J2K, &im, s.bytes, s.size, &f);
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_OK,
                     "case %zu: %s", i, err.message);
        cr_expect_eq(stored_at(out, &im, 0), c->want, "case %zu: %lld", i,
                     (long long)stored_at(out, &im, 0));
        cr_expect_eq(stored_at(out, &im, 1), 1);
        cr_expect_eq(mg_dicom_warnings(d), 0);
        mg_dicom_close(d);
        pixel_file_free(&f);
        free(s.bytes);
    }
}

/* Values too large for BitsStored: kept with a warning, unless overlay planes explain the bits. */
Test(pixels_codecs, values_beyond_bits_stored) {
    for (int overlay = 0; overlay < 2; overlay++) {
        encoding e = {.rows = 2, .columns = 2, .samples = 1, .bits = 16};
        pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12};
        const uint16_t samples[4] = {100, 0x1005, 4095, 0};
        uint16_t out[4];
        codestream s = encode_jls(&e, samples);
        pixel_file f;
        pixel_file_begin(&f, TS_JLS);
        pixel_file_describe(&f, &im);
        if (overlay) pixel_file_us(&f, 0x60000102, "US", 12);
        pixel_file_fragments(&f, NULL, 0);
        pixel_file_fragment(&f, s.bytes, s.size);
        pixel_file_end(&f);
        mg_dicom *d = pixel_file_parse(&f);
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_OK);
        cr_expect_eq(out[1], overlay ? 5 : 0x1005);
        cr_expect_eq(out[2], 4095);
        cr_expect_eq(mg_dicom_warnings(d), overlay ? 0 : 1);
        mg_dicom_close(d);
        pixel_file_free(&f);
        free(s.bytes);
    }
}

/* --- contradictions --------------------------------------------------------------------------- */

Test(pixels_codecs, codec_header_against_data_set) {
    static const char *const syntaxes[] = {TS_JLS, TS_J2K};
    static const pixel_image wrong[] = {
        {9, 8, 1, 16, 12, 0, 0, 0, NULL, 0},  {8, 9, 1, 16, 12, 0, 0, 0, NULL, 0},
        {8, 7, 1, 16, 12, 0, 0, 0, NULL, 0},  {8, 8, 3, 16, 12, 0, 0, 0, NULL, 0},
        {8, 8, 1, 8, 8, 0, 0, 0, NULL, 0},    {60000, 60000, 1, 8, 8, 0, 0, 0, NULL, 0},
        {4, 16, 1, 16, 12, 0, 0, 0, NULL, 0},
    };
    for (int s = 0; s < 2; s++) {
        encoding e = {.rows = 8, .columns = 8, .samples = 1, .bits = 12, .levels = 1};
        uint16_t *samples = smooth_noise(&e, 1);
        codestream c = s ? encode_j2k(&e, samples) : encode_jls(&e, samples);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            static uint8_t out[8 * 9 * 3 * 2];
            pixel_file f;
            mg_dicom *d = wrap(syntaxes[s], &wrong[i], c.bytes, c.size, &f);
            mg_dicom_error err = {0};
            mg_dicom_read_options o = {.allow_partial = true};
            mg_dicom_status status = mg_dicom_read_frame(d, 0, &o, out, sizeof out, &err);
            cr_expect(status == MG_DICOM_ERR_PIXELS || status == MG_DICOM_ERR_LIMIT,
                      "%s case %zu: %d", syntaxes[s], i, status);
            cr_expect(strstr(err.message, "header says") || strstr(err.message, "do not fit") ||
                          strstr(err.message, "limit"),
                      "%s case %zu: %s", syntaxes[s], i, err.message);
            mg_dicom_close(d);
            pixel_file_free(&f);
        }
        free(c.bytes);
        free(samples);
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

Test(pixels_codecs, truncated_streams_are_errors_or_marked) {
    enum { SIDE = 96 };
    static uint16_t out[SIDE * SIDE];
    for (int s = 0; s < 2; s++) {
        encoding e = {.rows = SIDE, .columns = SIDE, .samples = 1, .bits = 12, .levels = 3};
        uint16_t *samples = smooth_noise(&e, 77);
        codestream c = s ? encode_j2k(&e, samples) : encode_jls(&e, samples);
        pixel_image im = {
            .rows = SIDE, .columns = SIDE, .samples = 1, .allocated = 16, .stored = 12};
        for (size_t keep = 1; keep <= 19; keep++) {
            size_t size = c.size * keep / 20;
            pixel_file f;
            mg_dicom *d = wrap(s ? TS_J2K : TS_JLS, &im, c.bytes, size, &f);
            mg_dicom_error err = {0};
            bool partial = false;
            mg_dicom_read_options o = {.allow_partial = true, .partial = &partial};
            cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err),
                         MG_DICOM_ERR_PIXELS, "%d: %zu of %zu bytes", s, size, c.size);
            cr_expect_gt(strlen(err.message), 20);
            mg_dicom_status status = mg_dicom_read_frame(d, 0, &o, out, sizeof out, NULL);
            cr_expect(status == MG_DICOM_OK ? partial : s == 1 || keep < 3, "%d keep %zu: %d", s,
                      keep, status);
            if (status == MG_DICOM_OK && s == 0 && keep > 4)
                cr_expect_arr_eq(out, samples, SIDE * 8, "the first rows are whole");
            mg_dicom_close(d);
            pixel_file_free(&f);
        }
        free(c.bytes);
        free(samples);
    }
}

/* Data taken from the end of a tile-part whose length was made to fit: the markers are in order,
 * the packets are not all there. */
Test(pixels_codecs, j2k_packets_missing_behind_a_right_length) {
    enum { SIDE = 96 };
    static uint16_t out[SIDE * SIDE];
    encoding e = {
        .rows = SIDE, .columns = SIDE, .samples = 1, .bits = 12, .levels = 3, .layers = 3};
    uint16_t *samples = smooth_noise(&e, 77);
    codestream c = encode_j2k(&e, samples);
    pixel_image im = {.rows = SIDE, .columns = SIDE, .samples = 1, .allocated = 16, .stored = 12};
    size_t sot = 0;
    while (c.bytes[sot] != 0xFF || c.bytes[sot + 1] != 0x90) sot++;
    int accepted = 0;
    for (size_t cut = 1; cut < c.size - sot - 20; cut += 1 + cut / 8) {
        uint8_t *p = malloc(c.size);
        size_t n = c.size - cut, length = c.size - 2 - sot - cut;
        memcpy(p, c.bytes, n);
        for (int i = 0; i < 4; i++) p[sot + 6 + (size_t)i] = (uint8_t)(length >> 8 * (3 - i));
        p[n - 2] = 0xFF;
        p[n - 1] = 0xD9;
        pixel_file f;
        mg_dicom *d = wrap(TS_J2K, &im, p, n, &f);
        accepted += mg_dicom_read_frame(d, 0, NULL, out, sizeof out, NULL) == MG_DICOM_OK;
        mg_dicom_close(d);
        pixel_file_free(&f);
        free(p);
    }
    cr_expect_eq(accepted, 0, "%d truncated streams were accepted", accepted);
    free(c.bytes);
    free(samples);
}

/* Scod announces SOP markers, which may still be left out, or EPH markers, which may not: of those
 * the decoder only warns, and goes on with what may be no packet headers. */
Test(pixels_codecs, j2k_warnings_of_the_decoder_count) {
    encoding e = {.rows = 40, .columns = 40, .samples = 1, .bits = 8, .levels = 2};
    pixel_image im = {.rows = 40, .columns = 40, .samples = 1, .allocated = 16, .stored = 8};
    uint16_t *samples = smooth_noise(&e, 5), out[1600];
    codestream c = encode_j2k(&e, samples);
    size_t cod = 0;
    while (c.bytes[cod] != 0xFF || c.bytes[cod + 1] != 0x52) cod++;
    for (int eph = 0; eph < 2; eph++) {
        c.bytes[cod + 4] = eph ? 4 : 2;
        pixel_file f;
        mg_dicom *d = wrap(TS_J2K, &im, c.bytes, c.size, &f);
        mg_dicom_error err = {0};
        cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err),
                     eph ? MG_DICOM_ERR_PIXELS : MG_DICOM_OK, "%s", err.message);
        cr_expect(eph ? strstr(err.message, "EPH") != NULL : !err.message[0], "%s", err.message);
        if (!eph) cr_expect_arr_eq(out, samples, sizeof out);
        mg_dicom_close(d);
        pixel_file_free(&f);
    }
    free(c.bytes);
    free(samples);
}

Test(pixels_codecs, reduced_resolution) {
    encoding e = {.rows = 101, .columns = 64, .samples = 1, .bits = 12, .levels = 3};
    uint16_t *samples = malloc(101 * 64 * 2), out[101 * 64];
    for (size_t i = 0; i < 101 * 64; i++) samples[i] = i % 64 < 32 ? 1000 : 3000;
    codestream c = encode_j2k(&e, samples);
    pixel_image im = {.rows = 101, .columns = 64, .samples = 1, .allocated = 16, .stored = 12};
    pixel_file f;
    mg_dicom *d = wrap(TS_J2K, &im, c.bytes, c.size, &f);
    for (int reduce = 0; reduce <= 3; reduce++) {
        uint32_t rows = 0, columns = 0, unit = 1u << reduce;
        mg_dicom_read_options o = {.reduce = reduce, .rows = &rows, .columns = &columns};
        mg_dicom_error err = {0};
        size_t need = (size_t)((101 + unit - 1) / unit) * (64 / unit) * 2;
        cr_expect_eq(mg_dicom_read_frame(d, 0, &o, out, need - 2, NULL), MG_DICOM_ERR_ARG);
        cr_assert_eq(mg_dicom_read_frame(d, 0, &o, out, need, &err), MG_DICOM_OK, "%s",
                     err.message);
        cr_expect_eq(rows, (101 + unit - 1) / unit);
        cr_expect_eq(columns, 64 / unit);
        cr_expect_eq(out[0], 1000);
        cr_expect_eq(out[columns - 1], 3000);
    }
    mg_dicom_error err = {0};
    mg_dicom_read_options o = {.reduce = 4};
    cr_expect_eq(mg_dicom_read_frame(d, 0, &o, out, sizeof out, &err), MG_DICOM_ERR_ARG);
    cr_expect(strstr(err.message, "3 decomposition levels"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
    free(c.bytes);
    free(samples);
}
