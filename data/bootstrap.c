#include "data/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/rng.h"

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between order statistics at position q (n - 1). */
static double quantile(const double *sorted, size_t n, double q) {
    double position = q * (double)(n - 1);
    size_t below = (size_t)position;
    if (below + 1 >= n) return sorted[n - 1];
    double part = position - (double)below;
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

void mg_percentile_interval(double *values, size_t count, double level, double *low, double *high) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i])) values[n++] = values[i];
    *low = *high = NAN;
    if (n == 0 || 2 * n < count) return;
    qsort(values, n, sizeof *values, rising);
    *low = quantile(values, n, (1 - level) / 2);
    *high = quantile(values, n, (1 + level) / 2);
}

enum { RESAMPLES_PER_CHUNK = 16 };

typedef struct job {
    const mg_ranking *ranking;
    const mg_metric_options *metrics;
    uint64_t seed;
    int32_t clusters;
    int resamples, views;
    double *values;    /* [views][MG_METRIC_COUNT][resamples] */
    uint32_t *weights; /* [threads][clusters] */
} job;

static double *values_of(const job *j, int view, int metric) {
    return j->values + (size_t)(view * MG_METRIC_COUNT + metric) * (size_t)j->resamples;
}

static void draw_patients(const job *j, int resample, uint32_t *weight) {
    mg_rng_key key = {.seed = j->seed, .purpose = MG_RNG_BOOTSTRAP, .sample = (uint32_t)resample};
    memset(weight, 0, (size_t)j->clusters * sizeof *weight);
    for (int32_t d = 0; d < j->clusters; d++)
        weight[mg_rng_below(&key, (uint32_t)d, (uint32_t)j->clusters)]++;
}

static void resample_chunk(void *arg, int64_t chunk, int thread) {
    const job *j = arg;
    uint32_t *weight = j->weights + (size_t)thread * (size_t)j->clusters;
    int first = (int)chunk * RESAMPLES_PER_CHUNK;
    for (int r = first; r < first + RESAMPLES_PER_CHUNK && r < j->resamples; r++) {
        mg_metrics m[MG_METRIC_MAX_VIEWS];
        draw_patients(j, r, weight);
        mg_ranking_metrics(j->ranking, weight, j->metrics, j->views, m);
        for (int v = 0; v < j->views; v++)
            for (int k = 0; k < MG_METRIC_COUNT; k++) values_of(j, v, k)[r] = m[v].value[k];
    }
}

static mg_status run(job *j, const mg_bootstrap_options *options, const mg_metrics *point,
                     mg_interval (*interval)[MG_METRIC_COUNT], mg_error *err) {
    size_t threads = (size_t)mg_pool_threads(options->pool), resamples = (size_t)j->resamples;
    j->values = malloc(((size_t)j->views * MG_METRIC_COUNT * resamples + 1) * sizeof *j->values);
    j->weights = malloc(threads * (size_t)j->clusters * sizeof *j->weights);
    mg_status status = MG_OK;
    if (j->values && j->weights) {
        mg_parallel_for(options->pool,
                        (j->resamples + RESAMPLES_PER_CHUNK - 1) / RESAMPLES_PER_CHUNK,
                        resample_chunk, j);
        double level = options->level > 0 ? options->level : 0.95;
        for (int v = 0; v < j->views; v++) {
            for (int k = 0; k < MG_METRIC_COUNT; k++) {
                mg_interval *i = &interval[v][k];
                i->value = point[v].value[k];
                mg_percentile_interval(values_of(j, v, k), resamples, level, &i->low, &i->high);
            }
        }
    } else {
        status = mg_fail(err, MG_ERR_MEMORY, "no memory for %zu bootstrap resamples of %d patients",
                         resamples, j->clusters);
    }
    free(j->values);
    free(j->weights);
    return status;
}

mg_status mg_bootstrap_views(const mg_eval_set *set, const mg_metric_options *metrics, int views,
                             const mg_bootstrap_options *options, mg_metrics *out,
                             mg_interval (*interval)[MG_METRIC_COUNT], mg_error *err) {
    if (options->resamples < 0 || options->resamples > 1000000)
        return mg_fail(err, MG_ERR_ARG, "%d bootstrap resamples; 0 to 1,000,000 are possible",
                       options->resamples);
    for (int v = 0; v < views; v++) {
        mg_status status = mg_metrics_compute(set, &metrics[v], &out[v], err);
        if (status) return status;
    }
    mg_ranking ranking;
    mg_status status = mg_ranking_create(set, &ranking, err);
    if (status) return status;
    job j = {.ranking = &ranking,
             .metrics = metrics,
             .seed = options->seed,
             .clusters = set->cluster ? set->clusters : (int32_t)set->count,
             .resamples = options->resamples,
             .views = views};
    status = run(&j, options, out, interval, err);
    mg_ranking_free(&ranking);
    return status;
}

mg_status mg_bootstrap_metrics(const mg_eval_set *set, const mg_metric_options *metrics,
                               const mg_bootstrap_options *options, mg_metrics *out,
                               mg_interval interval[MG_METRIC_COUNT], mg_error *err) {
    mg_metrics point;
    mg_interval one[1][MG_METRIC_COUNT];
    mg_status status = mg_bootstrap_views(set, metrics, 1, options, &point, one, err);
    if (status) return status;
    memcpy(interval, one[0], sizeof one[0]);
    if (out) *out = point;
    return MG_OK;
}
