/* imaging.h: the functions of ops/imaging.h, by file. All are compiled without fused multiply-add
 * (see the Makefile), so that every product is rounded as on the CPU. */
#ifndef MG_CUDA_IMAGING_H
#define MG_CUDA_IMAGING_H

#include "cuda/kernel.h"
extern "C" {
#include "ops/imaging.h"
}

/* imaging_grey.cu */
void mg_imaging_values(const mg_imaging_grey *g, int32_t first, uint32_t n, float *table);
void mg_imaging_look_up(const mg_imaging_stored *stored, const float *table, float *grey);
void mg_imaging_range(const float *pixels, int64_t n, void *scratch, float *out);
size_t mg_imaging_range_scratch(int64_t n);
void mg_imaging_steady_range(const float *pixels, uint32_t rows, uint32_t columns, void *scratch,
                             float *out);
size_t mg_imaging_steady_range_scratch(uint32_t rows);
void mg_imaging_normalise(float *pixels, int64_t n, float low, float high, bool invert);
void mg_imaging_quantise(const float *in, int64_t n, uint16_t *out);
/* imaging_shape.cu */
void mg_imaging_lit(const float *pixels, uint32_t rows, uint32_t columns, uint8_t *row,
                    uint8_t *column);
void mg_imaging_resize_image(const mg_imaging_resize *r, const float *in, void *scratch,
                             float *out);
size_t mg_imaging_resize_scratch(const mg_imaging_resize *r);
/* imaging_crop.cu */
void mg_imaging_block_means(const float *pixels, uint32_t rows, uint32_t columns, uint32_t block,
                            void *scratch, uint8_t *grey);
size_t mg_imaging_block_means_scratch(uint32_t rows, uint32_t columns, uint32_t block);
/* imaging_augment.cu */
enum { MG_IMAGING_LEVELS = 65536, MG_IMAGING_PARTS = 256 };
void mg_imaging_augment_image(const mg_imaging_augment *a, const uint16_t *in, uint32_t height,
                              uint32_t width, void *scratch, float *out);

#endif
