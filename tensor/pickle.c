#include "tensor/pickle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* --- heap ------------------------------------------------------------------------------------ */

typedef struct block {
    struct block *next;
    size_t used, capacity;
    max_align_t bytes[];
} block;

/* Memory in proportion to the input: an opcode of one byte can append to a list whose room then
 * doubles, or make a value or a tensor, all of which stay well below ALLOWANCE bytes. */
enum { ALLOWANCE = 256 };

struct mg_pickle_heap {
    block *blocks;
    size_t values;
    size_t allowed; /* bytes that may still be taken */
};

mg_pickle_heap *mg_pickle_heap_create(void) { return calloc(1, sizeof(mg_pickle_heap)); }

void mg_pickle_heap_free(mg_pickle_heap *heap) {
    if (!heap) return;
    for (block *b = heap->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(heap);
}

void *mg_pickle_alloc(mg_pickle_heap *heap, size_t size, mg_error *err) {
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (size > heap->allowed) {
        mg_fail(err, MG_ERR_FORMAT, "the pickle asks for far more memory than its size explains");
        return NULL;
    }
    heap->allowed -= size;
    block *b = heap->blocks;
    if (!b || b->capacity - b->used < size) {
        size_t capacity = size > 1 << 14 ? size : 1 << 14;
        b = calloc(1, sizeof *b + capacity);
        if (!b) {
            mg_fail(err, MG_ERR_MEMORY, "out of memory for a pickle");
            return NULL;
        }
        b->capacity = capacity;
        b->next = heap->blocks;
        heap->blocks = b;
    }
    void *out = (char *)b->bytes + b->used;
    b->used += size;
    return out;
}

mg_pickle_value *mg_pickle_new(mg_pickle_heap *heap, mg_pickle_type type, mg_error *err) {
    if (heap->values++ == MG_PICKLE_MAX_VALUES) {
        mg_fail(err, MG_ERR_FORMAT, "the pickle makes more than %d values", MG_PICKLE_MAX_VALUES);
        return NULL;
    }
    mg_pickle_value *v = mg_pickle_alloc(heap, sizeof *v, err);
    if (v) v->type = type;
    return v;
}

mg_status mg_pickle_append(mg_pickle_heap *heap, mg_pickle_value *c, mg_pickle_value *item,
                           mg_error *err) {
    if (c->count == c->capacity) {
        /* The stack's limit and one append per opcode keep capacity far from overflow. */
        uint32_t capacity = c->capacity ? c->capacity * 2 : 4;
        mg_pickle_value **items = mg_pickle_alloc(heap, capacity * sizeof *items, err);
        if (!items) return MG_ERR_MEMORY;
        if (c->count) memcpy(items, c->items, c->count * sizeof *items);
        c->items = items;
        c->capacity = capacity;
    }
    c->items[c->count++] = item;
    return MG_OK;
}

/* --- machine --------------------------------------------------------------------------------- */

typedef struct machine {
    mg_pickle_heap *heap;
    const mg_pickle_handlers *handlers;
    const uint8_t *bytes;
    size_t at, size;
    mg_pickle_value **stack; /* NULL marks the place of a MARK */
    size_t depth, room;
    mg_pickle_value **memo;
    size_t memo_size;
    mg_error *err;
    mg_status status;
} machine;

/* All failures of the machine: once set, the loop stops. */
#define FAIL(m, code, ...)                                                                         \
    ((m)->status = (code), mg_fail((m)->err, (code), "pickle byte %zu: " __VA_ARGS__))

static void push(machine *m, mg_pickle_value *value) {
    if (m->depth == m->room) {
        size_t room = m->room ? m->room * 2 : 64;
        mg_pickle_value **grown =
            room <= MG_PICKLE_MAX_STACK ? realloc(m->stack, room * sizeof *grown) : NULL;
        if (!grown) {
            FAIL(m, MG_ERR_FORMAT, "the stack grows beyond %d values", m->at, MG_PICKLE_MAX_STACK);
            return;
        }
        m->stack = grown;
        m->room = room;
    }
    m->stack[m->depth++] = value;
}

/* A value that is not a MARK; NULL (and failed) if there is none. */
static mg_pickle_value *pop(machine *m) {
    mg_pickle_value *v = m->depth ? m->stack[m->depth - 1] : NULL;
    if (!v) FAIL(m, MG_ERR_FORMAT, "the stack is empty", m->at);
    else m->depth--;
    return v;
}

static mg_pickle_value *make(machine *m, mg_pickle_type type) {
    mg_pickle_value *v = mg_pickle_new(m->heap, type, m->err);
    if (!v) m->status = MG_ERR_FORMAT;
    return v;
}

/* Takes n bytes of the program; NULL (and failed) if it ends before. */
static const uint8_t *take(machine *m, size_t n) {
    if (n > m->size - m->at) {
        FAIL(m, MG_ERR_FORMAT, "the pickle ends inside an instruction", m->at);
        return NULL;
    }
    const uint8_t *p = m->bytes + m->at;
    m->at += n;
    return p;
}

/* A little-endian number of n <= 4 bytes. */
static uint32_t number(machine *m, size_t n) {
    const uint8_t *p = take(m, n);
    uint32_t value = 0;
    for (size_t i = 0; p && i < n; i++) value |= (uint32_t)p[i] << 8 * i;
    return value;
}

static void push_integer(machine *m, mg_pickle_type type, int64_t value) {
    mg_pickle_value *v = m->status ? NULL : make(m, type);
    if (!v) return;
    v->integer = value;
    push(m, v);
}

static void push_string(machine *m, mg_pickle_type type, size_t length) {
    const uint8_t *p = m->status ? NULL : take(m, length);
    mg_pickle_value *v = p ? make(m, type) : NULL;
    char *copy = v ? mg_pickle_alloc(m->heap, length + 1, m->err) : NULL;
    if (!copy) {
        if (v) m->status = MG_ERR_MEMORY;
        return;
    }
    memcpy(copy, p, length);
    v->string = copy;
    v->length = length;
    push(m, v);
}

/* LONG1: a signed little-endian number of any length. */
static void push_long(machine *m) {
    size_t n = number(m, 1);
    if (m->status || n > 8) {
        push_string(m, MG_PICKLE_BIG_INTEGER, n);
        return;
    }
    const uint8_t *p = take(m, n);
    uint64_t value = p && n && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; p && i-- > 0;) value = value << 8 | p[i];
    push_integer(m, MG_PICKLE_INTEGER, (int64_t)value);
}

