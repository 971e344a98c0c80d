/* Fragments to frames: with tables, without, with wrong ones; what codestreams are
 * recognised as. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "dicom/codec.h"
#include "tests/lib/dicom_pixel_file.h"

enum { ROWS = 24, COLUMNS = 16, N = ROWS * COLUMNS, FRAMES = 5 };

static uint16_t frame_samples[FRAMES][N];
static codestream streams[FRAMES];

static void make_streams(const char *syntax) {
    uint32_t seed = 4;
    encoding e = {.rows = ROWS, .columns = COLUMNS, .samples = 1, .bits = 12, .levels = 2};
    for (int k = 0; k < FRAMES; k++) {
        for (int i = 0; i < N; i++)
            frame_samples[k][i] = (uint16_t)(i * 7 + k * 100 + (pixel_random(&seed) & 15)) & 4095;
        if (strcmp(syntax, TS_JLS) == 0) {
            streams[k] = encode_jls(&e, frame_samples[k]);
        } else if (strcmp(syntax, TS_J2K) == 0) {
            streams[k] = encode_j2k(&e, frame_samples[k]);
        } else {
            mg_dicom_codec_frame f = {ROWS, COLUMNS, 1, 2};
            streams[k] = (codestream){0};
            mg_dicom_status status =
                strcmp(syntax, TS_RLE) == 0
                    ? mg_dicom_rle_encode(frame_samples[k], &f, &streams[k].bytes, &streams[k].size,
                                          NULL)
                    : mg_dicom_jpeg_lossless_encode(frame_samples[k], &f, 12, &streams[k].bytes,
                                                    &streams[k].size, NULL);
            cr_assert_eq(status, MG_DICOM_OK);
        }
    }
}

static void free_streams(void) {
    for (int k = 0; k < FRAMES; k++) free(streams[k].bytes);
}

static const pixel_image image12 = {.rows = ROWS,
                                    .columns = COLUMNS,
                                    .samples = 1,
                                    .allocated = 16,
                                    .stored = 12,
                                    .frames = FRAMES};

static const pixel_image *described = &image12;

static void check_frames(mg_dicom *d, const char *what) {
    static const int order[] = {3, 0, 4, 1, 2, 4};
    uint16_t out[N];
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_read_frame(d, (uint32_t)order[i], NULL, out, sizeof out, &err),
                     MG_DICOM_OK, "%s: %s", what, err.message);
        cr_assert_arr_eq(out, frame_samples[order[i]], sizeof out, "%s frame %d", what, order[i]);
    }
}

typedef enum tables {
    NO_TABLE,
    BASIC,
    BASIC_WRONG,
    BASIC_SHORT,
    BASIC_MIXED,
    EXTENDED,
    EXTENDED_WRONG
} tables;

/* pieces: fragments per frame, from 1 up. */
static void build(pixel_file *f, const char *syntax, int pieces, tables table, bool delimiter) {
    uint32_t offsets[FRAMES], at = 0;
    uint64_t wide[FRAMES], lengths[FRAMES];
    for (int k = 0; k < FRAMES; k++) {
        size_t part = streams[k].size / (size_t)pieces / 2 * 2, left = streams[k].size;
        offsets[k] = at;
        wide[k] = at + (table == EXTENDED_WRONG ? 2 : 0);
        lengths[k] = streams[k].size;
        for (int p = 0; p < pieces; p++) {
            size_t n = p + 1 < pieces ? part : left;
            at += (uint32_t)(8 + n + n % 2);
            left -= n;
        }
    }
    if (table == BASIC_WRONG) offsets[2] += 4;
    if (table == BASIC_MIXED) offsets[2] = offsets[3]; /* on an item, but not rising */
    pixel_file_begin(f, syntax);
    pixel_file_describe(f, described);
    if (table == EXTENDED || table == EXTENDED_WRONG) {
        pixel_file_element(f, 0x7FE00001, "OV", wide, sizeof wide);
        pixel_file_element(f, 0x7FE00002, "OV", lengths, sizeof lengths);
    }
    bool basic = table >= BASIC && table <= BASIC_MIXED;
    pixel_file_fragments(f, offsets, basic ? table == BASIC_SHORT ? 2 : FRAMES : 0);
    for (int k = 0; k < FRAMES; k++) {
        size_t part = streams[k].size / (size_t)pieces / 2 * 2;
        for (int p = 0; p < pieces; p++)
            pixel_file_fragment(f, streams[k].bytes + (size_t)p * part,
                                p + 1 < pieces ? part : streams[k].size - (size_t)p * part);
    }
    if (delimiter) pixel_file_end(f);
}

