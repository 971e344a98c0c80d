/* internal.h: what the files of dicom/ share among themselves; nobody outside includes it. */
#ifndef MG_DICOM_INTERNAL_H
#define MG_DICOM_INTERNAL_H

#include <string.h>

#include "dicom/dicom.h"

/* One item of encapsulated pixel data, the offset table left out. Lengths are clamped to the file,
 * so bytes[offset … offset+length) can always be read. */
typedef struct mg_dicom_fragment {
    uint64_t offset; /* of the first byte of the fragment's value in mg_dicom.bytes */
    uint64_t length;
} mg_dicom_fragment;

typedef struct mg_dicom_warning_entry {
    uint64_t offset;
    char message[160];
} mg_dicom_warning_entry;

#define MG_DICOM_NONE     UINT32_MAX
#define MG_DICOM_CHARSETS 32 /* more different ones in a file are ignored */

struct mg_dicom {
    /* The file as parsed. For a deflated data set: the bytes up to the data set as they are in the
     * file, then the inflated data set, so that offsets count from the start of the file. */
    const uint8_t *bytes;
    uint64_t size;
    void *map; /* what munmap gets, or NULL */
    size_t map_size;
    uint8_t *owned;           /* the inflated copy, or NULL */
    mg_dicom_options options; /* defaults filled in */

    char transfer_syntax[65];
    bool implicit; /* of the data set as found, whatever the transfer syntax says */
    bool big_endian;
    bool truncated;

    /* All elements in file order: an element, then (for sequences) its items, each followed by
     * its content. element.next skips the inside. */
    mg_dicom_element *elements;
    uint32_t element_count, element_capacity;
    /* The different values of (0008,0005); element.charset counts from 1, 0 is none. */
    struct mg_dicom_charset {
        const uint8_t *value;
        size_t length;
    } charsets[MG_DICOM_CHARSETS];
    uint8_t charset_count;
    uint8_t charset;          /* of the top level */
    int pixel_representation; /* the last one seen: resolves "US or SS" */

    /* Pixel data of the top level, (7FE0,0010), or (7FE0,0008)/(7FE0,0009) float pixel data. */
    uint32_t pixel_element;         /* position in elements, or MG_DICOM_NONE */
    bool encapsulated;              /* undefined length: fragments, not bytes */
    mg_dicom_fragment offset_table; /* Basic Offset Table item (u32 little endian each); may be 0 */
    mg_dicom_fragment *fragments;
    uint32_t fragment_count, fragment_capacity;
    bool delimited; /* the sequence delimiter was found where it should be */

    mg_dicom_warning_entry *warnings;
    int warning_count, warning_capacity;

    /* State that the frame layer keeps between calls (frames.c); freed at close. */
    void *frame_state;
    void (*free_frame_state)(void *state);
};

/* Records a failure, first one wins, and returns its code. offset: byte in the file, 0 if none. */
mg_dicom_status mg_dicom_fail(mg_dicom_error *err, mg_dicom_status code, uint64_t offset,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Notes a deviation that could be read over. Returns false when the caller's on_warning says stop.
 * At most 100 are kept; memory running out loses warnings, never the data set. */
bool mg_dicom_warn(mg_dicom *d, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* dicom/parse.c: fills elements and fragments from bytes. */
mg_dicom_status mg_dicom_parse(mg_dicom *d, mg_dicom_error *err);
/* One element's header (PS3.5 7.1): tag, VR and length, before anything is believed about them. */
typedef struct mg_dicom_header {
    uint32_t tag;
    uint32_t length; /* 0xFFFFFFFF: undefined */
    uint8_t size;    /* bytes of the header itself */
    char vr[3];
    bool implicit;         /* no VR in the file: vr is the dictionary's */
    const char *deviation; /* what is not as it should be, or NULL */
} mg_dicom_header;

/* dicom/header.c: reads the header at `position`, of which [position, end) can be read. False when
 * the bytes make no header that fits. */
bool mg_dicom_read_header(const mg_dicom *d, uint64_t position, uint64_t end, bool implicit,
                          bool big_endian, mg_dicom_header *out);
/* Whether the element at position names its VR. Needs 8 bytes. */
bool mg_dicom_looks_explicit(const mg_dicom *d, uint64_t position, uint64_t end, bool big_endian);
/* Whether a data set may begin at position: sets the encoding. */
bool mg_dicom_detect_encoding(const mg_dicom *d, uint64_t position, bool *implicit,
                              bool *big_endian);
/* dicom/inflate.c: replaces bytes from `start` on by what they inflate to. */
mg_dicom_status mg_dicom_inflate(mg_dicom *d, uint64_t start, mg_dicom_error *err);
/* dicom/fragments.c: reads the items behind pixel data of undefined length that begin at
 * `position` and returns where parsing goes on. store: keep them in d->fragments. */
uint64_t mg_dicom_scan_fragments(mg_dicom *d, uint64_t position, uint64_t end, bool store,
                                 mg_dicom_status *status);
/* dicom/charset.c: value `index` of the backslash-separated text in the character sets of `charset`
 * (may be NULL) as UTF-8 without blanks at its ends; index -1: all of it as one text, backslashes
 * included; MG_DICOM_ALL_VALUES: all values, backslashes between them.
 * Returns the length wanted like snprintf, or -1 when there is no such value. */
#define MG_DICOM_ALL_VALUES (-2)
int mg_dicom_decode_text(const char *charset, size_t charset_length, const uint8_t *text,
                         size_t length, int index, bool person_name, char *out, size_t size);
/* Dictionary VR as it applies to this data set ("US or SS" resolved), never NULL. */
const char *mg_dicom_resolve_vr(const mg_dicom *d, uint32_t tag);

/* --- bytes ------------------------------------------------------------------------------------ */

static inline uint16_t mg_dicom_u16(const uint8_t *p, bool big_endian) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? __builtin_bswap16(v) : v;
}
static inline uint32_t mg_dicom_u32(const uint8_t *p, bool big_endian) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? __builtin_bswap32(v) : v;
}
static inline uint32_t mg_dicom_read_tag(const uint8_t *p, bool big_endian) {
    return (uint32_t)mg_dicom_u16(p, big_endian) << 16 | mg_dicom_u16(p + 2, big_endian);
}
static inline uint64_t mg_dicom_u64(const uint8_t *p, bool big_endian) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? __builtin_bswap64(v) : v;
}

/* a*b into *out; false on overflow. */
static inline bool mg_dicom_mul(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

#endif
