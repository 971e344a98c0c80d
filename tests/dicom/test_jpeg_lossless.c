/* JPEG Lossless: what is written comes back, whatever the encoder; what is broken is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "tensor/rng.h"
#include "tests/lib/jpeg_writer.h"

enum { RANDOM, SMOOTH, EXTREME, KINDS };

/* Samples below 2^precision: white noise, a gentle gradient with little noise, or 0 and the maximum
 * in turn (differences as large as they come). */
static uint16_t *make_image(size_t n, int precision, int kind, uint32_t stream) {
    uint16_t *v = malloc(n * sizeof *v);
    mg_rng_key key = {.seed = stream, .purpose = MG_RNG_TEST};
    uint32_t max = (1u << precision) - 1, w[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0) mg_rng_words(&key, (uint32_t)(i / 4), w);
        uint32_t r = w[i % 4];
        if (kind == RANDOM) v[i] = (uint16_t)(r & max);
        else if (kind == EXTREME) v[i] = (uint16_t)(r & 1 ? max : 0);
        else v[i] = (uint16_t)((i * 3 / 64 + (r & 7)) & max);
    }
    return v;
}

static const char *last_warning;
static int warnings;
static bool on_warning(void *arg, uint64_t offset, const char *message) {
    (void)arg, (void)offset;
    static char copy[200];
    snprintf(copy, sizeof copy, "%s", message);
    last_warning = copy;
    warnings++;
    return true;
}

