/* grey_math.c: the formulas of the grey pipeline, over arrays.
 *
 * Loops without calls or branches, so the compiler makes vector code of them; each element is
 * computed alone and in double, so the width of the vectors cannot change a result. The exponential
 * is our own for the same reason: library versions differ between machines. */
#include "dicom/grey.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

/* e^x to within 2 units in the last place for |x| ≤ 700; arguments beyond are limited to that.
 * x = k ln 2 + r with |r| ≤ ln 2 / 2; Taylor's series to r^13 leaves less than 2^-56. */
static inline double exponential(double x) {
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    x = x < -700.0 ? -700.0 : x;
    x = x > 700.0 ? 700.0 : x;
    double t = x * 1.4426950408889634 + shift, k = t - shift;
    double r = (x - k * 0x1.62e42fefa0000p-1) - k * 0x1.cf79abc9e3b39p-40;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits + 1023) << 52; /* the low bits of t are k */
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* To 0…1. Only rounding, overflow and NaN (which becomes 0) can be outside. */
static inline double limited(double y) {
    y = y > 0 ? y : 0;
    return y < 1 ? y : 1;
}

/* PS3.3 C.11.2.1.2.1. With w = 1 both borders are the same and the ramp between them is empty. */
static void linear(double c, double w, double *x, size_t n) {
    double low = c - 0.5 - (w - 1) / 2, high = c - 0.5 + (w - 1) / 2;
    double divisor = w > 1 ? w - 1 : 1;
    for (size_t i = 0; i < n; i++) {
        double y = limited((x[i] - (c - 0.5)) / divisor + 0.5);
        y = x[i] > high ? 1.0 : y;
        x[i] = x[i] <= low ? 0.0 : y;
    }
}

/* PS3.3 C.11.2.1.3.2 */
static void linear_exact(double c, double w, double *x, size_t n) {
    double low = c - w / 2, high = c + w / 2;
    for (size_t i = 0; i < n; i++) {
        double y = limited((x[i] - c) / w + 0.5);
        y = x[i] > high ? 1.0 : y;
        x[i] = x[i] <= low ? 0.0 : y;
    }
}

/* PS3.3 C.11.2.1.3.1 */
static void sigmoid(double c, double w, double *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = 1.0 / (1.0 + exponential(-4.0 * (x[i] - c) / w));
}

void mg_dicom_window_values(const mg_dicom_window *w, double *x, size_t n) {
    switch (w->function) {
    case MG_DICOM_VOI_SIGMOID: sigmoid(w->center, w->width, x, n); break;
    case MG_DICOM_VOI_LINEAR_EXACT: linear_exact(w->center, w->width, x, n); break;
    default: linear(w->center, w->width, x, n); break;
    }
}

void mg_dicom_modality_values(const mg_dicom_modality *m, double *x, size_t n) {
    if (m->lut.values) {
        mg_dicom_lut_apply(&m->lut, x, n);
    } else if (m->rescale) {
        double slope = m->slope, intercept = m->intercept;
        for (size_t i = 0; i < n; i++) x[i] = x[i] * slope + intercept;
    }
}

static void range(double least, double most, double *x, size_t n) {
    double width = most > least ? most - least : 1;
    for (size_t i = 0; i < n; i++) { x[i] = limited((x[i] - least) / width); }
}

void mg_dicom_grey_values(const mg_dicom_grey *g, double *x, size_t n) {
    mg_dicom_modality_values(&g->modality, x, n);
    switch (g->voi.kind) {
    case MG_DICOM_VOI_WINDOW: mg_dicom_window_values(&g->voi.window, x, n); break;
    case MG_DICOM_VOI_RANGE: range(g->voi.least, g->voi.most, x, n); break;
    case MG_DICOM_VOI_LUT: {
        double scale = (double)((1u << g->voi.lut.bits) - 1);
        mg_dicom_lut_apply(&g->voi.lut, x, n);
        for (size_t i = 0; i < n; i++) x[i] /= scale;
        break;
    }
    default: return; /* modality units: nothing to invert in */
    }
    if (g->invert)
        for (size_t i = 0; i < n; i++) x[i] = 1.0 - x[i];
}

void mg_dicom_apply_window(const mg_dicom_window *window, const float *in, size_t n, float *out) {
    double x[512];
    while (n > 0) {
        size_t part = n < 512 ? n : 512;
        for (size_t i = 0; i < part; i++) x[i] = (double)in[i];
        mg_dicom_window_values(window, x, part);
        for (size_t i = 0; i < part; i++) out[i] = (float)x[i];
        in += part;
        out += part;
        n -= part;
    }
}
