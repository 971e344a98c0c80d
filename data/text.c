#include "data/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the terminator. */
static bool reserve(mg_text *t, size_t more) {
    if (t->failed) return false;
    if (more < t->capacity - t->size) return true;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity - t->size <= more) {
        if (capacity > SIZE_MAX / 2) return !(t->failed = true);
        capacity *= 2;
    }
    char *data = realloc(t->data, capacity);
    if (!data) return !(t->failed = true);
    t->data = data;
    t->capacity = capacity;
    return true;
}

void mg_text_bytes(mg_text *text, const void *data, size_t size) {
    if (!reserve(text, size)) return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

void mg_text_add(mg_text *text, const char *string) { mg_text_bytes(text, string, strlen(string)); }

void mg_text_format(mg_text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size >= 0 && reserve(text, (size_t)size)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

/* Length of the well-formed UTF-8 sequence at s, 0 if there is none (Unicode table 3-7). */
static size_t utf8_length(const uint8_t *s) {
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
               : s[0] >= 0xe0 && s[0] <= 0xef ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < (i == 1 ? low : 0x80) || s[i] > (i == 1 ? high : 0xbf)) return 0;
    }
    return n;
}

void mg_text_escaped(mg_text *text, const char *string) {
    const uint8_t *s = (const uint8_t *)string;
    while (*s) {
        size_t n = utf8_length(s);
        switch (*s) {
        case '&': mg_text_add(text, "&amp;"); break;
        case '<': mg_text_add(text, "&lt;"); break;
        case '>': mg_text_add(text, "&gt;"); break;
        case '"': mg_text_add(text, "&quot;"); break;
        case '\'': mg_text_add(text, "&#39;"); break;
        default:
            if (n == 0) mg_text_add(text, "\xef\xbf\xbd");
            else if (*s < 0x20 || *s == 0x7f) mg_text_add(text, " ");
            else mg_text_bytes(text, s, n);
        }
        s += n ? n : 1;
    }
}

void mg_text_base64(mg_text *text, const void *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    if (size > SIZE_MAX / 2 || !reserve(text, (size + 2) / 3 * 4)) {
        text->failed = true;
        return;
    }
    char *out = text->data + text->size;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                        (left > 2 ? in[i + 2] : 0);
        *out++ = digits[word >> 18];
        *out++ = digits[word >> 12 & 63];
        *out++ = left > 1 ? digits[word >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[word & 63] : '=';
    }
    *out = 0;
    text->size = (size_t)(out - text->data);
}

void mg_text_free(mg_text *text) {
    free(text->data);
    *text = (mg_text){0};
}