static void push_real(machine *m) { /* big-endian, alone in the format */
    const uint8_t *p = take(m, 8);
    mg_pickle_value *v = p ? make(m, MG_PICKLE_REAL) : NULL;
    if (!v) return;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&v->real, &bits, sizeof bits);
    push(m, v);
}

/* Moves what lies above the stack index `from` into a container. */
static void move_items(machine *m, mg_pickle_value *container, size_t from) {
    for (size_t i = from; i < m->depth && !m->status; i++) {
        if (!m->stack[i]) FAIL(m, MG_ERR_FORMAT, "a MARK inside a container", m->at);
        else m->status = mg_pickle_append(m->heap, container, m->stack[i], m->err);
    }
    m->depth = from;
}

/* The index of the topmost MARK; SIZE_MAX (and failed) without one. */
static size_t find_mark(machine *m) {
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1]) i--;
    if (i == 0) FAIL(m, MG_ERR_FORMAT, "no MARK on the stack", m->at);
    return i - 1;
}

static void push_tuple(machine *m, size_t from, bool mark) {
    mg_pickle_value *v = m->status ? NULL : make(m, MG_PICKLE_TUPLE);
    if (!v) return;
    move_items(m, v, from);
    m->depth -= mark;
    if (!m->status) push(m, v);
}

static void small_tuple(machine *m, size_t n) {
    if (m->depth < n) FAIL(m, MG_ERR_FORMAT, "the stack is empty", m->at);
    else push_tuple(m, m->depth - n, false);
}

/* APPEND(S), SETITEM(S): moves what lies above `from` into the container below (below the MARK). */
static void extend(machine *m, mg_pickle_type type, size_t from, bool mark) {
    if (m->status) return;
    size_t below = from - mark;
    mg_pickle_value *container = below > 0 && from <= m->depth ? m->stack[below - 1] : NULL;
    if (!container || container->type != type ||
        (type == MG_PICKLE_DICT && (m->depth - from) % 2)) {
        FAIL(m, MG_ERR_FORMAT, "items are added to something that is no %s", m->at,
             type == MG_PICKLE_DICT ? "dictionary" : "list");
        return;
    }
    move_items(m, container, from);
    m->depth -= mark;
}