/* Decodes into words of `word_bytes` and compares with the original samples. */
static void expect_decodes(const uint8_t *data, size_t size, mg_dicom_codec_frame frame,
                           const uint16_t *expected, const mg_dicom_codec_options *options) {
    size_t n = (size_t)frame.rows * frame.columns * (size_t)frame.samples;
    uint8_t *out = malloc(n * (size_t)frame.word_bytes + 1);
    memset(out, 0xAA, n * (size_t)frame.word_bytes + 1);
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_jpeg_decode(data, size, &frame, out, options, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_assert_eq(out[n * (size_t)frame.word_bytes], 0xAA, "wrote behind the buffer");
    for (size_t i = 0; i < n; i++) {
        uint32_t v = frame.word_bytes == 1 ? out[i] : ((const uint16_t *)(void *)out)[i];
        if (v != expected[i]) cr_assert_fail("sample %zu is %u, not %u", i, v, expected[i]);
    }
    free(out);
}

static void round_trip(uint32_t rows, uint32_t columns, int samples, int precision, int kind) {
    size_t n = (size_t)rows * columns * (size_t)samples, size = 0;
    uint16_t *image = make_image(n, precision, kind, rows * 31 + columns);
    mg_dicom_error err = {0};
    for (int word_bytes = precision <= 8 ? 1 : 2; word_bytes <= 2; word_bytes++) {
        uint8_t *narrow = malloc(n), *data = NULL;
        for (size_t i = 0; i < n; i++) narrow[i] = (uint8_t)image[i];
        mg_dicom_codec_frame frame = {rows, columns, samples, word_bytes};
        const void *in = word_bytes == 1 ? (const void *)narrow : image;
        cr_assert_eq(mg_dicom_jpeg_lossless_encode(in, &frame, precision, &data, &size, &err),
                     MG_DICOM_OK, "%s", err.message);
        warnings = 0;
        expect_decodes(data, size, frame, image,
                       &(mg_dicom_codec_options){.on_warning = on_warning});
        cr_assert_eq(warnings, 0, "%s", last_warning);
        free(narrow);
        free(data);
    }
    free(image);
}

static void foreign(jpeg_writer_options o, int kind);

Test(jpeg_lossless, own_encoder_every_precision_and_size) {
    static const uint32_t sizes[][2] = {{1, 1}, {1, 17}, {17, 1}, {5, 3}, {40, 31}, {64, 100}};
    for (int precision = 2; precision <= 16; precision++)
        for (int samples = 1; samples <= 3; samples += 2)
            for (int kind = 0; kind < KINDS; kind++)
                for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
                    round_trip(sizes[s][0], sizes[s][1], samples, precision, kind);
}

/* Large enough for tables of groups and for decoding ahead in lanes. */
Test(jpeg_lossless, medium_images) {
    for (int precision = 2; precision <= 16; precision++)
        for (int kind = 0; kind < KINDS; kind++) {
            round_trip(130, 131, 1, precision, kind);
            round_trip(257, 301, 1, precision, kind);
        }
    for (int predictor = 1; predictor <= 7; predictor++)
        foreign((jpeg_writer_options){.rows = 150,
                                      .columns = 200,
                                      .components = 1 + (predictor & 1),
                                      .separate_scans = true,
                                      .precision = 16 - predictor,
                                      .predictor = predictor,
                                      .point_transform = predictor / 4,
                                      .restart_rows = {predictor & 2 ? 75 : 0, 30},
                                      .long_codes = predictor & 1},
                SMOOTH);
}

/* Codes of one length (5 bits and 4 more) never synchronise, so what lanes decode ahead is lost
 * each time, and nothing of it may be seen. */
Test(jpeg_lossless, codes_that_never_synchronise) {
    enum { N = 200 * 300 };
    uint16_t *image = malloc(N * sizeof *image);
    mg_rng_key key = {.seed = 21, .purpose = MG_RNG_TEST};
    for (uint32_t i = 0; i < N; i++) {
        uint32_t before = i % 300 ? image[i - 1] : i ? image[i - 300] : 2048;
        uint32_t step = 8 + mg_rng_below(&key, 2 * i, 8);
        bool up = before < 16 || (before < 4000 && mg_rng_below(&key, 2 * i + 1, 2));
        image[i] = (uint16_t)(up ? before + step : before - step);
    }
    jpeg_writer_options o = {
        .rows = 200, .columns = 300, .components = 1, .precision = 12, .predictor = 1};
    size_t size;
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    expect_decodes(data, size, (mg_dicom_codec_frame){200, 300, 1, 2}, image, NULL);
    free(data);
    free(image);
}

Test(jpeg_lossless, large_images) {
    round_trip(4096, 3328, 1, 14, SMOOTH);
    round_trip(1, 65535, 1, 12, RANDOM);
    round_trip(65535, 1, 1, 12, RANDOM);
}

/* Two's complement words: the low bits are coded, whatever is above them. */
Test(jpeg_lossless, encoder_takes_the_low_bits) {
    int16_t image[6] = {-2048, -1, 0, 1, 2047, -3};
    uint16_t low[6];
    for (int i = 0; i < 6; i++) low[i] = (uint16_t)image[i] & 0xFFF;
    mg_dicom_codec_frame frame = {2, 3, 1, 2};
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_dicom_jpeg_lossless_encode(image, &frame, 12, &data, &size, NULL), MG_DICOM_OK);
    expect_decodes(data, size, frame, low, NULL);
    free(data);
}

/* One category only needs a code of one bit: 4096 pixels in 512 bytes of data. */
Test(jpeg_lossless, encoder_tables_are_optimal) {
    uint16_t *flat = calloc(4096, sizeof *flat);
    for (int i = 0; i < 4096; i++) flat[i] = 2048;
    mg_dicom_codec_frame frame = {64, 64, 1, 2};
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_dicom_jpeg_lossless_encode(flat, &frame, 12, &data, &size, NULL), MG_DICOM_OK);
    size_t start = jpeg_writer_scan_start(data, size);
    cr_assert_eq(jpeg_writer_scan_end(data, size) - start, 512);
    expect_decodes(data, size, frame, flat, NULL);
    free(flat);
    free(data);
}

/* Counts like Fibonacci numbers make the deepest tree: 17 categories on up to 16 bits. */
Test(jpeg_lossless, encoder_limits_code_lengths) {
    enum { N = 6000 };
    uint16_t *image = malloc(N * sizeof *image);
    uint32_t v = 32768, n = 0;
    for (uint32_t category = 16, a = 1, b = 1; n < N; category = category ? category - 1 : 0) {
        for (uint32_t i = 0; i < a && n < N; i++) {
            v += category ? 1u << (category - 1) : 0;
            image[n++] = (uint16_t)v;
        }
        uint32_t sum = a + b;
        a = b;
        b = sum;
    }
    mg_dicom_codec_frame frame = {1, N, 1, 2};
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_dicom_jpeg_lossless_encode(image, &frame, 16, &data, &size, NULL), MG_DICOM_OK);
    expect_decodes(data, size, frame, image, NULL);
    free(image);
    free(data);
}

