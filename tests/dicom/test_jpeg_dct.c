/* Baseline, extended and progressive JPEG: small streams of other encoders against other decoders
 * (within one; chroma that was subsampled within two, for decoders differ in how they interpolate),
 * the inverse DCT against its definition in f64, and streams with something wrong. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "dicom/jpeg_internal.h"
#include "tensor/rng.h"
#include "tests/golden/jpeg_dct.h"

enum { GOLDEN = sizeof golden_jpegs / sizeof golden_jpegs[0] };

static const struct golden_jpeg *golden(const char *name) {
    for (int i = 0; i < GOLDEN; i++)
        if (strcmp(golden_jpegs[i].name, name) == 0) return &golden_jpegs[i];
    cr_assert_fail("no golden stream %s", name);
    return NULL;
}

Test(jpeg_dct, golden_streams) {
    for (int i = 0; i < GOLDEN; i++) {
        const struct golden_jpeg *g = &golden_jpegs[i];
        size_t n = (size_t)g->rows * g->columns * (size_t)g->samples;
        bool wide = strstr(g->name, "_12") != NULL;
        for (int word_bytes = wide ? 2 : 1; word_bytes <= 2; word_bytes++) {
            mg_dicom_codec_frame frame = {g->rows, g->columns, g->samples, word_bytes};
            uint8_t *out = malloc(n * (size_t)word_bytes);
            mg_dicom_error err = {0};
            cr_assert_eq(mg_dicom_jpeg_decode(g->stream, g->size, &frame, out, NULL, &err),
                         MG_DICOM_OK, "%s: %s", g->name, err.message);
            double sum = 0;
            for (size_t k = 0; k < n; k++) {
                int v = word_bytes == 1 ? out[k] : ((const uint16_t *)(void *)out)[k];
                int difference = abs(v - g->expected[k]);
                sum += difference;
                cr_assert_leq(difference, g->tolerance, "%s: sample %zu is %d, not %d", g->name, k,
                              v, g->expected[k]);
            }
            cr_assert_lt(sum / (double)n, 0.2, "%s: mean difference %g", g->name, sum / (double)n);
            free(out);
        }
    }
}

Test(jpeg_dct, headers) {
    static const struct {
        const char *name;
        mg_dicom_jpeg_process process;
        int precision, h, v;
    } want[] = {
        {"baseline", MG_DICOM_JPEG_BASELINE, 8, 1, 1},
        {"color_444", MG_DICOM_JPEG_BASELINE, 8, 1, 1},
        {"color_422", MG_DICOM_JPEG_BASELINE, 8, 2, 1},
        {"color_420", MG_DICOM_JPEG_BASELINE, 8, 2, 2},
        {"progressive", MG_DICOM_JPEG_PROGRESSIVE, 8, 1, 1},
        {"extended_12", MG_DICOM_JPEG_EXTENDED, 12, 1, 1},
        {"progressive_12", MG_DICOM_JPEG_PROGRESSIVE, 12, 1, 1},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct golden_jpeg *g = golden(want[i].name);
        mg_dicom_codec_header h;
        cr_assert_eq(mg_dicom_jpeg_header(g->stream, g->size, &h, NULL), MG_DICOM_OK);
        cr_assert(h.process == want[i].process && h.precision == want[i].precision, "%s", g->name);
        cr_assert(h.rows == g->rows && h.columns == g->columns && h.components == g->samples);
        cr_assert(h.component[0].h == want[i].h && h.component[0].v == want[i].v);
        cr_assert_eq(h.subsampled, want[i].h > 1);
        cr_assert_eq(h.predictor, 0);
        cr_assert_leq(h.least_bytes, g->size);
        cr_assert_eq(h.color, h.jfif ? MG_DICOM_JPEG_COLOR_YCC : MG_DICOM_JPEG_COLOR_UNKNOWN);
    }
}

Test(jpeg_dct, inverse_against_the_definition) {
    mg_rng_key key = {.seed = 2, .purpose = MG_RNG_TEST};
    uint16_t quant[64], out[64];
    const double pi = acos(-1);
    int ties = 0;
    for (uint32_t test = 0; test < 2000; test++) {
        int16_t block[64] = {0};
        uint32_t max = test & 1 ? 4095 : 255;
        for (uint32_t k = 0; k < 64; k++) {
            quant[k] = (uint16_t)(1 + mg_rng_below(&key, test * 256 + k, 20));
            if (mg_rng_below(&key, test * 256 + 64 + k, 64) < test % 64)
                block[k] = (int16_t)((int)mg_rng_below(&key, test * 256 + 128 + k, 61) - 30);
        }
        mg_jpeg_inverse_dct(block, quant, max, out, 8);
        for (int y = 0; y < 8; y++) {
            for (int x = 0; x < 8; x++) {
                double sum = (max + 1) / 2;
                for (int v = 0; v < 8; v++)
                    for (int u = 0; u < 8; u++)
                        sum += 0.25 * (u ? 1 : sqrt(0.5)) * (v ? 1 : sqrt(0.5)) * block[8 * v + u] *
                               quant[8 * v + u] * cos((2 * x + 1) * u * pi / 16) *
                               cos((2 * y + 1) * v * pi / 16);
                double expected = fmin(fmax(floor(sum + 0.5), 0), max);
                if (out[8 * y + x] == expected) continue;
                ties++; /* only where rounding is a near tie */
                cr_assert_float_eq(fabs(sum - floor(sum) - 0.5), 0, 2e-3, "%g became %d", sum,
                                   out[8 * y + x]);
            }
        }
    }
    cr_assert_lt(ties, 200);
}

