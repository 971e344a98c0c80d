/* The gates in front of the JPEG 2000 and JPEG-LS decoders, and JPEG-LS coding parameters. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <charls/charls.h>

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

/* --- the JPEG 2000 gate ----------------------------------------------------------------------- */

/* A codestream header with one field set: offset counts from SOC. */
typedef struct patch {
    size_t at;
    int bytes;
    uint32_t value;
    const char *says;
} patch;

Test(codec_gates, gate_refuses_greedy_headers) {
    static const patch patches[] = {
        {0, 2, 0xFF4E, "SOC"},
        {2, 2, 0xFF52, "SIZ"},
        {4, 2, 65535, "SIZ length"},
        {8, 4, 0, "empty image area"},
        {8, 4, 0xFFFFFFFF, "reference grid"},
        {8, 4, 70000, "image size"},
        {16, 4, 64, "empty image area"},
        {24, 4, 0, "tile size of 0"},

        {32, 4, 5, "first tile"},
        {40, 2, 16384, "SIZ length"},
        {42, 1, 31, "more than 16 bits"},
        {43, 1, 0, "sampling of 0"},
    };
    encoding e = {.rows = 64, .columns = 64, .samples = 1, .bits = 12, .levels = 2};
    uint16_t *samples = smooth_noise(&e, 5);
    codestream c = encode_j2k(&e, samples);
    mg_dicom_j2k_header h;
    cr_assert_eq(mg_dicom_j2k_read_header(c.bytes, c.size, &h, NULL), MG_DICOM_OK);
    cr_expect(h.complete && h.rows == 64 && h.columns == 64 && h.precision == 12 && h.levels == 2);
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        uint8_t *p = malloc(c.size);
        memcpy(p, c.bytes, c.size);
        for (int b = 0; b < patches[i].bytes; b++)
            p[patches[i].at + (size_t)b] =
                (uint8_t)(patches[i].value >> 8 * (patches[i].bytes - 1 - b));
        mg_dicom_error err = {0};
        cr_expect_neq(mg_dicom_j2k_read_header(p, c.size, &h, &err), MG_DICOM_OK, "patch %zu", i);
        cr_expect(strstr(err.message, patches[i].says), "patch %zu: %s", i, err.message);
        free(p);
    }
    memcpy(c.bytes + 24, (const uint8_t[8]){0, 0, 0, 1, 0, 0, 0, 1}, 8); /* 4096 tiles */
    mg_dicom_error err = {0};
    cr_expect_neq(mg_dicom_j2k_read_header(c.bytes, c.size, &h, &err), MG_DICOM_OK);
    cr_expect(strstr(err.message, "more tiles"), "%s", err.message);
    free(c.bytes);
    free(samples);
}

Test(codec_gates, gate_reads_every_prefix_and_flip) {
    encoding e = {
        .rows = 40, .columns = 40, .samples = 1, .bits = 8, .levels = 2, .tile = 16, .jp2 = true};
    uint16_t *samples = smooth_noise(&e, 5);
    codestream c = encode_j2k(&e, samples);
    mg_dicom_j2k_header h;
    for (size_t n = 0; n < c.size; n++) {
        uint8_t *exact = malloc(n + 1); /* sanitizers see a byte read too far */
        memcpy(exact, c.bytes, n);
        exact = realloc(exact, n ? n : 1);
        bool good = mg_dicom_j2k_read_header(exact, n, &h, NULL) == MG_DICOM_OK;
        bool whole = good && h.complete && h.terminated;
        cr_expect(!whole, "%zu of %zu bytes are no whole stream", n, c.size);
        free(exact);
    }
    for (size_t i = 0; i < c.size; i++) {
        c.bytes[i] ^= 0xFF;
        mg_dicom_j2k_read_header(c.bytes, c.size, &h, NULL);
        c.bytes[i] ^= 0xFF;
    }
    free(c.bytes);
    free(samples);
}

/* --- JPEG-LS ---------------------------------------------------------------------------------- */

/* Preset thresholds, RESET and NEAR other than the defaults, against the library's encoder
 * and decoder: near-lossless values must agree to the bit. */
