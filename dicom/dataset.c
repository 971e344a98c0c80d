/* dataset.c: putting elements into a data set that is to be written. */
#include "dicom/dataset.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define VR(a, b)    ((a) << 8 | (b))
#define MOST_LEVELS 60

static int vr_code(const char *vr) { return VR(vr[0], vr[1]); }

mg_dicom_dataset *mg_dicom_dataset_create(void) {
    mg_dicom_dataset *s = calloc(1, sizeof *s);
    if (s) s->root = s;
    return s;
}

static void empty_node(mg_dicom_node *n) {
    for (uint32_t i = 0; i < n->item_count; i++) mg_dicom_dataset_destroy(n->items[i]);
    free(n->items);
    free(n->bytes);
    n->items = NULL;
    n->item_count = 0;
    n->bytes = NULL;
    n->size = 0;
}

/* Recursion is bounded: mg_dicom_put_item refuses to nest deeper than MOST_LEVELS. */
void mg_dicom_dataset_destroy(mg_dicom_dataset *s) {
    if (!s) return;
    for (uint32_t i = 0; i < s->count; i++) empty_node(&s->nodes[i]);
    free(s->nodes);
    free(s);
}

static void no_memory(mg_dicom_dataset *s) {
    mg_dicom_fail(&s->root->error, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
}

static void refuse(mg_dicom_dataset *s, uint32_t tag, const char *why) {
    const char *keyword = mg_dicom_keyword(tag);
    mg_dicom_fail(&s->root->error, MG_DICOM_ERR_ARG, 0, "(%04X,%04X) %s: %s", tag >> 16,
                  tag & 0xFFFF, keyword ? keyword : "", why);
}

static uint32_t position_of(const mg_dicom_dataset *s, uint32_t tag) {
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->nodes[middle].tag < tag) low = middle + 1;
        else high = middle;
    }
    return low;
}

const mg_dicom_node *mg_dicom_node_find(const mg_dicom_dataset *s, uint32_t tag) {
    uint32_t i = position_of(s, tag);
    return i < s->count && s->nodes[i].tag == tag ? &s->nodes[i] : NULL;
}

mg_dicom_node *mg_dicom_node_of(mg_dicom_dataset *s, uint32_t tag, const char *vr) {
    if (!s || s->root->error.code) return NULL;
    uint32_t i = position_of(s, tag);
    if (i == s->count || s->nodes[i].tag != tag) {
        if (s->count == s->capacity) {
            uint32_t capacity = s->capacity ? 2 * s->capacity : 16;
            void *grown = realloc(s->nodes, capacity * sizeof *s->nodes);
            if (!grown) {
                no_memory(s);
                return NULL;
            }
            s->nodes = grown;
            s->capacity = capacity;
        }
        memmove(s->nodes + i + 1, s->nodes + i, (s->count - i) * sizeof *s->nodes);
        s->nodes[i] = (mg_dicom_node){0};
        s->count++;
    } else {
        empty_node(&s->nodes[i]);
    }
    s->nodes[i].tag = tag;
    memcpy(s->nodes[i].vr, vr, 2);
    return &s->nodes[i];
}

void mg_dicom_node_take(mg_dicom_dataset *s, uint32_t tag, const char *vr, uint8_t *bytes,
                        uint64_t size, bool encapsulated) {
    mg_dicom_node *n = mg_dicom_node_of(s, tag, vr);
    if (!n) {
        free(bytes);
        return;
    }
    n->bytes = bytes;
    n->size = size;
    n->encapsulated = encapsulated;
}

void mg_dicom_put_bytes(mg_dicom_dataset *s, uint32_t tag, const char *vr, const void *bytes,
                        size_t size) {
    if (!s) return;
    size_t even = size + (size & 1);
    uint8_t *copy = malloc(even ? even : 1);
    if (!copy || even < size) {
        free(copy);
        no_memory(s);
        return;
    }
    if (size) memcpy(copy, bytes, size);
    int code = vr_code(vr);
    bool binary = vr[0] == 'O' || code == VR('U', 'N') || code == VR('U', 'I');
    if (even > size) copy[size] = binary ? 0 : ' ';
    mg_dicom_node_take(s, tag, vr, copy, even, false);
}

/* --- text and numbers ------------------------------------------------------------------------- */

/* The VR written for a tag: what the dictionary says, "US" and "OW" where it leaves a choice. */
static const char *vr_for(uint32_t tag) {
    const char *vr = mg_dicom_tag_vr(tag);
    if (!vr) return "UN";
    if (vr[2]) return vr[0] == 'O' ? "OW" : "US";
    return vr;
}

