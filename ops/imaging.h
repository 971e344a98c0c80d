/* imaging.h: preprocessing and augmentation on a device, as data/preprocess.c and data/augment.c do
 * them on the CPU. The table hangs in mg_device_plugin.imaging.
 *
 * Every pointer is device memory unless said otherwise; images are row by row, without gaps. Calls
 * are queued in order and return at once; failures are told by mg_memory.failure(). Arithmetic and
 * its order are the CPU's: equal bits, except for a mean (augment with contrast), which is summed
 * in another order. */
#ifndef MG_OPS_IMAGING_H
#define MG_OPS_IMAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mg_imaging_window {
    MG_IMAGING_LINEAR, /* PS3.3 C.11.2, to 0 … 1 */
    MG_IMAGING_LINEAR_EXACT,
    MG_IMAGING_SIGMOID,
    MG_IMAGING_NO_WINDOW,
} mg_imaging_window;

/* What becomes of a stored value x: x * slope + intercept in f64, then the window; rounded to f32
 * once. */
typedef struct mg_imaging_grey {
    double slope, intercept;
    mg_imaging_window window;
    double centre, width;
} mg_imaging_grey;

/* Pixels as a file has them. Values from padding_low to padding_high are no part of the image; none
 * where low > high. */
typedef struct mg_imaging_stored {
    const void *pixels; /* n words of one or two bytes */
    int64_t n;
    int word_bytes;
    bool is_signed;
    int32_t padding_low, padding_high;
} mg_imaging_stored;

/* Entries of a table with the grey value of every word, from the least word on. */
static inline uint32_t mg_imaging_levels(int word_bytes) { return word_bytes == 1 ? 256 : 65536; }
static inline int32_t mg_imaging_least(int word_bytes, bool is_signed) {
    return is_signed ? -(int32_t)(mg_imaging_levels(word_bytes) / 2) : 0;
}

/* Kept rows and columns of an image, original indices, ascending; and the network's size. */
typedef struct mg_imaging_resize {
    uint32_t columns; /* of the image: the distance between rows */
    const uint32_t *row, *column;
    uint32_t kept_rows, kept_columns;
    uint32_t height, width;
} mg_imaging_resize;

/* Output pixel (x, y) is read at source (map[0]x + map[1]y + map[2], map[3]x + map[4]y + map[5]),
 * 0 outside; flips are part of the map. Before that, levels become
 * clip((v - mean) contrast + mean + brightness); contrast 1 and brightness 0 leave them alone. */
typedef struct mg_imaging_augment {
    double map[6];
    double contrast, brightness;
} mg_imaging_augment;

typedef struct mg_device_imaging {
    /* table[i] = the grey value of stored value first + i, i below n. */
    void (*values)(const mg_imaging_grey *g, int32_t first, uint32_t n, float *table);
    /* grey[i] = the table's entry of pixel i, NaN for padding. */
    void (*look_up)(const mg_imaging_stored *stored, const float *table, float *grey);
    /* out[0] = smallest, out[1] = largest value; NaN is passed over. scratch: range_scratch()
     * bytes. */
    void (*range)(const float *pixels, int64_t n, void *scratch, float *out);
    size_t (*range_scratch)(int64_t n);
    /* The same of a wavelet's low-pass band, which overshoots at edges in lines one pixel wide:
     * out[0] = smallest of the largest values, out[1] = largest of the smallest of all squares of
     * 2 x 2 without NaN; infinities where there is none. scratch: steady_range_scratch() bytes. */
    void (*steady_range)(const float *pixels, uint32_t rows, uint32_t columns, void *scratch,
                         float *out);
    size_t (*steady_range_scratch)(uint32_t rows);
    /* v = (clip(v, low, high) - low) / (high - low), then 1 - v to invert (MONOCHROME1). NaN
     * becomes 0, the background. The seed's window is this with low and high limited to
     * centre -+ width. low < high. */
    void (*normalise)(float *pixels, int64_t n, float low, float high, bool invert);
    /* row[y], column[x] = 1 where a pixel is above 0, else 0: what the zero crop keeps. */
    void (*lit)(const float *pixels, uint32_t rows, uint32_t columns, uint8_t *row,
                uint8_t *column);
    /* What the breast crop looks at (data/crop.h, step 1): grey[] = means of block x block pixels
     * as levels 0 … 255, ceil(rows / block) x ceil(columns / block) of them. */
    void (*block_means)(const float *pixels, uint32_t rows, uint32_t columns, uint32_t block,
                        void *scratch, uint8_t *grey);
    size_t (*block_means_scratch)(uint32_t rows, uint32_t columns, uint32_t block);
    /* Antialiased bilinear: data/resize.h. out: height x width. */
    void (*resize)(const mg_imaging_resize *r, const float *in, void *scratch, float *out);
    size_t (*resize_scratch)(const mg_imaging_resize *r);
    void (*quantise)(const float *in, int64_t n, uint16_t *out); /* 1.0 becomes 65535 */
    /* One image of a batch; scratch: augment_scratch bytes. */
    void (*augment)(const mg_imaging_augment *a, const uint16_t *in, uint32_t height,
                    uint32_t width, void *scratch, float *out);
    size_t augment_scratch;
} mg_device_imaging;

#endif
