/* jls.h: between the files of the JPEG-LS decoder (ITU-T T.87). Internal. */
#ifndef MG_DICOM_JLS_H
#define MG_DICOM_JLS_H

#include "dicom/pixel.h"

/* Coding parameters of a scan (T.87 C.2.4.1.1, A.2.1). */
typedef struct mg_jls_parameters {
    int maxval, near, t1, t2, t3, reset;
    int range, qbpp, limit;
} mg_jls_parameters;

/* One scan: its entropy-coded data and the planes it fills. */
typedef struct mg_jls_scan {
    const uint8_t *data; /* from the first entropy-coded byte to the end of the codestream */
    size_t size;
    mg_jls_parameters parameters;
    uint32_t rows, columns;
    int components; /* in this scan: 1, or all three */
    int interleave; /* 0 one component, 1 by line, 2 by sample */
    uint16_t *out;  /* first sample of the scan's first component */
    size_t step;    /* samples from one pixel to the next: the image's components */
} mg_jls_scan;

typedef enum mg_jls_result {
    MG_JLS_OK,
    MG_JLS_MEMORY,
    MG_JLS_EARLY,   /* data ends before the last sample */
    MG_JLS_INVALID, /* a value that no encoder can have written */
    MG_JLS_LATE,    /* data left over */
} mg_jls_result;

/* Default thresholds and what follows from maxval and near. */
void mg_jls_derive(mg_jls_parameters *p);

/* Decodes a scan; *used: bytes up to the next marker. Rows before damage are right, later ones are
 * left as they were; *row is the first of those. */
mg_jls_result mg_jls_decode_scan(const mg_jls_scan *scan, size_t *used, uint32_t *row);

#endif