static void memo_put(machine *m, size_t index) {
    if (m->status) return;
    mg_pickle_value *v = m->depth ? m->stack[m->depth - 1] : NULL;
    if (!v || index >= MG_PICKLE_MAX_MEMO) {
        FAIL(m, MG_ERR_FORMAT, "memo slot %zu cannot be filled", m->at, index);
        return;
    }
    if (index >= m->memo_size) {
        size_t size = index < 64 ? 128 : index * 2;
        mg_pickle_value **grown = realloc(m->memo, size * sizeof *grown);
        if (!grown) {
            FAIL(m, MG_ERR_MEMORY, "out of memory", m->at);
            return;
        }
        memset(grown + m->memo_size, 0, (size - m->memo_size) * sizeof *grown);
        m->memo = grown;
        m->memo_size = size;
    }
    m->memo[index] = v;
}

static void memo_get(machine *m, size_t index) {
    if (m->status) return;
    if (index >= m->memo_size || !m->memo[index])
        FAIL(m, MG_ERR_FORMAT, "memo slot %zu is empty", m->at, index);
    else push(m, m->memo[index]);
}

/* One newline-terminated argument of GLOBAL, into a buffer; unprintable bytes become '?'. */
static bool line(machine *m, char *out, size_t room) {
    size_t n = 0;
    for (;;) {
        const uint8_t *p = take(m, 1);
        if (!p) return false;
        if (*p == '\n') break;
        if (n + 1 == room) {
            FAIL(m, MG_ERR_FORMAT, "a global's name is too long", m->at);
            return false;
        }
        out[n++] = *p > ' ' && *p < 0x7f ? (char)*p : '?';
    }
    out[n] = 0;
    return true;
}

static void push_global(machine *m) {
    char module[128], name[128];
    if (!line(m, module, sizeof module) || !line(m, name, sizeof name)) return;
    int tag = m->handlers->global(m->handlers->context, module, name);
    if (tag < 0) {
        m->status = mg_fail(m->err, MG_ERR_UNSUPPORTED,
                            "refused: '%s.%s' is not on the list of globals a checkpoint needs "
                            "(in Python, save model.state_dict() alone)",
                            module, name);
        return;
    }
    mg_pickle_value *v = make(m, MG_PICKLE_GLOBAL);
    if (!v) return;
    v->tag = tag;
    push(m, v);
}

static void push_made(machine *m, mg_pickle_value *made) {
    if (made) push(m, made);
    else m->status = m->err && m->err->code ? m->err->code : MG_ERR_FORMAT;
}

static void reduce(machine *m) {
    mg_pickle_value *arguments = pop(m), *function = arguments ? pop(m) : NULL;
    if (!function) return;
    if (function->type != MG_PICKLE_GLOBAL || arguments->type != MG_PICKLE_TUPLE)
        FAIL(m, MG_ERR_FORMAT, "a call of something that is no function", m->at);
    else push_made(m, m->handlers->call(m->handlers->context, function->tag, arguments, m->err));
}

static void persistent(machine *m) {
    mg_pickle_value *id = pop(m);
    if (id) push_made(m, m->handlers->persistent(m->handlers->context, id, m->err));
}

/* BUILD sets attributes. State dictionaries carry a `_metadata` that nothing needs: dropped. */
static void build(machine *m) {
    mg_pickle_value *state = pop(m), *object = state && m->depth ? m->stack[m->depth - 1] : NULL;
    if (state && (!object || object->type != MG_PICKLE_DICT))
        FAIL(m, MG_ERR_FORMAT, "attributes are set on something that is no dictionary", m->at);
}

static void protocol(machine *m) {
    uint32_t version = number(m, 1);
    if (!m->status && version != 2)
        FAIL(m, MG_ERR_UNSUPPORTED,
             "protocol %u; only 2 is read: save again with torch.save's default", m->at, version);
}

