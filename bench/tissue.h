/* tissue.h: the image on which the decoders are timed: dense tissue in every pixel, 12 bits, with
 * the quantum noise of an X-ray detector. 3328 x 2560 of it is 7.4 MB as JPEG Lossless SV1, which
 * is as hard as mammograms get: real ones have a black background. The same numbers everywhere:
 * only integer arithmetic. */
#ifndef MG_BENCH_TISSUE_H
#define MG_BENCH_TISSUE_H

#include <stdint.h>
#include <stdlib.h>

#include "tensor/rng.h"

/* Four 16-bit uniforms added: nearly normal, mean 0, standard deviation 37837. */
static inline int32_t tissue_normal(uint32_t stream, size_t i) {
    mg_rng_key key = {.seed = stream, .purpose = MG_RNG_TEST};
    uint32_t w[4];
    mg_rng_words(&key, (uint32_t)(i / 2), w);
    uint32_t a = w[2 * (i & 1)], b = w[2 * (i & 1) + 1];
    return (int32_t)((a & 0xFFFF) + (a >> 16) + (b & 0xFFFF) + (b >> 16)) - 131070;
}

/* Smooth structure: random values on a grid of `cell` pixels, linear in between. */
static inline void tissue_add_structure(int32_t *image, uint32_t rows, uint32_t columns,
                                        uint32_t cell, int32_t amplitude, uint32_t stream) {
    uint32_t gx = columns / cell + 2, gy = rows / cell + 2;
    int32_t *grid = malloc((size_t)gx * gy * sizeof *grid);
    if (!grid) abort();
    for (size_t i = 0; i < (size_t)gx * gy; i++) grid[i] = tissue_normal(stream, i) / 1024;
    for (uint32_t y = 0; y < rows; y++) {
        const int32_t *g = grid + (size_t)(y / cell) * gx;
        int32_t fy = (int32_t)(y % cell), c = (int32_t)cell;
        for (uint32_t x = 0; x < columns; x++) {
            uint32_t k = x / cell;
            int32_t fx = (int32_t)(x % cell);
            int64_t top = (int64_t)g[k] * (c - fx) + (int64_t)g[k + 1] * fx;
            int64_t bottom = (int64_t)g[k + gx] * (c - fx) + (int64_t)g[k + gx + 1] * fx;
            int64_t v = (top * (c - fy) + bottom * fy) / ((int64_t)c * c);
            image[(size_t)y * columns + x] += (int32_t)(v * amplitude / 37);
        }
    }
    free(grid);
}

/* rows * columns samples of 0…4095; malloc'ed. */
static inline uint16_t *tissue_image(uint32_t rows, uint32_t columns) {
    size_t n = (size_t)rows * columns;
    int32_t *image = malloc(n * sizeof *image);
    uint16_t *out = malloc(n * sizeof *out);
    if (!image || !out) abort();
    for (size_t i = 0; i < n; i++) image[i] = 1900;
    tissue_add_structure(image, rows, columns, 512, 300, 1);
    tissue_add_structure(image, rows, columns, 96, 120, 2);
    tissue_add_structure(image, rows, columns, 16, 30, 3);
    for (size_t i = 0; i < n; i++) {
        int32_t signal = image[i] < 64 ? 64 : image[i] > 4000 ? 4000 : image[i];
        /* Quanta: the variance is proportional to the signal, here as a piecewise square root. */
        int32_t sigma = 9 + signal / 256 + (signal > 1024 ? 4 : 0);
        int32_t v = signal + (int32_t)((int64_t)tissue_normal(4, i) * sigma / 37837);
        out[i] = (uint16_t)(v < 0 ? 0 : v > 4095 ? 4095 : v);
    }
    free(image);
    return out;
}

#endif
