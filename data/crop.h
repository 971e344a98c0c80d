/* crop.h: which rows and columns of a mammogram are kept. Internal to data/.
 *
 * Zero crop: rows and columns without a single non-zero pixel go, wherever they are (the seed's).
 *
 * Breast crop, made for backgrounds that are not exactly 0, markers, frames and stripes:
 *   1. reduce by averaging whole blocks to at most 400 pixels on the longer side;
 *   2. Otsu's threshold t (IEEE Trans. SMC 9, 1979) splits dark from bright; below it, the most
 *      frequent level is the background. The mask is what lies above the foot of that peak in the
 *      histogram (2% of its height, or the valley before it rises again), low enough to keep the
 *      dim skin line and fat;
 *   3. open the mask by a square of 2% of the longer side: frames, stripes and letters are thinner;
 *   4. keep the largest 4-connected component, grow it back by the opening's radius within the
 *      mask, and take its bounding box plus a margin.
 * When next to nothing is dark, or the component is below 2% of the image, the whole image is kept:
 * a wrong crop costs more than none. */
#ifndef MG_DATA_CROP_H
#define MG_DATA_CROP_H

#include "data/geometry.h"
#include "ops/imaging.h"
#include "tensor/memory.h"

/* pixels: rows*columns in [0,1], background dark. On MG_OK row and column are filled (lists owned
 * by the caller, see mg_geometry_free). */
mg_status mg_crop_zero(const float *pixels, uint32_t rows, uint32_t columns, mg_kept *row,
                       mg_kept *column, mg_error *err);
mg_status mg_crop_breast(const float *pixels, uint32_t rows, uint32_t columns, float margin,
                         mg_kept *row, mg_kept *column, mg_error *err);

/* The same bounds for pixels in the memory of a device (crop_device.c). For the breast the device
 * reduces the image; the 160,000 bytes at most that are left come back and go through the same
 * code. For the zero crop a byte per row and column comes back. MG_ERR_MEMORY: no room, the device
 * or the host is full; MG_ERR_DEVICE: the device failed. */
mg_status mg_crop_breast_device(const mg_memory *memory, const mg_device_imaging *imaging,
                                const float *pixels, uint32_t rows, uint32_t columns, float margin,
                                mg_kept *row, mg_kept *column, mg_error *err);

mg_status mg_crop_zero_device(const mg_memory *memory, const mg_device_imaging *imaging,
                              const float *pixels, uint32_t rows, uint32_t columns, mg_kept *row,
                              mg_kept *column, mg_error *err);

/* The zero crop from marks: 1 for each row and column with a pixel above 0. */
mg_status mg_crop_marked(const uint8_t *row_mark, uint32_t rows, const uint8_t *column_mark,
                         uint32_t columns, mg_kept *row, mg_kept *column, mg_error *err);

/* The reduced image, step 1, and steps 2 to 4 of it. NULL: out of memory. */
typedef struct mg_crop_small mg_crop_small;
mg_crop_small *mg_crop_small_create(uint32_t rows, uint32_t columns);
void mg_crop_small_destroy(mg_crop_small *s);
/* Where its grey levels go, `bytes` of them, each the mean of block x block pixels. */
uint8_t *mg_crop_small_grey(mg_crop_small *s, uint32_t *block, size_t *bytes);
/* Narrows row and column, which hold the whole image. */
void mg_crop_small_bounds(mg_crop_small *s, float margin, mg_kept *row, mg_kept *column);

#endif
