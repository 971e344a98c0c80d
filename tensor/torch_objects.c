#include "tensor/torch_objects.h"

#include <stdio.h>
#include <string.h>

enum { ORDERED_DICT, TENSOR_V1, TENSOR_V2, PARAMETER, STORAGE }; /* STORAGE + type: the rest */
enum { STORAGE_OBJECT = 1, TENSOR_OBJECT };                      /* tags of objects */

/* The list of globals a checkpoint needs. */
static const struct {
    const char *module, *name;
    int tag;
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor", TENSOR_V1},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR_V2},
    {"torch._utils", "_rebuild_parameter", PARAMETER},
    {"torch", "DoubleStorage", STORAGE + MG_STORED_F64},
    {"torch", "FloatStorage", STORAGE + MG_STORED_F32},
    {"torch", "HalfStorage", STORAGE + MG_STORED_F16},
    {"torch", "BFloat16Storage", STORAGE + MG_STORED_BF16},
    {"torch", "LongStorage", STORAGE + MG_STORED_I64},
    {"torch", "IntStorage", STORAGE + MG_STORED_I32},
    {"torch", "ShortStorage", STORAGE + MG_STORED_I16},
    {"torch", "CharStorage", STORAGE + MG_STORED_I8},
    {"torch", "ByteStorage", STORAGE + MG_STORED_U8},
    {"torch", "BoolStorage", STORAGE + MG_STORED_BOOL},
};

static int find_global(void *context, const char *module, const char *name) {
    (void)context;
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        if (!strcmp(globals[i].module, module) && !strcmp(globals[i].name, name))
            return globals[i].tag;
    return -1;
}

/* --- arguments ------------------------------------------------------------------------------- */

static const mg_pickle_value *argument(const mg_pickle_value *tuple, uint32_t i) {
    return i < tuple->count ? tuple->items[i] : NULL;
}

static bool is_size(const mg_pickle_value *v) {
    return v && v->type == MG_PICKLE_INTEGER && v->integer >= 0;
}

static bool is_text(const mg_pickle_value *v) { /* usable as a C string */
    return v && v->type == MG_PICKLE_STRING && strlen(v->string) == v->length;
}

static bool read_sizes(const mg_pickle_value *tuple, int64_t *out) {
    for (uint32_t i = 0; i < tuple->count; i++) {
        if (!is_size(tuple->items[i])) return false;
        out[i] = tuple->items[i]->integer;
    }
    return true;
}

static void *bad(mg_error *err, const char *what) {
    mg_fail(err, MG_ERR_FORMAT, "the checkpoint's pickle describes a %s wrongly", what);
    return NULL;
}

/* --- handlers -------------------------------------------------------------------------------- */

/* OrderedDict() or, in pickles of Python 2, OrderedDict([[key, value], …]). */
static mg_pickle_value *make_dict(mg_torch_objects *o, const mg_pickle_value *arguments,
                                  mg_error *err) {
    mg_pickle_value *dict = mg_pickle_new(o->heap, MG_PICKLE_DICT, err);
    const mg_pickle_value *pairs = argument(arguments, 0);
    if (!dict || !pairs) return dict;
    if (pairs->type != MG_PICKLE_LIST) return bad(err, "dictionary");
    for (uint32_t i = 0; i < pairs->count; i++) {
        const mg_pickle_value *pair = pairs->items[i];
        if ((pair->type != MG_PICKLE_LIST && pair->type != MG_PICKLE_TUPLE) || pair->count != 2)
            return bad(err, "dictionary");
        if (mg_pickle_append(o->heap, dict, pair->items[0], err) ||
            mg_pickle_append(o->heap, dict, pair->items[1], err))
            return NULL;
    }
    return dict;
}

