/* Native pixel data against a reader written the slow way: every depth, HighBit, sign, byte order,
 * planes, bits, 4:2:2, and the image description's checks. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/dicom_pixel_file.h"

/* Sample `i` of a buffer of words, as read_frame hands them out. */
static int64_t word_at(const void *p, int bytes, bool is_signed, size_t i) {
    switch (bytes) {
    case 1: return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
    case 2: return is_signed ? ((const int16_t *)p)[i] : ((const uint16_t *)p)[i];
    case 4: return is_signed ? ((const int32_t *)p)[i] : (int64_t)((const uint32_t *)p)[i];
    default: return ((const int64_t *)p)[i];
    }
}

/* What PS3.5 8.1.1 says of a word: shift, mask, sign, without any trick. */
static int64_t expected_value(uint64_t word, const pixel_image *im) {
    int high = im->high ? im->high : im->stored - 1;
    uint64_t v = 0;
    for (int b = 0; b < im->stored; b++)
        if (word >> (high + 1 - im->stored + b) & 1) v |= UINT64_C(1) << b;
    if (im->sign && im->stored < 64 && v >> (im->stored - 1) & 1) v |= UINT64_MAX << im->stored;
    return (int64_t)v;
}

static void check_native(const pixel_image *im, const char *syntax) {
    size_t n = (size_t)im->rows * im->columns * (size_t)im->samples;
    size_t word = (size_t)im->allocated / 8, frames = im->frames ? (size_t)im->frames : 1;
    uint8_t *data = malloc(n * word * frames);
    uint64_t *words = calloc(n * frames, sizeof *words);
    uint32_t seed = (uint32_t)(im->stored * 131 + im->high * 7 + im->sign);
    cr_assert(data && words);
    bool big = strcmp(syntax, TS_BIG) == 0;
    for (size_t i = 0; i < n * frames; i++) {
        for (size_t b = 0; b < word; b++) {
            uint8_t byte = (uint8_t)pixel_random(&seed);
            data[i * word + b] = byte;
            words[i] |= (uint64_t)byte << 8 * (big ? word - 1 - b : b);
        }
    }
    /* 8-bit big endian OW is swapped in pairs; OB, as written here, is not. */
    pixel_file f;
    pixel_file_native(&f, syntax, im, data, n * word * frames);
    mg_dicom *d = pixel_file_parse(&f);
    mg_dicom_image info;
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_OK, "%s", err.message);
    cr_assert_eq(info.frame_bytes, n * word);
    void *out = malloc(info.frame_bytes);
    for (size_t k = frames; k-- > 0;) { /* backwards: random access */
        cr_assert_eq(mg_dicom_read_frame(d, (uint32_t)k, NULL, out, info.frame_bytes, &err),
                     MG_DICOM_OK, "%s", err.message);
        for (size_t i = 0; i < n; i++) {
            size_t pixels = (size_t)im->rows * im->columns;
            size_t from =
                im->planar ? i % (size_t)im->samples * pixels + i / (size_t)im->samples : i;
            int64_t want = expected_value(words[k * n + from], im);
            int64_t got = word_at(out, (int)word, im->sign, i);
            cr_assert_eq(got, want, "BA %d BS %d HB %d PR %d %s: sample %zu is %lld not %lld",
                         im->allocated, im->stored, im->high, im->sign, syntax, i, (long long)got,
                         (long long)want);
        }
    }
    mg_dicom_close(d);
    pixel_file_free(&f);
    free(out);
    free(data);
    free(words);
}

Test(pixels_native, every_depth) {
    static const char *const syntaxes[] = {TS_EXPLICIT, TS_IMPLICIT, TS_BIG};
    static const int allocated[] = {8, 16, 32, 64};
    for (size_t s = 0; s < 3; s++)
        for (size_t a = 0; a < 4; a++)
            for (int stored = 1; stored <= allocated[a]; stored++)
                for (int sign = 0; sign < 2; sign++) {
                    int highs[3] = {0, allocated[a] - 1, (stored - 1 + allocated[a] - 1) / 2};
                    for (int h = 0; h < 3; h++) {
                        pixel_image im = {.rows = 5,
                                          .columns = 7,
                                          .samples = 1,
                                          .allocated = allocated[a],
                                          .stored = stored,
                                          .high = highs[h],
                                          .sign = sign};
                        check_native(&im, syntaxes[s]);
                    }
                }
}