/* Extreme coefficients are clamped, not undefined. */
Test(jpeg_dct, inverse_of_extremes) {
    int16_t block[64];
    uint16_t quant[64], out[64];
    for (int k = 0; k < 64; k++) block[k] = k & 1 ? 32767 : -32768, quant[k] = 65535;
    mg_jpeg_inverse_dct(block, quant, 4095, out, 8);
    for (int k = 0; k < 64; k++) cr_assert(out[k] == 0 || out[k] == 4095);
}

/* --- what is refused -------------------------------------------------------------------------- */

static uint8_t stream[20000];

static size_t load(const char *name, mg_dicom_codec_frame *frame) {
    const struct golden_jpeg *g = golden(name);
    memcpy(stream, g->stream, g->size);
    *frame = (mg_dicom_codec_frame){g->rows, g->columns, g->samples, 2};
    return g->size;
}

static uint8_t *marker(size_t size, uint8_t code) {
    for (size_t i = 0; i + 1 < size; i++)
        if (stream[i] == 0xFF && stream[i + 1] == code) return stream + i;
    cr_assert_fail("no marker %02X", code);
    return NULL;
}

static void refuse(size_t size, mg_dicom_codec_frame frame, mg_dicom_status status,
                   const char *text) {
    static uint16_t out[21 * 30 * 4];
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_jpeg_decode(stream, size, &frame, out, NULL, &err), status, "%s: %s",
                 text, err.message);
    cr_assert(strstr(err.message, text), "\"%s\", not \"%s\"", err.message, text);
}

Test(jpeg_dct, refusals) {
    mg_dicom_codec_frame f;
    size_t size = load("baseline", &f);
    marker(size, 0xDB)[4] = 0x03; /* the table is now 3, but the frame wants 0 */
    refuse(size, f, MG_DICOM_ERR_PIXELS, "quantization table 0, which no DQT has defined");
    size = load("baseline", &f);
    marker(size, 0xC0)[1] = 0xC9;
    refuse(size, f, MG_DICOM_ERR_UNSUPPORTED, "arithmetic");
    size = load("baseline", &f);
    marker(size, 0xC0)[4] = 12; /* baseline is 8 bits */
    refuse(size, f, MG_DICOM_ERR_PIXELS, "precision 12");
    size = load("baseline", &f);
    refuse(size - 40, f, MG_DICOM_ERR_PIXELS, "ends early");
    size = load("baseline", &f);
    f.rows++;
    refuse(size, f, MG_DICOM_ERR_PIXELS, "the data set says 22");
    size = load("baseline_restarts", &f);
    marker(size, 0xD1)[1] = 0xD2;
    refuse(size, f, MG_DICOM_ERR_PIXELS, "where RST1 is due");
    size = load("color_420", &f);
    marker(size, 0xC0)[11] = 0x44;
    refuse(size, f, MG_DICOM_ERR_PIXELS, "blocks in an MCU");
    size = load("progressive", &f);
    marker(size, 0xDA)[9] = 0x20; /* refines what was never coded */
    refuse(size, f, MG_DICOM_ERR_PIXELS, "");
    size = load("separate_scans", &f);
    uint8_t *last = stream + size - 2;
    while (last[0] != 0xFF || last[1] != 0xDA) last--;
    last[5] = 1; /* component 1 again instead of 3 */
    refuse(size, f, MG_DICOM_ERR_PIXELS, "second scan of component 1");
    last[0] = 0xFF, last[1] = 0xD9; /* EOI after two of three scans */
    refuse(size, f, MG_DICOM_ERR_PIXELS, "without a scan of component 3");
}

