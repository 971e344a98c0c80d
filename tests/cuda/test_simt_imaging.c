/* Preprocessing and augmentation on the emulated device against data/ on the CPU, on synthetic
 * images of odd sizes: equal bits, except after a change of contrast, whose mean is summed in
 * another order (within a quarter of a 16-bit level). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/augment.h"
#include "data/crop.h"
#include "data/phantom.h"
#include "data/preprocess.h"
#include "dicom/grey.h"
#include "ops/imaging.h"
#include "tests/lib/emulator.h"

static void *room(size_t bytes) {
    void *block = emulator->memory->alloc(bytes ? bytes : 1, "test");
    cr_assert(block);
    return block;
}

static void *upload(const void *host, size_t bytes) {
    void *block = room(bytes);
    emulator->memory->write(block, host, bytes);
    return block;
}

static void download(void *host, void *device, size_t bytes) {
    emulator->memory->read(host, device, bytes);
    const char *failure = emulator->memory->failure(true);
    cr_assert(!failure, "%s", failure ? failure : "");
    emulator->memory->free(device);
}

static float noise(uint32_t i) {
    return mg_rng_uniform(&(mg_rng_key){.seed = 31, .purpose = MG_RNG_TEST}, i);
}

enum { ROWS = 137, COLUMNS = 83, N = ROWS * COLUMNS };

/* Grey values as 12-bit detectors give them; dark borders, a dark row and column inside. */
static void fill(float *pixels) {
    for (uint32_t y = 0; y < ROWS; y++)
        for (uint32_t x = 0; x < COLUMNS; x++) {
            bool dark = y < 5 || y > 120 || y == 60 || x < 9 || x == 40 || x > 79;
            uint32_t i = y * COLUMNS + x;
            pixels[i] = dark ? 0 : 1 + floorf(4094 * noise(i));
        }
}

/* Values of stored words -1000 … 2999 on the device. */
enum { FIRST = -1000, VALUES = 4000 };
static void same_values(const mg_imaging_grey *g, const mg_dicom_grey *oracle) {
    static float got[VALUES];
    static double want[VALUES];
    for (int i = 0; i < VALUES; i++) want[i] = FIRST + i;
    mg_dicom_grey_values(oracle, want, VALUES);
    float *table = room(sizeof got);
    emulator->imaging->values(g, FIRST, VALUES, table);
    download(got, table, sizeof got);
    for (int i = 0; i < VALUES; i++)
        cr_assert_eq(got[i], (float)want[i], "window %d: value of %d is %.9g, not %.9g", g->window,
                     FIRST + i, (double)got[i], want[i]);
}

EMULATOR_TEST(simt_imaging, windows) {
    static const int voi[] = {MG_DICOM_VOI_LINEAR, MG_DICOM_VOI_LINEAR_EXACT, MG_DICOM_VOI_SIGMOID};
    static const double widths[] = {1, 2000, 333.5};
    for (int kind = 0; kind < 3; kind++)
        for (int k = 0; k < 3; k++) {
            mg_imaging_grey g = {k == 2 ? -0.7 : 1, k == 2 ? 1433.1 : 0, (mg_imaging_window)kind,
                                 800.25, widths[k]};
            mg_dicom_grey oracle = {.modality = {k == 2, g.slope, g.intercept, {0}, true},
                                    .voi = {.kind = MG_DICOM_VOI_WINDOW}};
            oracle.voi.window.center = g.centre;
            oracle.voi.window.width = g.width;
            oracle.voi.window.function = voi[kind];
            same_values(&g, &oracle);
        }
    mg_imaging_grey rescale = {2.5, -7, MG_IMAGING_NO_WINDOW, 0, 0};
    mg_dicom_grey oracle = {.modality = {true, 2.5, -7, {0}, true}};
    same_values(&rescale, &oracle);
}