Test(pixels_native, colour_planes_and_frames) {
    for (int planar = 0; planar < 2; planar++)
        for (int allocated = 8; allocated <= 16; allocated += 8) {
            pixel_image im = {.rows = 3,
                              .columns = 5,
                              .samples = 3,
                              .allocated = allocated,
                              .stored = allocated,
                              .planar = planar,
                              .frames = 4};
            check_native(&im, TS_EXPLICIT);
            check_native(&im, TS_BIG);
        }
}

Test(pixels_native, bits_run_on_across_frames) {
    /* 3 frames of 15 pixels: frames begin inside bytes. */
    enum { ROWS = 3, COLUMNS = 5, FRAMES = 3, N = ROWS * COLUMNS };
    static const char *const syntaxes[] = {TS_EXPLICIT, TS_BIG};
    for (int s = 0; s < 2; s++)
        for (int ow = 0; ow < 2; ow++) {
            uint8_t bits[N * FRAMES], data[6] = {0}, out[N];
            uint32_t seed = 9;
            for (size_t i = 0; i < sizeof bits; i++) {
                bits[i] = pixel_random(&seed) & 1;
                data[i / 8 ^ (s && ow ? 1 : 0)] |= (uint8_t)(bits[i] << i % 8);
            }
            pixel_image im = {.rows = ROWS,
                              .columns = COLUMNS,
                              .samples = 1,
                              .allocated = 1,
                              .stored = 1,
                              .frames = FRAMES};
            pixel_file f;
            pixel_file_begin(&f, syntaxes[s]);
            pixel_file_describe(&f, &im);
            pixel_file_element(&f, 0x7FE00010, ow ? "OW" : "OB", data, sizeof data);
            mg_dicom *d = pixel_file_parse(&f);
            for (uint32_t k = 0; k < FRAMES; k++) {
                mg_dicom_error err = {0};
                cr_assert_eq(mg_dicom_read_frame(d, k, NULL, out, N, &err), MG_DICOM_OK, "%s",
                             err.message);
                cr_expect_arr_eq(out, bits + k * N, N, "syntax %d OW %d frame %u", s, ow, k);
            }
            mg_dicom_close(d);
            pixel_file_free(&f);
        }
}

