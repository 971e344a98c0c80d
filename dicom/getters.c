/* getters.c: values of elements as numbers and text.
 *
 * A getter looks at the VR before it looks at bytes: what the file says an element is decides how
 * it is read, and anything that does not fit is "not there". */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dicom/internal.h"

#define VR(a, b) ((a) << 8 | (b))
static int vr_of(const mg_dicom_element *e) { return VR(e->vr[0], e->vr[1]); }

/* Bytes of one binary value, 0 for text, -1 for bytes without values. */
static int width_of(const mg_dicom_element *e) {
    switch (vr_of(e)) {
    case VR('U', 'S'):
    case VR('S', 'S'):
    case VR('O', 'W'): return 2;
    case VR('U', 'L'):
    case VR('S', 'L'):
    case VR('F', 'L'):
    case VR('A', 'T'):
    case VR('O', 'F'):
    case VR('O', 'L'): return 4;
    case VR('F', 'D'):
    case VR('U', 'V'):
    case VR('S', 'V'):
    case VR('O', 'D'):
    case VR('O', 'V'): return 8;
    case VR('O', 'B'): return 1;
    case VR('U', 'N'):
    case VR('-', '-'):
    case VR('S', 'Q'): return -1;
    default: return 0;
    }
}

/* Text that may hold backslashes: one value whatever is inside (PS3.5 6.4). */
static bool single_text(const mg_dicom_element *e) {
    int vr = vr_of(e);
    return vr == VR('L', 'T') || vr == VR('S', 'T') || vr == VR('U', 'T') || vr == VR('U', 'R');
}

static uint64_t text_length(const mg_dicom_element *e) {
    uint64_t n = e->length;
    while (n && (e->value[n - 1] == 0 || e->value[n - 1] == ' ')) n--;
    return n;
}

int mg_dicom_count(const mg_dicom *d, const mg_dicom_element *e) {
    if (!e) return 0;
    uint64_t count = 0;
    int width = width_of(e);
    if (vr_of(e) == VR('S', 'Q')) {
        uint32_t i = (uint32_t)(e - d->elements) + 1;
        for (; i < e->next; i = d->elements[i].next) count++;
    } else if (width > 0) {
        count = e->length / (uint64_t)width;
    } else if (width == 0) {
        uint64_t n = text_length(e);
        count = e->length > 0;
        if (!single_text(e))
            for (uint64_t i = 0; i < n; i++) count += e->value[i] == '\\';
    } else {
        count = e->length > 0;
    }
    return count > INT32_MAX ? INT32_MAX : (int)count;
}

/* Value `index` of a text element without leading and trailing blanks. The backslash is looked for
 * byte by byte: in the multi-byte sets it can be half of a character only where GB18030, GBK or a
 * G0 set of ISO 2022 is active, and numbers never are. */
