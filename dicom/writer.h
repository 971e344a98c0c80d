/* writer.h: building a data set and writing it as a DICOM file (PS3.10).
 *
 *     mg_dicom_dataset *s = mg_dicom_dataset_create();
 *     mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
 *     mg_dicom_put_text(s, 0x00080018, uid);
 *     mg_dicom_put_text(s, 0x00100010, "Doe^Jane");
 *     mg_dicom_dataset *item = mg_dicom_put_item(s, 0x00082218);
 *     mg_dicom_put_text(item, 0x00080100, "76752008");
 *     mg_dicom_put_image(s, &image, stored_values, NULL, &err);
 *     mg_dicom_write_file(s, "image.dcm", &err);
 *     mg_dicom_dataset_destroy(s);
 *
 * Elements may be put in any order; putting a tag again replaces it. Nothing is checked call by
 * call: the first thing that goes wrong (no memory, a value that the element cannot hold) is kept
 * and returned by mg_dicom_write_*. The same puts give the same bytes: no dates, no random numbers
 * come in here. Text is UTF-8 and (0008,0005) becomes ISO_IR 192 where the caller says nothing and
 * some text is not ASCII. */
#ifndef MG_DICOM_WRITER_H
#define MG_DICOM_WRITER_H

#include "dicom/dicom.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mg_dicom_dataset mg_dicom_dataset;

/* NULL only when there is no memory; every function below accepts NULL and does nothing. */
mg_dicom_dataset *mg_dicom_dataset_create(void);
void mg_dicom_dataset_destroy(mg_dicom_dataset *s);

/* Text for any VR but bytes and sequences: several values are separated by backslashes, numbers of
 * binary VRs are parsed. The VR is the dictionary's ("US or SS": US). */
void mg_dicom_put_text(mg_dicom_dataset *s, uint32_t tag, const char *text);
void mg_dicom_put_format(mg_dicom_dataset *s, uint32_t tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One number; IS and DS become text, DS with at most 16 characters. */
void mg_dicom_put_int(mg_dicom_dataset *s, uint32_t tag, int64_t value);
void mg_dicom_put_double(mg_dicom_dataset *s, uint32_t tag, double value);
void mg_dicom_put_doubles(mg_dicom_dataset *s, uint32_t tag, const double *values, size_t n);
/* Raw value with a VR of the caller's; bytes are little endian as in the file, copied here. */
void mg_dicom_put_bytes(mg_dicom_dataset *s, uint32_t tag, const char *vr, const void *bytes,
                        size_t size);
/* Appends an item to the sequence `tag`, which is made when missing. The item belongs to s. */
mg_dicom_dataset *mg_dicom_put_item(mg_dicom_dataset *s, uint32_t tag);
/* An empty sequence or value (type 2 attributes). */
void mg_dicom_put_empty(mg_dicom_dataset *s, uint32_t tag);
void mg_dicom_remove(mg_dicom_dataset *s, uint32_t tag);

/* Copies an element of a file with all that is inside. to_utf8: text is converted; otherwise it
 * stays as it is and the file's Specific Character Set must be copied along. Elements that are NULL
 * and group lengths are left out. */
void mg_dicom_put_copy(mg_dicom_dataset *s, const mg_dicom *d, const mg_dicom_element *e,
                       bool to_utf8);
/* A coded entry in the sequence `tag`: value, scheme ("DCM", "SCT", …) and meaning. Returns the
 * item, for what else belongs there. */
mg_dicom_dataset *mg_dicom_put_code(mg_dicom_dataset *s, uint32_t tag, const char *value,
                                    const char *scheme, const char *meaning);

/* --- pixels ----------------------------------------------------------------------------------- */

typedef struct mg_dicom_encode_options {
    /* UID of: implicit (.2), explicit (.2.1, the default) little endian, deflated (.2.1.99), JPEG
     * Lossless SV1 (.4.70), JPEG-LS (.4.80, .4.81), JPEG 2000 (.4.90, .4.91), RLE (.5). */
    const char *transfer_syntax;
    int near;     /* .4.81: largest error, default 2; at most 255 and half the range */
    double ratio; /* .4.91: compression ratio to aim at, default 10 */
} mg_dicom_encode_options;

/* Image Pixel module and pixel data. `stored` holds all frames as mg_dicom_read_frame returns them:
 * native words of image->word_bytes, samples interleaved. image->high_bit and planar are ignored:
 * bits_stored - 1 and by pixel is what is written. Values that bits_stored cannot hold are refused.
 * Sets the transfer syntax of the data set. A lossy one adds to what the data set says of earlier
 * lossy compression and makes value 1 of Image Type DERIVED (PS3.3 C.7.6.1.1.2, C.7.6.1.1.5). */
mg_dicom_status mg_dicom_put_image(mg_dicom_dataset *s, const mg_dicom_image *image,
                                   const void *stored, const mg_dicom_encode_options *options,
                                   mg_dicom_error *err);
/* The least bits_stored, not below image->bits_stored, that holds all values of all frames: files
 * whose values exceed their BitsStored exist, and decoders deliver what is there. 0: no such image.
 */
int mg_dicom_bits_needed(const mg_dicom_image *image, const void *stored);
/* Encapsulated pixel data as it is, one fragment a frame; the caller vouches for the attributes. */
mg_dicom_status mg_dicom_put_fragments(mg_dicom_dataset *s, const char *transfer_syntax,
                                       const uint8_t *const *fragments, const size_t *sizes,
                                       uint32_t count, mg_dicom_error *err);

/* --- files ------------------------------------------------------------------------------------ */

/* Explicit little endian unless put_image or this says otherwise; only syntaxes without compressed
 * pixels can be chosen here. */
void mg_dicom_set_transfer_syntax(mg_dicom_dataset *s, const char *uid);

/* A complete Part 10 file in memory: *out is the caller's to free(). SOP Class and Instance UID
 * must have been put. */
mg_dicom_status mg_dicom_write_memory(mg_dicom_dataset *s, uint8_t **out, size_t *size,
                                      mg_dicom_error *err);
/* The same into a file: written under a temporary name beside it, synced, renamed. */
mg_dicom_status mg_dicom_write_file(mg_dicom_dataset *s, const char *path, mg_dicom_error *err);

/* A UID below 2.25 (PS3.5 B.2) made from a text alone: the same text gives the same UID. */
void mg_dicom_uid_from(const char *seed, char out[65]);

/* SHA-256, for UIDs and for comparing pixels. */
typedef struct mg_dicom_sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
} mg_dicom_sha256;
void mg_dicom_sha256_begin(mg_dicom_sha256 *h);
void mg_dicom_sha256_add(mg_dicom_sha256 *h, const void *bytes, size_t size);
void mg_dicom_sha256_end(mg_dicom_sha256 *h, uint8_t digest[32]);

#ifdef __cplusplus
}
#endif

#endif
