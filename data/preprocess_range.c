#include "data/preprocess_range.h"

#include <math.h>

#include "data/lanes.h"

/* Smallest and largest value; padding left out when there is a mask. Min and max give the same
 * result in any order. NaN is passed over, so an image of NaN alone keeps the infinities. */
static void range(const float *v, const uint8_t *mask, size_t n, float *low, float *high) {
    lanes lo = lanes_all(INFINITY), hi = lanes_all(-INFINITY);
    size_t i = 0;
    for (; !mask && i + LANES <= n; i += LANES) {
        lanes x = lanes_load(v + i);
        lo = lanes_min(x, lo);
        hi = lanes_max(x, hi);
    }
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; k < LANES; k++) {
        if (lo[k] < *low) *low = lo[k];
        if (hi[k] > *high) *high = hi[k];
    }
    for (; i < n; i++) {
        if (mask && mask[i]) continue;
        if (v[i] < *low) *low = v[i];
        if (v[i] > *high) *high = v[i];
    }
}

/* The same of an image from a wavelet's low-pass band, which overshoots at sharp edges by up to an
 * eighth of the step, in lines one pixel wide: they must not stretch the range, nor darken what
 * lies beside a background that then would not be the darkest value any more. So a value counts
 * only where it fills a square of 2 x 2: the range of the closed and the opened image. */
static void range_without_ringing(const mg_source *s, float *low, float *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (uint32_t y = 0; y + 1 < s->rows; y++) {
        const float *a = s->grey + (size_t)y * s->columns, *b = a + s->columns;
        const uint8_t *p = s->mask + (size_t)y * s->columns, *q = p + s->columns;
        for (uint32_t x = 0; x + 1 < s->columns; x++) {
            if (s->has_mask && (p[x] | p[x + 1] | q[x] | q[x + 1])) continue;
            float least = a[x], most = a[x];
            const float others[3] = {a[x + 1], b[x], b[x + 1]};
            for (int k = 0; k < 3; k++) {
                least = others[k] < least ? others[k] : least;
                most = others[k] > most ? others[k] : most;
            }
            if (most < *low) *low = most;
            if (least > *high) *high = least;
        }
    }
}

/* v = (clip(v, low, high) - low) / (high - low), then 1 - v to invert. */
static void normalise(float *v, size_t n, float low, float high, bool invert) {
    float span = high - low;
    lanes lo = lanes_all(low), hi = lanes_all(high);
    lanes sign = lanes_all(invert ? -1.0f : 1.0f), offset = lanes_all(invert ? 1.0f : 0.0f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes x = lanes_min(lanes_max(lanes_load(v + i), lo), hi);
        lanes_store(v + i, offset + sign * ((x - lo) / span));
    }
    for (; i < n; i++) {
        float x = v[i] > low ? v[i] : low;
        x = x < high ? x : high;
        v[i] = offset[0] + sign[0] * ((x - low) / span);
    }
}

static void clip(float *v, size_t n, float low, float high) {
    for (size_t i = 0; i < n; i++) v[i] = v[i] < low ? low : v[i] > high ? high : v[i];
}

static void background_to_zero(mg_source *s) {
    size_t n = (size_t)s->rows * s->columns;
    for (size_t i = 0; s->has_mask && i < n; i++)
        if (s->mask[i]) s->grey[i] = 0;
}

/* From the range of an image's values to the range that becomes 0 … 1. */
static void window_range(const mg_source *s, float *low, float *high) {
    if (!s->has_window) return;
    float from = (float)(s->center - s->width), to = (float)(s->center + s->width);
    *low = *low < from ? from : *low > to ? to : *low;
    *high = *high < from ? from : *high > to ? to : *high;
}

/* The everyday case: grey values rise (or fall) with the stored ones, so the image's range is that
 * of the ends, and a table of some thousand values is normalised instead of millions of pixels.
 * What is out of the ordinary stays as it is, for mg_unit_range(). */
void mg_unit_range_of_values(mg_source *s, float *values, size_t n) {
    bool rising = true, falling = true;
    for (size_t i = 1; i < n; i++) {
        rising &= values[i] >= values[i - 1];
        falling &= values[i] <= values[i - 1];
    }
    float low = values[rising ? 0 : n - 1], high = values[rising ? n - 1 : 0];
    if (!(rising || falling) || !isfinite(low) || !isfinite(high)) return;
    s->lowest = low;
    s->highest = high;
    window_range(s, &low, &high);
    if (!(low < high)) return;
    s->low = low;
    s->high = high;
    normalise(values, n, low, high, s->invert);
    s->finished = true;
}

void mg_unit_range_steady(const float steady[2], float *low, float *high) {
    if (!isfinite(*low) || !isfinite(*high) || !(steady[0] < steady[1])) return;
    *low = steady[0];
    *high = steady[1];
}

mg_status mg_unit_range_settle(const mg_source *s, float low, float high, mg_prepared *out,
                               mg_error *err) {
    if (!isfinite(low) || !isfinite(high))
        return mg_fail(err, MG_ERR_NUMERIC, "no pixel has a finite value");
    out->lowest = low;
    out->highest = high;
    if (low == high)
        return mg_fail(err, MG_ERR_NUMERIC, "all pixels have the same value, %g", (double)low);
    window_range(s, &low, &high);
    if (low == high)
        return mg_fail(err, MG_ERR_NUMERIC,
                       "the window %g +- %g leaves no contrast (values %g to %g); try window "
                       "dicom or none",
                       s->center, s->width, (double)out->lowest, (double)out->highest);
    out->low = low;
    out->high = high;
    out->inverted = s->invert;
    return MG_OK;
}

mg_status mg_unit_range(mg_source *s, const mg_preprocess_trace *trace, mg_prepared *out,
                        mg_error *err) {
    if (s->finished) {
        out->lowest = s->lowest;
        out->highest = s->highest;
        out->low = s->low;
        out->high = s->high;
        out->inverted = s->invert;
        return MG_OK;
    }
    size_t n = (size_t)s->rows * s->columns;
    float low, high;
    range(s->grey, s->has_mask ? s->mask : NULL, n, &low, &high);
    if (s->reduce > 0) {
        float steady[2];
        range_without_ringing(s, &steady[0], &steady[1]);
        mg_unit_range_steady(steady, &low, &high);
    }
    mg_status status = mg_unit_range_settle(s, low, high, out, err);
    if (status) return status;
    if (trace) {
        clip(s->grey, n, out->low, out->high);
        trace->stage(trace->arg, "voi", s->grey, s->rows, s->columns);
    }
    normalise(s->grey, n, out->low, out->high, s->invert);
    background_to_zero(s);
    if (trace) trace->stage(trace->arg, "normalised", s->grey, s->rows, s->columns);
    return MG_OK;
}