static bool text_value(const mg_dicom_element *e, int index, const uint8_t **begin,
                       size_t *length) {
    uint64_t n = text_length(e), from = 0;
    if (index < 0 || (n == 0 && index > 0)) return false;
    if (single_text(e)) {
        if (index > 0) return false;
        *begin = e->value;
        *length = (size_t)n;
        return true;
    }
    for (; index > 0; index--) {
        const uint8_t *slash = memchr(e->value + from, '\\', n - from);
        if (!slash) return false;
        from = (uint64_t)(slash - e->value) + 1;
    }
    const uint8_t *slash = n > from ? memchr(e->value + from, '\\', n - from) : NULL;
    uint64_t to = slash ? (uint64_t)(slash - e->value) : n;
    while (to > from && (e->value[to - 1] == ' ' || e->value[to - 1] == 0)) to--;
    while (from < to && e->value[from] == ' ') from++;
    *begin = e->value + from;
    *length = (size_t)(to - from);
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static double pow10_of(int exponent) { return pow(10.0, exponent); }

/* DS and IS as written by everyone: blanks around, an exponent, a comma for the point. The result
 * does not depend on the locale. */
static bool parse_decimal(const uint8_t *text, size_t n, double *out) {
    char copy[65];
    if (n == 0 || n >= sizeof copy) return false;
    bool digits = false, exponent = false;
    for (size_t i = 0; i < n; i++) {
        char c = (char)text[i];
        if (c == ',') c = '.';
        if (c >= '0' && c <= '9') digits = true;
        else if ((c == 'e' || c == 'E') && digits && !exponent) exponent = true;
        else if (c != '+' && c != '-' && c != '.') return false;
        copy[i] = c;
    }
    copy[n] = 0;
    /* strtod would expect the locale's decimal point: mantissa and exponent by hand. */
    const char *p = copy;
    bool negative = *p == '-';
    if (*p == '+' || *p == '-') p++;
    uint64_t mantissa = 0;
    int scale = 0, seen = 0;
    bool point = false;
    for (; (*p >= '0' && *p <= '9') || *p == '.'; p++) {
        if (*p == '.') {
            if (point) return false;
            point = true;
            continue;
        }
        seen++;
        if (mantissa < (UINT64_MAX - 9) / 10) {
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            scale -= point;
        } else {
            scale += !point;
        }
    }
    if (seen == 0) return false;
    if (*p == 'e' || *p == 'E') {
        char *end;
        long e = strtol(p + 1, &end, 10);
        if (end == p + 1 || e > 400 || e < -400) return false;
        scale += (int)e;
        p = end;
    }
    if (*p) return false;
    double value = (double)mantissa;
    /* Exact for up to 15 digits and powers up to 22, correctly rounded by one operation. */
    if (scale < 0) value = scale >= -22 ? value / pow10_of(-scale) : value * pow10_of(scale);
    else if (scale > 0) value = value * pow10_of(scale);
    *out = negative ? -value : value;
    return isfinite(*out);
}

static bool binary_int(const mg_dicom_element *e, int index, int64_t *out) {
    int width = width_of(e);
    if (width <= 0 || index < 0 || (uint64_t)index >= e->length / (uint64_t)width) return false;
    const uint8_t *p = e->value + (size_t)index * (size_t)width;
    switch (vr_of(e)) {
    case VR('U', 'S'):
    case VR('O', 'W'): *out = mg_dicom_u16(p, e->big_endian); return true;
    case VR('S', 'S'): *out = (int16_t)mg_dicom_u16(p, e->big_endian); return true;
    case VR('U', 'L'):
    case VR('O', 'L'): *out = mg_dicom_u32(p, e->big_endian); return true;
    case VR('S', 'L'): *out = (int32_t)mg_dicom_u32(p, e->big_endian); return true;
    case VR('S', 'V'): *out = (int64_t)mg_dicom_u64(p, e->big_endian); return true;
    case VR('U', 'V'): {
        uint64_t v = mg_dicom_u64(p, e->big_endian);
        *out = (int64_t)v;
        return v <= INT64_MAX;
    }
    case VR('A', 'T'): *out = mg_dicom_read_tag(p, e->big_endian); return true;
    case VR('O', 'B'): *out = *p; return true;
    default: return false;
    }
}

static bool is_numeric_text(const mg_dicom_element *e) {
    return vr_of(e) == VR('D', 'S') || vr_of(e) == VR('I', 'S');
}

bool mg_dicom_element_int(const mg_dicom *d, const mg_dicom_element *e, int index, int64_t *out) {
    (void)d;
    if (!e) return false;
    if (!is_numeric_text(e)) return binary_int(e, index, out);
    const uint8_t *text;
    size_t n;
    double value;
    if (!text_value(e, index, &text, &n) || !parse_decimal(text, n, &value)) return false;
    if (value != floor(value) || fabs(value) > 9007199254740992.0) return false;
    *out = (int64_t)value;
    return true;
}

bool mg_dicom_element_double(const mg_dicom *d, const mg_dicom_element *e, int index, double *out) {
    (void)d;
    if (!e) return false;
    const uint8_t *text;
    size_t n;
    int64_t whole;
    int vr = vr_of(e);
    if (is_numeric_text(e)) return text_value(e, index, &text, &n) && parse_decimal(text, n, out);
    if (vr == VR('F', 'L') || vr == VR('O', 'F') || vr == VR('F', 'D') || vr == VR('O', 'D')) {
        int width = width_of(e);
        if (index < 0 || (uint64_t)index >= e->length / (uint64_t)width) return false;
        const uint8_t *p = e->value + (size_t)index * (size_t)width;
        if (width == 4) {
            uint32_t bits = mg_dicom_u32(p, e->big_endian);
            float f;
            memcpy(&f, &bits, sizeof f);
            *out = (double)f;
        } else {
            uint64_t bits = mg_dicom_u64(p, e->big_endian);
            memcpy(out, &bits, sizeof *out);
        }
        return true;
    }
    if (!binary_int(e, index, &whole)) return false;
    *out = (double)whole;
    return true;
}

/* --- text ------------------------------------------------------------------------------------- */

static bool uses_charset(const mg_dicom_element *e) {
    switch (vr_of(e)) {
    case VR('L', 'O'):
    case VR('L', 'T'):
    case VR('P', 'N'):
    case VR('S', 'H'):
    case VR('S', 'T'):
    case VR('U', 'C'):
    case VR('U', 'T'): return true;
    default: return false;
    }
}

static int binary_text(const mg_dicom *d, const mg_dicom_element *e, int index, char *out,
                       size_t size) {
    int64_t whole;
    double real;
    int vr = vr_of(e);
    if (vr == VR('F', 'L') || vr == VR('F', 'D') || vr == VR('O', 'F') || vr == VR('O', 'D')) {
        if (!mg_dicom_element_double(d, e, index, &real)) return -1;
        bool narrow = width_of(e) == 4;
        for (int digits = narrow ? 6 : 15;; digits++) { /* the shortest that reads back the same */
            char text[40];
            int n = snprintf(text, sizeof text, "%.*g", digits, real);
            double back = strtod(text, NULL);
            char *comma = strchr(text, ','); /* some locale's decimal point */
            if (comma) *comma = '.';
            if ((narrow ? (float)back == (float)real : back == real) || digits >= 17)
                return snprintf(out, size, "%s", text) < 0 ? -1 : n;
        }
    }
    if (vr == VR('U', 'V') && (uint64_t)index < e->length / 8 && index >= 0)
        return snprintf(
            out, size, "%llu",
            (unsigned long long)mg_dicom_u64(e->value + 8 * (size_t)index, e->big_endian));
    if (!binary_int(e, index, &whole)) return -1;
    if (vr == VR('A', 'T'))
        return snprintf(out, size, "(%04X,%04X)", (unsigned)(whole >> 16) & 0xFFFF,
                        (unsigned)whole & 0xFFFF);
    return snprintf(out, size, "%lld", (long long)whole);
}

static int decoded_text(const mg_dicom *d, const mg_dicom_element *e, int index, char *out,
                        size_t size) {
    /* At the top level the set holds for what stands before it, too. */
    uint8_t set = e->depth == 0 ? d->charset : e->charset;
    struct mg_dicom_charset none = {0};
    const struct mg_dicom_charset *c = set ? &d->charsets[set - 1] : &none;
    return mg_dicom_decode_text((const char *)c->value, c->length, e->value, (size_t)text_length(e),
                                single_text(e) ? -1 : index, vr_of(e) == VR('P', 'N'), out, size);
}

/* Text of the default repertoire: anything else would not be UTF-8. */
static int plain_text(const uint8_t *text, size_t n, char *out, size_t size) {
    size_t copied = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i] < 0x80 && text[i] != 0 ? (char)text[i] : '?';
        if (copied + 1 < size) out[copied++] = c;
    }
    if (size) out[copied] = 0;
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