Test(jpeg_dct, partial_image) {
    for (int i = 0; i < GOLDEN; i++) {
        const struct golden_jpeg *g = &golden_jpegs[i];
        mg_dicom_codec_frame frame;
        size_t size = load(g->name, &frame);
        size_t n = (size_t)g->rows * g->columns * (size_t)g->samples;
        uint16_t *out = malloc(n * 2);
        bool partial = false;
        mg_dicom_codec_options options = {.allow_partial = true, .partial = &partial};
        mg_dicom_error err = {0};
        cr_assert_eq(mg_dicom_jpeg_decode(stream, size - 12, &frame, out, &options, &err),
                     MG_DICOM_OK, "%s: %s", g->name, err.message);
        cr_assert(partial, "%s", g->name);
        if (strcmp(g->name, "baseline") == 0) /* the first block row is complete */
            for (size_t k = 0; k < 8 * g->columns; k++)
                cr_assert(abs(out[k] - g->expected[k]) <= 1);
        free(out);
    }
}

Test(jpeg_dct, random_damage) {
    mg_rng_key key = {.seed = 6, .purpose = MG_RNG_TEST};
    static uint16_t out[21 * 30 * 4];
    for (uint32_t i = 0; i < 4000; i++) {
        mg_dicom_codec_frame frame;
        size_t size = load(golden_jpegs[i % GOLDEN].name, &frame);
        for (uint32_t k = 0; k <= i % 4; k++)
            stream[mg_rng_below(&key, i * 16 + k, (uint32_t)size)] =
                (uint8_t)mg_rng_below(&key, i * 16 + 8 + k, 256);
        uint8_t *exact = malloc(size);
        memcpy(exact, stream, size);
        mg_dicom_codec_options options = {.allow_partial = i & 1};
        mg_dicom_error err = {0};
        mg_dicom_status status = mg_dicom_jpeg_decode(exact, size, &frame, out, &options, &err);
        cr_assert_eq(status, err.code);
        free(exact);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static size_t append(size_t at, const void *bytes, size_t n) {
    memcpy(stream + at, bytes, n);
    return at + n;
}

/* 63 scans of a few bytes, each of which passes over all 2^18 blocks. */
Test(jpeg_dct, scans_that_cost_more_than_their_bytes) {
    enum { SIDE = 4096, SIZE = sizeof stream };
    static const uint8_t start[] = {0xFF,      0xD8, 0xFF,      0xC2, 0,  11,   8,
                                    SIDE >> 8, 0,    SIDE >> 8, 0,    1,  1,    0x11,
                                    0,         0xFF, 0xC4,      0,    20, 0x10, 1};
    static const uint8_t symbols[16] = {[15] = 0xE0}; /* one code, "0": 2^14 blocks and more */
    uint8_t quant[69] = {0xFF, 0xDB, 0, 67, 0};
    memset(quant + 5, 1, 64);
    memset(stream, 0, SIZE);
    size_t n = append(0, start, sizeof start);
    n = append(n, symbols, sizeof symbols);
    n = append(n, quant, sizeof quant);
    for (uint8_t k = 1; k < 64; k++) {
        const uint8_t scan[] = {0xFF, 0xDA, 0, 8, 1, 1, 0, k, k, 0};
        n = append(n, scan, sizeof scan);
        uint64_t bits = 0; /* nine runs of 15 bits: 0 and 14 ones */
        int have = 0;
        for (int run = 0; run < 9; run++) {
            bits = bits << 15 | 0x3FFF;
            for (have += 15; have >= 8; have -= 8) {
                uint8_t byte = (uint8_t)(bits >> (have - 8));
                stream[n++] = byte;
                if (byte == 0xFF) stream[n++] = 0;
            }
        }
        stream[n++] = (uint8_t)(bits << (8 - have) | ((1u << (8 - have)) - 1));
        if (stream[n - 1] == 0xFF) stream[n++] = 0;
    }
    n = append(n, (const uint8_t[]){0xFF, 0xD9}, 2);
    cr_assert_lt(n, SIZE);
    uint8_t *out = malloc((size_t)SIDE * SIDE);
    mg_dicom_codec_frame frame = {SIDE, SIDE, 1, 1};
    mg_dicom_codec_options options = {.allow_partial = true}; /* whatever the number of bytes */
    mg_dicom_error err = {0};
    mg_dicom_status status = mg_dicom_jpeg_decode(stream, SIZE, &frame, out, &options, &err);
    cr_expect_eq(status, MG_DICOM_ERR_LIMIT, "%s", err.message);
    cr_expect(strstr(err.message, "is worth"), "%s", err.message);
    free(out);
}
