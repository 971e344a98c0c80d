/* preprocess.h: from a file to the network's input.
 *
 *   DICOM -> modality -> window -> min-max to [0,1] -> MONOCHROME1 inverted once -> crop
 *         -> antialiased bilinear resize to height x width -> 16 bits
 *   PNG (8/16-bit grey, colour by luma) enters at min-max.
 *
 * The result is quantised to 16 bits whether or not a cache is in between, so both give the same
 * network input. Only +, -, *, / and comparisons in a fixed order touch pixels, so the bits do not
 * depend on machine, thread count or instruction set (--window dicom with a SIGMOID window calls
 * exp() inside dicom/ and may differ in the last of 16 bits between C libraries). */
#ifndef MG_DATA_PREPROCESS_H
#define MG_DATA_PREPROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/geometry.h"
#include "tensor/error.h"

typedef enum mg_window_mode {
    MG_WINDOW_SEED, /* clip to centre - width … centre + width (first window); no window: nothing */
    MG_WINDOW_DICOM, /* PS3.3 C.11.2: LINEAR, LINEAR_EXACT, SIGMOID, VOI LUT; pixel padding is left
                        out of the range and becomes background */
    MG_WINDOW_NONE,  /* the whole range of values, pixel padding as above */
} mg_window_mode;

typedef enum mg_crop_mode {
    MG_CROP_BREAST, /* bounding box of the largest bright region, with a margin (see crop.h) */
    MG_CROP_ZERO,   /* drop every row and column whose sum is 0, interior ones too */
    MG_CROP_NONE,
} mg_crop_mode;

enum { MG_REDUCE_AUTO = -1 };

/* Everything that decides the output bits; part of the cache key and of checkpoints. */
typedef struct mg_preprocess_settings {
    uint32_t height, width; /* 955, 500 */
    mg_window_mode window;
    mg_crop_mode crop;
    float margin; /* around the breast, as a fraction of its box's longer side; 0.01 */
    int reduce;   /* JPEG 2000: decode at 1/2^n resolution; 0 full (default); MG_REDUCE_AUTO: the
                     coarsest that still has height x width pixels. Streams that have fewer levels
                     give their coarsest; other codecs are not concerned. */
} mg_preprocess_settings;

mg_preprocess_settings mg_preprocess_defaults(void);

/* Canonical one-line text, e.g. "955x500 window=seed crop=breast margin=0.01 reduce=0", and back.
 * Texts equal <=> settings equal. Parsing accepts any subset of the fields over the defaults. */
void mg_preprocess_text(const mg_preprocess_settings *s, char *out, size_t size);
mg_status mg_preprocess_parse(const char *text, mg_preprocess_settings *out, mg_error *err);
/* Option values: "seed", "dicom", "none"; "breast", "zero", "none"; "off", "auto" or a number. */
const char *mg_window_name(mg_window_mode mode);
const char *mg_crop_name(mg_crop_mode mode);
mg_status mg_window_from_name(const char *name, mg_window_mode *out, mg_error *err);
mg_status mg_crop_from_name(const char *name, mg_crop_mode *out, mg_error *err);
mg_status mg_reduce_from_name(const char *name, int *out, mg_error *err);
/* "off", "auto", "1" … in a buffer of at least 12 bytes. */
const char *mg_reduce_name(int reduce, char out[12]);

/* A network input with its history. */
typedef struct mg_prepared {
    uint16_t *pixels; /* height * width; 65535 is 1.0; owned */
    mg_geometry geometry;
    float lowest, highest; /* range of values before the window, modality units (PNG: raw) */
    float low, high;       /* the range that became 0 … 1 */
    bool inverted;         /* MONOCHROME1 */
    char warning[96];      /* what was odd but could be read over; "" */
} mg_prepared;
void mg_prepared_free(mg_prepared *p);

/* pixels / 65535 as f32, mirrored as MG_FLIP_* of sampler.h says. out[height*width]. */
void mg_prepared_input(const mg_prepared *p, int flip, float *out);

/* Receives intermediate images of one file, as f32: "stored" (stored values), "voi" (after
 * modality and window), "normalised" ([0,1], background dark), "cropped", "input" (16-bit steps).
 * The pointer is valid during the call only. */
typedef struct mg_preprocess_trace {
    void (*stage)(void *arg, const char *name, const float *pixels, uint32_t rows,
                  uint32_t columns);
    void *arg;
} mg_preprocess_trace;

/* Holds settings and scratch memory (about 8 bytes per pixel of the largest image so far). One
 * thread at a time. */
typedef struct mg_preprocessor mg_preprocessor;
mg_preprocessor *mg_preprocessor_create(const mg_preprocess_settings *s, mg_error *err);
void mg_preprocessor_destroy(mg_preprocessor *p);

/* From now on a device does the steps after decoding where it can (preprocess_device.h), with the
 * same bytes; NULL: none does. It must outlive p. */
typedef struct mg_preprocess_device mg_preprocess_device;
void mg_preprocessor_use(mg_preprocessor *p, mg_preprocess_device *device);

/* Reads and prepares one DICOM or PNG file (told apart by content). trace may be NULL. Errors name
 * the file: unreadable, not an image, several frames, colour DICOM, constant pixels
 * (MG_ERR_NUMERIC); MG_ERR_DEVICE: not the file failed but the device. Nothing is owned by *out on
 * failure. */
mg_status mg_preprocess_file(mg_preprocessor *p, const char *path, const mg_preprocess_trace *trace,
                             mg_prepared *out, mg_error *err);

/* The same from pixels in memory (modality units, row by row); they are overwritten. `invert` for
 * MONOCHROME1. The window is not applied. */
mg_status mg_preprocess_pixels(mg_preprocessor *p, float *pixels, uint32_t rows, uint32_t columns,
                               bool invert, mg_prepared *out, mg_error *err);

/* The image as a reader sees it, uncropped, [0,1], background dark, original geometry and at full
 * resolution whatever the settings: what CAM overlays are drawn on. *pixels is malloc'ed, *rows x
 * *columns, and matches geometry.rows and .columns of the same file prepared with the same
 * settings. */
mg_status mg_preprocess_display(mg_preprocessor *p, const char *path, float **pixels,
                                uint32_t *rows, uint32_t *columns, mg_error *err);

#endif
