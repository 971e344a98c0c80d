/* Grey values on the GPU: windows, range, min-max to [0,1], 16 bits. All bound by memory.
 *
 * One thread per pixel, 256 a block: a warp reads 128 adjacent bytes. Windows compute in f64 as
 * dicom/grey_math.c does, one pass over the image (8 bytes per pixel). The range is a reduction of
 * two launches: at most 1024 blocks leave a smallest and a largest value each, one block reduces
 * those; min and max give the same result in any order. Source: DICOM PS3.3 C.11.2.1. */
#include "cuda/imaging.h"

enum { THREADS = 256, MOST_PARTS = 1024 };

/* e^x by the steps of dicom/grey_math.c: x = k ln 2 + r, Taylor's series to r^13. */
__device__ static double exponential(double x) {
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    x = x < -700.0 ? -700.0 : x;
    x = x > 700.0 ? 700.0 : x;
    const double t = x * 1.4426950408889634 + shift, k = t - shift;
    const double r = (x - k * 0x1.62e42fefa0000p-1) - k * 0x1.cf79abc9e3b39p-40;
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
    /* The low bits of t are k; the rest is shifted out, which only unsigned numbers may be. */
    const unsigned long long bits = ((unsigned long long)__double_as_longlong(t) + 1023) << 52;
    return p * __longlong_as_double((long long)bits);
}

/* One formula for both linear windows: they differ in their constants. */
static __global__ void __launch_bounds__(THREADS)
    window_linear_kernel(double low, double high, double centre, double divisor, float *pixels,
                         int64_t n) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const double x = (double)pixels[i];
    double y = (x - centre) / divisor + 0.5;
    y = y > 0 ? y : 0; /* NaN becomes 0 */
    y = y < 1 ? y : 1;
    y = x > high ? 1.0 : y;
    pixels[i] = (float)(x <= low ? 0.0 : y);
}

static __global__ void __launch_bounds__(THREADS)
    window_sigmoid_kernel(double centre, double width, float *pixels, int64_t n) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        pixels[i] = (float)(1.0 / (1.0 + exponential(-4.0 * ((double)pixels[i] - centre) / width)));
}

void mg_imaging_window_values(mg_imaging_window kind, double centre, double width, float *pixels,
                              int64_t n) {
    const unsigned blocks = (unsigned)mg_ceil_div(n, THREADS);
    mg_cuda_cost(8.0 * (double)n, 0);
    if (kind == MG_IMAGING_SIGMOID) {
        MG_LAUNCH(window_sigmoid_kernel, blocks, THREADS, 0, centre, width, pixels, n);
    } else if (kind == MG_IMAGING_LINEAR_EXACT) {
        MG_LAUNCH(window_linear_kernel, blocks, THREADS, 0, centre - width / 2, centre + width / 2,
                  centre, width, pixels, n);
    } else {
        const double c = centre - 0.5, half = (width - 1) / 2;
        MG_LAUNCH(window_linear_kernel, blocks, THREADS, 0, c - half, c + half, c,
                  width > 1 ? width - 1 : 1.0, pixels, n);
    }
}

/* --- range ------------------------------------------------------------------------------------ */

/* out[2 block], out[2 block + 1] = smallest of low[], largest of high[], visited with a stride: the
 * first launch gives the image twice, the second the parts of the first. */
static __global__ void __launch_bounds__(THREADS)
    range_kernel(const float *__restrict__ low, const float *__restrict__ high, int64_t n,
                 int stride, float *__restrict__ out) {
    MG_SHARED(float, least, [THREADS]);
    MG_SHARED(float, most, [THREADS]);
    const unsigned t = threadIdx.x;
    float lo = INFINITY, hi = -INFINITY;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + t; i < n; i += (int64_t)gridDim.x * THREADS) {
        const float a = low[i * stride], b = high[i * stride];
        lo = a < lo ? a : lo; /* NaN compares false and is passed over */
        hi = b > hi ? b : hi;
    }
    least[t] = lo;
    most[t] = hi;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t >= half) continue;
        least[t] = least[t + half] < least[t] ? least[t + half] : least[t];
        most[t] = most[t + half] > most[t] ? most[t + half] : most[t];
    }
    if (t > 0) return;
    out[2 * blockIdx.x] = least[0];
    out[2 * blockIdx.x + 1] = most[0];
}

static int64_t parts_of(int64_t n) {
    const int64_t parts = mg_ceil_div(n, 8 * THREADS);
    return parts < (int64_t)MOST_PARTS ? parts : (int64_t)MOST_PARTS;
}

size_t mg_imaging_range_scratch(int64_t n) { return (size_t)parts_of(n) * 2 * sizeof(float); }

void mg_imaging_range(const float *pixels, int64_t n, void *scratch, float *out) {
    float *parts = (float *)scratch;
    const int64_t count = parts_of(n);
    mg_cuda_cost(4.0 * (double)n, 0);
    MG_LAUNCH(range_kernel, (unsigned)count, THREADS, 0, pixels, pixels, n, 1, parts);
    MG_LAUNCH(range_kernel, 1, THREADS, 0, (const float *)parts, (const float *)parts + 1, count, 2,
              out);
}

/* --- min-max and 16 bits ---------------------------------------------------------------------- */

static __global__ void __launch_bounds__(THREADS)
    normalise_kernel(float *pixels, int64_t n, float low, float high, float sign, float offset) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    float x = pixels[i] > low ? pixels[i] : low;
    x = x < high ? x : high;
    pixels[i] = offset + sign * ((x - low) / (high - low));
}

void mg_imaging_normalise(float *pixels, int64_t n, float low, float high, bool invert) {
    mg_cuda_cost(8.0 * (double)n, 0);
    MG_LAUNCH(normalise_kernel, (unsigned)mg_ceil_div(n, THREADS), THREADS, 0, pixels, n, low, high,
              invert ? -1.0f : 1.0f, invert ? 1.0f : 0.0f);
}

static __global__ void __launch_bounds__(THREADS)
    quantise_kernel(const float *__restrict__ in, int64_t n, uint16_t *__restrict__ out) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const float v = in[i] * 65535.0f + 0.5f;
    out[i] = (uint16_t)(v < 0 ? 0 : v > 65535.0f ? 65535 : (int)v);
}

void mg_imaging_quantise(const float *in, int64_t n, uint16_t *out) {
    mg_cuda_cost(6.0 * (double)n, 0);
    MG_LAUNCH(quantise_kernel, (unsigned)mg_ceil_div(n, THREADS), THREADS, 0, in, n, out);
}
