/* Times what a report costs at the size of the RSNA set: bootstrap, one full overlay, charts.
 *
 *     make build/bench/bench_report && build/bench/bench_report [threads] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "data/cam_overlay.h"
#include "data/metrics_evaluation.h"
#include "data/plot_charts.h"
#include "tensor/rng.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { PATIENTS = 11913, IMAGES = 54706, ROWS = 3328, COLUMNS = 2560 };

static void time_bootstrap(mg_pool *pool) {
    static double p[IMAGES];
    static uint8_t y[IMAGES];
    static int32_t patient[IMAGES];
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (int i = 0; i < IMAGES; i++) {
        patient[i] = i * (int64_t)PATIENTS / IMAGES;
        y[i] = patient[i] % 48 == 0;
        p[i] = 1 / (1 + exp(-mg_rng_normal(&key, (uint32_t)i) - 1.5 * y[i] + 1));
    }
    mg_eval_set set = {IMAGES, p, y, patient, PATIENTS};
    mg_metric_options metrics = {.threshold = 0.5};
    mg_bootstrap_options options = {.pool = pool};
    mg_interval interval[MG_METRIC_COUNT];
    double start = now();
    if (mg_bootstrap_metrics(&set, &metrics, &options, NULL, interval, NULL)) exit(1);
    printf(
        "bootstrap, %d images of %d patients, 2000 resamples: %.2f s (ROC-AUC %.4f, %.4f-%.4f)\n",
        IMAGES, PATIENTS, now() - start, interval[MG_METRIC_ROC_AUC].value,
        interval[MG_METRIC_ROC_AUC].low, interval[MG_METRIC_ROC_AUC].high);
    mg_evaluation evaluation;
    mg_evaluation_options all = {.bootstrap = options};
    start = now();
    if (mg_evaluate(&set, &all, &evaluation, NULL)) exit(1);
    printf("whole evaluation (4 views of 10 figures, curves, calibration): %.2f s\n",
           now() - start);
    mg_evaluation_free(&evaluation);
    mg_curve roc;
    start = now();
    if (mg_curve_roc(&set, &roc, NULL)) exit(1);
    printf("ROC curve: %.3f s, %zu points\n", now() - start, roc.count);
    mg_curve_free(&roc);
}

static void time_overlay(int max_side) {
    static float grey[ROWS * COLUMNS], map[30 * 16];
    for (int i = 0; i < ROWS * COLUMNS; i++) grey[i] = (float)(i % COLUMNS) / COLUMNS;
    for (int i = 0; i < 30 * 16; i++) map[i] = (float)exp(-hypot(i / 16 - 12, i % 16 - 7) / 2);
    mg_cam cam = {.height = 30, .width = 16, .value = map};
    mg_cam_overlay_options options = {
        .max_side = max_side, .probability = 0.83, .calibrated = 0.1, .title = "10006_L MLO"};
    mg_png picture;
    double start = now(), drawn;
    if (mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &options, &picture, NULL)) exit(1);
    drawn = now();
    uint8_t *data;
    size_t size;
    if (mg_png_encode(&picture, &data, &size, NULL)) exit(1);
    printf("overlay of %d x %d, drawn as %u x %u: %.3f s, PNG of %.2f MB: %.3f s\n", ROWS, COLUMNS,
           picture.height, picture.width, drawn - start, (double)size / 1e6, now() - drawn);
    free(data);
    mg_png_free(&picture);
}

int main(int argc, char **argv) {
    mg_pool *pool = mg_pool_create(argc > 1 ? atoi(argv[1]) : 0);
    printf("threads: %d\n", mg_pool_threads(pool));
    time_bootstrap(pool);
    time_overlay(0);
    time_overlay(320);
    mg_pool_destroy(pool);
    return 0;
}
