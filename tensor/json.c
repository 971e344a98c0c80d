/* json.c: the reader. Recursive descent under a depth limit; nodes live in blocks and all decoded
 * strings in one buffer as long as the text (a decoded string is never longer than its source). */
#include "tensor/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *next;
    size_t used, capacity;
    mg_json nodes[];
} block;

struct mg_json_document {
    block *blocks;
    size_t node_count;
    char *strings;
    const mg_json *root;
};

typedef struct parser {
    const char *text;
    size_t at, length;
    int depth;
    char *strings; /* where the next decoded string goes */
    mg_json_document *document;
    mg_error *err;
} parser;

static bool parse_value(parser *p, mg_json *node);

static bool refuse(parser *p, const char *what) {
    size_t line = 1;
    for (size_t i = 0; i < p->at && i < p->length; i++) line += p->text[i] == '\n';
    mg_fail(p->err, MG_ERR_FORMAT, "JSON line %zu (byte %zu): %s", line, p->at, what);
    return false;
}

static mg_json *new_node(parser *p) {
    mg_json_document *d = p->document;
    if (d->node_count == MG_JSON_MAX_NODES) {
        refuse(p, "too many values");
        return NULL;
    }
    block *b = d->blocks;
    if (!b || b->used == b->capacity) {
        size_t capacity = b ? b->capacity < 32768 ? b->capacity * 2 : b->capacity : 32;
        block *fresh = malloc(sizeof *fresh + capacity * sizeof fresh->nodes[0]);
        if (!fresh) {
            mg_fail(p->err, MG_ERR_MEMORY, "out of memory for JSON values");
            return NULL;
        }
        *fresh = (block){.next = b, .capacity = capacity};
        d->blocks = b = fresh;
    }
    d->node_count++;
    mg_json *node = &b->nodes[b->used++];
    *node = (mg_json){.type = MG_JSON_NULL};
    return node;
}

static void skip_space(parser *p) {
    while (p->at < p->length && p->text[p->at] && strchr(" \t\n\r", p->text[p->at])) p->at++;
}

static int peek(const parser *p) { return p->at < p->length ? (unsigned char)p->text[p->at] : -1; }

size_t mg_utf8_sequence(const char *text, size_t left) {
    const unsigned char *s = (const unsigned char *)text;
    if (left == 0) return 0;
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || left < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0; /* overlong */
    if (s[0] == 0xed && s[1] > 0x9f) return 0; /* surrogate */
    if (s[0] == 0xf0 && s[1] < 0x90) return 0; /* overlong */
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0; /* beyond U+10FFFF */
    return n;
}

