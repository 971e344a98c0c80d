/* dicom.h: a self-contained reader for DICOM files (PS3.5, PS3.10), with the grey pipeline of
 * PS3.3 C.11. Includes nothing else of mammograd; needs zlib, OpenJPEG and CharLS.
 *
 *     mg_dicom_error err = {0};
 *     mg_dicom *d = mg_dicom_open("image.dcm", NULL, &err);
 *     if (!d) fail(err.message);
 *     mg_dicom_image image;
 *     if (mg_dicom_image_info(d, &image, &err)) fail(err.message);
 *     float *grey = malloc((size_t)image.rows * image.columns * sizeof *grey);
 *     if (mg_dicom_read_grey(d, 0, NULL, grey, &err)) fail(err.message);
 *     mg_dicom_close(d);
 *
 * Opening maps the file and parses the data set's structure once; values stay where they are, and
 * every pointer handed out is valid until mg_dicom_close(). One mg_dicom may be used by one thread
 * at a time; different ones are independent. No function prints or exits. */
#ifndef MG_DICOM_DICOM_H
#define MG_DICOM_DICOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mg_dicom_status {
    MG_DICOM_OK = 0,
    MG_DICOM_ERR_ARG,         /* the caller's mistake: frame out of range, buffer too small */
    MG_DICOM_ERR_IO,          /* the operating system said no */
    MG_DICOM_ERR_MEMORY,      /* allocation failed */
    MG_DICOM_ERR_NOT_DICOM,   /* nothing that looks like a data set */
    MG_DICOM_ERR_FORMAT,      /* the data set's structure is broken */
    MG_DICOM_ERR_PIXELS,      /* pixel description or compressed data broken or contradictory */
    MG_DICOM_ERR_NO_PIXELS,   /* a data set without an image */
    MG_DICOM_ERR_UNSUPPORTED, /* legal, but not something we decode */
    MG_DICOM_ERR_LIMIT,       /* larger than the limits in mg_dicom_options allow */
    MG_DICOM_STATUS_COUNT
} mg_dicom_status;

/* First failure wins, like the rest of the project: a second one leaves the struct as it is. */
typedef struct mg_dicom_error {
    mg_dicom_status code;
    uint64_t offset;   /* byte offset in the file that the message speaks of; 0 if none */
    char message[400]; /* one line: what, at which offset, and what was expected */
} mg_dicom_error;

const char *mg_dicom_status_name(mg_dicom_status code);

/* --- opening ---------------------------------------------------------------------------------- */

typedef struct mg_dicom_options {
    bool stop_at_pixels;   /* parse the header only: frames cannot be read */
    uint64_t max_samples;  /* per frame, rows*columns*samples; 0: the default, 2^28 */
    uint64_t max_inflated; /* bytes a deflated data set may become; 0: the default, 2^31 */
    int max_depth;         /* sequence nesting; 0: the default, 64; at most 120 */
    uint32_t max_elements; /* elements and items; 0: the default, 2^22 */
    /* Called for every warning while opening; may be NULL. false stops with MG_DICOM_ERR_FORMAT. */
    bool (*on_warning)(void *arg, uint64_t offset, const char *message);
    void *warning_arg;
} mg_dicom_options;

typedef struct mg_dicom mg_dicom;

/* options may be NULL. Return NULL with err filled. Memory is borrowed until close, and a file is
 * mapped until then: whoever shortens it meanwhile makes the reader fail with SIGBUS; replacing it
 * by rename, as this library writes, is harmless. A file that is
 * cut off or broken after a usable header still opens; mg_dicom_warnings says what was wrong. */
mg_dicom *mg_dicom_open(const char *path, const mg_dicom_options *options, mg_dicom_error *err);
mg_dicom *mg_dicom_open_memory(const void *data, size_t size, const mg_dicom_options *options,
                               mg_dicom_error *err);
void mg_dicom_close(mg_dicom *d);

/* Number of things that are not as the standard says but could be read over, and their texts. */
int mg_dicom_warnings(const mg_dicom *d);
const char *mg_dicom_warning(const mg_dicom *d, int index);

