/* parse.c: one pass over the bytes that notes where every element is.
 *
 * Nested sequences live on an explicit stack of levels with a limit. Each level knows where it must
 * end; a length is only ever compared with what is left, never added first or allocated. Whatever
 * is wrong inside a level of known length is skipped with that level; what is wrong outside ends
 * the parse with a warning, and what was read before stays usable. */
#include <stdlib.h>

#include "dicom/parse.h"

#define ITEM               0xFFFEE000u
#define ITEM_DELIMITER     0xFFFEE00Du
#define SEQUENCE_DELIMITER 0xFFFEE0DDu
#define UNDEFINED          0xFFFFFFFFu

enum { WARN_ODD = 1, WARN_ORDER = 2, WARN_VR = 4, WARN_DELIMITER = 8 };

void mg_dicom_parse_warn(parser *p, uint64_t at, const char *what) {
    if (!mg_dicom_warn(p->d, at, "%s at byte %llu", what, (unsigned long long)at)) {
        p->status =
            mg_dicom_fail(p->err, MG_DICOM_ERR_FORMAT, at,
                          "stopped at a deviation: %s at byte %llu", what, (unsigned long long)at);
    }
}

static void warn_once(parser *p, uint32_t kind, uint64_t at, const char *what) {
    if (p->warned & kind) return;
    p->warned |= kind;
    mg_dicom_parse_warn(p, at, what);
}

static mg_dicom_element *add_element(parser *p, uint64_t at) {
    mg_dicom *d = p->d;
    if (d->element_count == d->element_capacity) {
        uint32_t capacity = d->element_capacity ? d->element_capacity / 2 * 3 : 256;
        if (d->element_count >= d->options.max_elements) {
            p->status =
                mg_dicom_fail(p->err, MG_DICOM_ERR_LIMIT, at, "more than %u elements at byte %llu",
                              d->options.max_elements, (unsigned long long)at);
            return NULL;
        }
        void *grown = realloc(d->elements, capacity * sizeof *d->elements);
        if (!grown) {
            p->status = mg_dicom_fail(p->err, MG_DICOM_ERR_MEMORY, at,
                                      "out of memory for %u elements", capacity);
            return NULL;
        }
        d->elements = grown;
        d->element_capacity = capacity;
    }
    return &d->elements[d->element_count++];
}

/* Ends the innermost level at the current position; `delimiter` bytes were consumed behind it. */
static void close_level(parser *p, uint64_t delimiter) {
    level *l = &p->levels[p->top--];
    mg_dicom_element *e = &p->d->elements[l->element];
    e->next = p->d->element_count;
    e->length = p->position - delimiter - (uint64_t)(e->value - p->d->bytes);
}

/* Nothing sensible at the current position: leave the nearest enclosing level whose length is
 * known, or give up the rest of the file. */
static void give_up(parser *p, const char *what) {
    int known = p->top;
    while (known > 0 && p->levels[known].undefined) known--;
    mg_dicom_parse_warn(p, p->position, what);
    if (known == 0) {
        p->stop = true;
        p->d->truncated = true;
        return;
    }
    while (p->top > known) close_level(p, 0);
    p->position = p->levels[known].end;
    close_level(p, 0);
}

static level *push(parser *p, level_kind kind, uint32_t element, uint64_t length) {
    const level *parent = &p->levels[p->top];
    if (p->top >= 2 * p->d->options.max_depth) {
        p->status = mg_dicom_fail(p->err, MG_DICOM_ERR_LIMIT, p->position,
                                  "sequences nested deeper than %d at byte %llu",
                                  p->d->options.max_depth, (unsigned long long)p->position);
        return NULL;
    }
    level *l = &p->levels[++p->top];
    *l = *parent;
    l->kind = kind;
    l->element = element;
    l->last_tag = 0;
    l->undefined = length == UINT64_MAX;
    if (!l->undefined) l->end = p->position + length;
    return l;
}

