/* pixel.h: what the image side of dicom/ shares: description, frames, samples, the gates before
 * the borrowed decoders. Internal. */
#ifndef MG_DICOM_PIXEL_H
#define MG_DICOM_PIXEL_H

#include "dicom/codec.h"
#include "dicom/internal.h"

/* --- image.c ---------------------------------------------------------------------------------- */

/* mg_dicom_image_info() for callers that can note deviations: warn_to may be NULL. */
mg_dicom_status mg_dicom_describe(const mg_dicom *d, mg_dicom *warn_to, mg_dicom_image *out,
                                  mg_dicom_error *err);

/* Whether three samples are stored as Y Y Cb Cr, one pair of colours for two pixels. */
bool mg_dicom_is_422(const mg_dicom_image *image);

/* --- frames.c --------------------------------------------------------------------------------- */

typedef struct mg_dicom_span {
    uint32_t first, count; /* fragments */
    uint64_t size;         /* bytes of them that belong to the frame */
} mg_dicom_span;

/* Kept in mg_dicom.frame_state from the first frame on. */
typedef struct mg_dicom_frames {
    mg_dicom_image image;
    uint32_t located;     /* frames that the pixel data has; those behind are missing */
    mg_dicom_span *spans; /* of encapsulated pixel data */
    uint32_t end;         /* the fragment behind the last frame's last one */
    bool full_422;        /* native: said to be 4:2:2, but the length is that of full colour */
    uint32_t noted;       /* deviations that were reported already, one bit each */
} mg_dicom_frames;

/* The bytes of one frame, joined if they came in several fragments. */
typedef struct mg_dicom_frame_data {
    const uint8_t *bytes;
    uint64_t size;   /* bytes that are there */
    uint64_t offset; /* of bytes[0] in the file */
    unsigned bit;    /* native 1-bit data: the frame begins at this bit of bytes[0] */
    uint64_t odd;    /* native data: bytes[0] is at an odd distance (1) from the first frame */
    const mg_dicom_span *span;
    uint8_t *owned;
} mg_dicom_frame_data;

mg_dicom_status mg_dicom_frames_of(mg_dicom *d, mg_dicom_frames **out, mg_dicom_error *err);
mg_dicom_status mg_dicom_frame_open(mg_dicom *d, const mg_dicom_frames *frames, uint32_t frame,
                                    mg_dicom_frame_data *out, mg_dicom_error *err);
void mg_dicom_frame_close(mg_dicom_frame_data *data);
/* File offset of byte `position` of a frame. */
uint64_t mg_dicom_frame_position(const mg_dicom *d, const mg_dicom_frame_data *data,
                                 uint64_t position);

/* --- native.c --------------------------------------------------------------------------------- */

typedef struct mg_dicom_native_layout {
    bool big_endian;
    bool words;    /* VR OW: in big endian, 8-bit and 1-bit samples come in swapped pairs */
    bool yy_cb_cr; /* 4:2:2 */
} mg_dicom_native_layout;

/* Bytes that one frame of native pixel data takes, `bit` being the first one used. */
uint64_t mg_dicom_native_size(const mg_dicom_image *image, bool yy_cb_cr, unsigned bit);

/* Uncompressed samples to the form of mg_dicom_read_frame(). data->size may be short when
 * allow_partial. */
mg_dicom_status mg_dicom_native_unpack(const mg_dicom_image *image,
                                       const mg_dicom_native_layout *layout,
                                       const mg_dicom_frame_data *data, bool allow_partial,
                                       bool *partial, void *out, mg_dicom_error *err);

/* PS3.5 A.4.13: one raw deflate stream per frame. */
mg_dicom_status mg_dicom_deflated_unpack(const mg_dicom_image *image, bool yy_cb_cr,
                                         const mg_dicom_frame_data *data, bool allow_partial,
                                         bool *partial, void *out, mg_dicom_error *err);

/* --- samples.c -------------------------------------------------------------------------------- */

/* Keeps `bits` bits above `shift` of each word and extends the sign of the highest kept one. */
void mg_dicom_mask_samples(void *samples, size_t n, int word_bytes, int shift, int bits,
                           bool is_signed);
/* Whether a value of `precision` bits lies outside what `bits` bits can hold. */
bool mg_dicom_samples_exceed(const void *samples, size_t n, int word_bytes, int precision, int bits,
                             bool is_signed);
/* The fewest bits that hold every value of whole words, the sign included. */
int mg_dicom_samples_bits(const void *samples, size_t n, int word_bytes, bool is_signed);
/* Limits values of `precision` bits to what `bits` bits can hold. */
void mg_dicom_clamp_samples(void *samples, size_t n, int word_bytes, int precision, int bits,
                            bool is_signed);

/* --- jls.c ------------------------------------------------------------------------------------ */

typedef struct mg_dicom_jls_header {
    uint32_t rows, columns;
    int components, precision;
} mg_dicom_jls_header;

/* Reads markers up to the first scan. Offsets of errors count from the codestream's first byte. */
mg_dicom_status mg_dicom_jls_read_header(const uint8_t *data, size_t size, mg_dicom_jls_header *out,
                                         mg_dicom_error *err);
/* header: as read, and found equal to the frame's description. Values 0 … 2^precision-1. */
mg_dicom_status mg_dicom_jls_decode(const uint8_t *data, size_t size,
                                    const mg_dicom_jls_header *header,
                                    const mg_dicom_codec_frame *frame, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err);

/* --- j2k_gate.c, j2k.c ------------------------------------------------------------------------ */

typedef struct mg_dicom_j2k_header {
    size_t start, size; /* the codestream inside the data: a JP2 file may be around it */
    bool jp2;
    uint32_t rows, columns;  /* of the component grid */
    uint32_t x0, y0, x1, y1; /* image area on the reference grid */
    uint32_t xr, yr;         /* sampling, the same for all components */
    uint32_t tile_w, tile_h;
    uint32_t tiles;
    int components, precision;
    bool is_signed;
    int levels;         /* the fewest decomposition levels of any tile-component */
    bool terminated;    /* the end marker is there */
    bool complete;      /* every tile is there in full */
    const char *damage; /* what is missing when not complete */
    uint64_t damage_offset;
} mg_dicom_j2k_header;

/* The gate: reads the whole marker structure and refuses what would make a decoder allocate or
 * compute more than the image is worth. Nothing is allocated. */
mg_dicom_status mg_dicom_j2k_read_header(const uint8_t *data, size_t size, mg_dicom_j2k_header *out,
                                         mg_dicom_error *err);
/* header: as read, and found equal to the frame's description. out holds the reduced image as
 * words of precision bits (two's complement when is_signed, upper bits zero). */
mg_dicom_status mg_dicom_j2k_decode(const uint8_t *data, const mg_dicom_j2k_header *header,
                                    const mg_dicom_codec_frame *frame, int reduce, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err);
/* Rows (or columns) after `reduce` halvings of an area from a to b on the reference grid. */
uint32_t mg_dicom_j2k_reduced(uint32_t a, uint32_t b, uint32_t sampling, int reduce);

#endif
