/* json.h: a small strict JSON reader and writer (RFC 8259), for safetensors headers, checkpoint
 * metadata and configuration files.
 *
 * The reader refuses what the standard leaves open: duplicate keys, lone surrogates, invalid UTF-8,
 * numbers beyond a double, a byte order mark, anything after the value. It also refuses \u0000, so
 * that every string is a plain C string. Nesting, node count and text size are limited, so a
 * hostile text costs bounded memory and stack. */
#ifndef MG_TENSOR_JSON_H
#define MG_TENSOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

enum {
    MG_JSON_MAX_DEPTH = 64,
    MG_JSON_MAX_NODES = 1 << 22,   /* 40 bytes each */
    MG_JSON_MAX_BYTES = 100000000, /* of text; the cap of a safetensors header */
};

typedef enum mg_json_type {
    MG_JSON_NULL,
    MG_JSON_FALSE,
    MG_JSON_TRUE,
    MG_JSON_INTEGER, /* a number written without '.' or exponent that fits int64_t */
    MG_JSON_REAL,    /* any other number */
    MG_JSON_STRING,
    MG_JSON_ARRAY,
    MG_JSON_OBJECT,
} mg_json_type;

/* One value. Members of an object and elements of an array are a list in the text's order. */
typedef struct mg_json {
    mg_json_type type;
    const char *key;            /* the name, if the value is a member of an object */
    const struct mg_json *next; /* the next member or element */
    union {
        int64_t integer;
        double real;
        const char *string;
        struct {
            const struct mg_json *first;
            size_t count;
        };
    };
} mg_json;

typedef struct mg_json_document mg_json_document;

/* Reads a whole text. NULL on failure; the message names line and byte. The text may be freed
 * afterwards. */
mg_json_document *mg_json_parse(const char *text, size_t length, mg_error *err);
const mg_json *mg_json_root(const mg_json_document *document);
void mg_json_free(mg_json_document *document);

/* The member of that name; NULL if there is none or `object` is NULL or no object. */
const mg_json *mg_json_get(const mg_json *object, const char *key);

/* Members by name and type: false (or NULL) and *out untouched if missing or of another type. */
bool mg_json_get_real(const mg_json *object, const char *key, double *out); /* integers too */
bool mg_json_get_integer(const mg_json *object, const char *key, int64_t *out);
bool mg_json_get_bool(const mg_json *object, const char *key, bool *out);
const char *mg_json_get_string(const mg_json *object, const char *key);

/* --- writing ---------------------------------------------------------------------------------
 * Values are appended one after another; commas, quotes and escapes are the writer's work:
 *     mg_json_writer *w = mg_json_writer_create(2);
 *     mg_json_begin_object(w); mg_json_key(w, "epochs"); mg_json_integer(w, 50); mg_json_end(w);
 *     char *text = mg_json_writer_finish(w, NULL, err);
 * Failures (memory, invalid UTF-8, NaN or infinity, which JSON cannot say) stick and are reported
 * by finish. Using the calls in an impossible order is our own bug and aborts. */
typedef struct mg_json_writer mg_json_writer;

/* indent: spaces per level; 0 writes everything on one line. NULL if memory is short; every call
 * accepts that NULL and finish reports it. */
mg_json_writer *mg_json_writer_create(int indent);
void mg_json_begin_object(mg_json_writer *writer);
void mg_json_begin_array(mg_json_writer *writer);
void mg_json_end(mg_json_writer *writer); /* of the innermost object or array */
void mg_json_key(mg_json_writer *writer, const char *key);
void mg_json_string(mg_json_writer *writer, const char *utf8);
void mg_json_integer(mg_json_writer *writer, int64_t value);
void mg_json_real(mg_json_writer *writer, double value); /* shortest text that reads back exactly */
void mg_json_bool(mg_json_writer *writer, bool value);
void mg_json_null(mg_json_writer *writer);

/* Frees the writer and returns the text (free() it), NUL-terminated; *length may be NULL. NULL on
 * failure. */
char *mg_json_writer_finish(mg_json_writer *writer, size_t *length, mg_error *err);

/* Length of the valid UTF-8 sequence (1-4 bytes) that starts at p, of which `left` bytes may be
 * read; 0 if it is invalid (overlong, surrogate, beyond U+10FFFF, cut off). */
size_t mg_utf8_sequence(const char *p, size_t left);

#endif