/* Cuts a length to what its level has left. */
static uint64_t clamp(parser *p, uint64_t length, uint32_t tag) {
    const level *l = &p->levels[p->top];
    uint64_t left = l->end - p->position;
    if (length <= left) return length;
    if (!mg_dicom_warn(p->d, p->position,
                       "(%04X,%04X): length %llu at byte %llu is more than the %llu bytes left",
                       tag >> 16, tag & 0xFFFF, (unsigned long long)length,
                       (unsigned long long)p->position, (unsigned long long)left))
        p->status = mg_dicom_fail(p->err, MG_DICOM_ERR_FORMAT, p->position,
                                  "stopped at a length beyond the end at byte %llu",
                                  (unsigned long long)p->position);
    if (l->end == p->d->size) p->d->truncated = true;
    return left;
}

static void read_item(parser *p) {
    level *l = &p->levels[p->top];
    uint64_t at = p->position;
    uint32_t tag = l->end - at < 8 ? 0 : mg_dicom_read_tag(p->d->bytes + at, l->big_endian);
    if (tag == SEQUENCE_DELIMITER) {
        p->position += 8;
        if (l->undefined) close_level(p, 8);
        else warn_once(p, WARN_DELIMITER, at, "sequence delimiter in a sequence of known length");
        return;
    }
    if (tag != ITEM) {
        if (!l->undefined) {
            mg_dicom_parse_warn(p, at, "sequence continues with something that is not an item");
            p->position = l->end;
            close_level(p, 0);
        } else if (l->end - at < 8) {
            give_up(p, "sequence ends without its delimiter");
        } else {
            mg_dicom_parse_warn(p, at, "sequence without its delimiter");
            close_level(p, 0);
        }
        return;
    }
    uint32_t length = mg_dicom_u32(p->d->bytes + at + 4, l->big_endian);
    mg_dicom_element *e = add_element(p, at);
    if (!e) return;
    p->position += 8;
    *e = (mg_dicom_element){.tag = ITEM,
                            .vr = "--",
                            .depth = (uint8_t)p->top,
                            .undefined = length == UNDEFINED,
                            .big_endian = l->big_endian,
                            .implicit = l->implicit,
                            .offset = at,
                            .value = p->d->bytes + p->position};
    uint64_t known = length == UNDEFINED ? UINT64_MAX : clamp(p, length, ITEM);
    level *item = push(p, IN_ITEM, p->d->element_count - 1, known);
    if (item && item->implicit && item->end - p->position >= 8)
        item->implicit = !mg_dicom_looks_explicit(p->d, p->position, item->end, item->big_endian);
}

/* Delimiters met where an element should be. Returns false when the tag is none of them. */
static bool read_delimiter(parser *p, uint32_t tag) {
    level *l = &p->levels[p->top];
    if (tag != ITEM && tag != ITEM_DELIMITER && tag != SEQUENCE_DELIMITER) return false;
    if (l->kind == IN_ITEM && l->undefined && tag == ITEM_DELIMITER) {
        p->position += 8;
        close_level(p, 8);
    } else if (l->kind == IN_ITEM && (tag == ITEM || l->undefined)) {
        warn_once(p, WARN_DELIMITER, p->position, "item without its delimiter");
        close_level(p, 0);
    } else if (tag == ITEM) {
        give_up(p, "item outside of any sequence");
    } else {
        warn_once(p, WARN_DELIMITER, p->position, "delimiter without a beginning");
        p->position += 8;
    }
    return true;
}

static bool is_pixel_data(uint32_t tag) {
    return tag == 0x7FE00010 || tag == 0x7FE00008 || tag == 0x7FE00009;
}

/* Whether the bytes behind a value of undefined length begin like a sequence. */
static bool items_follow(const parser *p, bool big_endian) {
    const level *l = &p->levels[p->top];
    if (l->end - p->position < 8) return true;
    uint32_t tag = mg_dicom_read_tag(p->d->bytes + p->position, big_endian);
    return tag == ITEM || tag == SEQUENCE_DELIMITER;
}