/* Whether the file ended, or stopped making sense, before the data set was complete. */
bool mg_dicom_truncated(const mg_dicom *d);

const char *mg_dicom_transfer_syntax(const mg_dicom *d); /* UID without padding, never NULL */
bool mg_dicom_is_encapsulated(const mg_dicom *d);        /* pixel data comes in fragments */

/* Fragments of encapsulated pixel data in file order, the offset table left out: 0 and NULL where
 * there are none. Outputs may be NULL. */
uint32_t mg_dicom_fragment_count(const mg_dicom *d);
const uint8_t *mg_dicom_fragment_bytes(const mg_dicom *d, uint32_t index, uint64_t *offset,
                                       uint64_t *length);

/* --- elements --------------------------------------------------------------------------------- */

#define MG_DICOM_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))

typedef struct mg_dicom_element {
    uint32_t tag;
    char vr[3];      /* two letters and NUL; "UN" where the file and the dictionary are silent */
    uint8_t depth;   /* 0 at the top level, 1 for an item, 2 for what is inside it, … */
    bool undefined;  /* encoded with undefined length */
    bool big_endian; /* byte order of binary values */
    bool implicit;   /* the file does not name the VR: it is the dictionary's */
    uint8_t charset; /* for the library: which Specific Character Set holds here */
    uint32_t next;   /* position of what follows this element and all that is inside it */
    uint64_t offset; /* of the element's tag in the (inflated) file */
    const uint8_t *value; /* raw bytes as in the file; for a sequence its items */
    uint64_t length;      /* bytes of value, already clamped to the file's end */
} mg_dicom_element;

/* The top-level element with that tag, or NULL. */
const mg_dicom_element *mg_dicom_find(const mg_dicom *d, uint32_t tag);

/* An element inside nested sequences: path = {seq, item, seq, item, …, tag}; items count from
 * 0. */
const mg_dicom_element *mg_dicom_find_path(const mg_dicom *d, const uint32_t *path, size_t n);

/* Item `index` of a sequence, and an element directly inside an item; NULL when not there. With
 * item == NULL mg_dicom_find_in searches the top level. Both accept NULL elements. */
const mg_dicom_element *mg_dicom_item(const mg_dicom *d, const mg_dicom_element *sequence,
                                      int index);
const mg_dicom_element *mg_dicom_find_in(const mg_dicom *d, const mg_dicom_element *item,
                                         uint32_t tag);

/* What is directly inside a sequence (its items), an item, or the top level for NULL: the first,
 * and what follows e there; NULL at the end. */
const mg_dicom_element *mg_dicom_first_in(const mg_dicom *d, const mg_dicom_element *parent);
const mg_dicom_element *mg_dicom_after(const mg_dicom *d, const mg_dicom_element *parent,
                                       const mg_dicom_element *e);

/* Depth-first walk over all elements, sequence items included (tag FFFE,E000, vr "--"). */
typedef struct mg_dicom_iterator {
    size_t next;
} mg_dicom_iterator;
const mg_dicom_element *mg_dicom_next(const mg_dicom *d, mg_dicom_iterator *it);

/* The same as a callback: visit() is called once per element and returns false to stop. Returns
 * whether the walk ran to its end. */
bool mg_dicom_walk(const mg_dicom *d, bool (*visit)(void *arg, const mg_dicom_element *e),
                   void *arg);

/* Typed getters: true and *out when element, VR and multiplicity fit; false is "not there".
 * `index` counts values from 0. Numbers accept DS, IS, US, SS, UL, SL, UV, SV, FL, FD, AT. */
int mg_dicom_count(const mg_dicom *d, const mg_dicom_element *e);
bool mg_dicom_element_int(const mg_dicom *d, const mg_dicom_element *e, int index, int64_t *out);
bool mg_dicom_element_double(const mg_dicom *d, const mg_dicom_element *e, int index, double *out);
/* Text value as UTF-8 (Specific Character Set applied), padding removed, NUL-terminated. Returns
 * the length it wanted to write, like snprintf, or -1 when there is no such value. */
