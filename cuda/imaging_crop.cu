/* The breast crop's small image on the GPU: means of square blocks of pixels as 8-bit levels.
 *
 * (1) a thread per column and line of blocks adds the block's rows from the top down into scratch,
 * neighbours in x side by side, 128 bytes a warp; (2) a thread per block adds those sums from the
 * left and divides. That is the order of data/crop.c, whose bits these are. What is left of the
 * crop (data/crop_device.c) looks at 160 KB at most. Bytes: 4 per pixel read, 8 / block more. */
#include "cuda/imaging.h"

enum { THREADS = 256 };

static __global__ void __launch_bounds__(THREADS)
    block_rows_kernel(const float *__restrict__ pixels, uint32_t rows, uint32_t columns,
                      uint32_t block, float *__restrict__ sums) {
    const uint32_t x = blockIdx.x * THREADS + threadIdx.x, y0 = blockIdx.y * block;
    if (x >= columns) return;
    const uint32_t y1 = y0 + block < rows ? y0 + block : rows;
    float sum = 0;
    for (uint32_t y = y0; y < y1; y++) sum += pixels[(int64_t)y * columns + x];
    sums[(int64_t)blockIdx.y * columns + x] = sum;
}

static __global__ void __launch_bounds__(THREADS)
    block_levels_kernel(const float *__restrict__ sums, uint32_t rows, uint32_t columns,
                        uint32_t block, uint32_t width, uint8_t *__restrict__ grey) {
    const uint32_t bx = blockIdx.x * THREADS + threadIdx.x, by = blockIdx.y;
    if (bx >= width) return;
    const uint32_t x0 = bx * block, x1 = x0 + block < columns ? x0 + block : columns;
    const uint32_t high = by * block + block < rows ? block : rows - by * block;
    float total = 0;
    for (uint32_t x = x0; x < x1; x++) total += sums[(int64_t)by * columns + x];
    const float mean = total / (float)(high * (x1 - x0));
    const int level = (int)(mean * 256.0f);
    grey[(int64_t)by * width + bx] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

size_t mg_imaging_block_means_scratch(uint32_t rows, uint32_t columns, uint32_t block) {
    return (size_t)mg_ceil_div(rows, block) * columns * sizeof(float);
}

void mg_imaging_block_means(const float *pixels, uint32_t rows, uint32_t columns, uint32_t block,
                            void *scratch, uint8_t *grey) {
    float *sums = (float *)scratch;
    const unsigned width = (unsigned)mg_ceil_div(columns, block);
    const unsigned height = (unsigned)mg_ceil_div(rows, block);
    const double between = 4.0 * height * columns;
    mg_cuda_cost(4.0 * rows * columns + between, 0);
    MG_LAUNCH(block_rows_kernel, dim3((unsigned)mg_ceil_div(columns, THREADS), height), THREADS, 0,
              pixels, rows, columns, block, sums);
    mg_cuda_cost(between + (double)height * width, 0);
    MG_LAUNCH(block_levels_kernel, dim3((unsigned)mg_ceil_div(width, THREADS), height), THREADS, 0,
              (const float *)sums, rows, columns, block, width, grey);
}
