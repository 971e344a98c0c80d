/* pickle.h: an interpreter for the harmless part of Python's pickle format, protocol 2.
 *
 * A pickle is a program for a stack machine that may call any Python function by name. This machine
 * knows data only: the opcodes that PyTorch's checkpoints use, and no functions but those that the
 * caller's handlers know. Everything else is refused by name. Work and memory are linear in the
 * size of the input; nothing recurses. Source of the opcodes: Lib/pickletools.py of CPython. */
#ifndef MG_TENSOR_PICKLE_H
#define MG_TENSOR_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

enum {
    MG_PICKLE_MAX_VALUES = 1 << 22,
    MG_PICKLE_MAX_MEMO = 1 << 20,
    MG_PICKLE_MAX_STACK = 1 << 20,
};

typedef enum mg_pickle_type {
    MG_PICKLE_NONE,
    MG_PICKLE_BOOL,
    MG_PICKLE_INTEGER,
    MG_PICKLE_BIG_INTEGER, /* more than 8 bytes: string, length are its little-endian digits */
    MG_PICKLE_REAL,
    MG_PICKLE_STRING, /* bytes or UTF-8, NUL-terminated; may contain NULs */
    MG_PICKLE_TUPLE,
    MG_PICKLE_LIST,
    MG_PICKLE_DICT,   /* items: key, value, key, value, … in order, duplicates kept */
    MG_PICKLE_GLOBAL, /* tag: what the handler said */
    MG_PICKLE_OBJECT, /* object, tag: what a handler made */
} mg_pickle_type;

typedef struct mg_pickle_value {
    mg_pickle_type type;
    int tag;
    union {
        int64_t integer; /* of BOOL too */
        double real;
        struct {
            const char *string;
            size_t length;
        };
        struct {
            struct mg_pickle_value **items;
            uint32_t count, capacity; /* count: of values, so twice the entries of a dict */
        };
        void *object;
    };
} mg_pickle_value;

/* Owns all values of any number of pickles; each adds to what the heap may hold in proportion to
 * its size. */
typedef struct mg_pickle_heap mg_pickle_heap;
mg_pickle_heap *mg_pickle_heap_create(void); /* NULL if memory is short */
void mg_pickle_heap_free(mg_pickle_heap *heap);
void *mg_pickle_alloc(mg_pickle_heap *heap, size_t size, mg_error *err); /* zeroed; NULL: failed */
mg_pickle_value *mg_pickle_new(mg_pickle_heap *heap, mg_pickle_type type, mg_error *err);
mg_status mg_pickle_append(mg_pickle_heap *heap, mg_pickle_value *container, mg_pickle_value *item,
                           mg_error *err);

typedef struct mg_pickle_handlers {
    void *context;
    /* The tag (>= 0) of a known global; anything negative refuses it. */
    int (*global)(void *context, const char *module, const char *name);
    /* What calling that global with a tuple of arguments gives. NULL: failed, err is set. */
    mg_pickle_value *(*call)(void *context, int tag, const mg_pickle_value *arguments,
                             mg_error *err);
    /* What a persistent id stands for. NULL: failed, err is set. */
    mg_pickle_value *(*persistent)(void *context, const mg_pickle_value *id, mg_error *err);
} mg_pickle_handlers;

/* Runs one pickle from the start of `bytes`; *used receives its length (other data may follow).
 * NULL on failure. Strings are copied, so `bytes` may go. */
mg_pickle_value *mg_pickle_run(mg_pickle_heap *heap, const uint8_t *bytes, size_t size,
                               size_t *used, const mg_pickle_handlers *handlers, mg_error *err);

#endif