/* Words of every kind, the least and the most among them, with and without padding. */
EMULATOR_TEST(simt_imaging, look_up) {
    enum { PIXELS = 1001 };
    static float table[65536], got[PIXELS];
    static uint16_t words[PIXELS];
    static uint8_t bytes[PIXELS];
    for (int i = 0; i < 65536; i++) table[i] = 3 * (float)i - 1000;
    for (uint32_t i = 0; i < PIXELS; i++) {
        words[i] = (uint16_t)(i == 0 ? 0 : i == 1 ? 65535 : i == 2 ? 32768 : 65535 * noise(i));
        bytes[i] = (uint8_t)(words[i] >> 8);
    }
    for (int kind = 0; kind < 8; kind++) {
        mg_imaging_stored s = {NULL, PIXELS, kind & 1 ? 2 : 1, kind & 2, 1, 0};
        if (kind & 4) s.padding_low = -20, s.padding_high = 90;
        const int least = mg_imaging_least(s.word_bytes, s.is_signed);
        const size_t entries = mg_imaging_levels(s.word_bytes);
        void *pixels = s.word_bytes == 2 ? upload(words, sizeof words) : upload(bytes, PIXELS);
        void *on_device = upload(table, entries * sizeof *table), *out = room(sizeof got);
        s.pixels = pixels;
        emulator->imaging->look_up(&s, on_device, out);
        download(got, out, sizeof got);
        for (int i = 0; i < PIXELS; i++) {
            int x = s.word_bytes == 2 ? s.is_signed ? (int16_t)words[i] : words[i]
                    : s.is_signed ? (int8_t)bytes[i]
                                      : bytes[i];
            bool padding = x >= s.padding_low && x <= s.padding_high;
            cr_assert(padding ? isnan(got[i]) : got[i] == table[x - least],
                      "kind %d, pixel %d: %d gives %g", kind, i, x, (double)got[i]);
        }
        emulator->memory->free(pixels);
        emulator->memory->free(on_device);
    }
}

EMULATOR_TEST(simt_imaging, padding_becomes_background) {
    for (int invert = 0; invert < 2; invert++) {
        float pixels[300], got[300];
        for (int i = 0; i < 300; i++) pixels[i] = i % 3 ? (float)i : NAN;
        float *on_device = upload(pixels, sizeof pixels);
        emulator->imaging->normalise(on_device, 300, 10, 200, invert);
        download(got, on_device, sizeof got);
        for (int i = 0; i < 300; i++) {
            float x = i < 10 ? 0 : i > 200 ? 1 : (float)(i - 10) / 190;
            cr_assert_eq(got[i], i % 3 ? invert ? 1 - x : x : 0, "%d: %g", i, (double)got[i]);
        }
    }
}

EMULATOR_TEST(simt_imaging, range_passes_over_nan) {
    static const int sizes[] = {1, 2, 255, 2049, N};
    static float pixels[N];
    for (int s = 0; s < 5; s++) {
        int n = sizes[s];
        float least = INFINITY, most = -INFINITY, got[2];
        for (int i = 0; i < n; i++) {
            pixels[i] = i % 7 == 3 ? NAN : 100 * noise((uint32_t)i) - 50;
            if (pixels[i] < least) least = pixels[i];
            if (pixels[i] > most) most = pixels[i];
        }
        float *on_device = upload(pixels, (size_t)n * sizeof *pixels), *out = room(sizeof got);
        void *scratch = room(emulator->imaging->range_scratch(n));
        emulator->imaging->range(on_device, n, scratch, out);
        download(got, out, sizeof got);
        cr_expect_eq(got[0], least);
        cr_expect_eq(got[1], most);
        emulator->memory->free(on_device);
        emulator->memory->free(scratch);
    }
}

