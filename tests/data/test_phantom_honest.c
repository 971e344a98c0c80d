/* Is the phantom task honest? What an image's brightness alone says about its label must be little:
 * a logistic regression on intensity statistics of the preprocessed images, trained on one part of
 * a set and tried on other patients, stays below ROC-AUC 0.70. The same regression must find a
 * shift of brightness that is put in on purpose, or the test would prove nothing. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/phantom.h"
#include "data/preprocess.h"

enum { HEIGHT = 224, WIDTH = 128, THREADS = 2, QUANTILES = 11, FEATURES = QUANTILES + 3 };

typedef struct sample {
    double x[FEATURES]; /* 1, mean, standard deviation, quantiles */
    int patient, image, breast;
    bool test, cancer;
} sample;

typedef struct work {
    const mg_phantom_patient *patient;
    mg_phantom_renderer *renderer[THREADS];
    mg_preprocessor *preprocessor[THREADS];
    float *grey[THREADS];
    sample *out;
} work;

static void statistics(const uint16_t *pixels, sample *s) {
    static const double share[QUANTILES] = {.01, .05, .1, .25, .5, .75, .9, .95, .99, .995, 1};
    enum { N = HEIGHT * WIDTH };
    uint32_t *count = calloc(65536, sizeof *count);
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) {
        double v = pixels[i] / 65535.0;
        sum += v;
        square += v * v;
        count[pixels[i]]++;
    }
    s->x[0] = 1;
    s->x[1] = sum / N;
    s->x[2] = sqrt(square / N - sum / N * (sum / N));
    uint32_t below = 0, value = 0;
    for (int q = 0; q < QUANTILES; q++) {
        uint32_t rank = (uint32_t)(share[q] * (N - 1));
        while (below + count[value] <= rank) below += count[value++];
        s->x[3 + q] = value / 65535.0;
    }
    free(count);
}

/* Renders an image and prepares it as training would: the seed's window, min-max, breast crop. */
static void measure(void *arg, int64_t chunk, int thread) {
    work *w = arg;
    sample *s = &w->out[chunk];
    const mg_phantom_patient *p = &w->patient[s->patient];
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    mg_phantom_pixels px;
    mg_phantom_render(w->renderer[thread], p, s->image, &px);
    s->breast = p->image[s->image].breast;
    s->test = p->test;
    s->cancer = p->breast[s->breast].cancer;
    float low = px.window_center - px.window_width, high = px.window_center + px.window_width;
    float *grey = w->grey[thread];
    for (int i = 0; i < px.rows * px.columns; i++) {
        float v = px.pixels[i];
        grey[i] = v < low ? low : v > high ? high : v;
    }
    mg_prepared out;
    mg_error err = {0};
    cr_assert_eq(mg_preprocess_pixels(w->preprocessor[thread], grey, (uint32_t)px.rows,
                                      (uint32_t)px.columns, m->monochrome1, &out, &err),
                 MG_OK, "%s", err.message);
    statistics(out.pixels, s);
    mg_prepared_free(&out);
}

static sample *measure_all(const mg_phantom_settings *s, int *count) {
    int n = s->patients + s->test_patients;
    mg_phantom_patient *p = malloc((size_t)n * sizeof *p);
    mg_error err = {0};
    cr_assert_eq(mg_phantom_plan(s, p, &err), MG_OK, "%s", err.message);
    work w = {.patient = p, .out = calloc((size_t)n * MG_PHANTOM_MAX_IMAGES, sizeof *w.out)};
    *count = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < p[i].images; k++)
            w.out[(*count)++] = (sample){.patient = i, .image = k};
    mg_preprocess_settings prepare = mg_preprocess_defaults();
    prepare.height = HEIGHT;
    prepare.width = WIDTH;
    for (int t = 0; t < THREADS; t++) {
        w.renderer[t] = mg_phantom_renderer_create(s);
        w.preprocessor[t] = mg_preprocessor_create(&prepare, &err);
        w.grey[t] = malloc((size_t)s->rows * (size_t)s->columns * sizeof(float));
    }
    mg_pool *pool = mg_pool_create(THREADS);
    mg_parallel_for(pool, *count, measure, &w);
    mg_pool_destroy(pool);
    for (int t = 0; t < THREADS; t++) {
        mg_phantom_renderer_destroy(w.renderer[t]);
        mg_preprocessor_destroy(w.preprocessor[t]);
        free(w.grey[t]);
    }
    free(p);
    return w.out;
}

/* --- logistic regression: Newton's method, a little ridge, classes of equal weight ------------ */

static void standardise(sample *s, int n) {
    for (int f = 1; f < FEATURES; f++) {
        double mean = 0, square = 0;
        int train = 0;
        for (int i = 0; i < n; i++)
            if (!s[i].test) mean += s[i].x[f], train++;
        mean /= train;
        for (int i = 0; i < n; i++)
            if (!s[i].test) square += (s[i].x[f] - mean) * (s[i].x[f] - mean);
        double scale = square > 0 ? 1 / sqrt(square / train) : 0;
        for (int i = 0; i < n; i++) s[i].x[f] = (s[i].x[f] - mean) * scale;
    }
}