static void undefined_length(parser *p, uint32_t index, bool pixels) {
    mg_dicom_element *e = &p->d->elements[index];
    level *l = &p->levels[p->top];
    bool bytes = e->vr[0] == 'O' && (e->vr[1] == 'B' || e->vr[1] == 'W');
    if (bytes || (is_pixel_data(e->tag) && e->vr[0] != 'S')) {
        if (pixels && p->d->options.stop_at_pixels) {
            e->length = l->end - p->position;
            p->d->encapsulated = true;
            return;
        }
        mg_dicom_status status;
        if (pixels) p->d->encapsulated = true;
        uint64_t begin = p->position;
        p->position = mg_dicom_scan_fragments(p->d, begin, l->end, pixels, &status);
        e->length = p->position - begin;
        if (status == MG_DICOM_ERR_MEMORY)
            p->status = mg_dicom_fail(p->err, status, begin, "out of memory for fragments");
        else if (status != MG_DICOM_OK)
            p->status = mg_dicom_fail(p->err, status, begin, "stopped at a broken fragment");
        return;
    }
    bool unknown = e->vr[0] == 'U' && e->vr[1] == 'N';
    if (e->vr[0] != 'S' || e->vr[1] != 'Q') {
        if (!items_follow(p, e->big_endian && !unknown)) {
            p->position = e->offset;
            p->d->element_count--;
            give_up(p, "undefined length, but no sequence");
            return;
        }
        memcpy(e->vr, "SQ", 3);
    }
    if (unknown) { /* PS3.5 6.2.2, CP-246: what is inside is implicit VR little endian */
        e->big_endian = false;
        e->implicit = true;
    }
    bool implicit = e->implicit, big_endian = e->big_endian;
    level *sequence = push(p, SEQUENCE, index, UINT64_MAX);
    if (!sequence) return;
    sequence->implicit = implicit;
    sequence->big_endian = big_endian;
}

/* A public element that was written as UN gets the VR it has; sequences are opened. */
static void resolve_unknown(parser *p, mg_dicom_element *e, uint64_t length) {
    if (e->vr[0] != 'U' || e->vr[1] != 'N' || e->implicit || e->big_endian) return;
    const char *vr = mg_dicom_resolve_vr(p->d, e->tag);
    if (memcmp(vr, "SQ", 2) == 0) {
        if (length != 0 && (length < 8 || !items_follow(p, false))) return;
        e->implicit = true;
    }
    if (memcmp(vr, "OW", 2) != 0) memcpy(e->vr, vr, 3);
}

/* Odd lengths are forbidden; where a pad byte was written but not counted, step over it. */
static void skip_uncounted_pad(parser *p, uint32_t tag) {
    const level *l = &p->levels[p->top];
    warn_once(p, WARN_ODD, p->position, "value of odd length before");
    if (l->end - p->position < 9) return;
    const uint8_t *b = p->d->bytes + p->position;
    uint32_t here = mg_dicom_read_tag(b, l->big_endian);
    uint32_t there = mg_dicom_read_tag(b + 1, l->big_endian);
    bool fits_here = here > tag && here >> 16 <= (tag >> 16) + 0x0100;
    bool fits_there = there > tag && there >> 16 <= (tag >> 16) + 0x0100;
    if (there >> 16 == 0xFFFE && here >> 16 != 0xFFFE) fits_there = true, fits_here = false;
    if (fits_there && !fits_here) p->position++;
}

/* What is inside of this level from here on is written in this set. */
static void remember_charset(parser *p, const mg_dicom_element *e) {
    mg_dicom *d = p->d;
    if (e->length > 256) return;
    uint8_t i = 0;
    while (i < d->charset_count && (d->charsets[i].length != e->length ||
                                    memcmp(d->charsets[i].value, e->value, e->length) != 0))
        i++;
    if (i == MG_DICOM_CHARSETS) return;
    if (i == d->charset_count) {
        d->charsets[i].value = e->value;
        d->charsets[i].length = (size_t)e->length;
        d->charset_count++;
    }
    p->levels[p->top].charset = (uint8_t)(i + 1);
    if (p->top == 0) d->charset = (uint8_t)(i + 1);
}

static void remember(parser *p, uint32_t index) {
    mg_dicom *d = p->d;
    const mg_dicom_element *e = &d->elements[index];
    if (e->tag == 0x00280103 && e->length >= 2)
        d->pixel_representation = mg_dicom_u16(e->value, e->big_endian) & 1;
    else if (e->tag == 0x00080005) remember_charset(p, e);
    else if (p->top == 0 && is_pixel_data(e->tag) && d->pixel_element == MG_DICOM_NONE)
        d->pixel_element = index;
}

