/* bench_j2k_input.c: what --j2k-reduce auto saves, and what it changes in the network's input.
 *
 *     bench_j2k_input [REPETITIONS] FILE...
 *
 * Every file is prepared for a 955 x 500 network with each crop, at full resolution and reduced, in
 * turns, on one thread. Printed are median times of the whole way from file to input, and the
 * difference of the inputs in 16-bit steps over 65535: mean and largest absolute difference, that
 * part of it which a common gain and offset explain (the range that became 0 … 1 differs, too),
 * and by how many pixels of the original the crop moved. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/files.h"
#include "data/preprocess.h"

enum { MOST = 64 };

static double now(void) { /* other programs on the machine do not count */
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mg_prepared prepare(mg_preprocessor *p, const char *path, double *seconds) {
    mg_error err = {0};
    mg_prepared out;
    double start = now();
    if (mg_preprocess_file(p, path, NULL, &out, &err)) {
        fprintf(stderr, "bench_j2k_input: %s\n", err.message);
        exit(1);
    }
    *seconds = now() - start;
    return out;
}

static uint32_t end_of(const mg_kept *k) {
    return (k->list ? k->list[k->count - 1] : k->first + k->count - 1) + 1;
}

static double moved(const mg_kept *a, const mg_kept *b) {
    double from = fabs((double)a->first - b->first), to = fabs((double)end_of(a) - end_of(b));
    return from > to ? from : to;
}

typedef struct difference {
    double mean, most, left, crop;
} difference;

static difference compare(const mg_prepared *a, const mg_prepared *b) {
    size_t n = (size_t)a->geometry.height * a->geometry.width;
    double sa = 0, sb = 0, saa = 0, sab = 0;
    difference d = {0};
    for (size_t i = 0; i < n; i++) {
        double x = a->pixels[i] / 65535.0, y = b->pixels[i] / 65535.0;
        sa += x, sb += y, saa += x * x, sab += x * y;
        d.mean += fabs(x - y) / (double)n;
        if (fabs(x - y) > d.most) d.most = fabs(x - y);
    }
    double gain = ((double)n * sab - sa * sb) / ((double)n * saa - sa * sa);
    double offset = (sb - gain * sa) / (double)n;
    for (size_t i = 0; i < n; i++)
        d.left += fabs(b->pixels[i] / 65535.0 - gain * (a->pixels[i] / 65535.0) - offset);
    d.left /= (double)n;
    double rows = moved(&a->geometry.row, &b->geometry.row);
    double columns = moved(&a->geometry.column, &b->geometry.column);
    d.crop = rows > columns ? rows : columns;
    return d;
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static void one_file(const char *path, mg_crop_mode crop, int repetitions, difference *worst) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.crop = crop;
    mg_preprocessor *full = mg_preprocessor_create(&s, NULL);
    s.reduce = MG_REDUCE_AUTO;
    mg_preprocessor *fast = mg_preprocessor_create(&s, NULL);
    double slow_s[MOST], fast_s[MOST], unused;
    mg_prepared a = prepare(full, path, &unused), b = prepare(fast, path, &unused);
    difference d = compare(&a, &b);
    mg_prepared_free(&a);
    mg_prepared_free(&b);
    for (int i = 0; i < repetitions; i++) {
        a = prepare(full, path, &slow_s[i]);
        mg_prepared_free(&a);
        b = prepare(fast, path, &fast_s[i]);
        mg_prepared_free(&b);
    }
    double off = median(slow_s, repetitions), automatic = median(fast_s, repetitions);
    printf("%-24s %-6s %8.1f %8.1f %5.1fx  %8.5f %8.5f %8.5f %5.0f\n", mg_path_name(path),
           mg_crop_name(crop), 1e3 * off, 1e3 * automatic, off / automatic, d.mean, d.most, d.left,
           d.crop);
    worst->mean = fmax(worst->mean, d.mean);
    worst->most = fmax(worst->most, d.most);
    worst->left = fmax(worst->left, d.left);
    worst->crop = fmax(worst->crop, d.crop);
    mg_preprocessor_destroy(full);
    mg_preprocessor_destroy(fast);
}

int main(int argc, char **argv) {
    int first = 1, repetitions = 5;
    if (argc > 1 && atoi(argv[1]) > 0) repetitions = atoi(argv[first++]);
    if (repetitions > MOST) repetitions = MOST;
    if (first >= argc) {
        printf("bench_j2k_input: name JPEG 2000 files to compare --j2k-reduce off and auto\n");
        return 0;
    }
    printf("%-24s %-6s %8s %8s %6s  %8s %8s %8s %5s\n", "file", "crop", "off ms", "auto ms", "",
           "mean", "largest", "no gain", "crop");
    difference worst = {0};
    for (int crop = MG_CROP_BREAST; crop <= MG_CROP_ZERO; crop++)
        for (int i = first; i < argc; i++)
            one_file(argv[i], (mg_crop_mode)crop, repetitions, &worst);
    printf("%-24s %-6s %8s %8s %6s  %8.5f %8.5f %8.5f %5.0f\n", "worst", "", "", "", "", worst.mean,
           worst.most, worst.left, worst.crop);
    return 0;
}
