/* derived.h: objects made from mammograms, "for research use": a Secondary Capture image with an
 * overlay, and a structured report with what was found. Both keep patient and study of their source
 * and start a series of their own. The same input gives the same bytes: UIDs come from the source's
 * UIDs and `seed`, date and time from the caller. */
#ifndef MG_DICOM_DERIVED_H
#define MG_DICOM_DERIVED_H

#include "dicom/writer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What both objects say about themselves. All texts are UTF-8 and may be NULL where a default is
 * named. */
typedef struct mg_dicom_author {
    const char *algorithm;   /* name, default "mammograd" */
    const char *version;     /* default "unknown" */
    const char *parameters;  /* one line, may be NULL: left out */
    const char *seed;        /* tells runs apart in the UIDs, for example the model's hash */
    const char *date, *time; /* YYYYMMDD and HHMMSS of the making; default: the source's study */
    const char *series_description; /* default says what it is and "RESEARCH USE ONLY" */
    int series_number;              /* default 9000 (image), 9001 (report) */
} mg_dicom_author;

/* --- Secondary Capture (PS3.3 A.8.1) ---------------------------------------------------------- */

typedef struct mg_dicom_capture {
    uint32_t rows, columns;
    const uint8_t *rgb;     /* interleaved, rows*columns*3 */
    const char *derivation; /* what was done, default "Overlay of a class activation map" */
    bool burned_in_text;    /* text is drawn into the pixels */
    int instance_number;    /* default: the source's */
    const mg_dicom_encode_options *encoding; /* may be NULL: uncompressed */
} mg_dicom_capture;

/* *out is the caller's to write and destroy. */
mg_dicom_status mg_dicom_make_capture(const mg_dicom *source, const mg_dicom_capture *capture,
                                      const mg_dicom_author *author, mg_dicom_dataset **out,
                                      mg_dicom_error *err);

/* --- Structured report (PS3.16 TID 1500, Comprehensive 3D SR) --------------------------------- */

/* A closed outline in the source's pixels: x (column) and y (row) pairs, where (0,0) is the top
 * left corner of the top left pixel. The first point need not be repeated. */
typedef struct mg_dicom_outline {
    float *points;
    size_t count; /* of points, not of numbers; at least 3 */
} mg_dicom_outline;

typedef struct mg_dicom_finding {
    const mg_dicom *source; /* the image */
    double probability;     /* of cancer, 0…1 */
    const mg_dicom_outline *outlines;
    size_t outline_count; /* 0: the finding is the whole image's */
} mg_dicom_finding;

/* All sources must be of one study. The first one gives patient and study. */
mg_dicom_status mg_dicom_make_report(const mg_dicom_finding *findings, size_t count,
                                     const mg_dicom_author *author, mg_dicom_dataset **out,
                                     mg_dicom_error *err);

/* Outer outlines of the connected areas (four neighbours) of non-zero bytes, largest first, along
 * pixel edges. At most `most` areas, none below `least` pixels. Returns how many, or -1 without
 * memory; free with mg_dicom_free_outlines. */
int mg_dicom_trace_outlines(const uint8_t *mask, uint32_t rows, uint32_t columns, size_t least,
                            int most, mg_dicom_outline **out);
void mg_dicom_free_outlines(mg_dicom_outline *outlines, int count);

#ifdef __cplusplus
}
#endif

#endif
