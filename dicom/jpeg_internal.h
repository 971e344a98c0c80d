/* jpeg_internal.h: the state of one JPEG being decoded and the parts that work on it.
 *
 *     jpeg_markers.c      segments between the scans: tables, frame and scan headers
 *     jpeg_interval.c     entropy-coded data: from marker to marker, without the stuffed bytes
 *     jpeg_decode.c       the order of things: markers, scans, output
 *     jpeg_lossless.c     scans of process 14: samples out of differences
 *     jpeg_differences.c  … and differences out of bits
 *     jpeg_blocks.c       the order of a DCT scan's blocks, restarts
 *     jpeg_sequential.c   scans of baseline and extended sequential DCT
 *     jpeg_progressive.c  scans of progressive DCT
 *     jpeg_dct.c          dequantisation and inverse DCT
 *     jpeg_upsample.c     component planes to interleaved samples */
#ifndef MG_DICOM_JPEG_INTERNAL_H
#define MG_DICOM_JPEG_INTERNAL_H

#include "dicom/jpeg_huffman.h"

enum mg_jpeg_marker { /* second byte, T.81 table B.1 */
                      MG_JPEG_TEM = 0x01,
                      MG_JPEG_SOF0 = 0xC0,
                      MG_JPEG_SOF3 = 0xC3,
                      MG_JPEG_DHT = 0xC4,
                      MG_JPEG_JPG = 0xC8,
                      MG_JPEG_DAC = 0xCC,
                      MG_JPEG_SOF15 = 0xCF,
                      MG_JPEG_RST0 = 0xD0,
                      MG_JPEG_RST7 = 0xD7,
                      MG_JPEG_SOI = 0xD8,
                      MG_JPEG_EOI = 0xD9,
                      MG_JPEG_SOS = 0xDA,
                      MG_JPEG_DQT = 0xDB,
                      MG_JPEG_DNL = 0xDC,
                      MG_JPEG_DRI = 0xDD,
                      MG_JPEG_DHP = 0xDE,
                      MG_JPEG_EXP = 0xDF,
                      MG_JPEG_APP0 = 0xE0,
                      MG_JPEG_APP14 = 0xEE,
                      MG_JPEG_APP15 = 0xEF,
                      MG_JPEG_COM = 0xFE,
};

typedef struct mg_jpeg_component {
    uint8_t id, h, v, quant;
    uint32_t width, height;                 /* samples, T.81 A.1.1 */
    uint32_t blocks_x, blocks_y;            /* DCT: blocks that cover them, T.81 A.2.3 */
    uint32_t stride_blocks, plane_blocks_y; /* DCT: the same, whole MCUs */
    uint16_t dequantize[64];                /* DCT: natural order */
    bool coded;                             /* some scan has written it */
    uint16_t *plane;                        /* DCT: samples, 8 * stride_blocks a row */
    int16_t *coefficients;                  /* progressive: 64 per block, in natural order */
    int8_t bits_known[64];                  /* progressive: lowest bit coded so far; -1: none yet */
} mg_jpeg_component;

typedef struct mg_jpeg_scan {
    uint64_t offset; /* of the SOS marker */
    int n;           /* components */
    uint8_t component[4], dc_table[4], ac_table[4];
    uint8_t ss, se, ah, al; /* lossless: predictor, 0, 0, point transform */
} mg_jpeg_scan;

typedef struct mg_jpeg {
    const uint8_t *data;
    size_t size, pos;
    const mg_dicom_codec_options *options; /* never NULL */
    mg_dicom_error *err;

    mg_dicom_codec_header header;
    bool have_frame;
    mg_jpeg_component component[4];
    int max_h, max_v;
    mg_jpeg_huffman table[2][4]; /* class 0 DC and lossless, 1 AC */
    uint16_t quant[4][64];       /* natural order */
    bool quant_defined[4];
    uint32_t restart_interval; /* MCUs, 0: none */
    mg_jpeg_scan scan;
    bool in_entropy; /* an error from here on may become a partial image */
    uint64_t work;   /* progressive: blocks that scans have visited */

    /* Entropy-coded data: the current interval in `bits`. */
    uint8_t *unstuffed;
    size_t unstuffed_capacity;
    mg_jpeg_bits bits;
    size_t interval_start; /* where it starts in data */
    size_t interval_end;   /* the marker behind it, or size */
    unsigned next_restart; /* 0…7 */

    const mg_dicom_codec_frame *frame;
    void *out;
} mg_jpeg;