static void solve(double a[FEATURES][FEATURES + 1], double *x) {
    for (int c = 0; c < FEATURES; c++) {
        int pivot = c;
        for (int r = c + 1; r < FEATURES; r++)
            if (fabs(a[r][c]) > fabs(a[pivot][c])) pivot = r;
        for (int k = 0; k <= FEATURES; k++) {
            double t = a[c][k];
            a[c][k] = a[pivot][k], a[pivot][k] = t;
        }
        for (int r = 0; r < FEATURES; r++) {
            if (r == c) continue;
            double factor = a[r][c] / a[c][c];
            for (int k = c; k <= FEATURES; k++) a[r][k] -= factor * a[c][k];
        }
    }
    for (int c = 0; c < FEATURES; c++) x[c] = a[c][FEATURES] / a[c][c];
}

static double score(const sample *s, const double *weight) {
    double z = 0;
    for (int f = 0; f < FEATURES; f++) z += weight[f] * s->x[f];
    return z;
}

static void fit(const sample *s, int n, double *weight) {
    int count[2] = {0, 0};
    for (int i = 0; i < n; i++)
        if (!s[i].test) count[s[i].cancer]++;
    for (int f = 0; f < FEATURES; f++) weight[f] = 0;
    for (int iteration = 0; iteration < 25; iteration++) {
        double a[FEATURES][FEATURES + 1] = {{0}}, step[FEATURES];
        for (int f = 0; f < FEATURES; f++) {
            double ridge = f ? 1.0 : 1e-6;
            a[f][f] = ridge;
            a[f][FEATURES] = -ridge * weight[f];
        }
        for (int i = 0; i < n; i++) {
            if (s[i].test) continue;
            double mass = 0.5 * (count[0] + count[1]) / count[s[i].cancer];
            double p = 1 / (1 + exp(-score(&s[i], weight)));
            for (int f = 0; f < FEATURES; f++) {
                for (int g = 0; g < FEATURES; g++)
                    a[f][g] += mass * p * (1 - p) * s[i].x[f] * s[i].x[g];
                a[f][FEATURES] += mass * (s[i].cancer - p) * s[i].x[f];
            }
        }
        solve(a, step);
        for (int f = 0; f < FEATURES; f++) weight[f] += step[f];
    }
}

typedef struct scored {
    double score;
    bool cancer;
} scored;

static double roc_auc(const scored *s, int n) {
    double better = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            if (!s[i].cancer || s[k].cancer) continue;
            better += s[i].score > s[k].score ? 1 : s[i].score == s[k].score ? 0.5 : 0;
            pairs++;
        }
    return better / pairs;
}

/* AUC on the test patients, per image and with the mean score of a breast. */
static void evaluate(const sample *s, int n, const double *weight, double *image, double *breast) {
    scored *single = calloc((size_t)n, sizeof *single), *group = calloc((size_t)n, sizeof *group);
    int singles = 0, groups = 0;
    for (int i = 0; i < n; i++) {
        if (!s[i].test) continue;
        single[singles++] = (scored){score(&s[i], weight), s[i].cancer};
        bool first = i == 0 || s[i - 1].patient != s[i].patient || s[i - 1].breast != s[i].breast;
        if (!first) continue;
        double sum = 0;
        int views = 0;
        for (int k = i; k < n && s[k].patient == s[i].patient && s[k].breast == s[i].breast; k++)
            sum += score(&s[k], weight), views++;
        group[groups++] = (scored){sum / views, s[i].cancer};
    }
    *image = roc_auc(single, singles);
    *breast = roc_auc(group, groups);
    free(single);
    free(group);
}

static void try_regression(sample *s, int n, double *image, double *breast) {
    double weight[FEATURES];
    standardise(s, n);
    fit(s, n, weight);
    evaluate(s, n, weight, image, breast);
}

Test(phantom_honest, intensity_statistics_do_not_tell_the_label) {
    mg_phantom_settings settings = mg_phantom_defaults();
    settings.seed = 21; /* the demo's patients, more coarsely sampled */
    settings.patients = 300;
    settings.test_patients = 120;
    settings.columns = 130;
    settings.rows = 160;
    int n;
    sample *s = measure_all(&settings, &n);
    sample *shifted = malloc((size_t)n * sizeof *shifted);
    memcpy(shifted, s, (size_t)n * sizeof *shifted);
    double image, breast;
    try_regression(s, n, &image, &breast);
    cr_log_info("ROC-AUC of intensity statistics: %.3f per image, %.3f per breast", image, breast);
    cr_expect_lt(image, 0.70, "per image %.3f", image);
    cr_expect_lt(breast, 0.70, "per breast %.3f", breast);
    /* A dishonest set: positive images a tenth brighter. */
    for (int i = 0; i < n; i++)
        for (int f = 1; f < FEATURES; f++)
            if (shifted[i].cancer) shifted[i].x[f] *= 1.1;
    try_regression(shifted, n, &image, &breast);
    cr_expect_gt(image, 0.70, "the regression misses a planted shift: %.3f", image);
    free(shifted);
    free(s);
}
