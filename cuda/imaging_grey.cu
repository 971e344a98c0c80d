/* Grey values on the GPU: what stored values become, range, min-max to [0,1], 16 bits. All bound by
 * memory.
 *
 * One thread per pixel, 256 a block: a warp reads 128 adjacent bytes, or 64 of stored pixels.
 * Rescale and windows compute in f64 as dicom/grey_math.c does, for each value that a stored word
 * can have, at most 65,536; pixels look theirs up (6 bytes each; the table stays in the L2 cache).
 * The range is a reduction of two launches: at most 1024 blocks leave a smallest and a largest
 * value each, one block reduces those; min and max give the same result in any order.
 * Source: DICOM PS3.3 C.11.1, C.11.2.1. */
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
typedef struct ramp {
    double low, high, centre, divisor;
} ramp;

__device__ __forceinline__ double on_ramp(const ramp &r, double x) {
    double y = (x - r.centre) / r.divisor + 0.5;
    y = y > 0 ? y : 0; /* NaN becomes 0 */
    y = y < 1 ? y : 1;
    y = x > r.high ? 1.0 : y;
    return x <= r.low ? 0.0 : y;
}

static __global__ void __launch_bounds__(THREADS)
    values_kernel(mg_imaging_grey g, ramp r, int32_t first, uint32_t n, float *__restrict__ table) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    double x = (double)(first + (int32_t)i) * g.slope + g.intercept;
    if (g.window == MG_IMAGING_SIGMOID) {
        x = 1.0 / (1.0 + exponential(-4.0 * (x - g.centre) / g.width));
    } else if (g.window != MG_IMAGING_NO_WINDOW) {
        x = on_ramp(r, x);
    }
    table[i] = (float)x;
}

void mg_imaging_values(const mg_imaging_grey *g, int32_t first, uint32_t n, float *table) {
    const double c = g->centre, w = g->width, half = (w - 1) / 2;
    const ramp linear = {c - 0.5 - half, c - 0.5 + half, c - 0.5, w > 1 ? w - 1 : 1.0};
    const ramp exact = {c - w / 2, c + w / 2, c, w};
    mg_cuda_cost(4.0 * n, 0);
    MG_LAUNCH(values_kernel, (unsigned)mg_ceil_div(n, THREADS), THREADS, 0, *g,
              g->window == MG_IMAGING_LINEAR_EXACT ? exact : linear, first, n, table);
}

template <typename T> static __global__ void __launch_bounds__(THREADS)
    look_up_kernel(const T *__restrict__ stored, int64_t n, int32_t least, int32_t padding_low,
                   int32_t padding_high, const float *__restrict__ table,
                   float *__restrict__ grey) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const int32_t x = stored[i];
    grey[i] = x >= padding_low && x <= padding_high ? NAN : table[x - least];
}

template <typename T>
static void look_up(const mg_imaging_stored *s, const float *table, float *grey) {
    mg_cuda_cost((4.0 + sizeof(T)) * (double)s->n, 0);
    MG_LAUNCH(look_up_kernel<T>, (unsigned)mg_ceil_div(s->n, THREADS), THREADS, 0,
              (const T *)s->pixels, s->n, mg_imaging_least(s->word_bytes, s->is_signed),
              s->padding_low, s->padding_high, table, grey);
}

void mg_imaging_look_up(const mg_imaging_stored *s, const float *table, float *grey) {
    if (s->word_bytes == 2) (s->is_signed ? look_up<int16_t> : look_up<uint16_t>)(s, table, grey);
    else (s->is_signed ? look_up<int8_t> : look_up<uint8_t>)(s, table, grey);
}

/* --- range ------------------------------------------------------------------------------------ */

/* out[2 block], out[2 block + 1] = smallest lo, largest hi of the block's threads. */
__device__ __forceinline__ void block_range(float lo, float hi, float *out) {
    MG_SHARED(float, least, [THREADS]);
    MG_SHARED(float, most, [THREADS]);
    const unsigned t = threadIdx.x;
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

/* Smallest of low[], largest of high[], visited with a stride: the first launch gives the image
 * twice, the second the parts of the first. */
static __global__ void __launch_bounds__(THREADS)
    range_kernel(const float *__restrict__ low, const float *__restrict__ high, int64_t n,
                 int stride, float *__restrict__ out) {
    float lo = INFINITY, hi = -INFINITY;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * THREADS) {
        const float a = low[i * stride], b = high[i * stride];
        lo = a < lo ? a : lo; /* NaN compares false and is passed over */
        hi = b > hi ? b : hi;
    }
    block_range(lo, hi, out);
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

/* A block looks along every gridDim.x-th pair of rows. */
static __global__ void __launch_bounds__(THREADS)
    steady_range_kernel(const float *__restrict__ pixels, uint32_t rows, uint32_t columns,
                        float *__restrict__ out) {
    float lo = INFINITY, hi = -INFINITY;
    for (uint32_t y = blockIdx.x; y + 1 < rows; y += gridDim.x) {
        const float *a = pixels + (int64_t)y * columns, *b = a + columns;
        for (uint32_t x = threadIdx.x; x + 1 < columns; x += THREADS) {
            const float v[4] = {a[x], a[x + 1], b[x], b[x + 1]};
            float least = v[0], most = v[0];
            bool whole = !isnan(v[0]);
#pragma unroll
            for (int k = 1; k < 4; k++) {
                least = v[k] < least ? v[k] : least;
                most = v[k] > most ? v[k] : most;
                whole &= !isnan(v[k]);
            }
            lo = whole && most < lo ? most : lo;
            hi = whole && least > hi ? least : hi;
        }
    }
    block_range(lo, hi, out);
}

static uint32_t steady_parts_of(uint32_t rows) {
    return rows < (uint32_t)MOST_PARTS ? rows : (uint32_t)MOST_PARTS;
}

size_t mg_imaging_steady_range_scratch(uint32_t rows) {
    return (size_t)steady_parts_of(rows) * 2 * sizeof(float);
}

void mg_imaging_steady_range(const float *pixels, uint32_t rows, uint32_t columns, void *scratch,
                             float *out) {
    float *parts = (float *)scratch;
    const uint32_t count = steady_parts_of(rows);
    mg_cuda_cost(4.0 * rows * columns, 0);
    MG_LAUNCH(steady_range_kernel, count, THREADS, 0, pixels, rows, columns, parts);
    MG_LAUNCH(range_kernel, 1, THREADS, 0, (const float *)parts, (const float *)parts + 1,
              (int64_t)count, 2, out);
}

/* --- min-max and 16 bits ---------------------------------------------------------------------- */

static __global__ void __launch_bounds__(THREADS)
    normalise_kernel(float *pixels, int64_t n, float low, float high, float sign, float offset) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const float v = pixels[i];
    float x = v > low ? v : low;
    x = x < high ? x : high;
    pixels[i] = isnan(v) ? 0.0f : offset + sign * ((x - low) / (high - low));
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