static mg_pickle_value *make_tensor(mg_torch_objects *o, const mg_pickle_value *arguments,
                                    mg_error *err) {
    const mg_pickle_value *storage = argument(arguments, 0), *offset = argument(arguments, 1);
    const mg_pickle_value *shape = argument(arguments, 2), *stride = argument(arguments, 3);
    if (!storage || storage->type != MG_PICKLE_OBJECT || storage->tag != STORAGE_OBJECT ||
        !is_size(offset) || !shape || shape->type != MG_PICKLE_TUPLE || !stride ||
        stride->type != MG_PICKLE_TUPLE || shape->count != stride->count)
        return bad(err, "tensor");
    if (shape->count > MG_STORED_MAX_RANK) {
        mg_fail(err, MG_ERR_UNSUPPORTED, "a tensor has %u dimensions; at most %d are read",
                shape->count, MG_STORED_MAX_RANK);
        return NULL;
    }
    mg_torch_tensor *t = mg_pickle_alloc(o->heap, sizeof *t, err);
    mg_pickle_value *v = t ? mg_pickle_new(o->heap, MG_PICKLE_OBJECT, err) : NULL;
    if (!v) return NULL;
    t->storage = storage->object;
    t->offset = offset->integer;
    t->rank = (int)shape->count;
    if (!read_sizes(shape, t->shape) || !read_sizes(stride, t->stride)) return bad(err, "tensor");
    v->tag = TENSOR_OBJECT;
    v->object = t;
    return v;
}

static mg_pickle_value *call(void *context, int tag, const mg_pickle_value *arguments,
                             mg_error *err) {
    mg_torch_objects *o = context;
    if (tag == ORDERED_DICT) return make_dict(o, arguments, err);
    if (tag == TENSOR_V1 || tag == TENSOR_V2) return make_tensor(o, arguments, err);
    if (tag != PARAMETER) return bad(err, "storage"); /* storages are never called */
    const mg_pickle_value *data = argument(arguments, 0);
    return mg_torch_as_tensor(data) ? (mg_pickle_value *)data : bad(err, "parameter");
}

/* ('storage', type, key, location, count) and, in the legacy format, a view: None or (key, offset,
 * count). */
static mg_pickle_value *find_storage(void *context, const mg_pickle_value *id, mg_error *err) {
    mg_torch_objects *o = context;
    if (id->type != MG_PICKLE_TUPLE || id->count < 5) return bad(err, "storage");
    const mg_pickle_value *word = argument(id, 0), *type = argument(id, 1);
    const mg_pickle_value *key = argument(id, 2), *count = argument(id, 4), *view = argument(id, 5);
    if (!is_text(word) || strcmp(word->string, "storage") || type->type != MG_PICKLE_GLOBAL ||
        type->tag < STORAGE || !is_text(key) || !is_size(count))
        return bad(err, "storage");
    mg_torch_storage *s = mg_pickle_alloc(o->heap, sizeof *s, err);
    mg_pickle_value *v = s ? mg_pickle_new(o->heap, MG_PICKLE_OBJECT, err) : NULL;
    if (!v) return NULL;
    *s = (mg_torch_storage){.key = key->string,
                            .type = (mg_stored_type)(type->tag - STORAGE),
                            .count = count->integer,
                            .view_count = count->integer,
                            .next = o->storages};
    if (view && view->type != MG_PICKLE_NONE) {
        if (view->type != MG_PICKLE_TUPLE || view->count != 3 || !is_size(view->items[1]) ||
            !is_size(view->items[2]))
            return bad(err, "storage view");
        s->view_at = view->items[1]->integer;
        s->view_count = view->items[2]->integer;
    }
    if (s->view_at > s->count || s->view_count > s->count - s->view_at)
        return bad(err, "storage view");
    o->storages = s;
    o->storage_count++;
    v->tag = STORAGE_OBJECT;
    v->object = s;
    return v;
}

mg_pickle_handlers mg_torch_handlers(mg_torch_objects *objects) {
    return (mg_pickle_handlers){objects, find_global, call, find_storage};
}

/* --- results --------------------------------------------------------------------------------- */

const mg_torch_tensor *mg_torch_as_tensor(const mg_pickle_value *v) {
    return v && v->type == MG_PICKLE_OBJECT && v->tag == TENSOR_OBJECT ? v->object : NULL;
}