Test(pixels_native, big_endian_words_of_bytes) {
    /* Odd frames of 8-bit samples in OW: the swap runs over the whole element. */
    enum { N = 9, FRAMES = 2 };
    uint8_t plain[N * FRAMES], data[N * FRAMES], out[N];
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = data[i ^ 1] = (uint8_t)(i * 11 + 3);
    pixel_image im = {
        .rows = 3, .columns = 3, .samples = 1, .allocated = 8, .stored = 8, .frames = FRAMES};
    pixel_file f;
    pixel_file_begin(&f, TS_BIG);
    pixel_file_describe(&f, &im);
    pixel_file_element(&f, 0x7FE00010, "OW", data, sizeof data);
    mg_dicom *d = pixel_file_parse(&f);
    for (uint32_t k = 0; k < FRAMES; k++) {
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_read_frame(d, k, NULL, out, N, &err), MG_DICOM_OK, "%s", err.message);
        cr_expect_arr_eq(out, plain + k * N, N);
    }
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_native, ybr_422) {
    const uint8_t data[16] = {10, 20, 30, 40, 50, 60, 70, 80, 1, 2, 3, 4, 5, 6, 7, 8};
    const uint8_t want[24] = {10, 30, 40, 20, 30, 40, 50, 70, 80, 60, 70, 80,
                              1,  3,  4,  2,  3,  4,  5,  7,  8,  6,  7,  8};
    uint8_t out[24];
    pixel_image im = {.rows = 2,
                      .columns = 4,
                      .samples = 3,
                      .allocated = 8,
                      .stored = 8,
                      .photometric = "YBR_FULL_422"};
    mg_dicom_error err = {0};
    pixel_file f;
    pixel_file_native(&f, TS_EXPLICIT, &im, data, sizeof data);
    mg_dicom *d = pixel_file_parse(&f);
    cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_expect_arr_eq(out, want, sizeof want);
    mg_dicom_close(d);
    pixel_file_free(&f);
    /* The same label on full colour: taken as it is, with a warning. */
    pixel_file_native(&f, TS_EXPLICIT, &im, want, sizeof want);
    d = pixel_file_parse(&f);
    cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_OK);
    cr_expect_arr_eq(out, want, sizeof want);
    cr_expect_gt(mg_dicom_warnings(d), 0);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_native, ends_early) {
    uint16_t data[12], out[20];
    for (int i = 0; i < 12; i++) data[i] = (uint16_t)(i + 1);
    pixel_image im = {
        .rows = 2, .columns = 5, .samples = 1, .allocated = 16, .stored = 16, .frames = 3};
    pixel_file f;
    pixel_file_native(&f, TS_EXPLICIT, &im, data, sizeof data); /* 1.2 frames */
    mg_dicom *d = pixel_file_parse(&f);
    mg_dicom_error err = {0};
    bool partial = true;
    mg_dicom_read_options o = {.allow_partial = true, .partial = &partial};
    cr_expect_eq(mg_dicom_read_frame(d, 0, &o, out, 20, &err), MG_DICOM_OK);
    cr_expect_not(partial);
    cr_expect_eq(mg_dicom_read_frame(d, 1, NULL, out, 20, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "ends early"), "%s", err.message);
    cr_expect_gt(err.offset, 0);
    err = (mg_dicom_error){0};
    memset(out, 0xAA, sizeof out);
    cr_expect_eq(mg_dicom_read_frame(d, 1, &o, out, 20, &err), MG_DICOM_OK, "%s", err.message);
    cr_expect(partial);
    const uint16_t want[10] = {11, 12};
    cr_expect_arr_eq(out, want, sizeof want);
    cr_expect_eq(mg_dicom_read_frame(d, 2, NULL, out, 20, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "frame 3 is missing"), "counted from 1: %s", err.message);
    err = (mg_dicom_error){0};
    partial = false;
    cr_expect_eq(mg_dicom_read_frame(d, 2, &o, out, 20, &err), MG_DICOM_OK, "%s", err.message);
    cr_expect(partial, "a frame that is not there is zeros");
    for (int i = 0; i < 10; i++) cr_expect_eq(out[i], 0);
    cr_expect_eq(mg_dicom_read_frame(d, 3, &o, out, 20, &err), MG_DICOM_ERR_ARG);
    err = (mg_dicom_error){0};
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, 19, &err), MG_DICOM_ERR_ARG);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

/* --- the description -------------------------------------------------------------------------- */

typedef struct wrong {
    pixel_image image;
    mg_dicom_status status;
    const char *says;
} wrong;