static void compare_with_library(int bits, int near, const charls_jpegls_pc_parameters *presets) {
    encoding e = {.rows = 61, .columns = 57, .samples = 1, .bits = bits};
    size_t n = (size_t)e.rows * e.columns, word = bits <= 8 ? 1 : 2, written = 0;
    uint16_t *samples = smooth_noise(&e, (uint32_t)(bits + near)), *out = malloc(n * 2);
    uint8_t *source = malloc(n * word), *coded = malloc(n * 8 + 4096), *want = malloc(n * word);
    for (size_t i = 0; i < n; i++) {
        if (presets->maximum_sample_value && samples[i] > presets->maximum_sample_value)
            samples[i] = (uint16_t)presets->maximum_sample_value;
        memcpy(source + i * word, &samples[i], word);
    }
    charls_frame_info info = {e.columns, e.rows, bits, 1};
    charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
    charls_jpegls_decoder *decoder = charls_jpegls_decoder_create();
    cr_assert(!charls_jpegls_encoder_set_frame_info(encoder, &info) &&
              !charls_jpegls_encoder_set_near_lossless(encoder, near) &&
              !charls_jpegls_encoder_set_preset_coding_parameters(encoder, presets) &&
              !charls_jpegls_encoder_set_destination_buffer(encoder, coded, n * 8 + 4096));
    cr_assert(!charls_jpegls_encoder_encode_from_buffer(encoder, source, n * word, 0) &&
                  !charls_jpegls_encoder_get_bytes_written(encoder, &written),
              "%d bits near %d", bits, near);
    cr_assert(!charls_jpegls_decoder_set_source_buffer(decoder, coded, written) &&
              !charls_jpegls_decoder_read_header(decoder) &&
              !charls_jpegls_decoder_decode_to_buffer(decoder, want, n * word, 0));
    mg_dicom_jls_header h;
    mg_dicom_error err = {0};
    mg_dicom_codec_frame frame = {e.rows, e.columns, 1, 2};
    cr_assert_eq(mg_dicom_jls_read_header(coded, written, &h, &err), MG_DICOM_OK);
    cr_assert_eq(mg_dicom_jls_decode(coded, written, &h, &frame, out, NULL, &err), MG_DICOM_OK,
                 "%d bits near %d: %s", bits, near, err.message);
    for (size_t i = 0; i < n; i++) {
        uint16_t v = 0;
        memcpy(&v, want + i * word, word);
        cr_assert_eq(out[i], v, "%d bits near %d sample %zu: %u, not %u", bits, near, i, out[i], v);
    }
    charls_jpegls_encoder_destroy(encoder);
    charls_jpegls_decoder_destroy(decoder);
    free(samples);
    free(out);
    free(source);
    free(coded);
    free(want);
}

Test(codec_gates, jls_parameters_other_than_the_defaults) {
    for (int bits = 2; bits <= 16; bits++)
        for (int near = 0; near <= 5 && near <= ((1 << bits) - 1) / 2; near++) {
            int most = (1 << bits) - 1;
            compare_with_library(bits, near, &(charls_jpegls_pc_parameters){0});
            if (bits < 8) continue;
            charls_jpegls_pc_parameters p = {most, near + 2, near + 9, near + 40, 31};
            compare_with_library(bits, near, &p);
            p = (charls_jpegls_pc_parameters){most, near + 1, near + 1, near + 1, 3};
            compare_with_library(bits, near, &p);
        }
}

typedef struct edit {
    const char *says;
    size_t at; /* of the byte, counted from the marker `after` */
    uint8_t after, value;
} edit;

Test(codec_gates, jls_headers_that_cannot_be) {
    static const edit edits[] = {
        {"frame header", 3, 0xF7, 200},  {"precision", 4, 0xF7, 1},
        {"precision", 4, 0xF7, 17},      {"subsampled", 11, 0xF7, 0x21},
        {"NEAR beyond", 7, 0xDA, 200},   {"scan header", 4, 0xDA, 2},
        {"not there", 5, 0xDA, 77},      {"mapping table", 6, 0xDA, 1},
        {"point transform", 9, 0xDA, 1}, {"segment length", 2, 0xDA, 0xFF},
    };
    encoding e = {.rows = 20, .columns = 20, .samples = 1, .bits = 8};
    uint16_t *samples = smooth_noise(&e, 2), out[400];
    codestream c = encode_jls(&e, samples);
    mg_dicom_codec_frame frame = {20, 20, 1, 2};
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        size_t marker = 0;
        while (c.bytes[marker] != 0xFF || c.bytes[marker + 1] != edits[i].after) marker++;
        uint8_t *p = c.bytes + marker + edits[i].at, kept = *p;
        *p = edits[i].value;
        mg_dicom_jls_header h;
        mg_dicom_error err = {0};
        mg_dicom_status status = mg_dicom_jls_read_header(c.bytes, c.size, &h, &err);
        if (status == MG_DICOM_OK)
            status = mg_dicom_jls_decode(c.bytes, c.size, &h, &frame, out, NULL, &err);
        cr_expect_neq(status, MG_DICOM_OK, "edit %zu", i);
        cr_expect(strstr(err.message, edits[i].says), "edit %zu: %s", i, err.message);
        *p = kept;
    }
    free(c.bytes);
    free(samples);
}

/* Streams like these sent decoders into endless loops: run mode whose counters explode. */
Test(codec_gates, jls_damage_always_ends, .timeout = 20) {
    encoding e = {.rows = 40, .columns = 40, .samples = 1, .bits = 8};
    uint16_t *samples = smooth_noise(&e, 2), out[1600];
    codestream c = encode_jls(&e, samples);
    mg_dicom_codec_frame frame = {40, 40, 1, 2};
    uint32_t seed = 12;
    int errors = 0;
    for (int i = 0; i < 3000; i++) {
        uint8_t *p = malloc(c.size);
        memcpy(p, c.bytes, c.size);
        for (int k = 0; k < 4; k++)
            p[40 + pixel_random(&seed) % (c.size - 42)] =
                (uint8_t)(pixel_random(&seed) & (i & 1 ? 0 : 0x7F));
        mg_dicom_jls_header h;
        mg_dicom_error err = {0};
        if (mg_dicom_jls_read_header(p, c.size, &h, &err) == MG_DICOM_OK)
            errors += mg_dicom_jls_decode(p, c.size, &h, &frame, out, NULL, &err) != MG_DICOM_OK;
        free(p);
    }
    cr_expect_gt(errors, 1500, "%d of 3000 damaged streams were noticed", errors);
    free(c.bytes);
    free(samples);
}
