/* grey.h: the parts of the grey pipeline (PS3.3 C.11.1, C.11.2, C.11.6). Internal.
 *
 * Everything is computed in double and rounded to float once at the end. Stored values of up to 16
 * bits go through a table of the values that occur, so what a step costs does not matter there. */
#ifndef MG_DICOM_GREY_H
#define MG_DICOM_GREY_H

#include "dicom/pixel.h"

typedef struct mg_dicom_lut {
    int64_t first;    /* input value that maps to entry 0 */
    uint32_t count;   /* 1…65536 */
    int bits;         /* of an entry: what the descriptor says, or more if the entries need it */
    int used;         /* that the largest entry has */
    uint16_t *values; /* owned */
} mg_dicom_lut;

typedef struct mg_dicom_modality {
    bool rescale;
    double slope, intercept;
    mg_dicom_lut lut;   /* if lut.values */
    bool signed_output; /* whether results can be negative */
} mg_dicom_modality;

typedef enum mg_dicom_voi_kind {
    MG_DICOM_VOI_NONE,
    MG_DICOM_VOI_WINDOW,
    MG_DICOM_VOI_LUT,
    MG_DICOM_VOI_RANGE, /* from the smallest to the largest value */
} mg_dicom_voi_kind;

typedef struct mg_dicom_voi {
    mg_dicom_voi_kind kind;
    mg_dicom_window window;
    mg_dicom_lut lut;
    double least, most;
} mg_dicom_voi;

typedef struct mg_dicom_grey {
    mg_dicom_modality modality;
    mg_dicom_voi voi;
    bool invert; /* y' = 1 - y, the very last step */
} mg_dicom_grey;

/* --- grey_lut.c ------------------------------------------------------------------------------- */

/* LUT Descriptor and LUT Data of a sequence item. signed_input: how to read the first mapped value
 * where the VR does not say. */
mg_dicom_status mg_dicom_lut_read(const mg_dicom *d, const mg_dicom_element *item,
                                  bool signed_input, mg_dicom_lut *out, mg_dicom_error *err);
void mg_dicom_lut_free(mg_dicom_lut *lut);
/* Values below the first entry get the first, those above the last get the last. */
void mg_dicom_lut_apply(const mg_dicom_lut *lut, double *x, size_t n);

/* --- grey_source.c: what the data set says ---------------------------------------------------- */

mg_dicom_status mg_dicom_modality_read(const mg_dicom *d, const mg_dicom_image *image,
                                       uint32_t frame, mg_dicom_modality *out, mg_dicom_error *err);
/* Item `index` of the VOI LUT Sequence that holds for a frame, or NULL. */
const mg_dicom_element *mg_dicom_voi_lut_item(const mg_dicom *d, uint32_t frame, int index);
/* Whether a window's values are in the file, usable or not. */
bool mg_dicom_window_named(const mg_dicom *d, uint32_t frame, int index, mg_dicom_window *out);
/* The VOI LUT Function of a frame if it is none that is known; else "". */
void mg_dicom_unknown_function(const mg_dicom *d, uint32_t frame, char out[32]);
/* Pixel padding as a range of stored values. */
bool mg_dicom_padding_of(const mg_dicom *d, const mg_dicom_image *image, int64_t *low,
                         int64_t *high);
bool mg_dicom_window_valid(const mg_dicom_window *w);

/* --- grey_math.c ------------------------------------------------------------------------------ */

void mg_dicom_window_values(const mg_dicom_window *w, double *x, size_t n);
void mg_dicom_modality_values(const mg_dicom_modality *m, double *x, size_t n);
void mg_dicom_grey_values(const mg_dicom_grey *g, double *x, size_t n);

#endif
