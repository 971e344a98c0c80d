/* fragments.c: the items of encapsulated pixel data (PS3.5 A.4).
 *
 * Only structure is read here: where each fragment begins and how long it is. Which fragments make
 * a frame is the frame layer's business. */
#include <stdlib.h>

#include "dicom/internal.h"

#define ITEM      0xE000FFFEu /* (FFFE,E000) as a little endian word */
#define DELIMITER 0xE0DDFFFEu

static bool store_fragment(mg_dicom *d, mg_dicom_fragment f) {
    if (d->fragment_count == d->fragment_capacity) {
        uint32_t capacity = d->fragment_capacity ? d->fragment_capacity * 2 : 8;
        void *grown = capacity > d->fragment_capacity
                          ? realloc(d->fragments, capacity * sizeof *d->fragments)
                          : NULL;
        if (!grown) return false;
        d->fragments = grown;
        d->fragment_capacity = capacity;
    }
    d->fragments[d->fragment_count++] = f;
    return true;
}

/* Compressed data where the offset table should be: the writer left the table's item out. */
static bool is_codestream(const uint8_t *p, uint64_t length) {
    static const uint8_t jp2[6] = {0, 0, 0, 12, 'j', 'P'};
    if (length < 8) return false;
    if (p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF) return true;
    if (p[0] == 0xFF && p[1] == 0x4F && p[2] == 0xFF && p[3] == 0x51) return true;
    return memcmp(p, jp2, sizeof jp2) == 0;
}

static bool is_marker(const mg_dicom *d, uint64_t position, uint64_t end) {
    if (position >= end || end - position < 8) return false;
    uint32_t word = mg_dicom_u32(d->bytes + position, false);
    return word == ITEM || (word == DELIMITER && mg_dicom_u32(d->bytes + position + 4, false) == 0);
}

/* The next item is not where the last fragment's length puts it. Off-by-one lengths are known from
 * several vendors; returns the position of the marker or 0. */
static uint64_t resynchronise(mg_dicom *d, uint64_t position, uint64_t end, uint64_t *shorten) {
    *shorten = 0;
    if (is_marker(d, position + 1, end)) return position + 1;
    if (position > 0 && is_marker(d, position - 1, end)) {
        *shorten = 1;
        return position - 1;
    }
    return 0;
}

typedef struct scan {
    mg_dicom *d;
    uint64_t end;
    bool store, first;
    bool failed; /* no memory */
    bool quiet;  /* a warning said stop */
} scan;

static void complain(scan *s, uint64_t at, const char *what) {
    if (!mg_dicom_warn(s->d, at, "pixel data: %s at byte %llu", what, (unsigned long long)at))
        s->quiet = true;
}

/* Takes the item whose value begins at `value` and returns where the next one should be. */
static uint64_t take_item(scan *s, uint64_t value, uint32_t length32) {
    mg_dicom *d = s->d;
    uint64_t length = length32;
    if (length > s->end - value) {
        complain(s, value - 8, "fragment longer than the file, cut to what is there");
        d->truncated = d->truncated || s->store;
        length = s->end - value;
    }
    mg_dicom_fragment f = {value, length};
    if (s->first && !is_codestream(d->bytes + value, length)) {
        if (s->store) d->offset_table = f;
    } else {
        if (s->first) complain(s, value - 8, "no offset table item before the first fragment");
        if (s->store && !store_fragment(d, f)) s->failed = true;
    }
    s->first = false;
    return value + length;
}

uint64_t mg_dicom_scan_fragments(mg_dicom *d, uint64_t position, uint64_t end, bool store,
                                 mg_dicom_status *status) {
    scan s = {.d = d, .end = end, .store = store, .first = true};
    while (!s.failed && !s.quiet) {
        bool too_far = end - position < 8 && is_marker(d, position - 1, end);
        if (end - position < 8 && !too_far) {
            complain(&s, position, "no sequence delimiter: the data ends");
            d->truncated = d->truncated || (store && position != end);
            position = end;
            break;
        }
        uint32_t word = too_far ? 0 : mg_dicom_u32(d->bytes + position, false);
        if (word == ITEM) {
            position = take_item(&s, position + 8, mg_dicom_u32(d->bytes + position + 4, false));
            continue;
        }
        if (word == DELIMITER) {
            if (store) d->delimited = true;
            position += 8;
            break;
        }
        uint64_t shorten, marker = resynchronise(d, position, end, &shorten);
        if (marker) {
            complain(&s, position, "fragment length off by one");
            if (store && shorten && d->fragment_count && d->fragments[d->fragment_count - 1].length)
                d->fragments[d->fragment_count - 1].length -= shorten;
            position = marker;
            continue;
        }
        complain(&s, position, "neither an item nor the sequence delimiter");
        /* A plausible later element means that only the delimiter is missing. */
        if (mg_dicom_u16(d->bytes + position, false) <= 0x7FE0) {
            d->truncated = d->truncated || store;
            position = end;
        }
        break;
    }
    *status = s.failed ? MG_DICOM_ERR_MEMORY : s.quiet ? MG_DICOM_ERR_FORMAT : MG_DICOM_OK;
    return position;
}

uint32_t mg_dicom_fragment_count(const mg_dicom *d) { return d->fragment_count; }

const uint8_t *mg_dicom_fragment_bytes(const mg_dicom *d, uint32_t index, uint64_t *offset,
                                       uint64_t *length) {
    if (index >= d->fragment_count) return NULL;
    if (offset) *offset = d->fragments[index].offset;
    if (length) *length = d->fragments[index].length;
    return d->bytes + d->fragments[index].offset;
}