Test(pixels_frames, tables_and_fragments) {
    static const char *const syntaxes[] = {TS_JLS, TS_J2K, TS_JPEG_SV1, TS_RLE};
    for (size_t s = 0; s < 4; s++) {
        make_streams(syntaxes[s]);
        for (int pieces = 1; pieces <= 3; pieces++)
            for (int table = NO_TABLE; table <= EXTENDED_WRONG; table++) {
                /* RLE fragments bear no marks: more than one per frame needs a good table. */
                bool good_table = table == BASIC || table == EXTENDED;
                if (s == 3 && pieces > 1 && !good_table) continue;
                for (int delimiter = 0; delimiter < 2; delimiter++) {
                    pixel_file f;
                    build(&f, syntaxes[s], pieces, (tables)table, delimiter);
                    mg_dicom *d = pixel_file_parse(&f);
                    check_frames(d, syntaxes[s]);
                    bool wrong = (table > BASIC && table < EXTENDED) || table == EXTENDED_WRONG ||
                                 !delimiter;
                    cr_expect(wrong ? mg_dicom_warnings(d) > 0 : mg_dicom_warnings(d) == 0,
                              "%s, %d pieces, table %d, delimiter %d: %d warnings", syntaxes[s],
                              pieces, table, delimiter, mg_dicom_warnings(d));
                    mg_dicom_close(d);
                    pixel_file_free(&f);
                }
            }
        free_streams();
    }
}

Test(pixels_frames, undecidable_fragments_are_an_error) {
    make_streams(TS_RLE);
    pixel_file f;
    uint16_t out[N];
    mg_dicom_error err = {0};
    build(&f, TS_RLE, 2, NO_TABLE, true);
    mg_dicom *d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "10 fragments for 5 frames"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
    free_streams();
}

Test(pixels_frames, missing_frames_and_empty_data) {
    make_streams(TS_JLS);
    uint16_t out[N];
    mg_dicom_error err = {0};
    pixel_file f;
    pixel_file_begin(&f, TS_JLS);
    pixel_file_describe(&f, &image12);
    pixel_file_fragments(&f, NULL, 0);
    for (int k = 0; k < 3; k++) pixel_file_fragment(&f, streams[k].bytes, streams[k].size);
    pixel_file_end(&f);
    mg_dicom *d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_read_frame(d, 2, NULL, out, sizeof out, &err), MG_DICOM_OK);
    cr_expect_arr_eq(out, frame_samples[2], sizeof out);
    cr_expect_eq(mg_dicom_read_frame(d, 3, NULL, out, sizeof out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "holds 3 of 5"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
    free_streams();

    err = (mg_dicom_error){0};
    pixel_file_begin(&f, TS_JLS);
    pixel_file_describe(&f, &image12);
    pixel_file_fragments(&f, NULL, 0);
    pixel_file_end(&f);
    d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "no fragments"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

/* --- transfer syntax and stream disagree ------------------------------------------------------ */

Test(pixels_frames, the_stream_wins_over_the_transfer_syntax) {
    static const char *const made_of[] = {TS_JLS, TS_J2K, TS_JPEG_SV1};
    static const char *const said[] = {TS_JLS, TS_J2K,      TS_JPEG_SV1,
                                       TS_RLE, TS_EXPLICIT, "1.2.840.10008.1.2.4.50"};
    for (size_t m = 0; m < 3; m++) {
        make_streams(made_of[m]);
        for (size_t s = 0; s < 6; s++) {
            bool same = strcmp(made_of[m], said[s]) == 0 || (m == 2 && s == 5);
            pixel_file f;
            build(&f, said[s], 1, BASIC, true);
            mg_dicom *d = pixel_file_parse(&f);
            check_frames(d, said[s]);
            cr_expect_eq(mg_dicom_warnings(d) > 0, !same, "%s in %s", made_of[m], said[s]);
            mg_dicom_close(d);
            pixel_file_free(&f);
        }
        free_streams();
    }
}

Test(pixels_frames, native_data_under_a_compressed_syntax) {
    uint16_t data[4] = {1, 2, 3, 4095}, out[4];
    pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 12};
    mg_dicom_error err = {0};
    pixel_file f;
    pixel_file_native(&f, TS_JPEG_SV1, &im, data, sizeof data);
    mg_dicom *d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_expect_arr_eq(out, data, sizeof data);
    cr_expect_gt(mg_dicom_warnings(d), 0);
    mg_dicom_close(d);
    pixel_file_free(&f);
    im.rows = 1; /* more bytes than the frame: no proof any more */
    pixel_file_native(&f, TS_JPEG_SV1, &im, data, sizeof data);
    d = pixel_file_parse(&f);
    cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "not in fragments"), "%s", err.message);
    mg_dicom_close(d);
    pixel_file_free(&f);
}