static void mark_op(machine *m, uint8_t op) {
    size_t mark = find_mark(m);
    if (m->status) return;
    if (op == 't') push_tuple(m, mark + 1, true);
    else extend(m, op == 'e' ? MG_PICKLE_LIST : MG_PICKLE_DICT, mark + 1, true);
}

static void push_empty(machine *m, mg_pickle_type type) {
    mg_pickle_value *v = make(m, type);
    if (v) push(m, v);
}

static void execute(machine *m, uint8_t op) {
    switch (op) {
    case 0x80: protocol(m); break;                                              /* PROTO */
    case 'c': push_global(m); break;                                            /* GLOBAL */
    case 'q': memo_put(m, number(m, 1)); break;                                 /* BINPUT */
    case 'r': memo_put(m, number(m, 4)); break;                                 /* LONG_BINPUT */
    case 'h': memo_get(m, number(m, 1)); break;                                 /* BINGET */
    case 'j': memo_get(m, number(m, 4)); break;                                 /* LONG_BINGET */
    case 'N': push_integer(m, MG_PICKLE_NONE, 0); break;                        /* NONE */
    case 0x88: push_integer(m, MG_PICKLE_BOOL, 1); break;                       /* NEWTRUE */
    case 0x89: push_integer(m, MG_PICKLE_BOOL, 0); break;                       /* NEWFALSE */
    case 'J': push_integer(m, MG_PICKLE_INTEGER, (int32_t)number(m, 4)); break; /* BININT */
    case 'K': push_integer(m, MG_PICKLE_INTEGER, number(m, 1)); break;          /* BININT1 */
    case 'M': push_integer(m, MG_PICKLE_INTEGER, number(m, 2)); break;          /* BININT2 */
    case 0x8a: push_long(m); break;                                             /* LONG1 */
    case 'G': push_real(m); break;                                              /* BINFLOAT */
    case 'X': push_string(m, MG_PICKLE_STRING, number(m, 4)); break;            /* BINUNICODE */
    case 'T': push_string(m, MG_PICKLE_STRING, number(m, 4)); break;            /* BINSTRING */
    case 'U': push_string(m, MG_PICKLE_STRING, number(m, 1)); break; /* SHORT_BINSTRING */
    case '}': push_empty(m, MG_PICKLE_DICT); break;                  /* EMPTY_DICT */
    case ']': push_empty(m, MG_PICKLE_LIST); break;                  /* EMPTY_LIST */
    case ')': push_empty(m, MG_PICKLE_TUPLE); break;                 /* EMPTY_TUPLE */
    case '(': push(m, NULL); break;                                  /* MARK */
    case 0x85: small_tuple(m, 1); break;                             /* TUPLE1 */
    case 0x86: small_tuple(m, 2); break;                             /* TUPLE2 */
    case 0x87: small_tuple(m, 3); break;                             /* TUPLE3 */
    case 't':
    case 'e':
    case 'u': mark_op(m, op); break;                                 /* TUPLE, APPENDS, SETITEMS */
    case 'a': extend(m, MG_PICKLE_LIST, m->depth - 1, false); break; /* APPEND */
    case 's': extend(m, MG_PICKLE_DICT, m->depth - 2, false); break; /* SETITEM */
    case 'R': reduce(m); break;                                      /* REDUCE */
    case 'Q': persistent(m); break;                                  /* BINPERSID */
    case 'b': build(m); break;                                       /* BUILD */
    default:
        FAIL(m, MG_ERR_UNSUPPORTED, "instruction 0x%02x is not one that checkpoints use", m->at,
             op);
    }
}

mg_pickle_value *mg_pickle_run(mg_pickle_heap *heap, const uint8_t *bytes, size_t size,
                               size_t *used, const mg_pickle_handlers *handlers, mg_error *err) {
    machine m = {.heap = heap, .handlers = handlers, .bytes = bytes, .size = size, .err = err};
    mg_pickle_value *result = NULL;
    heap->allowed +=
        (1 << 20) + (size < SIZE_MAX / ALLOWANCE / 2 ? ALLOWANCE * size : SIZE_MAX / 2);
    while (!m.status) {
        const uint8_t *op = take(&m, 1);
        if (!op) break;
        if (*op == '.') { /* STOP */
            result = pop(&m);
            break;
        }
        execute(&m, *op);
    }
    *used = m.at;
    free(m.stack);
    free(m.memo);
    return result;
}