/* Three components are marked as not transformed, so that no decoder takes them for YCbCr. */
Test(jpeg_lossless, encoder_marks_colour) {
    uint8_t rgb[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9}, *data;
    size_t size;
    mg_dicom_codec_frame frame = {2, 2, 3, 1};
    mg_dicom_codec_header h;
    cr_assert_eq(mg_dicom_jpeg_lossless_encode(rgb, &frame, 8, &data, &size, NULL), MG_DICOM_OK);
    cr_assert_eq(mg_dicom_jpeg_header(data, size, &h, NULL), MG_DICOM_OK);
    cr_assert(h.adobe == 0 && h.color == MG_DICOM_JPEG_COLOR_NONE);
    free(data);
}

Test(jpeg_lossless, encoder_refuses) {
    uint16_t v[4] = {0};
    uint8_t *data = NULL;
    size_t size;
    static const struct {
        mg_dicom_codec_frame frame;
        int precision;
    } bad[] = {
        {{2, 2, 1, 2}, 1}, {{2, 2, 1, 2}, 17},    {{2, 2, 1, 1}, 9},  {{2, 1, 2, 2}, 8},
        {{0, 2, 1, 2}, 8}, {{2, 65536, 1, 2}, 8}, {{1, 1, 1, 4}, 16},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mg_dicom_error err = {0};
        cr_assert_eq(
            mg_dicom_jpeg_lossless_encode(v, &bad[i].frame, bad[i].precision, &data, &size, &err),
            MG_DICOM_ERR_ARG);
        cr_assert(err.message[0] && !data);
    }
}

/* --- streams of other encoders ---------------------------------------------------------------- */

static void foreign(jpeg_writer_options o, int kind) {
    size_t n = (size_t)o.rows * o.columns * (size_t)o.components, size;
    uint16_t *image = make_image(n, o.precision, kind, 7);
    for (size_t i = 0; i < n; i++) /* a point transform drops bits */
        image[i] = (uint16_t)(image[i] >> o.point_transform << o.point_transform);
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    for (int word_bytes = o.precision <= 8 ? 1 : 2; word_bytes <= 2; word_bytes++) {
        mg_dicom_codec_options options = {.int16_predictor = o.int16_predictor};
        expect_decodes(data, size,
                       (mg_dicom_codec_frame){o.rows, o.columns, o.components, word_bytes}, image,
                       &options);
    }
    free(image);
    free(data);
}

Test(jpeg_lossless, every_predictor_precision_and_point_transform) {
    for (int precision = 2; precision <= 16; precision++)
        for (int predictor = 1; predictor <= 7; predictor++)
            for (int point = 0; point < precision; point += 1 + point)
                foreign((jpeg_writer_options){.rows = 13,
                                              .columns = 37,
                                              .components = 1,
                                              .precision = precision,
                                              .predictor = predictor,
                                              .point_transform = point,
                                              .long_codes = predictor & 1},
                        precision % KINDS);
}

Test(jpeg_lossless, components_scans_and_restarts) {
    for (int predictor = 1; predictor <= 7; predictor++)
        for (int components = 1; components <= 4; components++)
            for (int separate = 0; separate <= 1; separate++)
                for (uint32_t restart = 0; restart <= 3; restart++)
                    foreign((jpeg_writer_options){.rows = 29,
                                                  .columns = 21, /* 10+ restarts */
                                                  .components = components,
                                                  .precision = 12,
                                                  .predictor = predictor,
                                                  .separate_scans = separate,
                                                  .restart_rows = {restart, 2, 0, restart + 1},
                                                  .late_lines = restart & 1},
                            predictor % KINDS);
}

