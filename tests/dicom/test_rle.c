/* RLE: round trips, hand-made segments, and what is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "tensor/rng.h"

/* Bytes with runs of every length, so that all kinds of packets occur. */
static uint8_t *make_bytes(size_t n, uint32_t stream, uint32_t longest_run) {
    uint8_t *v = malloc(n);
    mg_rng_key key = {.seed = stream, .purpose = MG_RNG_TEST};
    uint32_t draw = 0;
    for (size_t i = 0; i < n;) {
        uint32_t run = 1 + mg_rng_below(&key, draw++, longest_run);
        uint8_t value = (uint8_t)mg_rng_below(&key, draw++, 256);
        while (run-- && i < n) v[i++] = value;
    }
    return v;
}

static void round_trip(mg_dicom_codec_frame frame, uint32_t longest_run) {
    size_t n = (size_t)frame.rows * frame.columns * (size_t)(frame.samples * frame.word_bytes);
    uint8_t *in = make_bytes(n, frame.rows, longest_run), *data, *out = malloc(n + 1);
    size_t size;
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_rle_encode(in, &frame, &data, &size, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_assert_eq(size % 2, 0);
    out[n] = 0xAA;
    cr_assert_eq(mg_dicom_rle_decode(data, size, &frame, out, NULL, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_assert_eq(out[n], 0xAA);
    cr_assert_eq(memcmp(in, out, n), 0);
    free(in);
    free(out);
    free(data);
}

Test(rle, round_trips) {
    static const uint32_t sizes[][2] = {{1, 1}, {1, 129}, {3, 128}, {127, 5}, {90, 301}};
    for (int words = 1; words <= 8; words++)
        for (int samples = 1; samples * words <= 15; samples++)
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
                for (uint32_t run = 1; run <= 512; run *= 8)
                    round_trip((mg_dicom_codec_frame){sizes[s][0], sizes[s][1], samples, words},
                               run);
    round_trip((mg_dicom_codec_frame){4096, 3328, 1, 2}, 20);
}

/* A frame of one segment whose bytes are given: header, then `packets`. */
static size_t one_segment(uint8_t *data, const char *packets, size_t n) {
    memset(data, 0, 64);
    data[0] = 1;
    data[4] = 64;
    memcpy(data + 64, packets, n);
    return 64 + n;
}

static mg_dicom_status decode(const char *packets, size_t n, uint32_t columns, uint8_t *out,
                              const mg_dicom_codec_options *options, mg_dicom_error *err) {
    uint8_t *data = malloc(64 + n); /* exact, for sanitizers */
    size_t size = one_segment(data, packets, n);
    *err = (mg_dicom_error){0};
    mg_dicom_codec_frame frame = {1, columns, 1, 1};
    mg_dicom_status status = mg_dicom_rle_decode(data, size, &frame, out, options, err);
    free(data);
    return status;
}

/* The example of PS3.5 annex G's algorithm: literals, a replicate run, and a control byte of
 * -128. */
Test(rle, packets) {
    uint8_t out[10];
    mg_dicom_error err;
    cr_assert_eq(decode("\x02"
                        "abc"
                        "\xFEz"
                        "\x80"
                        "\x00"
                        "q"
                        "\xFEy",
                        11, 10, out, NULL, &err),
                 MG_DICOM_OK, "%s", err.message);
    cr_assert_eq(memcmp(out, "abczzzqyyy", 10), 0);
    /* A byte of padding, of any value; and more, if it says nothing. */
    cr_assert_eq(decode("\xF7k ", 3, 10, out, NULL, &err), MG_DICOM_OK);
    cr_assert_eq(decode("\xF7k\0\0\x80\0", 6, 10, out, NULL, &err), MG_DICOM_OK);
}

/* Most significant bytes first, samples after one another, interleaved in the output. */
Test(rle, byte_planes) {
    uint8_t data[64 + 16] = {4};
    for (int s = 0; s < 4; s++) {
        data[4 + 4 * s] = (uint8_t)(64 + 4 * s);
        data[64 + 4 * s] = 1; /* two literals */
        data[65 + 4 * s] = (uint8_t)(0x10 * (s + 1));
        data[66 + 4 * s] = (uint8_t)(0x10 * (s + 1) + 1);
    }
    uint16_t out[4];
    mg_dicom_codec_frame frame = {1, 2, 2, 2};
    cr_assert_eq(mg_dicom_rle_decode(data, sizeof data, &frame, out, NULL, NULL), MG_DICOM_OK);
    cr_assert(out[0] == 0x1020 && out[1] == 0x3040 && out[2] == 0x1121 && out[3] == 0x3141);
}

static void refuse(const char *packets, size_t n, const char *text) {
    uint8_t out[10];
    mg_dicom_error err;
    cr_assert_eq(decode(packets, n, 10, out, NULL, &err), MG_DICOM_ERR_PIXELS);
    cr_assert(strstr(err.message, text), "\"%s\", not \"%s\"", err.message, text);
    cr_assert(err.offset >= 64 && err.offset <= 64 + n);
}

Test(rle, broken_segments) {
    refuse("\x02"
           "abc",
           4, "ends early, at offset 68, with 7 bytes");
    refuse("\x09"
           "abc",
           4, "ends early");
    refuse("\xF7", 1, "ends early");
    refuse("", 0, "ends early");
    refuse("\xF6k", 2, "holds more than the image's 1 rows of 10");
    refuse("\x0A"
           "0123456789A",
           12, "holds more than");
    refuse("\xF7k\x02"
           "abc",
           6, "4 bytes left over at offset 66");
}

Test(rle, broken_headers) {
    static const struct {
        uint32_t segments, first, second;
        size_t size;
        const char *text;
    } bad[] = {
        {2, 64, 66, 63, "less than the 64"},
        {0, 64, 66, 70, "0 segments; 1 samples of 2 bytes need 2"},
        {15, 64, 66, 70, "15 segments"},
        {0xFFFFFFFF, 64, 66, 70, "4294967295 segments"},
        {2, 63, 66, 70, "segment 1 is said to lie from offset 63"},
        {2, 66, 64, 70, "from offset 66 to 64;"},
        {2, 64, 71, 70, "segment 2 is said to lie from offset 71"},
        {2, 64, 0xFFFFFFF0, 70, "from offset 4294967280 to 70"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t *data = calloc(1, bad[i].size);
        uint32_t fields[3] = {bad[i].segments, bad[i].first, bad[i].second};
        for (int k = 0; k < 12; k++) data[k] = (uint8_t)(fields[k / 4] >> (k % 4 * 8));
        uint16_t out[4];
        mg_dicom_error err = {0};
        mg_dicom_codec_frame frame = {2, 2, 1, 2};
        cr_assert_eq(mg_dicom_rle_decode(data, bad[i].size, &frame, out, NULL, &err),
                     MG_DICOM_ERR_PIXELS);
        cr_assert(strstr(err.message, bad[i].text), "%s", err.message);
        free(data);
    }
}

Test(rle, partial) {
    uint8_t out[10];
    memset(out, 0xAA, sizeof out);
    mg_dicom_error err;
    bool partial = false;
    mg_dicom_codec_options options = {.allow_partial = true, .partial = &partial};
    cr_assert_eq(decode("\x02"
                        "abc",
                        4, 10, out, &options, &err),
                 MG_DICOM_OK);
    cr_assert(partial && !memcmp(out, "abc\0\0\0\0\0\0\0", 10));
    cr_assert_eq(decode("\xF7k", 2, 10, out, &options, &err), MG_DICOM_OK);
    cr_assert(!partial);
}

Test(rle, random_damage) {
    mg_rng_key key = {.seed = 9, .purpose = MG_RNG_TEST};
    mg_dicom_codec_frame frame = {50, 60, 3, 1};
    uint8_t *in = make_bytes(9000, 4, 30), *data, out[9000];
    size_t size;
    cr_assert_eq(mg_dicom_rle_encode(in, &frame, &data, &size, NULL), MG_DICOM_OK);
    for (uint32_t i = 0; i < 3000; i++) {
        size_t n = i % 4 ? size : mg_rng_below(&key, i * 8 + 7, (uint32_t)size);
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, data, n);
        for (uint32_t k = 0; k < 3 && n; k++) /* every other time in the header or near it */
            copy[mg_rng_below(&key, i * 8 + k, (uint32_t)(i & 1 || n < 80 ? n : 80))] =
                (uint8_t)mg_rng_below(&key, i * 8 + 3 + k, 256);
        mg_dicom_codec_options options = {.allow_partial = i & 2};
        mg_dicom_error err = {0};
        mg_dicom_status status = mg_dicom_rle_decode(copy, n, &frame, out, &options, &err);
        cr_assert_eq(status, err.code);
        free(copy);
    }
    free(in);
    free(data);
}