/* Most characters a value may have (PS3.5 6.2), 0: no limit that matters. */
static size_t most_characters(const char *vr) {
    switch (vr_code(vr)) {
    case VR('A', 'E'):
    case VR('C', 'S'):
    case VR('D', 'S'):
    case VR('S', 'H'): return 16;
    case VR('T', 'M'): return 14;
    case VR('A', 'S'): return 4;
    case VR('D', 'A'): return 8;
    case VR('I', 'S'): return 12;
    case VR('D', 'T'): return 26;
    case VR('L', 'O'):
    case VR('U', 'I'): return 64;
    case VR('P', 'N'): return 64 * 3 + 2;
    default: return 0;
    }
}

static bool fits(const char *vr, const char *text) {
    size_t most = most_characters(vr), n = 0;
    for (; *text; text++) {
        if (*text == '\\') n = 0;
        else n += ((uint8_t)*text & 0xC0) != 0x80;
        if (most && n > most) return false;
    }
    return true;
}

static uint64_t little(uint64_t v) {
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(v) : v;
}

/* Width of a binary number's VR, 0 for all others. */
static int width_for(const char *vr) {
    switch (vr_code(vr)) {
    case VR('U', 'S'):
    case VR('S', 'S'): return 2;
    case VR('U', 'L'):
    case VR('S', 'L'):
    case VR('F', 'L'):
    case VR('A', 'T'): return 4;
    case VR('F', 'D'):
    case VR('U', 'V'):
    case VR('S', 'V'): return 8;
    default: return 0;
    }
}

static bool in_range(const char *vr, double v) {
    switch (vr_code(vr)) {
    case VR('U', 'S'): return v >= 0 && v <= 65535;
    case VR('S', 'S'): return v >= -32768 && v <= 32767;
    case VR('U', 'L'):
    case VR('A', 'T'): return v >= 0 && v <= 4294967295.0;
    case VR('S', 'L'):
    case VR('I', 'S'): return v >= -2147483648.0 && v <= 2147483647.0;
    case VR('U', 'V'): return v >= 0;
    default: return true;
    }
}

/* One binary number at p. */
static void store_number(const char *vr, double value, int64_t whole, uint8_t *p) {
    uint64_t bits = 0;
    int code = vr_code(vr), width = width_for(vr);
    if (code == VR('F', 'D')) {
        memcpy(&bits, &value, 8);
    } else if (code == VR('F', 'L')) {
        float f = (float)value;
        uint32_t word;
        memcpy(&word, &f, 4);
        bits = word;
    } else {
        bits = (uint64_t)whole;
        if (code == VR('A', 'T')) bits = (bits >> 16 & 0xFFFF) | (bits & 0xFFFF) << 16;
    }
    bits = little(bits);
    memcpy(p, &bits, (size_t)width);
}

/* The shortest decimal that reads back the same, or the closest that 16 characters hold. */
static void format_decimal(double v, char out[32]) {
    char best[32] = "0";
    for (int digits = 1; digits <= 17; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, v);
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.'; /* some locale's decimal point */
        if (strlen(text) > 16) continue;
        strcpy(best, text);
        if (strtod(text, NULL) == v) break;
    }
    strcpy(out, best);
}

void mg_dicom_put_doubles(mg_dicom_dataset *s, uint32_t tag, const double *values, size_t n) {
    if (!s) return;
    const char *vr = vr_for(tag);
    int width = width_for(vr);
    bool whole =
        vr_code(vr) != VR('F', 'D') && vr_code(vr) != VR('F', 'L') && vr_code(vr) != VR('D', 'S');
    uint8_t *bytes = malloc(n * 18 + 2);
    if (!bytes || n > (1u << 24)) {
        free(bytes);
        no_memory(s);
        return;
    }
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        double v = values[i];
        if (!isfinite(v) || !in_range(vr, v) || (whole && v != floor(v))) {
            free(bytes);
            refuse(s, tag, "a number that this element cannot hold");
            return;
        }
        if (width) {
            store_number(vr, v, whole ? (int64_t)v : 0, bytes + size);
            size += (size_t)width;
        } else {
            char text[32];
            if (whole) snprintf(text, sizeof text, "%.0f", v);
            else format_decimal(v, text);
            size += (size_t)sprintf((char *)bytes + size, "%s%s", i ? "\\" : "", text);
        }
    }
    if (size & 1) bytes[size++] = ' ';
    if (width || most_characters(vr)) {
        mg_dicom_node_take(s, tag, vr, bytes, size, false);
    } else {
        free(bytes);
        refuse(s, tag, "not an element for numbers");
    }
}