/* Of values in squares of 2 x 2; sizes with no square, one, and more rows than blocks. */
EMULATOR_TEST(simt_imaging, steady_range) {
    static const uint32_t sizes[][2] = {{1, 1},   {2, 2},          {1, 300},
                                        {300, 1}, {ROWS, COLUMNS}, {1500, 7}};
    static float pixels[N];
    for (int k = 0; k < 6; k++) {
        const uint32_t rows = sizes[k][0], columns = sizes[k][1];
        float low = INFINITY, high = -INFINITY, got[2];
        for (uint32_t i = 0; i < rows * columns; i++)
            pixels[i] = k > 3 && i % 19 == 3 ? NAN : 100 * noise(i) - 50;
        for (uint32_t y = 0; y + 1 < rows; y++)
            for (uint32_t x = 0; x + 1 < columns; x++) {
                const float *v = pixels + y * columns + x, *w = v + columns;
                if (isnan(v[0] + v[1] + w[0] + w[1])) continue;
                low = fminf(low, fmaxf(fmaxf(v[0], v[1]), fmaxf(w[0], w[1])));
                high = fmaxf(high, fminf(fminf(v[0], v[1]), fminf(w[0], w[1])));
            }
        float *image = upload(pixels, rows * columns * sizeof *pixels), *out = room(sizeof got);
        void *scratch = room(emulator->imaging->steady_range_scratch(rows));
        emulator->imaging->steady_range(image, rows, columns, scratch, out);
        download(got, out, sizeof got);
        cr_expect(got[0] == low && got[1] == high, "%u x %u: %g, %g, not %g, %g", rows, columns,
                  (double)got[0], (double)got[1], (double)low, (double)high);
        emulator->memory->free(image);
        emulator->memory->free(scratch);
    }
}

/* Marks of the zero crop as a list of kept indices. */
static uint32_t kept(const uint8_t *mark, uint32_t n, uint32_t *list) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (mark[i]) list[count++] = i;
    return count;
}

/* Range, min-max, inversion, zero crop, resize, 16 bits, all on the device. */
static void prepare(float *pixels, bool invert, uint32_t height, uint32_t width, uint16_t *out) {
    float range[2];
    uint8_t row_mark[ROWS], column_mark[COLUMNS];
    uint32_t row[ROWS], column[COLUMNS];
    float *image = upload(pixels, N * sizeof *pixels), *on_device = room(sizeof range);
    void *scratch = room(emulator->imaging->range_scratch(N));
    emulator->imaging->range(image, N, scratch, on_device);
    download(range, on_device, sizeof range);
    emulator->memory->free(scratch);
    emulator->imaging->normalise(image, N, range[0], range[1], invert);
    uint8_t *rows = room(ROWS), *columns = room(COLUMNS);
    emulator->imaging->lit(image, ROWS, COLUMNS, rows, columns);
    download(row_mark, rows, ROWS);
    download(column_mark, columns, COLUMNS);
    mg_imaging_resize r = {.columns = COLUMNS, .height = height, .width = width};
    r.kept_rows = kept(row_mark, ROWS, row);
    r.kept_columns = kept(column_mark, COLUMNS, column);
    uint32_t *row_list = upload(row, sizeof row), *column_list = upload(column, sizeof column);
    r.row = row_list;
    r.column = column_list;
    scratch = room(emulator->imaging->resize_scratch(&r));
    float *resized = room((size_t)height * width * sizeof(float));
    uint16_t *levels = room((size_t)height * width * sizeof *levels);
    emulator->imaging->resize(&r, image, scratch, resized);
    emulator->imaging->quantise(resized, (int64_t)height * width, levels);
    download(out, levels, (size_t)height * width * sizeof *levels);
    emulator->memory->free(image);
    emulator->memory->free(scratch);
    emulator->memory->free(resized);
    emulator->memory->free(row_list);
    emulator->memory->free(column_list);
}

EMULATOR_TEST(simt_imaging, whole_chain_gives_the_same_16_bits) {
    static const uint32_t sizes[][2] = {{61, 37}, {1, 1}, {151, 97}, {115, 70}, {7, 201}};
    static float pixels[N];
    static uint16_t got[151 * 97];
    for (int k = 0; k < 5; k++)
        for (int invert = 0; invert < 2; invert++) {
            mg_preprocess_settings settings = mg_preprocess_defaults();
            mg_error err = {0};
            mg_prepared want;
            settings.height = sizes[k][0];
            settings.width = sizes[k][1];
            settings.crop = MG_CROP_ZERO;
            mg_preprocessor *p = mg_preprocessor_create(&settings, &err);
            fill(pixels);
            for (int i = 0; invert && i < N; i++) pixels[i] = 4095 - pixels[i];
            prepare(pixels, invert, settings.height, settings.width, got);
            mg_status s = mg_preprocess_pixels(p, pixels, ROWS, COLUMNS, invert, &want, &err);
            cr_assert_eq(s, MG_OK, "%s", err.message);
            for (uint32_t i = 0; i < settings.height * settings.width; i++)
                cr_assert_eq(got[i], want.pixels[i], "%u x %u: pixel %u is %u, not %u",
                             settings.height, settings.width, i, got[i], want.pixels[i]);
            mg_prepared_free(&want);
            mg_preprocessor_destroy(p);
        }
}

