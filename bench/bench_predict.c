/* bench_predict.c: how well reading images and running the network overlap.
 *
 *     bench_predict MODEL [--threads N] [--rounds N] FILE|DIR...
 *
 * In turns: reading and preparing all images without a network; the network alone, on images that
 * are ready; and both as apps/predict runs them. Two bounds apply to the last. The slower of the
 * two alone can not be beaten; and where both keep every core busy, neither can their sum, which is
 * what all the work takes on these cores. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/lib/model.h"
#include "apps/lib/scoring.h"
#include "data/files.h"
#include "data/loader.h"

enum { MOST = 32, BATCH = 8 };

typedef struct bench {
    mg_model model;
    mg_manifest manifest;
    mg_plan plan;
    mg_loader_options loader;
    float **pixels; /* per batch */
    int *count;
    double sum; /* of logits, so that both ways can be compared */
} bench;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *message) {
    fprintf(stderr, "bench_predict: %s\n", message);
    exit(1);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

/* Reading alone; keeps the inputs when asked to. */
static double read_all(bench *b, bool keep) {
    mg_error err = {0};
    const mg_batch *batch;
    size_t pixels = (size_t)b->loader.settings.height * b->loader.settings.width;
    double start = now();
    mg_loader *loader = mg_loader_start(&b->loader, &err);
    if (!loader) die(err.message);
    while (mg_loader_next(loader, &batch, &err) == MG_OK && batch) {
        if (!keep) continue;
        size_t bytes = (size_t)batch->count * pixels * sizeof(float);
        b->count[batch->index] = batch->count;
        b->pixels[batch->index] = malloc(bytes + 1);
        if (!b->pixels[batch->index]) die("out of memory");
        memcpy(b->pixels[batch->index], batch->pixels, bytes);
    }
    mg_loader_stop(loader);
    return now() - start;
}

static double network_alone(bench *b) {
    mg_context *ctx = b->model.ctx;
    double start = now();
    b->sum = 0;
    for (int32_t i = 0; i < b->plan.batch_count; i++) {
        if (!b->count[i]) continue;
        mg_tensor *x = mg_model_input(ctx, &b->model.card, b->pixels[i], b->count[i]);
        mg_tensor *y = mg_efficientnet_forward(ctx, b->model.net, x, false, NULL);
        if (!y) die(ctx->error.message);
        for (int k = 0; k < b->count[i]; k++) b->sum += (double)((const float *)y->data)[k];
        mg_step_reset(ctx, false);
    }
    return now() - start;
}

static bool add(void *arg, const mg_scored *one) {
    ((bench *)arg)->sum += (double)one->logit;
    return true;
}

static double both(bench *b) {
    mg_error err = {0};
    mg_scoring scoring = {.ctx = b->model.ctx,
                          .net = b->model.net,
                          .card = &b->model.card,
                          .loader = b->loader,
                          .on_image = add,
                          .arg = b};
    double before = b->sum, start = now();
    b->sum = 0;
    if (mg_score(&scoring, &err)) die(err.message);
    double took = now() - start;
    if (fabs(b->sum - before) > 1e-6 * fabs(before)) die("the logits differ");
    return took;
}

static void open_all(bench *b, const char *model, mg_pool *pool, char **files, int count) {
    mg_error err = {0};
    mg_path_list list = {0};
    mg_status s = mg_model_open(model, "cpu", pool, &b->model, &err);
    for (int i = 0; i < count && !s; i++) s = mg_list_files(files[i], &list, &err);
    if (!s) s = mg_manifest_from_files(&list, &b->manifest, &err);
    if (!s) s = mg_plan_images(&b->manifest, NULL, 0, BATCH, &b->plan, &err);
    if (s) die(err.message);
    mg_path_list_free(&list);
    b->loader = (mg_loader_options){.manifest = &b->manifest,
                                    .plan = &b->plan,
                                    .settings = b->model.card.input,
                                    .workers = mg_pool_threads(pool),
                                    .strict = true};
    b->pixels = calloc((size_t)b->plan.batch_count + 1, sizeof *b->pixels);
    b->count = calloc((size_t)b->plan.batch_count + 1, sizeof *b->count);
    if (!b->pixels || !b->count) die("out of memory");
}

int main(int argc, char **argv) {
    int threads = 0, rounds = 5, first = 2;
    for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2)
        if (strcmp(argv[first], "--threads") == 0) threads = atoi(argv[first + 1]);
        else rounds = atoi(argv[first + 1]);
    if (first >= argc) {
        printf("bench_predict: name a model and images\n");
        return 0;
    }
    if (rounds < 1 || rounds > MOST) rounds = 5;
    static bench b;
    mg_pool *pool = mg_pool_create(threads);
    open_all(&b, argv[1], pool, argv + first, argc - first);
    double n = b.manifest.image_count, reading[MOST], network[MOST], together[MOST];
    read_all(&b, true);
    network_alone(&b);
    for (int i = 0; i < rounds; i++) {
        reading[i] = read_all(&b, false);
        network[i] = network_alone(&b);
        together[i] = both(&b);
    }
    double r = median(reading, rounds), w = median(network, rounds), t = median(together, rounds);
    char input[160];
    mg_preprocess_text(&b.model.card.input, input, sizeof input);
    printf("%.0f images, %s, %d threads, medians of %d\n", n, input, mg_pool_threads(pool), rounds);
    printf("reading and preparing alone  %7.1f ms an image  %6.2f images/s\n", 1e3 * r / n, n / r);
    printf("network alone                %7.1f ms an image  %6.2f images/s\n", 1e3 * w / n, n / w);
    printf("both                         %7.1f ms an image  %6.2f images/s\n", 1e3 * t / n, n / t);
    printf("throughput: %.0f%% of the slower one alone, %.0f%% of what the cores can do\n",
           100 * fmax(r, w) / t, 100 * (r + w) / t);
    for (int32_t i = 0; i < b.plan.batch_count; i++) free(b.pixels[i]);
    free(b.pixels);
    free(b.count);
    mg_plan_free(&b.plan);
    mg_manifest_free(&b.manifest);
    mg_model_close(&b.model);
    mg_pool_destroy(pool);
    return 0;
}
