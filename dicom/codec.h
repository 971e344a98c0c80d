/* codec.h: the decoders and encoders that this library brings along itself, as pure functions over
 * memory: JPEG (ITU-T T.81: lossless process 14, baseline, extended sequential, progressive; all
 * with Huffman coding) and DICOM's RLE (PS3.5 annex G). They know nothing of data sets; one call is
 * one frame, whose fragments the caller has joined.
 *
 * Every number of a codestream is checked before it is used, nothing is allocated from an unchecked
 * one, and nothing is written outside the caller's buffer. Work and memory are bounded by the frame
 * that the caller describes, never by what the codestream claims. Error offsets count from the
 * codestream's first byte; the caller adds where that lies in the file. */
#ifndef MG_DICOM_CODEC_H
#define MG_DICOM_CODEC_H

#include "dicom/dicom.h"

/* What the data set says one frame is: the decoder refuses a codestream that disagrees. */
typedef struct mg_dicom_codec_frame {
    uint32_t rows, columns; /* 1…65535 */
    int samples;            /* per pixel; JPEG: 1…4, RLE: 1…15 / word_bytes */
    int word_bytes;         /* of one sample in memory, native byte order; JPEG: 1, 2; RLE: 1…8 */
} mg_dicom_codec_frame;

typedef struct mg_dicom_codec_options {
    /* Data that ends early or is broken half-way becomes zeros with *partial set instead of an
     * error. Contradictions in headers stay errors. */
    bool allow_partial;
    bool *partial; /* may be NULL; written in every successful call */
    /* JPEG Lossless by encoders that computed predictors 5 to 7 in 16-bit signed arithmetic. Such
     * files cannot be told from right ones, so only a caller who knows may ask for it. */
    bool int16_predictor;
    /* Things read over (padding, a missing EOI, …); may be NULL; the result is ignored. The same
     * shape as in mg_dicom_options, but with offsets in the codestream. */
    bool (*on_warning)(void *arg, uint64_t offset, const char *message);
    void *warning_arg;
} mg_dicom_codec_options;

/* --- JPEG ------------------------------------------------------------------------------------- */

typedef enum mg_dicom_jpeg_process {
    MG_DICOM_JPEG_BASELINE,    /* SOF0, process 1 */
    MG_DICOM_JPEG_EXTENDED,    /* SOF1, processes 2 and 4 */
    MG_DICOM_JPEG_PROGRESSIVE, /* SOF2, processes 6, 8, 10, 12 */
    MG_DICOM_JPEG_LOSSLESS,    /* SOF3, process 14 */
    MG_DICOM_JPEG_UNSUPPORTED, /* hierarchical or arithmetic: mg_dicom_jpeg_decode refuses it */
} mg_dicom_jpeg_process;

/* What the codestream says about the colours of three components. Only a hint: DICOM's Photometric
 * Interpretation decides, and the decoder converts nothing. */
typedef enum mg_dicom_jpeg_color {
    MG_DICOM_JPEG_COLOR_UNKNOWN, /* neither JFIF nor Adobe segment */
    MG_DICOM_JPEG_COLOR_YCC,     /* JFIF, or Adobe with transform 1 (2: YCCK) */
    MG_DICOM_JPEG_COLOR_NONE,    /* Adobe with transform 0: RGB (or CMYK) */
} mg_dicom_jpeg_color;

typedef struct mg_dicom_codec_header {
    mg_dicom_jpeg_process process;
    uint8_t sof;   /* low byte of the SOFn marker, 0xC0…0xCF */
    int precision; /* bits per sample, 2…16 */
    uint32_t rows; /* 0: only known after the first scan (DNL); then the frame decides */
    uint32_t columns;
    int components; /* 1…4 */
    struct {
        uint8_t id, h, v;
    } component[4];  /* identifier and sampling factors */
    bool subsampled; /* some component has fewer samples than another */
    bool jfif;       /* an APP0 JFIF segment was seen */
    int adobe;       /* transform byte of an APP14 Adobe segment, or -1 */
    mg_dicom_jpeg_color color;
    int predictor;       /* lossless: selection value of the first scan, 1…7; otherwise 0 */
    int point_transform; /* lossless: of the first scan */
    /* Fewer bytes than this cannot hold an image of that size (a bit or two per sample or block at
     * the least): compare with the codestream's size before allocating a frame for it. */
    uint64_t least_bytes;
} mg_dicom_codec_header;

/* Reads markers up to the first scan. Nothing is decoded and nothing allocated. */
mg_dicom_status mg_dicom_jpeg_header(const uint8_t *data, size_t size, mg_dicom_codec_header *out,
                                     mg_dicom_error *err);

/* Decodes one image of any supported process into rows*columns*samples words, samples interleaved,
 * components in the order of the frame header, subsampled ones brought to full size. No colour
 * conversion, no sign: values are 0 … 2^precision-1. Errors: MG_DICOM_ERR_PIXELS (broken, or not
 * the described frame), _UNSUPPORTED, _MEMORY, _ARG. After an error the contents of `out` are
 * unspecified. `options` may be NULL. */
mg_dicom_status mg_dicom_jpeg_decode(const uint8_t *data, size_t size,
                                     const mg_dicom_codec_frame *frame, void *out,
                                     const mg_dicom_codec_options *options, mg_dicom_error *err);

/* JPEG Lossless, process 14, selection value 1 (transfer syntax .70): codes the low `precision`
 * (2…16) bits of each word with Huffman tables made for this image, one per component. Samples 1
 * or 3, interleaved. *out is allocated with malloc() and belongs to the caller. Two's complement
 * values come back as their low bits, so the reader sign-extends. */
mg_dicom_status mg_dicom_jpeg_lossless_encode(const void *samples,
                                              const mg_dicom_codec_frame *frame, int precision,
                                              uint8_t **out, size_t *out_size, mg_dicom_error *err);

/* --- RLE -------------------------------------------------------------------------------------- */

/* PS3.5 annex G: one PackBits segment per byte plane (samples * word_bytes of them), most
 * significant byte first. Output as for JPEG: interleaved samples in native words. */
mg_dicom_status mg_dicom_rle_decode(const uint8_t *data, size_t size,
                                    const mg_dicom_codec_frame *frame, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err);

/* The inverse; runs end with the row, as the standard asks. *out is the caller's to free(). */
mg_dicom_status mg_dicom_rle_encode(const void *samples, const mg_dicom_codec_frame *frame,
                                    uint8_t **out, size_t *out_size, mg_dicom_error *err);

#endif
