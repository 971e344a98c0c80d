/* Preprocessing after decoding, augmentation and cache entries, one thread; best and median of
 * repeated runs on a synthetic 3328 x 2560 image, in processor time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/augment.h"
#include "data/cache.h"
#include "data/crop.h"
#include "data/preprocess.h"
#include "data/resize.h"

enum { ROWS = 3328, COLUMNS = 2560, RUNS = 15 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, double times[RUNS]) {
    qsort(times, RUNS, sizeof *times, ascending);
    printf("%-42s best %7.2f ms  median %7.2f ms\n", what, 1e3 * times[0], 1e3 * times[RUNS / 2]);
}

/* A bright half-ellipse with texture on a dark, noisy ground, 12 bits. */
static void draw(float *p) {
    uint32_t noise = 1;
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLUMNS; x++) {
            noise = noise * 1664525u + 1013904223u;
            double dy = (y - ROWS / 2.0) / (0.42 * ROWS), dx = x / (0.7 * COLUMNS);
            float v = dy * dy + dx * dx < 1 ? 1500 + 300 * sinf(0.01f * (float)(x + y)) : 30;
            p[(size_t)y * COLUMNS + x] = floorf(v + (float)(noise >> 27));
        }
}

int main(void) {
    static float *image, *work, *input;
    size_t n = (size_t)ROWS * COLUMNS;
    image = malloc(n * sizeof *image);
    work = malloc(n * sizeof *work);
    mg_preprocess_settings s = mg_preprocess_defaults();
    size_t m = (size_t)s.height * s.width;
    input = malloc(m * sizeof *input);
    mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
    mg_prepared prepared = {0};
    double times[RUNS];
    if (!image || !work || !input || !p) return 1;
    draw(image);
    for (int i = 0; i < RUNS; i++) {
        memcpy(work, image, n * sizeof *work);
        mg_prepared_free(&prepared);
        double t = now();
        if (mg_preprocess_pixels(p, work, ROWS, COLUMNS, false, &prepared, NULL)) return 1;
        times[i] = now() - t;
    }
    print("range, normalise, crop, resize, quantise", times);
    mg_geometry g = {.rows = ROWS, .columns = COLUMNS, .height = s.height, .width = s.width};
    for (int i = 0; i < RUNS; i++) {
        double t = now();
        if (mg_crop_breast(work, ROWS, COLUMNS, 0.01f, &g.row, &g.column, NULL)) return 1;
        times[i] = now() - t;
    }
    print("  of it the breast crop", times);
    for (int i = 0; i < RUNS; i++) {
        double t = now();
        if (mg_resize(work, &g, input, NULL)) return 1;
        times[i] = now() - t;
    }
    print("  of it the resize", times);
    mg_augment_settings a = mg_augment_defaults();
    for (int k = 0; k < 2; k++) {
        a.contrast = a.gamma = k ? 0.3f : 0;
        for (int i = 0; i < RUNS; i++) {
            mg_augment_draw d;
            mg_augment_sample(&a, 1, 0, (uint32_t)i, s.height, s.width, &d);
            double t = now();
            mg_augment_apply(&d, prepared.pixels, s.height, s.width, input);
            times[i] = now() - t;
        }
        print(k ? "augmentation with contrast and gamma" : "augmentation, flips and affine", times);
    }
    for (int level = 0; level <= 1; level++) {
        uint8_t key[16] = {0}, *data;
        size_t size;
        char name[64];
        if (mg_cache_encode(&prepared, key, level, &data, &size, NULL)) return 1;
        for (int i = 0; i < RUNS; i++) {
            mg_prepared out;
            double t = now();
            if (mg_cache_decode(data, size, key, &out, NULL)) return 1;
            times[i] = now() - t;
            mg_prepared_free(&out);
        }
        snprintf(name, sizeof name, "cache entry decoded, level %d, %zu KiB", level, size >> 10);
        print(name, times);
        free(data);
    }
    mg_prepared_free(&prepared);
    mg_preprocessor_destroy(p);
    free(image);
    free(work);
    free(input);
    return 0;
}