Test(pixels_native, description_is_checked) {
    const wrong cases[] = {
        {{4, 4, 1, 12, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_UNSUPPORTED, "BitsAllocated is 12"},
        {{4, 4, 1, 16, 17, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "BitsStored is 17"},
        {{4, 4, 1, 16, 12, 16, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "HighBit is 16"},
        {{4, 4, 1, 16, 12, 10, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "HighBit is 10"},
        {{0, 4, 1, 16, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "Rows is 0"},
        {{4, 0, 1, 16, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "Columns is 0"},
        {{4, 4, 1, 16, 12, 0, 2, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "PixelRepresentation is 2"},
        {{4, 4, 0, 16, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_PIXELS, "SamplesPerPixel is 0"},
        {{4, 4, 2, 16, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_UNSUPPORTED, "2 samples"},
        {{4, 4, 4, 8, 8, 0, 0, 0, "CMYK", 0}, MG_DICOM_ERR_UNSUPPORTED, "4 samples"},
        {{4, 4, 3, 8, 8, 0, 0, 0, "MONOCHROME2", 0}, MG_DICOM_ERR_PIXELS, "MONOCHROME2 has 1"},
        {{4, 4, 1, 8, 8, 0, 0, 0, "RGB", 0}, MG_DICOM_ERR_PIXELS, "RGB has 3"},
        {{4, 4, 3, 8, 8, 0, 0, 2, NULL, 0}, MG_DICOM_ERR_PIXELS, "PlanarConfiguration is 2"},
        {{4, 4, 1, 8, 8, 0, 0, 0, NULL, -3}, MG_DICOM_ERR_PIXELS, "NumberOfFrames is -3"},
        {{65535, 65535, 1, 16, 12, 0, 0, 0, NULL, 0}, MG_DICOM_ERR_LIMIT, "max_samples"},
    };
    const uint8_t data[64] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pixel_file f;
        mg_dicom_image info;
        mg_dicom_error err = {0};
        pixel_file_native(&f, TS_EXPLICIT, &cases[i].image, data, sizeof data);
        mg_dicom *d = pixel_file_parse(&f);
        cr_expect_eq(mg_dicom_image_info(d, &info, &err), cases[i].status, "case %zu: %d %s", i,
                     err.code, err.message);
        cr_expect(strstr(err.message, cases[i].says), "case %zu: %s", i, err.message);
        uint8_t out[64];
        cr_expect_neq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, NULL), MG_DICOM_OK);
        mg_dicom_close(d);
        pixel_file_free(&f);
    }
}

Test(pixels_native, what_may_be_missing) {
    const uint8_t data[4] = {1, 2, 3, 4};
    uint8_t out[4];
    pixel_file f;
    mg_dicom_image info;
    mg_dicom_error err = {0};
    pixel_file_begin(&f, TS_EXPLICIT);
    pixel_file_us(&f, 0x00280010, "US", 2);
    pixel_file_us(&f, 0x00280011, "US", 2);
    pixel_file_us(&f, 0x00280100, "US", 8);
    pixel_file_element(&f, 0x7FE00010, "OB", data, 4);
    mg_dicom *d = pixel_file_parse(&f);
    cr_assert_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_OK, "%s", err.message);
    cr_expect_eq(info.samples, 1);
    cr_expect_eq(info.bits_stored, 8);
    cr_expect_eq(info.frames, 1);
    cr_expect_not(info.is_signed);
    cr_expect_str_eq(info.photometric, "MONOCHROME2");
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, 4, &err), MG_DICOM_OK);
    cr_expect_arr_eq(out, data, 4);
    cr_expect_gt(mg_dicom_warnings(d), 0, "missing attributes are warned about");
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_native, no_image) {
    pixel_file f;
    mg_dicom_image info;
    mg_dicom_error err = {0};
    const float values[4] = {0};
    pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 32, .stored = 32};
    pixel_file_begin(&f, TS_EXPLICIT);
    pixel_file_text(&f, 0x00100010, "PN", "A^B");
    mg_dicom *d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_ERR_NO_PIXELS);
    mg_dicom_close(d);
    pixel_file_free(&f);
    err = (mg_dicom_error){0};
    pixel_file_begin(&f, TS_EXPLICIT);
    pixel_file_describe(&f, &im);
    pixel_file_element(&f, 0x7FE00008, "OF", values, sizeof values);
    d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "floating-point"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_native, header_only_describes_but_does_not_read) {
    uint16_t data[4] = {1, 2, 3, 4}, out[4];
    pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12};
    pixel_file f;
    mg_dicom_image info;
    mg_dicom_error err = {0};
    mg_dicom_options o = {.stop_at_pixels = true};
    pixel_file_native(&f, TS_EXPLICIT, &im, data, sizeof data);
    mg_dicom *d = mg_dicom_open_memory(f.bytes, f.size, &o, &err);
    cr_assert(d, "%s", err.message);
    cr_expect_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_OK, "%s", err.message);
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, 8, &err), MG_DICOM_ERR_ARG);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_native, control_characters_stay_out_of_messages) {
    const uint8_t data[4] = {0};
    pixel_file f;
    mg_dicom_image info;
    mg_dicom_error err = {0};
    pixel_file_begin(&f, TS_EXPLICIT);
    pixel_file_text(&f, 0x00280004, "CS", "A\x1B[31m\nB");
    pixel_file_text(&f, 0x00280010, "LO", "2\r\n\x1B]0;x\x07");
    pixel_file_us(&f, 0x00280011, "US", 2);
    pixel_file_us(&f, 0x00280100, "US", 8);
    pixel_file_element(&f, 0x7FE00010, "OB", data, 4);
    mg_dicom *d = pixel_file_parse(&f);
    cr_assert_eq(mg_dicom_image_info(d, &info, &err), MG_DICOM_ERR_PIXELS);
    for (const char *c = err.message; *c; c++) cr_assert_geq(*c, 0x20, "%s", err.message);
    cr_expect(strstr(err.message, "2..."), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
}