Test(jpeg_lossless, encoders_known_to_be_broken) {
    jpeg_writer_options o = {.rows = 40,
                             .columns = 40,
                             .components = 1,
                             .precision = 16,
                             .predictor = 1,
                             .extra_16 = true};
    size_t n = 1600, size;
    uint16_t *image = make_image(n, 16, RANDOM, 3);
    for (size_t i = 40; i < n; i += 97) image[i] = (uint16_t)(image[i - 1] + 32768); /* SSSS 16 */
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    mg_dicom_codec_frame frame = {40, 40, 1, 2};
    mg_dicom_codec_options options = {.on_warning = on_warning};
    last_warning = "none";
    expect_decodes(data, size, frame, image, &options);
    cr_assert(strstr(last_warning, "additional bits"), "%s", last_warning);
    free(data);
    o.extra_16 = false; /* and rightly coded ones stay right */
    data = jpeg_writer_lossless(image, &o, &size);
    expect_decodes(data, size, frame, image, NULL);
    free(data);
    free(image);
    for (int predictor = 4; predictor <= 7; predictor++)
        foreign((jpeg_writer_options){.rows = 20,
                                      .columns = 20,
                                      .components = 1,
                                      .precision = 16,
                                      .predictor = predictor,
                                      .int16_predictor = true},
                RANDOM);
}

Test(jpeg_lossless, ends_that_encoders_leave_ragged) {
    jpeg_writer_options o = {
        .rows = 8, .columns = 9, .components = 1, .precision = 12, .predictor = 1, .no_eoi = true};
    uint16_t *image = make_image(72, 12, RANDOM, 1);
    size_t size;
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    mg_dicom_codec_frame frame = {8, 9, 1, 2};
    mg_dicom_codec_options options = {.on_warning = on_warning};
    warnings = 0;
    expect_decodes(data, size, frame, image, &options); /* no EOI */
    cr_assert(warnings == 1 && strstr(last_warning, "EOI"));
    data = realloc(data, size + 8);
    memset(data + size, 0, 8);
    expect_decodes(data, size + 3, frame, image, &options); /* zeros instead of EOI */
    cr_assert(warnings >= 2);
    memcpy(data + size, "\xFF\xFF\xFF\xD9 \xFE\xFF\x00", 8);
    warnings = 0;
    expect_decodes(data, size + 4, frame, image, &options); /* fill bytes: legal */
    expect_decodes(data, size + 5, frame, image, &options); /* one padding byte: usual */
    cr_assert_eq(warnings, 0, "%s", last_warning);
    expect_decodes(data, size + 8, frame, image, &options); /* a delimiter's beginning */
    cr_assert(warnings == 1 && strstr(last_warning, "behind the end"));
    free(data);
    free(image);
}

Test(jpeg_lossless, header) {
    jpeg_writer_options o = {.rows = 30,
                             .columns = 20,
                             .components = 3,
                             .precision = 10,
                             .predictor = 6,
                             .point_transform = 2};
    uint16_t *image = make_image(1800, 10, SMOOTH, 1);
    size_t size;
    uint8_t *data = jpeg_writer_lossless(image, &o, &size);
    mg_dicom_codec_header h;
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_jpeg_header(data, size, &h, &err), MG_DICOM_OK);
    cr_assert_eq(h.process, MG_DICOM_JPEG_LOSSLESS);
    cr_assert(h.sof == 0xC3 && h.precision == 10 && h.rows == 30 && h.columns == 20);
    cr_assert(h.components == 3 && h.component[2].id == 12 && h.component[2].h == 1);
    cr_assert(h.predictor == 6 && h.point_transform == 2 && h.adobe == -1 && !h.jfif);
    cr_assert(!h.subsampled && h.color == MG_DICOM_JPEG_COLOR_UNKNOWN);
    cr_assert_eq(h.least_bytes, 30 * 20 * 3 / 8);
    /* Every way to cut the header short is an error, not a header. */
    size_t start = jpeg_writer_scan_start(data, size);
    for (size_t n = 0; n < start; n++)
        cr_assert_neq(mg_dicom_jpeg_header(data, n, &h, NULL), MG_DICOM_OK, "%zu", n);
    cr_assert_eq(mg_dicom_jpeg_header(data, start, &h, NULL), MG_DICOM_OK);
    free(data);
    free(image);
}
