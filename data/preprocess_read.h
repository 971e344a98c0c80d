/* preprocess_read.h: from a file to grey values before normalisation. Internal to data/. */
#ifndef MG_DATA_PREPROCESS_READ_H
#define MG_DATA_PREPROCESS_READ_H

#include "data/preprocess.h"
#include "dicom/dicom.h"

/* A source image in buffers that grow and are used again. */
typedef struct mg_source {
    float *grey;            /* rows*columns: modality units, or VOI output under MG_WINDOW_DICOM */
    uint8_t *mask;          /* rows*columns, 1 where pixel padding; only meaningful with has_mask */
    size_t capacity;        /* pixels both buffers hold */
    uint32_t rows, columns; /* of the buffers */
    uint32_t full_rows, full_columns; /* of the image: 2^reduce times as many, save for the rest */
    int reduce;                       /* JPEG 2000 was decoded at 1/2^reduce */
    bool has_mask, invert, has_window;
    double center, width; /* of the first window, with has_window (MG_WINDOW_SEED only) */
    char warning[96];
    /* With keep_stored the grey values of a DICOM file are left undone: mg_source_evaluate() does
     * them, or a device. pixels NULL: there is nothing left to do. Owned. */
    bool keep_stored;
    mg_dicom_stored stored;
    /* May be NULL. Called, where the file allows it, with the grey value of every stored value from
     * the least to the most in the image (has_window, center, width and invert are known by then);
     * may replace them, and then says so in `finished`. */
    void (*on_values)(struct mg_source *s, float *values, size_t n);
    bool finished;
    float lowest, highest, low, high; /* free for the use of on_values */
} mg_source;

mg_status mg_source_reserve(mg_source *s, uint32_t rows, uint32_t columns, mg_error *err);
void mg_source_free(mg_source *s);

/* Reads a DICOM or PNG file, told apart by content. */
mg_status mg_source_read(mg_source *s, const char *path, const mg_preprocess_settings *settings,
                         const mg_preprocess_trace *trace, mg_error *err);
/* Whatever was decoded, maps and outlines are drawn on the original: a geometry of the rows and
 * columns in the buffers becomes one of the image's. */
mg_status mg_source_full_geometry(const mg_source *s, mg_geometry *g, mg_error *err);
/* From s->stored, which it frees, to grey and mask. */
mg_status mg_source_evaluate(mg_source *s, mg_error *err);

#endif
