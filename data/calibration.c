#include "data/calibration.h"

#include <math.h>

/* Wilson's score interval, 95%: sensible for small counts, unlike the normal approximation. */
static void wilson(double positives, double n, double *low, double *high) {
    const double z = 1.959963984540054;
    double share = positives / n, centre = share + z * z / (2 * n);
    double half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    double scale = 1 + z * z / n;
    *low = fmax(0, (centre - half) / scale);
    *high = fmin(1, (centre + half) / scale);
}

static void close_bin(mg_reliability_bin *bin, double sum) {
    if (bin->count == 0) {
        bin->predicted = bin->observed = bin->observed_low = bin->observed_high = NAN;
        return;
    }
    double n = (double)bin->count;
    bin->predicted = sum / n;
    bin->observed = (double)bin->positives / n;
    wilson((double)bin->positives, n, &bin->observed_low, &bin->observed_high);
}

/* Which bin the ranked item i (falling order) of n belongs to. */
static int bin_index(const mg_ranking *r, size_t i, mg_binning binning, int bins) {
    if (binning == MG_BINS_EQUAL_WIDTH) {
        int b = (int)(r->probability[i] * bins);
        return b < bins ? b : bins - 1;
    }
    size_t from_below = r->count - 1 - i;
    return (int)(from_below * (size_t)bins / r->count);
}

mg_status mg_reliability_compute(const mg_eval_set *set, mg_binning binning, int bins,
                                 mg_reliability *out, mg_error *err) {
    *out = (mg_reliability){0};
    if (bins == 0) bins = 10;
    if (bins < 0 || bins > MG_METRIC_MAX_BINS)
        return mg_fail(err, MG_ERR_ARG, "%d calibration bins; 1 to %d are possible", bins,
                       MG_METRIC_MAX_BINS);
    mg_ranking r;
    mg_status status = mg_ranking_create(set, &r, err);
    if (status) return status;
    out->bins = bins;
    double sum[MG_METRIC_MAX_BINS] = {0};
    for (size_t i = 0; i < r.count; i++) {
        int b = bin_index(&r, i, binning, bins);
        mg_reliability_bin *bin = &out->bin[b];
        sum[b] += r.probability[i];
        if (bin->count++ == 0) bin->high = r.probability[i];
        bin->low = r.probability[i];
        bin->positives += r.label[i];
    }
    for (int b = 0; b < bins; b++) {
        mg_reliability_bin *bin = &out->bin[b];
        close_bin(bin, sum[b]);
        if (binning == MG_BINS_EQUAL_WIDTH) {
            bin->low = (double)b / bins;
            bin->high = (double)(b + 1) / bins;
        }
        if (bin->count == 0) continue;
        double gap = fabs(bin->observed - bin->predicted);
        out->expected_error += gap * (double)bin->count / (double)r.count;
        out->maximum_error = fmax(out->maximum_error, gap);
    }
    mg_ranking_free(&r);
    return MG_OK;
}