Test(pixels_frames, refused_syntaxes_say_what_they_are) {
    static const char *const cases[][2] = {
        {"1.2.840.10008.1.2.4.100", "video"},   {"1.2.840.10008.1.2.4.107", "video"},
        {"1.2.840.10008.1.2.4.110", "JPEG XL"}, {"1.2.840.10008.1.2.4.94", "JPIP"},
        {"1.2.840.10008.1.2.4.92", "part 2"},   {"1.2.840.10008.9.9", "unknown"},
    };
    const uint8_t data[8] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pixel_image im = {.rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 16};
        uint16_t out[4];
        mg_dicom_error err = {0};
        pixel_file f;
        pixel_file_begin(&f, cases[i][0]);
        pixel_file_describe(&f, &im);
        pixel_file_fragments(&f, NULL, 0);
        pixel_file_fragment(&f, data, sizeof data);
        pixel_file_end(&f);
        mg_dicom *d = pixel_file_parse(&f);
        cr_expect_eq(mg_dicom_read_frame(d, 0, NULL, out, sizeof out, &err),
                     MG_DICOM_ERR_UNSUPPORTED);
        cr_expect(strstr(err.message, cases[i][1]) && strstr(err.message, cases[i][0]), "%s",
                  err.message);
        mg_dicom_close(d);
        pixel_file_free(&f);
    }
}

/* --- fragments of native samples -------------------------------------------------------------- */

static size_t deflate_raw(const void *data, size_t n, uint8_t *out, size_t size) {
    z_stream z = {0};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)size;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return size - z.avail_out;
}

static mg_dicom_status read_deflated(const uint16_t *data, size_t n, size_t cut, bool partial_ok,
                                     bool *partial, uint16_t out[N], mg_dicom_error *err) {
    uint8_t packed[4 * N];
    size_t size = deflate_raw(data, n * 2, packed, sizeof packed) - cut;
    pixel_image im = image12;
    im.frames = 1;
    pixel_file f;
    pixel_file_begin(&f, TS_DEFLATED_FRAME);
    pixel_file_describe(&f, &im);
    pixel_file_fragments(&f, NULL, 0);
    pixel_file_fragment(&f, packed, size);
    pixel_file_end(&f);
    mg_dicom *d = pixel_file_parse(&f);
    mg_dicom_read_options o = {.allow_partial = partial_ok, .partial = partial};
    mg_dicom_status status = mg_dicom_read_frame(d, 0, &o, out, N * 2, err);
    mg_dicom_close(d);
    pixel_file_free(&f);
    return status;
}

