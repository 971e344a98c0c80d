/* jpeg_lossless.h: the two halves of a lossless scan: differences out of bits
 * (jpeg_differences.c), samples out of differences (jpeg_lossless.c). */
#ifndef MG_DICOM_JPEG_LOSSLESS_H
#define MG_DICOM_JPEG_LOSSLESS_H

#include "dicom/jpeg_internal.h"

typedef struct mg_jpeg_group mg_jpeg_group;

typedef struct mg_jpeg_lossless {
    mg_jpeg *j;
    int n; /* components of the scan */
    const mg_jpeg_huffman *table[4];
    uint32_t rows, columns;
    uint32_t rows_per_interval; /* or rows, without restarts */
    unsigned predictor, point_transform;
    uint16_t initial; /* prediction of the first sample of an interval */
    bool extra_16;    /* the encoder wrote additional bits for SSSS 16 */
    bool failed;      /* met bits that are no code, or the end of the data */

    /* Of jpeg_differences.c, for scans of one component. */
    mg_jpeg_group *groups;
    uint16_t *lane_space;
    int lanes_lost; /* times in a row that reading ahead was in vain */
} mg_jpeg_lossless;

enum { MG_JPEG_DIFFERENCES_ROOM = 1 << 18 }; /* a call with so much room can go at full speed */

/* Makes the tables for scans of one component that are worth it; freed by the scan. */
mg_dicom_status mg_jpeg_differences_prepare(mg_jpeg_lossless *s);

/* Decodes at least one difference, at most `room`, modulo 2^16 to `out`, and returns how many;
 * fewer than one only when s->failed. Those before a failure are right. Never writes behind
 * out[room]. */
size_t mg_jpeg_differences(mg_jpeg_lossless *s, uint16_t *out, size_t room);

/* One row of a scan of several components, whose differences alternate. Sets s->failed. */
void mg_jpeg_differences_interleaved(mg_jpeg_lossless *s, uint16_t *const line[4]);

#endif