/* Bounds of the breast crop, found on both; returns whether anything was cut off. */
static bool same_crop(const char *what, const float *pixels, uint32_t rows, uint32_t columns) {
    mg_error err = {0};
    mg_kept row, column, other_row, other_column;
    cr_assert_eq(mg_crop_breast(pixels, rows, columns, 0.01f, &row, &column, &err), MG_OK);
    float *image = upload(pixels, (size_t)rows * columns * sizeof *pixels);
    mg_status s = mg_crop_breast_device(emulator->memory, emulator->imaging, image, rows, columns,
                                        0.01f, &other_row, &other_column, &err);
    emulator->memory->free(image);
    cr_assert_eq(s, MG_OK, "%s: %s", what, err.message);
    cr_expect(row.first == other_row.first && row.count == other_row.count &&
                  column.first == other_column.first && column.count == other_column.count,
              "%s: rows %u+%u, %u+%u, columns %u+%u, %u+%u", what, row.first, row.count,
              other_row.first, other_row.count, column.first, column.count, other_column.first,
              other_column.count);
    return row.count < rows || column.count < columns;
}

static void to_unit_range(const mg_phantom_pixels *shown, bool invert, float *out) {
    int n = shown->rows * shown->columns, low = 65535, high = 0;
    for (int i = 0; i < n; i++) {
        low = shown->pixels[i] < low ? shown->pixels[i] : low;
        high = shown->pixels[i] > high ? shown->pixels[i] : high;
    }
    for (int i = 0; i < n; i++) {
        float v = (float)(shown->pixels[i] - low) / (float)(high - low);
        out[i] = invert ? 1 - v : v;
    }
}

EMULATOR_TEST(simt_imaging, breast_crop_of_phantoms) {
    static const int sizes[][2] = {{832, 1024}, {64, 64}, {401, 807}, {399, 401}};
    for (int k = 0; k < 4; k++) {
        mg_phantom_settings settings = mg_phantom_defaults();
        settings.patients = 2;
        settings.columns = sizes[k][0];
        settings.rows = sizes[k][1];
        mg_phantom_patient patient[2];
        mg_error err = {0};
        cr_assert_eq(mg_phantom_plan(&settings, patient, &err), MG_OK, "%s", err.message);
        mg_phantom_renderer *renderer = mg_phantom_renderer_create(&settings);
        cr_assert(renderer);
        size_t n = (size_t)settings.columns * (size_t)settings.rows;
        float *pixels = malloc(n * sizeof *pixels);
        for (int p = 0; p < 2; p++)
            for (int i = 0; i < patient[p].images; i++) {
                mg_phantom_pixels shown;
                char what[64];
                mg_phantom_render(renderer, &patient[p], i, &shown);
                to_unit_range(&shown, mg_phantom_machine_at(patient[p].machine)->monochrome1,
                              pixels);
                snprintf(what, sizeof what, "%d x %d, patient %d, image %d", settings.columns,
                         settings.rows, p, i);
                bool cut =
                    same_crop(what, pixels, (uint32_t)settings.rows, (uint32_t)settings.columns);
                cr_expect(cut || settings.columns == 64, "%s: nothing was cut off", what);
            }
        free(pixels);
        mg_phantom_renderer_destroy(renderer);
    }
}