void mg_dicom_put_double(mg_dicom_dataset *s, uint32_t tag, double value) {
    mg_dicom_put_doubles(s, tag, &value, 1);
}

void mg_dicom_put_int(mg_dicom_dataset *s, uint32_t tag, int64_t value) {
    if (value > -(INT64_C(1) << 53) && value < INT64_C(1) << 53) {
        mg_dicom_put_double(s, tag, (double)value);
        return;
    }
    if (!s) return;
    uint8_t bytes[8];
    const char *vr = vr_for(tag);
    bool wide = vr_code(vr) == VR('S', 'V') || (vr_code(vr) == VR('U', 'V') && value >= 0);
    if (!wide) {
        refuse(s, tag, "a number that this element cannot hold");
        return;
    }
    store_number(vr, 0, value, bytes);
    mg_dicom_put_bytes(s, tag, vr, bytes, 8);
}

/* Backslash-separated numbers for an element with a binary VR. */
static void put_numbers_of_text(mg_dicom_dataset *s, uint32_t tag, const char *text) {
    double values[64];
    size_t n = 0;
    while (*text && n < 64) {
        char *end;
        values[n++] = strtod(text, &end);
        if (end == text || (*end && *end != '\\')) {
            refuse(s, tag, "text that is no number");
            return;
        }
        text = *end ? end + 1 : end;
    }
    mg_dicom_put_doubles(s, tag, values, n);
}

void mg_dicom_put_text(mg_dicom_dataset *s, uint32_t tag, const char *text) {
    if (!s) return;
    const char *vr = vr_for(tag);
    if (vr[0] == 'O' || vr_code(vr) == VR('S', 'Q') || vr_code(vr) == VR('U', 'N')) {
        refuse(s, tag, "not an element for text");
    } else if (width_for(vr)) {
        put_numbers_of_text(s, tag, text);
    } else if (!fits(vr, text)) {
        refuse(s, tag, "text longer than the element allows");
    } else {
        for (const char *c = text; *c; c++)
            if ((uint8_t)*c >= 0x80) s->root->not_ascii = true;
        mg_dicom_put_bytes(s, tag, vr, text, strlen(text));
    }
}

void mg_dicom_put_format(mg_dicom_dataset *s, uint32_t tag, const char *format, ...) {
    char text[1200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!s) return;
    if (n < 0 || (size_t)n >= sizeof text) refuse(s, tag, "text too long");
    else mg_dicom_put_text(s, tag, text);
}

/* --- sequences -------------------------------------------------------------------------------- */

mg_dicom_dataset *mg_dicom_put_item(mg_dicom_dataset *s, uint32_t tag) {
    if (!s || s->root->error.code) return NULL;
    mg_dicom_node *n = (mg_dicom_node *)mg_dicom_node_find(s, tag);
    if (n && vr_code(n->vr) != VR('S', 'Q')) {
        refuse(s, tag, "not a sequence");
        return NULL;
    }
    if (s->depth >= MOST_LEVELS) {
        refuse(s, tag, "nested too deeply");
        return NULL;
    }
    if (!n) n = mg_dicom_node_of(s, tag, "SQ");
    mg_dicom_dataset *item = n ? calloc(1, sizeof *item) : NULL;
    void *grown = item ? realloc(n->items, (n->item_count + 1) * sizeof *n->items) : NULL;
    if (!grown) {
        free(item);
        no_memory(s);
        return NULL;
    }
    n->items = grown;
    n->items[n->item_count++] = item;
    item->root = s->root;
    item->depth = s->depth + 1;
    return item;
}

void mg_dicom_put_empty(mg_dicom_dataset *s, uint32_t tag) {
    if (s) mg_dicom_node_of(s, tag, vr_for(tag));
}

void mg_dicom_remove(mg_dicom_dataset *s, uint32_t tag) {
    if (!s) return;
    uint32_t i = position_of(s, tag);
    if (i == s->count || s->nodes[i].tag != tag) return;
    empty_node(&s->nodes[i]);
    memmove(s->nodes + i, s->nodes + i + 1, (s->count - i - 1) * sizeof *s->nodes);
    s->count--;
}

mg_dicom_dataset *mg_dicom_put_code(mg_dicom_dataset *s, uint32_t tag, const char *value,
                                    const char *scheme, const char *meaning) {
    mg_dicom_dataset *item = mg_dicom_put_item(s, tag);
    mg_dicom_put_text(item, 0x00080100, value);
    mg_dicom_put_text(item, 0x00080102, scheme);
    mg_dicom_put_text(item, 0x00080104, meaning);
    return item;
}
