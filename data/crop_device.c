/* crop_device.c: crops of an image that lies on a device, with the bounds of data/crop.c. */
#include <stdlib.h>

#include "data/crop.h"

/* After reading: what went wrong, if anything. all: every block was to be had. */
static mg_status outcome(const mg_memory *memory, bool all, mg_error *err) {
    const char *reason = memory->failure(false);
    if (!all)
        return mg_fail(err, MG_ERR_MEMORY, "crop on the device: %s",
                       reason ? reason : "its memory is full");
    return reason ? mg_fail(err, MG_ERR_DEVICE, "crop on the device: %s", reason) : MG_OK;
}

mg_status mg_crop_zero_device(const mg_memory *memory, const mg_device_imaging *imaging,
                              const float *pixels, uint32_t rows, uint32_t columns, mg_kept *row,
                              mg_kept *column, mg_error *err) {
    size_t bytes = (size_t)rows + columns;
    uint8_t *mark = malloc(bytes);
    if (!mark) return mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
    uint8_t *lit = memory->alloc(bytes, "crop");
    if (lit) {
        imaging->lit(pixels, rows, columns, lit, lit + rows);
        memory->read(mark, lit, bytes);
    }
    mg_status status = outcome(memory, lit, err);
    if (!status) status = mg_crop_marked(mark, rows, mark + rows, columns, row, column, err);
    memory->free(lit);
    free(mark);
    return status;
}

mg_status mg_crop_breast_device(const mg_memory *memory, const mg_device_imaging *imaging,
                                const float *pixels, uint32_t rows, uint32_t columns, float margin,
                                mg_kept *row, mg_kept *column, mg_error *err) {
    *row = (mg_kept){.first = 0, .count = rows};
    *column = (mg_kept){.first = 0, .count = columns};
    mg_crop_small *small = mg_crop_small_create(rows, columns);
    if (!small) return mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
    size_t bytes;
    uint32_t block;
    uint8_t *grey = mg_crop_small_grey(small, &block, &bytes);
    void *scratch = memory->alloc(imaging->block_means_scratch(rows, columns, block), "crop");
    uint8_t *means = memory->alloc(bytes, "crop");
    if (scratch && means) {
        imaging->block_means(pixels, rows, columns, block, scratch, means);
        memory->read(grey, means, bytes);
    }
    mg_status status = outcome(memory, scratch && means, err);
    if (!status) mg_crop_small_bounds(small, margin, row, column);
    memory->free(scratch);
    memory->free(means);
    mg_crop_small_destroy(small);
    return status;
}
