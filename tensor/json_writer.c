/* json_writer.c: the writer of json.h. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/json.h"

struct mg_json_writer {
    char *text;
    size_t length, capacity;
    int indent, depth;
    bool after_key, has_values[MG_JSON_MAX_DEPTH + 1], is_object[MG_JSON_MAX_DEPTH + 1];
    mg_status failed;
    const char *why;
};

static void fail(mg_json_writer *w, mg_status status, const char *why) {
    if (w->failed == MG_OK) w->failed = status, w->why = why;
}

static void put(mg_json_writer *w, const char *text, size_t length) {
    if (w->failed) return;
    if (w->capacity - w->length <= length) { /* keeps room for the final NUL */
        size_t capacity = (w->length + length + 1) * 2;
        char *grown = capacity > length ? realloc(w->text, capacity) : NULL;
        if (!grown) {
            fail(w, MG_ERR_MEMORY, "out of memory");
            return;
        }
        w->text = grown;
        w->capacity = capacity;
    }
    memcpy(w->text + w->length, text, length);
    w->length += length;
}

static void new_line(mg_json_writer *w) {
    if (!w->indent) return;
    put(w, "\n", 1);
    for (int i = 0; i < w->indent * w->depth; i++) put(w, " ", 1);
}

/* What stands before a value or a key: a comma, a line break, or nothing. */
static void separate(mg_json_writer *w, bool key) {
    MG_ASSERT(w->depth == 0  ? !w->has_values[0] && !key
              : w->after_key ? !key
                             : key == w->is_object[w->depth]);
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->has_values[w->depth]) put(w, ",", 1);
    if (w->depth) new_line(w);
    w->has_values[w->depth] = true;
}

static void put_quoted(mg_json_writer *w, const char *utf8) {
    put(w, "\"", 1);
    for (size_t left = strlen(utf8); left && !w->failed;) {
        size_t n = mg_utf8_sequence(utf8, left);
        if (n == 0) {
            fail(w, MG_ERR_FORMAT, "a string is not valid UTF-8");
            return;
        }
        static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *known = strchr(escaped, *utf8);
        char escape[8];
        if (known) {
            put(w, (char[]){'\\', letters[known - escaped]}, 2);
        } else if ((unsigned char)*utf8 < 0x20 || *utf8 == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*utf8);
            put(w, escape, 6);
        } else {
            put(w, utf8, n);
        }
        utf8 += n;
        left -= n;
    }
    put(w, "\"", 1);
}

mg_json_writer *mg_json_writer_create(int indent) {
    mg_json_writer *w = calloc(1, sizeof *w);
    if (w) w->indent = indent;
    return w;
}

static void begin(mg_json_writer *w, bool object) {
    if (!w) return;
    separate(w, false);
    put(w, object ? "{" : "[", 1);
    MG_ASSERT(w->depth < MG_JSON_MAX_DEPTH);
    w->depth++;
    w->has_values[w->depth] = false;
    w->is_object[w->depth] = object;
}

void mg_json_begin_object(mg_json_writer *w) { begin(w, true); }
void mg_json_begin_array(mg_json_writer *w) { begin(w, false); }

void mg_json_end(mg_json_writer *w) {
    if (!w) return;
    MG_ASSERT(w->depth > 0 && !w->after_key);
    bool object = w->is_object[w->depth], any = w->has_values[w->depth];
    w->depth--;
    if (any) new_line(w);
    put(w, object ? "}" : "]", 1);
}

void mg_json_key(mg_json_writer *w, const char *key) {
    if (!w) return;
    separate(w, true);
    put_quoted(w, key);
    put(w, ": ", w->indent ? 2 : 1);
    w->after_key = true;
}

void mg_json_string(mg_json_writer *w, const char *utf8) {
    if (!w) return;
    separate(w, false);
    put_quoted(w, utf8);
}

static void put_word(mg_json_writer *w, const char *word) {
    if (!w) return;
    separate(w, false);
    put(w, word, strlen(word));
}

void mg_json_integer(mg_json_writer *w, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    put_word(w, text);
}

void mg_json_real(mg_json_writer *w, double value) {
    if (w && !isfinite(value)) fail(w, MG_ERR_NUMERIC, "NaN and infinity have no JSON form");
    char text[40];
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = uselocale(c);
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    uselocale(old);
    freelocale(c);
    put_word(w, text);
}

void mg_json_bool(mg_json_writer *w, bool value) { put_word(w, value ? "true" : "false"); }
void mg_json_null(mg_json_writer *w) { put_word(w, "null"); }

char *mg_json_writer_finish(mg_json_writer *w, size_t *length, mg_error *err) {
    if (!w) {
        mg_fail(err, MG_ERR_MEMORY, "cannot write JSON: out of memory");
        return NULL;
    }
    MG_ASSERT(w->depth == 0 && w->has_values[0]);
    if (w->indent) put(w, "\n", 1);
    char *text = w->text;
    if (w->failed) {
        mg_fail(err, w->failed, "cannot write JSON: %s", w->why);
        free(text);
        text = NULL;
    } else {
        text[w->length] = 0;
        if (length) *length = w->length;
    }
    free(w);
    return text;
}