/* The four digits after \u; -1 if they are not there. */
static long hex4(parser *p) {
    if (p->length - p->at < 4) return -1;
    long value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p->text[p->at++];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, long code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

/* \uXXXX, or a pair of them for a character beyond U+FFFF; p is after the 'u'. */
static char *parse_unicode_escape(parser *p, char *out) {
    long code = hex4(p);
    if (code >= 0xd800 && code <= 0xdbff && p->length - p->at >= 2 && p->text[p->at] == '\\' &&
        p->text[p->at + 1] == 'u') {
        p->at += 2;
        long low = hex4(p);
        code = low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
                                              : -1;
    }
    if (code < 0 || (code >= 0xd800 && code <= 0xdfff))
        return refuse(p, "bad \\u escape (four hex digits, surrogates in pairs)"), NULL;
    if (code == 0) return refuse(p, "\\u0000 in a string is not supported"), NULL;
    return put_utf8(out, code);
}

/* A string from its opening quote on; NULL on failure. */
static const char *parse_string(parser *p) {
    char *start = p->strings, *out = start;
    for (p->at++;;) {
        int c = peek(p);
        if (c < 0) return refuse(p, "the text ends inside a string"), NULL;
        if (c < 0x20) return refuse(p, "control character in a string (write it as \\u)"), NULL;
        if (c == '"') break;
        if (c != '\\') {
            size_t n = mg_utf8_sequence(p->text + p->at, p->length - p->at);
            if (n == 0) return refuse(p, "invalid UTF-8 in a string"), NULL;
            memcpy(out, p->text + p->at, n);
            out += n;
            p->at += n;
            continue;
        }
        p->at++;
        c = peek(p);
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = c > 0 ? strchr(from, c) : NULL;
        if (!known && c != 'u') return refuse(p, "unknown escape in a string"), NULL;
        p->at++;
        if (known) *out++ = to[known - from];
        else if (!(out = parse_unicode_escape(p, out))) return NULL;
    }
    p->at++;
    *out++ = 0;
    p->strings = out;
    return start;
}

static size_t skip_digits(parser *p) {
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9') p->at++;
    return p->at - start;
}

static double to_double(const char *text) {
    /* The decimal point must not depend on the program's locale. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = uselocale(c);
    double value = strtod(text, NULL);
    uselocale(old);
    freelocale(c);
    return value;
}

static bool parse_number(parser *p, mg_json *node) {
    size_t start = p->at;
    bool negative = peek(p) == '-', integer = true, exact = true;
    p->at += negative;
    size_t first = p->at, digits = skip_digits(p);
    if (digits == 0) return refuse(p, "a number needs a digit here");
    if (digits > 1 && p->text[first] == '0') return refuse(p, "a number with a leading zero");
    int64_t value = 0;
    for (size_t i = first; i < p->at; i++)
        exact = exact && !__builtin_mul_overflow(value, 10, &value) &&
                !__builtin_sub_overflow(value, p->text[i] - '0', &value); /* kept negative */
    if (!negative) exact = exact && !__builtin_sub_overflow(0, value, &value);
    if (peek(p) == '.') {
        integer = false;
        p->at++;
        if (skip_digits(p) == 0) return refuse(p, "a number needs a digit after its point");
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        integer = false;
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') p->at++;
        if (skip_digits(p) == 0) return refuse(p, "a number needs a digit in its exponent");
    }
    if (integer && exact && !(negative && value == 0)) { /* "-0" keeps its sign as a real */
        node->type = MG_JSON_INTEGER;
        node->integer = value;
        return true;
    }
    char copy[512];
    size_t length = p->at - start;
    if (length >= sizeof copy) return refuse(p, "a number of more than 511 characters");
    memcpy(copy, p->text + start, length);
    copy[length] = 0;
    node->type = MG_JSON_REAL;
    node->real = to_double(copy);
    return isfinite(node->real) ? true : refuse(p, "a number too large for a double");
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool keys_differ(parser *p, const mg_json *object) {
    if (object->count < 2) return true;
    const char **keys = malloc(object->count * sizeof *keys);
    if (!keys) return mg_fail(p->err, MG_ERR_MEMORY, "out of memory for JSON keys"), false;
    size_t n = 0;
    for (const mg_json *m = object->first; m; m = m->next) keys[n++] = m->key;
    qsort(keys, n, sizeof *keys, compare_keys);
    bool differ = true;
    for (size_t i = 1; i < n && differ; i++) {
        if (strcmp(keys[i - 1], keys[i])) continue;
        char what[160];
        snprintf(what, sizeof what, "the key \"%.80s\" appears twice in the object ending here",
                 keys[i]);
        differ = refuse(p, what);
    }
    free(keys);
    return differ;
}

/* Members or elements up to the closing bracket; p is after the opening one. */
static bool parse_container(parser *p, mg_json *node, int close) {
    bool object = close == '}';
    node->type = object ? MG_JSON_OBJECT : MG_JSON_ARRAY;
    node->first = NULL;
    node->count = 0;
    if (++p->depth > MG_JSON_MAX_DEPTH) return refuse(p, "nested too deeply");
    const mg_json **tail = &node->first;
    for (;;) {
        skip_space(p);
        if (peek(p) == close && node->count == 0) break;
        mg_json *child = new_node(p);
        if (!child) return false;
        if (object) {
            if (peek(p) != '"') return refuse(p, "expected a key in double quotes");
            const char *key = parse_string(p);
            if (!key) return false;
            skip_space(p);
            if (peek(p) != ':') return refuse(p, "expected ':' after a key");
            p->at++;
            child->key = key;
        }
        if (!parse_value(p, child)) return false;
        *tail = child;
        tail = &child->next;
        node->count++;
        skip_space(p);
        if (peek(p) == close) break;
        if (peek(p) != ',')
            return refuse(p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        p->at++;
    }
    if (object && !keys_differ(p, node)) return false;
    p->at++;
    p->depth--;
    return true;
}

static bool parse_word(parser *p, mg_json *node, const char *word, mg_json_type type) {
    size_t n = strlen(word);
    if (p->length - p->at < n || memcmp(p->text + p->at, word, n))
        return refuse(p, "expected a value");
    p->at += n;
    node->type = type;
    return true;
}

static bool parse_value(parser *p, mg_json *node) {
    skip_space(p);
    switch (peek(p)) {
    case '{': p->at++; return parse_container(p, node, '}');
    case '[': p->at++; return parse_container(p, node, ']');
    case '"': node->type = MG_JSON_STRING; return (node->string = parse_string(p)) != NULL;
    case 't': return parse_word(p, node, "true", MG_JSON_TRUE);
    case 'f': return parse_word(p, node, "false", MG_JSON_FALSE);
    case 'n': return parse_word(p, node, "null", MG_JSON_NULL);
    case -1: return refuse(p, "the text ends where a value should be");
    default: break;
    }
    if (peek(p) == '-' || (peek(p) >= '0' && peek(p) <= '9')) return parse_number(p, node);
    return refuse(p, "expected a value");
}

mg_json_document *mg_json_parse(const char *text, size_t length, mg_error *err) {
    if (length > MG_JSON_MAX_BYTES) {
        mg_fail(err, MG_ERR_FORMAT, "JSON text of %zu bytes; at most %d are read", length,
                MG_JSON_MAX_BYTES);
        return NULL;
    }
    mg_json_document *d = calloc(1, sizeof *d);
    if (d) d->strings = malloc(length + 1);
    if (!d || !d->strings) {
        mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu bytes of JSON", length);
        mg_json_free(d);
        return NULL;
    }
    parser p = {.text = text, .length = length, .strings = d->strings, .document = d, .err = err};
    mg_json *root = new_node(&p);
    bool ok = root && parse_value(&p, root);
    skip_space(&p);
    if (ok && p.at != length) ok = refuse(&p, "text after the end of the value");
    if (!ok) {
        mg_json_free(d);
        return NULL;
    }
    d->root = root;
    return d;
}

const mg_json *mg_json_root(const mg_json_document *document) { return document->root; }

void mg_json_free(mg_json_document *document) {
    if (!document) return;
    for (block *b = document->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(document->strings);
    free(document);
}

const mg_json *mg_json_get(const mg_json *object, const char *key) {
    if (!object || object->type != MG_JSON_OBJECT) return NULL;
    const mg_json *m = object->first;
    while (m && strcmp(m->key, key)) m = m->next;
    return m;
}

bool mg_json_get_real(const mg_json *object, const char *key, double *out) {
    const mg_json *m = mg_json_get(object, key);
    if (!m || (m->type != MG_JSON_REAL && m->type != MG_JSON_INTEGER)) return false;
    *out = m->type == MG_JSON_REAL ? m->real : (double)m->integer;
    return true;
}

bool mg_json_get_integer(const mg_json *object, const char *key, int64_t *out) {
    const mg_json *m = mg_json_get(object, key);
    if (!m || m->type != MG_JSON_INTEGER) return false;
    *out = m->integer;
    return true;
}

bool mg_json_get_bool(const mg_json *object, const char *key, bool *out) {
    const mg_json *m = mg_json_get(object, key);
    if (!m || (m->type != MG_JSON_TRUE && m->type != MG_JSON_FALSE)) return false;
    *out = m->type == MG_JSON_TRUE;
    return true;
}

const char *mg_json_get_string(const mg_json *object, const char *key) {
    const mg_json *m = mg_json_get(object, key);
    return m && m->type == MG_JSON_STRING ? m->string : NULL;
}