static void read_element(parser *p, const mg_dicom_header *h) {
    mg_dicom *d = p->d;
    level *l = &p->levels[p->top];
    uint64_t at = p->position;
    if (h->deviation) warn_once(p, WARN_VR, at, h->deviation);
    if (h->tag <= l->last_tag) warn_once(p, WARN_ORDER, at, "tags not in ascending order");
    l->last_tag = h->tag;
    mg_dicom_element *e = add_element(p, at);
    if (!e || p->status) return;
    p->position += h->size;
    uint32_t index = d->element_count - 1;
    *e = (mg_dicom_element){.tag = h->tag,
                            .depth = (uint8_t)p->top,
                            .big_endian = l->big_endian,
                            .implicit = h->implicit,
                            .charset = l->charset,
                            .next = index + 1,
                            .offset = at,
                            .undefined = h->length == UNDEFINED,
                            .value = d->bytes + p->position};
    memcpy(e->vr, h->vr, 3);
    uint64_t length = e->undefined ? 0 : clamp(p, h->length, h->tag);
    resolve_unknown(p, e, length);
    bool pixels = p->top == 0 && is_pixel_data(h->tag) && d->pixel_element == MG_DICOM_NONE;
    if (e->undefined) {
        if (pixels) remember(p, index);
        undefined_length(p, index, pixels);
    } else if (e->vr[0] == 'S' && e->vr[1] == 'Q') {
        bool implicit = e->implicit;
        level *sequence = push(p, SEQUENCE, index, length);
        if (sequence) sequence->implicit = implicit;
    } else {
        e->length = length;
        p->position += length;
        remember(p, index);
        if (length & 1) skip_uncounted_pad(p, h->tag);
    }
    if (pixels && d->options.stop_at_pixels) p->stop = true;
}

/* One step of the parse: an item, an element, or the end of a level. */
static void step(parser *p) {
    level *l = &p->levels[p->top];
    if (p->position >= l->end && p->top > 0) {
        if (l->undefined) {
            warn_once(p, WARN_DELIMITER, p->position, "end of data before a sequence's delimiter");
            if (l->end == p->d->size) p->d->truncated = true;
        }
        close_level(p, 0);
        return;
    }
    if (l->kind == SEQUENCE) {
        read_item(p);
        return;
    }
    if (l->end - p->position < 8) {
        give_up(p, "data ends inside an element's header");
        return;
    }
    const uint8_t *b = p->d->bytes + p->position;
    /* Inside a sequence other groups are the items' own: only a top-level element ends the meta
     * group. */
    if (p->meta && p->top == 0 && mg_dicom_u16(b, false) != 2) {
        mg_dicom_begin_data_set(p);
        return;
    }
    mg_dicom_header h;
    if (!mg_dicom_read_header(p->d, p->position, l->end, l->implicit, l->big_endian, &h)) {
        give_up(p, "no valid element header");
        return;
    }
    if (read_delimiter(p, h.tag)) return;
    if (h.tag == 0 && p->top == 0 && !p->meta && mg_dicom_u32(b + 4, false) == 0 &&
        p->d->element_count) {
        mg_dicom_parse_warn(p, p->position, "zeros behind the data set");
        p->stop = true;
        return;
    }
    read_element(p, &h);
}

mg_dicom_status mg_dicom_parse(mg_dicom *d, mg_dicom_error *err) {
    parser p = {.d = d, .err = err, .meta = true};
    uint64_t start = mg_dicom_find_start(&p);
    if (p.status != MG_DICOM_OK) return p.status;
    if (start == UINT64_MAX)
        return mg_dicom_fail(err, MG_DICOM_ERR_NOT_DICOM, 0,
                             "not DICOM: no DICM at byte 128 and no data element at byte 0");
    p.position = start;
    p.levels[0] = (level){.kind = DATA_SET, .end = d->size};
    while (p.status == MG_DICOM_OK && !p.stop) {
        if (p.top == 0 && p.position >= d->size) {
            if (p.meta) mg_dicom_begin_data_set(&p);
            break;
        }
        step(&p);
    }
    if (p.status != MG_DICOM_OK) return p.status;
    while (p.top > 0) close_level(&p, 0);
    if (p.meta)
        return mg_dicom_fail(err, MG_DICOM_ERR_FORMAT, p.position,
                             "file meta information broken at byte %llu",
                             (unsigned long long)p.position);
    return MG_DICOM_OK;
}