Test(pixels_frames, deflated_frames) {
    uint16_t data[N + 8], out[N];
    for (int i = 0; i < N + 8; i++) data[i] = (uint16_t)(i * 31 & 4095);
    mg_dicom_error err = {0};
    bool partial = true;
    cr_expect_eq(read_deflated(data, N, 0, true, &partial, out, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_expect_not(partial);
    cr_expect_arr_eq(out, data, sizeof out);
    cr_expect_eq(read_deflated(data, N + 8, 0, true, &partial, out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect(strstr(err.message, "longer"), "%s", err.message);
    err = (mg_dicom_error){0};
    cr_expect_eq(read_deflated(data, N - 8, 0, false, &partial, out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect_eq(read_deflated(data, N, 40, false, &partial, out, &err), MG_DICOM_ERR_PIXELS);
    cr_expect_eq(read_deflated(data, N, 40, true, &partial, out, &err), MG_DICOM_OK);
    cr_expect(partial);
    cr_expect_arr_eq(out, data, 32);
}

Test(pixels_frames, encapsulated_uncompressed) {
    uint16_t data[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}}, out[4];
    pixel_image im = {
        .rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 16, .frames = 2};
    pixel_file f;
    pixel_file_begin(&f, "1.2.840.10008.1.2.1.98");
    pixel_file_describe(&f, &im);
    pixel_file_fragments(&f, NULL, 0);
    for (int k = 0; k < 2; k++) pixel_file_fragment(&f, data[k], sizeof data[k]);
    pixel_file_end(&f);
    mg_dicom *d = pixel_file_parse(&f);
    for (uint32_t k = 0; k < 2; k++) {
        mg_dicom_error err = {0};
        cr_expect_eq(mg_dicom_read_frame(d, k, NULL, out, sizeof out, &err), MG_DICOM_OK, "%s",
                     err.message);
        cr_expect_arr_eq(out, data[k], sizeof out);
    }
    mg_dicom_close(d);
    pixel_file_free(&f);
}

/* --- more frames than NumberOfFrames says ----------------------------------------------------- */

static bool warns(const mg_dicom *d, const char *text) {
    for (int i = 0; i < mg_dicom_warnings(d); i++)
        if (strstr(mg_dicom_warning(d, i), text)) return true;
    return false;
}

Test(pixels_frames, more_native_frames_than_named) {
    uint16_t data[3][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}}, out[4];
    for (int named = 0; named <= 3; named++) {
        pixel_image im = {
            .rows = 2, .columns = 2, .samples = 1, .allocated = 16, .stored = 16, .frames = named};
        pixel_file f;
        pixel_file_native(&f, TS_EXPLICIT, &im, data, sizeof data);
        mg_dicom *d = pixel_file_parse(&f);
        uint32_t last = named ? (uint32_t)named - 1 : 0;
        cr_expect_eq(mg_dicom_read_frame(d, last, NULL, out, sizeof out, NULL), MG_DICOM_OK);
        cr_expect_arr_eq(out, data[last], sizeof out);
        cr_expect_eq(warns(d, "holds 3 frames"), named < 3, "NumberOfFrames %d", named);
        mg_dicom_close(d);
        pixel_file_free(&f);
    }
}

Test(pixels_frames, more_encapsulated_frames_than_named) {
    static const char *const syntaxes[] = {TS_JLS, TS_J2K, TS_RLE};
    static const tables with[] = {BASIC, EXTENDED, NO_TABLE};
    for (int s = 0; s < 3; s++) {
        make_streams(syntaxes[s]);
        for (int t = 0; t < 3; t++)
            for (int named = 1; named <= 2; named++) {
                bool rle = s == 2; /* its frames do not say where they begin */
                if (rle && (with[t] == NO_TABLE || (named == 1 && with[t] == EXTENDED))) continue;
                pixel_file f;
                uint16_t out[N];
                mg_dicom_error err = {0};
                pixel_image named_image = image12;
                named_image.frames = named;
                described = &named_image;
                build(&f, syntaxes[s], 2, with[t], true);
                described = &image12;
                mg_dicom *d = pixel_file_parse(&f);
                for (uint32_t k = 0; k < (uint32_t)named; k++) {
                    if (rle && named == 1) { /* all fragments are its own; the warning counts */
                        mg_dicom_read_frame(d, k, NULL, out, sizeof out, NULL);
                        continue;
                    }
                    cr_expect_eq(mg_dicom_read_frame(d, k, NULL, out, sizeof out, &err),
                                 MG_DICOM_OK, "%s", err.message);
                    cr_expect_arr_eq(out, frame_samples[k], sizeof out);
                }
                cr_expect(warns(d, "holds 5 frames"), "%s, table %d, NumberOfFrames %d",
                          syntaxes[s], t, named);
                mg_dicom_close(d);
                pixel_file_free(&f);
            }
        free_streams();
    }
}
