/* Crop and resize on the GPU.
 *
 * Zero crop: lit rows and columns. A block of 256 threads looks along one row; 32 x 8 threads look
 * down 32 columns, a warp at 128 adjacent bytes. The image is read twice.
 *
 * Resize: a triangle filter of half width s = max(1, in/out), weights normalised, as data/resize.c:
 *     weight(i, k) = max(0, 1 - |k - c + 0.5| / s) / total,  c = in/out (i + 0.5)
 * (1) a thread per output row and column computes its taps in f64 into scratch; (2) rows: thread
 * (x, y) adds the taps of column x down the kept rows, neighbours in x side by side; (3) columns.
 * Sums run in index order, product and sum rounded apart: the CPU's bits. Bytes: the kept image
 * about twice (rows shared by two outputs, from the cache), height x kept columns written and read,
 * the output. Source: Turkowski, Filters for Common Resampling Tasks, 1990. */
#include "cuda/imaging.h"

enum { THREADS = 256, LANES = 32, LINES = 8 };

static __global__ void __launch_bounds__(THREADS)
    lit_rows_kernel(const float *__restrict__ pixels, uint32_t columns, uint8_t *__restrict__ row) {
    const float *p = pixels + (int64_t)blockIdx.x * columns;
    int any = 0;
    for (uint32_t x = threadIdx.x; x < columns; x += THREADS) any |= p[x] > 0;
    any = __syncthreads_or(any);
    if (threadIdx.x == 0) row[blockIdx.x] = any != 0;
}

static __global__ void __launch_bounds__(LANES *LINES)
    lit_columns_kernel(const float *__restrict__ pixels, uint32_t rows, uint32_t columns,
                       uint8_t *__restrict__ column) {
    MG_SHARED(int, found, [LINES][LANES]);
    const uint32_t x = blockIdx.x * LANES + threadIdx.x;
    int any = 0;
    for (uint32_t y = threadIdx.y; x < columns && y < rows; y += LINES)
        any |= pixels[(int64_t)y * columns + x] > 0;
    found[threadIdx.y][threadIdx.x] = any;
    __syncthreads();
    if (threadIdx.y > 0 || x >= columns) return;
#pragma unroll
    for (int line = 1; line < LINES; line++) any |= found[line][threadIdx.x];
    column[x] = (uint8_t)any;
}

void mg_imaging_lit(const float *pixels, uint32_t rows, uint32_t columns, uint8_t *row,
                    uint8_t *column) {
    const double bytes = 4.0 * rows * columns;
    mg_cuda_cost(bytes, 0);
    MG_LAUNCH(lit_rows_kernel, rows, THREADS, 0, pixels, columns, row);
    mg_cuda_cost(bytes, 0);
    MG_LAUNCH(lit_columns_kernel, (unsigned)mg_ceil_div(columns, LANES), dim3(LANES, LINES), 0,
              pixels, rows, columns, column);
}

/* --- resize ----------------------------------------------------------------------------------- */

typedef struct taps { /* of all outputs along one axis */
    uint32_t *first, *count;
    float *weight; /* out x most */
    uint32_t in, out, most;
} taps;

__device__ static double triangle(double centre, double support, uint32_t k) {
    const double d = ((double)k - centre + 0.5) / support;
    const double w = d < 0 ? 1 + d : 1 - d;
    return w > 0 ? w : 0;
}

static __global__ void __launch_bounds__(THREADS) imaging_taps_kernel(taps t) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= t.out) return;
    const double scale = (double)t.in / (double)t.out, support = scale > 1 ? scale : 1;
    const double centre = scale * ((double)i + 0.5);
    const double low = centre - support + 0.5, high = centre + support + 0.5;
    const uint32_t from = low > 0 ? (uint32_t)low : 0;
    const uint32_t to = high < (double)t.in ? (uint32_t)high : t.in;
    double total = 0;
    for (uint32_t k = from; k < to; k++) total += triangle(centre, support, k);
    for (uint32_t k = from; k < to; k++)
        t.weight[(int64_t)i * t.most + (k - from)] = (float)(triangle(centre, support, k) / total);
    t.first[i] = from;
    t.count[i] = to - from;
}

/* sum[y][x] over the kept rows, for kept column x. */
static __global__ void __launch_bounds__(THREADS)
    resize_rows_kernel(mg_imaging_resize r, taps t, const float *__restrict__ in,
                       float *__restrict__ sums) {
    const uint32_t x = blockIdx.x * THREADS + threadIdx.x, y = blockIdx.y;
    if (x >= r.kept_columns) return;
    const uint32_t column = r.column[x], first = t.first[y], count = t.count[y];
    float sum = 0;
    for (uint32_t k = 0; k < count; k++)
        sum +=
            in[(int64_t)r.row[first + k] * r.columns + column] * t.weight[(int64_t)y * t.most + k];
    sums[(int64_t)y * r.kept_columns + x] = sum;
}

static __global__ void __launch_bounds__(THREADS)
    resize_columns_kernel(mg_imaging_resize r, taps t, const float *__restrict__ sums,
                          float *__restrict__ out) {
    const uint32_t x = blockIdx.x * THREADS + threadIdx.x, y = blockIdx.y;
    if (x >= r.width) return;
    const float *p = sums + (int64_t)y * r.kept_columns + t.first[x];
    const float *weight = t.weight + (int64_t)x * t.most;
    float value = 0;
    for (uint32_t k = 0; k < t.count[x]; k++) value += p[k] * weight[k];
    out[(int64_t)y * r.width + x] = value;
}

/* Taps at `memory`; returns what follows them. */
static char *place(taps *t, uint32_t in, uint32_t out, char *memory) {
    const double scale = (double)in / (double)out;
    t->in = in;
    t->out = out;
    t->most = 2 * (uint32_t)((scale > 1 ? scale : 1) + 1) + 2;
    t->first = (uint32_t *)memory;
    t->count = t->first + out;
    t->weight = (float *)(t->count + out);
    return (char *)(t->weight + (size_t)out * t->most);
}

size_t mg_imaging_resize_scratch(const mg_imaging_resize *r) {
    taps y, x;
    char *end = place(&x, r->kept_columns, r->width, place(&y, r->kept_rows, r->height, NULL));
    return (size_t)(end - (char *)NULL) + (size_t)r->height * r->kept_columns * sizeof(float);
}

/* height: at most 65,535, the limit of the grid's y (data/ allows 16,384). */
void mg_imaging_resize_image(const mg_imaging_resize *r, const float *in, void *scratch,
                             float *out) {
    taps y, x;
    char *end = place(&y, r->kept_rows, r->height, (char *)scratch);
    float *sums = (float *)place(&x, r->kept_columns, r->width, end);
    const double kept = (double)r->kept_rows * r->kept_columns;
    const double between = (double)r->height * r->kept_columns;
    MG_LAUNCH(imaging_taps_kernel, (unsigned)mg_ceil_div(y.out, THREADS), THREADS, 0, y);
    MG_LAUNCH(imaging_taps_kernel, (unsigned)mg_ceil_div(x.out, THREADS), THREADS, 0, x);
    mg_cuda_cost(4 * (kept + between), 0);
    MG_LAUNCH(resize_rows_kernel, dim3((unsigned)mg_ceil_div(r->kept_columns, THREADS), r->height),
              THREADS, 0, *r, y, in, sums);
    mg_cuda_cost(4 * (between + (double)r->height * r->width), 0);
    MG_LAUNCH(resize_columns_kernel, dim3((unsigned)mg_ceil_div(r->width, THREADS), r->height),
              THREADS, 0, *r, x, (const float *)sums, out);
}
