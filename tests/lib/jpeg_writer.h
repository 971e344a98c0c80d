/* jpeg_writer.h: JPEG Lossless as others write it, for tests of the decoder: every predictor, point
 * transforms, restarts, separate scans, late numbers of lines, and the deviations of encoders known
 * to be broken. Written straight from T.81 annex H, sharing nothing with dicom/. */
#ifndef MG_TESTS_LIB_JPEG_WRITER_H
#define MG_TESTS_LIB_JPEG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jpeg_writer_options {
    uint32_t rows, columns;
    int components, precision;
    int predictor; /* 1…7 */
    int point_transform;
    uint32_t restart_rows[4]; /* per scan; 0: none */
    bool separate_scans;      /* one per component */
    bool long_codes;          /* a Huffman table with frequent categories on 16-bit codes */
    bool late_lines;          /* 0 rows in SOF, DNL behind the first scan */
    bool extra_16;            /* 16 additional bits for SSSS 16 */
    bool int16_predictor;     /* neighbours as 16-bit signed numbers */
    bool no_eoi;
} jpeg_writer_options;

/* samples: interleaved, each below 2^precision. The result is malloc'ed. */
uint8_t *jpeg_writer_lossless(const uint16_t *samples, const jpeg_writer_options *options,
                              size_t *size);

/* Where the entropy-coded data of the first scan begins, and ends (next marker that is no RST). */
size_t jpeg_writer_scan_start(const uint8_t *data, size_t size);
size_t jpeg_writer_scan_end(const uint8_t *data, size_t size);

#endif
