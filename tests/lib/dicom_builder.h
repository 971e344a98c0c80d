/* dicom_builder.h: DICOM files byte by byte, right or wrong, for tests of the parser. Running out
 * of memory ends the test. */
#ifndef MG_TESTS_LIB_DICOM_BUILDER_H
#define MG_TESTS_LIB_DICOM_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNDEFINED_LENGTH 0xFFFFFFFFu

typedef struct dicom_builder {
    uint8_t *bytes;
    size_t size, capacity;
    bool implicit, big_endian;
} dicom_builder;

/* Preamble, DICM and a file meta group that names the transfer syntax; what follows is encoded
 * accordingly. NULL: nothing at all, explicit little endian follows. */
void build_begin(dicom_builder *b, const char *transfer_syntax);
void build_free(dicom_builder *b);
void build_raw(dicom_builder *b, const void *bytes, size_t n);
/* Only the header of an element, with any VR and any length. */
void build_header(dicom_builder *b, uint32_t tag, const char *vr, uint32_t length);
void build_element(dicom_builder *b, uint32_t tag, const char *vr, const void *value, size_t n);
void build_text(dicom_builder *b, uint32_t tag, const char *vr, const char *text); /* padded */
void build_us(dicom_builder *b, uint32_t tag, const char *vr, uint16_t value);
/* Items and delimiters: a tag and a length, no VR. */
void build_item(dicom_builder *b, uint32_t length);
void build_item_end(dicom_builder *b);
void build_sequence_end(dicom_builder *b);

/* Deflates everything behind `keep` bytes in place. */
void build_deflate(dicom_builder *b, size_t keep);

#endif