/* Images at the edges of what the crop is made for. */
static void paint(float *pixels, uint32_t rows, uint32_t columns, int kind) {
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < columns; x++) {
            bool left = x < columns / 4, right = x >= columns - columns / 4;
            bool high = y > rows / 4 && y < rows / 2;
            float v = 0;
            if (kind == 1) v = 1;
            else if (kind == 2) v = high && (left || right) ? 0.75f : 0; /* two of equal size */
            else if (kind == 3) v = noise(y * columns + x);
            else if (kind == 4) v = y == rows / 2 ? 0.9f : 0.01f; /* a line: the opening takes it */
            else if (kind == 5) v = left ? 0.5f + 0.5f * noise(y * columns + x) : 0.02f;
            pixels[y * columns + x] = v;
        }
}

EMULATOR_TEST(simt_imaging, breast_crop_of_odd_images) {
    static const uint32_t sizes[][2] = {{1, 1},   {1, 900},   {900, 1},   {2, 401},
                                        {61, 37}, {401, 400}, {1201, 13}, {640, 803}};
    static float pixels[640 * 803];
    bool cut[6] = {0};
    for (int k = 0; k < 8; k++)
        for (int kind = 0; kind < 6; kind++) {
            char what[64];
            snprintf(what, sizeof what, "%u x %u, kind %d", sizes[k][0], sizes[k][1], kind);
            paint(pixels, sizes[k][0], sizes[k][1], kind);
            cut[kind] |= same_crop(what, pixels, sizes[k][0], sizes[k][1]);
        }
    cr_expect(cut[2] && cut[5] && !cut[0] && !cut[1]);
}

/* By how much the device's augmented image differs from the CPU's. */
static double augment_error(const mg_augment_draw *draw, const uint16_t *levels, uint32_t rows,
                            uint32_t columns) {
    const size_t n = (size_t)rows * columns;
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    mg_imaging_augment a = {.contrast = draw->contrast, .brightness = draw->brightness};
    double worst = 0;
    cr_assert(want && got);
    mg_augment_index_map(draw, rows, columns, a.map);
    mg_augment_apply(draw, levels, rows, columns, want);
    uint16_t *in = upload(levels, n * sizeof *levels);
    float *out = room(n * sizeof *got);
    void *scratch = room(emulator->imaging->augment_scratch);
    emulator->imaging->augment(&a, in, rows, columns, scratch, out);
    download(got, out, n * sizeof *got);
    emulator->memory->free(in);
    emulator->memory->free(scratch);
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)got[i] - (double)want[i]);
        if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
    }
    free(want);
    free(got);
    return worst;
}

EMULATOR_TEST(simt_imaging, augmentation) {
    static uint16_t levels[N];
    for (uint32_t i = 0; i < N; i++) levels[i] = (uint16_t)(65535 * noise(i));
    mg_augment_settings settings = mg_augment_defaults();
    for (uint32_t sample = 0; sample < 12; sample++) {
        mg_augment_draw draw;
        mg_augment_sample(&settings, 3, 1, sample, ROWS, COLUMNS, &draw);
        cr_expect_eq(augment_error(&draw, levels, ROWS, COLUMNS), 0, "sample %u", sample);
        if (sample % 3) continue; /* a table of all levels each: slow in the emulator */
        draw.contrast = 0.8 + 0.05 * sample;
        draw.brightness = 0.02 * sample - 0.1;
        cr_expect_lt(augment_error(&draw, levels, ROWS, COLUMNS), 0.25 / 65535,
                     "contrast, sample %u", sample);
    }
}

/* More pixels than the sum of grey values has threads: each thread adds several. Dark above, so
 * that a mean over a part would show. */
EMULATOR_TEST(simt_imaging, augmentation_of_a_large_image) {
    enum { TALL = 331, WIDE = 401 };
    static uint16_t levels[TALL * WIDE];
    for (uint32_t i = 0; i < TALL * WIDE; i++)
        levels[i] = (uint16_t)((i < TALL * WIDE / 2 ? 9999 : 65535) * noise(i));
    mg_augment_settings settings = mg_augment_defaults();
    mg_augment_draw draw;
    mg_augment_sample(&settings, 3, 1, 5, TALL, WIDE, &draw);
    draw.contrast = 0.7;
    cr_expect_lt(augment_error(&draw, levels, TALL, WIDE), 0.25 / 65535);
}