int mg_dicom_element_text(const mg_dicom *d, const mg_dicom_element *e, int index, char *out,
                          size_t size) {
    if (size) out[0] = 0;
    if (!e) return -1;
    int width = width_of(e);
    if (width < 0) return -1;
    if (width > 0) return binary_text(d, e, index, out, size);
    if (uses_charset(e)) {
        if (index < 0 || (index > 0 && single_text(e))) return -1;
        return decoded_text(d, e, index, out, size);
    }
    const uint8_t *text;
    size_t n;
    return text_value(e, index, &text, &n) ? plain_text(text, n, out, size) : -1;
}

int mg_dicom_element_all_text(const mg_dicom *d, const mg_dicom_element *e, char *out,
                              size_t size) {
    if (size) out[0] = 0;
    if (!e || width_of(e) != 0) return -1;
    if (uses_charset(e)) return decoded_text(d, e, MG_DICOM_ALL_VALUES, out, size);
    return plain_text(e->value, (size_t)text_length(e), out, size);
}

bool mg_dicom_int(const mg_dicom *d, uint32_t tag, int64_t *out) {
    return mg_dicom_element_int(d, mg_dicom_find(d, tag), 0, out);
}
bool mg_dicom_double(const mg_dicom *d, uint32_t tag, double *out) {
    return mg_dicom_element_double(d, mg_dicom_find(d, tag), 0, out);
}
bool mg_dicom_text(const mg_dicom *d, uint32_t tag, char *out, size_t size) {
    return mg_dicom_element_text(d, mg_dicom_find(d, tag), 0, out, size) >= 0;
}