/* --- jpeg_markers.c --- */

/* Reads segments until a scan header (SOS) has been read or there is no more image: *found says
 * which. Positions behind the scan header. */
mg_dicom_status mg_jpeg_read_to_scan(mg_jpeg *j, bool *found);

/* Sizes of all components from the frame header's rows, columns and sampling factors. */
void mg_jpeg_lay_out(mg_jpeg *j);

/* The position of the next marker (0xFF) at or behind pos, its code in *marker; size if none.
 * Passes over fill bytes and, with a warning, over anything else. */
size_t mg_jpeg_find_marker(mg_jpeg *j, size_t pos, uint8_t *marker);

/* --- jpeg_interval.c --- */

/* Prepares the entropy-coded interval that starts at j->pos: unstuffs it into j->bits. */
mg_dicom_status mg_jpeg_interval_open(mg_jpeg *j);

/* At the end of an interval: everything used up? If `more` follow, reads the restart marker and
 * opens the next interval; else leaves j->pos behind the scan's data. */
mg_dicom_status mg_jpeg_interval_close(mg_jpeg *j, bool more);

/* The offset in the codestream of the byte from which the next bit is taken. */
uint64_t mg_jpeg_bit_offset(const mg_jpeg *j);

/* The error for data that cannot be decoded at "where" (a row or block): says that it ends early
 * if it does, else that no code is assigned to the next bits. */
mg_dicom_status mg_jpeg_entropy_error(mg_jpeg *j, const char *unit, uint32_t where);

/* --- scans and output; each decodes j->scan from j->pos on --- */
mg_dicom_status mg_jpeg_lossless_scan(mg_jpeg *j);
mg_dicom_status mg_jpeg_sequential_scan(mg_jpeg *j);
mg_dicom_status mg_jpeg_progressive_scan(mg_jpeg *j);

/* The coefficients collected by progressive scans become samples in the components' planes. */
void mg_jpeg_progressive_finish(mg_jpeg *j);

/* The planes of a DCT image, brought to full size, become the caller's samples. */
mg_dicom_status mg_jpeg_output(mg_jpeg *j);

/* --- what the DCT processes share --- */

/* Visits every block of the scan in coded order: i counts the scan's components, `at` the blocks of
 * the component's plane. False: cannot be decoded. `restart` is called before each interval. */
typedef bool mg_jpeg_block_visitor(void *arg, int i, mg_jpeg_component *c, size_t at);
typedef void mg_jpeg_restart_visitor(void *arg);
mg_dicom_status mg_jpeg_walk_blocks(mg_jpeg *j, mg_jpeg_block_visitor *visit,
                                    mg_jpeg_restart_visitor *restart, void *arg);

/* Has a Huffman table of that class (0 DC, 1 AC) been defined? */
mg_dicom_status mg_jpeg_need_table(mg_jpeg *j, int class, int id);

/* Coefficients (natural order) times quant, transformed, shifted to 0…max, rounded and clamped,
 * as 8x8 samples whose rows are `stride` apart. */
void mg_jpeg_inverse_dct(const int16_t block[64], const uint16_t quant[64], uint32_t max,
                         uint16_t *out, size_t stride);

/* The first sample of a component's block. */
static inline uint16_t *mg_jpeg_block_samples(const mg_jpeg_component *c, size_t at) {
    return c->plane + 64 * (at / c->stride_blocks) * c->stride_blocks + 8 * (at % c->stride_blocks);
}

extern const uint8_t mg_jpeg_natural_order[64];

#endif
