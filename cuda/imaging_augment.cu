/* Affine augmentation on the GPU: one bilinear resample of a 16-bit image, flips included.
 *
 * A thread makes one output pixel, 256 of a row to a block. Positions are f64 and products are
 * rounded apart, as in data/augment.c, so that the bits are the CPU's: with f32 positions a pixel
 * at the edge of its source cell could read other neighbours. The four neighbours come from the
 * caches; bytes: 2 per pixel read, 4 written.
 *
 * With contrast or brightness, grey levels go through a table of all 65,536 levels: 256 blocks sum
 * the image in f64 (fixed strides, a fixed tree), then every thread of the table's launch adds the
 * 256 sums in order. The mean is the one number whose rounding differs from the CPU's. */
#include "cuda/imaging.h"

enum { THREADS = 256 };

static __global__ void __launch_bounds__(THREADS)
    grey_sums_kernel(const uint16_t *__restrict__ in, int64_t n, double *__restrict__ partial) {
    MG_SHARED(double, sums, [THREADS]);
    double sum = 0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * THREADS)
        sum += (double)((float)in[i] / 65535.0f);
    sums[threadIdx.x] = sum;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) partial[blockIdx.x] = sums[0];
}

static __global__ void __launch_bounds__(THREADS)
    level_table_kernel(const double *__restrict__ partial, int64_t n, double contrast,
                       double brightness, float *__restrict__ table) {
    const uint32_t level = blockIdx.x * THREADS + threadIdx.x;
    double sum = 0;
    for (int k = 0; k < MG_IMAGING_PARTS; k++) sum += partial[k];
    const double mean = sum / (double)n;
    const double grey = (double)(float)((double)level / 65535.0);
    const double v = (grey - mean) * contrast + mean + brightness;
    table[level] = (float)(v < 0 ? 0 : v > 1 ? 1 : v);
}

__device__ __forceinline__ float grey_of(uint16_t level, const float *table) {
    return table ? table[level] : (float)level / 65535.0f;
}

static __global__ void __launch_bounds__(THREADS)
    resample_kernel(mg_imaging_augment a, const uint16_t *__restrict__ in,
                    const float *__restrict__ table, int width, int height,
                    float *__restrict__ out) {
    const int x = (int)(blockIdx.x * THREADS + threadIdx.x), y = (int)blockIdx.y;
    if (x >= width) return;
    const double sx = a.map[0] * (double)x + (a.map[1] * (double)y + a.map[2]);
    const double sy = a.map[3] * (double)x + (a.map[4] * (double)y + a.map[5]);
    float value = 0;
    if (sx > -1 && sx < (double)width && sy > -1 && sy < (double)height) {
        const int ix = (int)(sx + 1) - 1, iy = (int)(sy + 1) - 1; /* floor */
        const float fx = (float)(sx - (double)ix), fy = (float)(sy - (double)iy);
        float v[4] = {0, 0, 0, 0}; /* what lies outside is 0 */
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const int px = ix + (k & 1), py = iy + (k >> 1);
            if (px >= 0 && px < width && py >= 0 && py < height)
                v[k] = grey_of(in[(int64_t)py * width + px], table);
        }
        const float top = v[0] + fx * (v[1] - v[0]), bottom = v[2] + fx * (v[3] - v[2]);
        value = top + fy * (bottom - top);
    }
    out[(int64_t)y * width + x] = value;
}

void mg_imaging_augment_image(const mg_imaging_augment *a, const uint16_t *in, uint32_t height,
                              uint32_t width, void *scratch, float *out) {
    const int64_t n = (int64_t)height * width;
    double *partial = (double *)scratch;
    float *table = NULL;
    if (a->contrast != 1 || a->brightness != 0) {
        table = (float *)(partial + MG_IMAGING_PARTS);
        mg_cuda_cost(2.0 * (double)n, 0);
        MG_LAUNCH(grey_sums_kernel, MG_IMAGING_PARTS, THREADS, 0, in, n, partial);
        mg_cuda_cost(4.0 * MG_IMAGING_LEVELS, 0);
        MG_LAUNCH(level_table_kernel, MG_IMAGING_LEVELS / THREADS, THREADS, 0,
                  (const double *)partial, n, a->contrast, a->brightness, table);
    }
    mg_cuda_cost(6.0 * (double)n, 0);
    MG_LAUNCH(resample_kernel, dim3((unsigned)mg_ceil_div(width, THREADS), height), THREADS, 0, *a,
              in, (const float *)table, (int)width, (int)height, out);
}