int mg_dicom_element_text(const mg_dicom *d, const mg_dicom_element *e, int index, char *out,
                          size_t size);
/* All values of a text element at once, for lists: separated by backslashes, blanks around them not
 * removed. Looking for one value takes time with the length of those before it. Returns like
 * mg_dicom_element_text, -1 for numbers of binary VRs and bytes. */
int mg_dicom_element_all_text(const mg_dicom *d, const mg_dicom_element *e, char *out, size_t size);
bool mg_dicom_int(const mg_dicom *d, uint32_t tag, int64_t *out);
bool mg_dicom_double(const mg_dicom *d, uint32_t tag, double *out);
bool mg_dicom_text(const mg_dicom *d, uint32_t tag, char *out, size_t size);

/* Dictionary: keyword ("PatientID"), name and VR of a tag; NULL when unknown. */
const char *mg_dicom_keyword(uint32_t tag);
const char *mg_dicom_tag_name(uint32_t tag);   /* "Patient ID" */
const char *mg_dicom_tag_vr(uint32_t tag);     /* "US or SS", "OB or OW", … where it depends */
uint32_t mg_dicom_tag_of(const char *keyword); /* 0 when unknown */

/* Name of a well-known UID (transfer syntaxes, SOP classes), or NULL. */
const char *mg_dicom_uid_name(const char *uid);

/* --- images ----------------------------------------------------------------------------------- */

typedef struct mg_dicom_image {
    uint32_t rows, columns, frames;
    int samples;        /* 1 grey or palette, 3 colour */
    int bits_allocated; /* 1, 8, 16, 32, 64 as stored in the data set */
    int bits_stored, high_bit;
    bool is_signed;
    bool planar;          /* samples of the file are plane by plane; frames come interleaved */
    char photometric[20]; /* "MONOCHROME1", … */
    int word_bytes;       /* 1, 2, 4 or 8: size of one sample of mg_dicom_read_frame's output */
    size_t frame_bytes;   /* rows * columns * samples * word_bytes */
} mg_dicom_image;

/* Reads and validates the image description. */
mg_dicom_status mg_dicom_image_info(const mg_dicom *d, mg_dicom_image *out, mg_dicom_error *err);

typedef struct mg_dicom_read_options {
    int reduce;               /* JPEG 2000 only: halve the resolution this often; else ignored */
    bool allow_partial;       /* a truncated image: zeros where data is missing, *partial set */
    bool *partial;            /* may be NULL */
    uint32_t *rows, *columns; /* may be NULL: size after `reduce` */
} mg_dicom_read_options;

/* Stored values of one frame: the low bits_stored bits, sign-extended when is_signed, in native
 * words of word_bytes, samples interleaved, no colour conversion (JPEG 2000's own component
 * transform undone). bits_allocated 1: one byte 0/1 per pixel. out holds image.frame_bytes. */
mg_dicom_status mg_dicom_read_frame(mg_dicom *d, uint32_t frame,
                                    const mg_dicom_read_options *options, void *out,
                                    size_t out_size, mg_dicom_error *err);

/* --- grey pipeline (PS3.3 C.11.1, C.11.2, C.11.6) ----------------------------------------------
 * stored -> padding mask -> modality LUT or rescale -> VOI -> presentation (MONOCHROME1 last) */

typedef enum mg_dicom_voi_function {
    MG_DICOM_VOI_LINEAR,       /* C.11.2.1.2.1 */
    MG_DICOM_VOI_LINEAR_EXACT, /* C.11.2.1.3.2 */
    MG_DICOM_VOI_SIGMOID,      /* C.11.2.1.3.1 */
} mg_dicom_voi_function;

typedef struct mg_dicom_window {
    double center, width;
    mg_dicom_voi_function function;
    char explanation[64];
} mg_dicom_window;