const mg_pickle_value *mg_pickle_lookup(const mg_pickle_value *dict, const char *key) {
    if (!dict || dict->type != MG_PICKLE_DICT) return NULL;
    for (uint32_t i = dict->count; i >= 2; i -= 2)
        if (is_text(dict->items[i - 2]) && !strcmp(dict->items[i - 2]->string, key))
            return dict->items[i - 1];
    return NULL;
}

static bool has_tensors(const mg_pickle_value *dict) {
    for (uint32_t i = 0; i + 1 < dict->count; i += 2)
        if (is_text(dict->items[i]) && mg_torch_as_tensor(dict->items[i + 1])) return true;
    return false;
}

/* Training checkpoints wrap the weights once or twice; more levels are not searched. */
static const mg_pickle_value *search(const mg_pickle_value *v, int levels, char path[64]) {
    static const char *const wrappers[] = {"state_dict", "model_state_dict", "model", "model_state",
                                           "net",        "network",          "module"};
    if (!v || v->type != MG_PICKLE_DICT) return NULL;
    size_t length = strlen(path);
    for (size_t i = 0; levels > 0 && i < sizeof wrappers / sizeof wrappers[0]; i++) {
        snprintf(path + length, 64 - length, "%s%s", length ? "." : "", wrappers[i]);
        const mg_pickle_value *found = search(mg_pickle_lookup(v, wrappers[i]), levels - 1, path);
        if (found) return found;
    }
    path[length] = 0;
    return has_tensors(v) ? v : NULL;
}

const mg_pickle_value *mg_torch_find_state(const mg_pickle_value *root, char path[64],
                                           mg_error *err) {
    path[0] = 0;
    const mg_pickle_value *state = search(root, 3, path);
    if (!state)
        mg_fail(err, MG_ERR_FORMAT,
                "the checkpoint holds no dictionary of tensors, neither at its top nor under "
                "state_dict, model_state_dict or model");
    return state;
}

/* Whether the elements lie densely in row-major order; the stride of a single index is free. */
static bool is_contiguous(const mg_torch_tensor *t) {
    int64_t expected = 1;
    for (int d = t->rank - 1; d >= 0; d--) {
        if (t->shape[d] != 1 && t->stride[d] != expected) return false;
        expected *= t->shape[d];
    }
    return true;
}

mg_status mg_torch_store(const mg_torch_tensor *t, const char *name, bool big_endian,
                         mg_stored_tensor *out, mg_error *err) {
    const mg_torch_storage *s = t->storage;
    *out = (mg_stored_tensor){.name = name, .type = s->type, .rank = t->rank, .count = 1};
    int64_t last = t->offset, reach; /* the offset of the last element */
    bool overflow = false;
    for (int d = 0; d < t->rank; d++) {
        out->shape[d] = t->shape[d];
        out->stride[d] = t->shape[d] > 1 ? t->stride[d] : 0; /* else any number, never used */
        overflow |= __builtin_mul_overflow(out->count, t->shape[d], &out->count);
        overflow |= __builtin_mul_overflow(t->shape[d] ? t->shape[d] - 1 : 0, t->stride[d], &reach);
        overflow |= __builtin_add_overflow(last, reach, &last);
    }
    if (overflow || t->offset > s->view_count || (out->count && last >= s->view_count))
        return mg_fail(err, MG_ERR_FORMAT, "tensor %s reaches beyond its storage of %lld elements",
                       name, (long long)s->view_count);
    if (out->count > s->view_count)
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "tensor %s is expanded (%lld elements out of %lld stored): save a "
                       "contiguous copy",
                       name, (long long)out->count, (long long)s->view_count);
    size_t size = mg_stored_size(s->type);
    out->base = s->bytes ? s->bytes + (size_t)(s->view_at + t->offset) * size : NULL;
    MG_ASSERT(out->base || out->count == 0);
    out->big_endian = big_endian && size > 1;
    if (!out->big_endian && (out->count == 0 || is_contiguous(t))) out->bytes = out->base;
    return MG_OK;
}