/* Window `index` of a frame, from the data set or its functional groups (per-frame first). */
bool mg_dicom_window_of(const mg_dicom *d, uint32_t frame, int index, mg_dicom_window *out);
bool mg_dicom_has_voi_lut(const mg_dicom *d, uint32_t frame);
/* Whether the frame has a VOI LUT number `index`, and its explanation (may be NULL) or "". */
bool mg_dicom_voi_lut_of(const mg_dicom *d, uint32_t frame, int index, char explanation[64]);

typedef struct mg_dicom_grey_options {
    bool no_modality;     /* keep stored values */
    bool no_voi;          /* stop after the modality step (then no scaling to 0…1 either) */
    bool no_voi_lut;      /* prefer the window where the file has a LUT as well */
    bool no_presentation; /* leave MONOCHROME1 as it is */
    int window;           /* which window, from 0; where there is none, which VOI LUT */
    const mg_dicom_window *override; /* use this window instead of the file's */
    mg_dicom_read_options read;
    uint8_t *padding_mask; /* may be NULL; one byte per pixel, 1 where pixel padding */
    /* May be NULL. Receives what the stored values become, from the least to the most that the
     * image has, before any pixel is looked up, and may replace it: a further step for the price of
     * a few thousand values. Not called for images of few pixels or words of more than 16 bits. */
    void (*on_values)(void *arg, float *values, size_t n);
    void *arg;
} mg_dicom_grey_options;

/* One grey frame as f32. With VOI the result is in [0,1] and pixel padding is 0, the background;
 * without, in modality units and not inverted. A VOI LUT wins over the window unless no_voi_lut or
 * another window is asked for. A file with neither is scaled from its minimum and maximum (padding
 * left out); one of a constant value is 0. */
mg_dicom_status mg_dicom_read_grey(mg_dicom *d, uint32_t frame,
                                   const mg_dicom_grey_options *options, float *out,
                                   mg_dicom_error *err);

/* The same in two halves, for callers that do the second one elsewhere, as on a GPU. */
typedef struct mg_dicom_stored {
    void *pixels; /* rows * columns native words, as mg_dicom_read_frame gives them; owned */
    uint32_t rows, columns;
    int word_bytes;
    bool is_signed;
    bool padded; /* stored values from padding_low to padding_high are pixel padding */
    int64_t padding_low, padding_high;
    /* What becomes of a stored value x, if `plain`: x * slope + intercept and, if `windowed`, the
     * window. Otherwise a LUT or the image's own range takes part. */
    bool plain, windowed;
    double slope, intercept;
    mg_dicom_window window;
    struct mg_dicom_steps *steps; /* internal; owned */
} mg_dicom_stored;

/* Decodes a frame and reads what is to become of it; nothing is owned by *out on failure. The
 * file may be closed afterwards. options->padding_mask and on_values are for the other half. */
mg_dicom_status mg_dicom_read_stored(mg_dicom *d, uint32_t frame,
                                     const mg_dicom_grey_options *options, mg_dicom_stored *out,
                                     mg_dicom_error *err);
void mg_dicom_stored_free(mg_dicom_stored *stored);
/* What stored values first … first+n-1 become, pixel padding not considered. */
void mg_dicom_stored_values(const mg_dicom_stored *stored, int64_t first, size_t n, float *out);
/* The frame as mg_dicom_read_grey gives it. Of the options only padding_mask, on_values and arg are
 * looked at. */
mg_dicom_status mg_dicom_stored_grey(const mg_dicom_stored *stored,
                                     const mg_dicom_grey_options *options, float *out,
                                     mg_dicom_error *err);

/* The three steps one by one, for callers that compose their own pipeline (n samples). Output of
 * voi is in [0,1]. */
mg_dicom_status mg_dicom_apply_modality(const mg_dicom *d, uint32_t frame, const void *stored,
                                        size_t n, float *out, mg_dicom_error *err);
void mg_dicom_apply_window(const mg_dicom_window *window, const float *in, size_t n, float *out);

#ifdef __cplusplus
}
#endif

#endif
