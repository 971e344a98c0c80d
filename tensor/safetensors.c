/* safetensors.c: the reader. */
#include "tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/json.h"

static mg_status read_shape(const mg_json *shape, mg_stored_tensor *t, mg_error *err) {
    if (!shape || shape->type != MG_JSON_ARRAY)
        return mg_fail(err, MG_ERR_FORMAT, "tensor %s has no \"shape\" array", t->name);
    if (shape->count > MG_STORED_MAX_RANK)
        return mg_fail(err, MG_ERR_UNSUPPORTED, "tensor %s has %zu dimensions; at most %d are read",
                       t->name, shape->count, MG_STORED_MAX_RANK);
    t->count = 1;
    bool overflow = false;
    for (const mg_json *d = shape->first; d; d = d->next) {
        if (d->type != MG_JSON_INTEGER || d->integer < 0)
            return mg_fail(err, MG_ERR_FORMAT, "tensor %s has a dimension that is no size",
                           t->name);
        t->shape[t->rank++] = d->integer;
        overflow |= __builtin_mul_overflow(t->count, d->integer, &t->count);
    }
    if (overflow) return mg_fail(err, MG_ERR_FORMAT, "tensor %s is impossibly large", t->name);
    for (int64_t d = t->rank - 1, stride = 1; d >= 0; d--) {
        t->stride[d] = stride;
        if (t->count) stride *= t->shape[d]; /* no overflow: a divisor of count */
    }
    return MG_OK;
}

/* One member of the header: checked on its own; gaps and overlaps are checked afterwards. */
static mg_status read_tensor(const mg_json *entry, const uint8_t *data, size_t data_size,
                             mg_stored_tensor *t, mg_error *err) {
    *t = (mg_stored_tensor){.name = entry->key};
    const char *type = mg_json_get_string(entry, "dtype");
    if (!type) return mg_fail(err, MG_ERR_FORMAT, "tensor %s has no \"dtype\"", t->name);
    if (!mg_stored_type_by_name(type, &t->type))
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "tensor %s has dtype \"%.20s\"; read are F64 F32 F16 BF16 I64 I32 I16 I8 U8 "
                       "BOOL",
                       t->name, type);
    mg_status status = read_shape(mg_json_get(entry, "shape"), t, err);
    if (status) return status;
    const mg_json *offsets = mg_json_get(entry, "data_offsets");
    const mg_json *first = offsets && offsets->type == MG_JSON_ARRAY ? offsets->first : NULL;
    const mg_json *last = first ? first->next : NULL;
    if (!last || last->next || first->type != MG_JSON_INTEGER || last->type != MG_JSON_INTEGER ||
        first->integer < 0 || last->integer < first->integer)
        return mg_fail(err, MG_ERR_FORMAT, "tensor %s has no \"data_offsets\": [begin, end]",
                       t->name);
    if ((uint64_t)last->integer > data_size)
        return mg_fail(err, MG_ERR_FORMAT,
                       "tensor %s ends at byte %lld of the data, but the file has only %zu: it is "
                       "cut off, get it again",
                       t->name, (long long)last->integer, data_size);
    int64_t bytes;
    if (__builtin_mul_overflow(t->count, (int64_t)mg_stored_size(t->type), &bytes) ||
        bytes != last->integer - first->integer) {
        char shape[MG_STORED_SHAPE_TEXT];
        return mg_fail(err, MG_ERR_FORMAT, "tensor %s: %s of shape %s does not fill its %lld bytes",
                       t->name, type, mg_stored_shape_text(t->shape, t->rank, shape),
                       (long long)(last->integer - first->integer));
    }
    t->bytes = t->base = data + first->integer;
    return MG_OK;
}

static mg_status read_metadata(const mg_json *map, mg_safetensors *out, mg_error *err) {
    if (map->type != MG_JSON_OBJECT)
        return mg_fail(err, MG_ERR_FORMAT, "\"__metadata__\" is no object");
    out->metadata = calloc(map->count + 1, sizeof *out->metadata);
    if (!out->metadata) return mg_fail(err, MG_ERR_MEMORY, "out of memory for metadata");
    for (const mg_json *m = map->first; m; m = m->next) {
        if (m->type != MG_JSON_STRING)
            return mg_fail(err, MG_ERR_FORMAT, "__metadata__ \"%.80s\" is no string", m->key);
        out->metadata[out->metadata_count++] = (mg_metadata_entry){m->key, m->string};
    }
    return MG_OK;
}

static int by_place(const void *a, const void *b) {
    const mg_stored_tensor *x = *(const mg_stored_tensor *const *)a;
    const mg_stored_tensor *y = *(const mg_stored_tensor *const *)b;
    if (x->base != y->base) return x->base < y->base ? -1 : 1;
    return (x->count > y->count) - (x->count < y->count); /* empty ones first */
}

/* In order of place, each tensor must begin where the one before ended. */
static mg_status check_layout(const mg_safetensors *s, const uint8_t *data, size_t data_size,
                              mg_error *err) {
    const mg_stored_tensor **order = malloc((s->count + 1) * sizeof *order);
    if (!order) return mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu tensors", s->count);
    for (size_t i = 0; i < s->count; i++) order[i] = &s->tensors[i];
    qsort(order, s->count, sizeof *order, by_place);
    size_t end = 0;
    mg_status status = MG_OK;
    for (size_t i = 0; i < s->count && !status; i++) {
        const mg_stored_tensor *t = order[i];
        size_t begin = (size_t)(t->base - data);
        if (begin < end)
            status = mg_fail(err, MG_ERR_FORMAT, "tensor %s overlaps tensor %s", t->name,
                             order[i - 1]->name);
        else if (begin > end)
            status = mg_fail(err, MG_ERR_FORMAT, "%zu bytes before tensor %s belong to no tensor",
                             begin - end, t->name);
        end = begin + (size_t)t->count * mg_stored_size(t->type);
    }
    free(order);
    if (!status && end != data_size)
        status = mg_fail(err, MG_ERR_FORMAT, "%zu bytes after the last tensor", data_size - end);
    return status;
}

static mg_status read_all(const mg_json *root, const uint8_t *data, size_t data_size,
                          mg_safetensors *out, mg_error *err) {
    if (root->type != MG_JSON_OBJECT)
        return mg_fail(err, MG_ERR_FORMAT, "the header is no JSON object");
    out->tensors = malloc((root->count + 1) * sizeof *out->tensors);
    if (!out->tensors)
        return mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu tensors", root->count);
    for (const mg_json *entry = root->first; entry; entry = entry->next) {
        bool metadata = strcmp(entry->key, "__metadata__") == 0;
        mg_status status =
            metadata ? read_metadata(entry, out, err)
                     : read_tensor(entry, data, data_size, &out->tensors[out->count], err);
        if (status) return status;
        out->count += !metadata;
    }
    return check_layout(out, data, data_size, err);
}

mg_status mg_safetensors_parse(const void *bytes, size_t size, mg_safetensors *out, mg_error *err) {
    *out = (mg_safetensors){0};
    uint64_t length;
    if (size < sizeof length)
        return mg_fail(err, MG_ERR_FORMAT, "%zu bytes are too short for a safetensors file", size);
    memcpy(&length, bytes, sizeof length);
    if (length > MG_JSON_MAX_BYTES)
        return mg_fail(err, MG_ERR_FORMAT,
                       "no safetensors file: a header of %llu bytes (at most %d are allowed)",
                       (unsigned long long)length, MG_JSON_MAX_BYTES);
    if (length > size - sizeof length)
        return mg_fail(err, MG_ERR_FORMAT,
                       "the header should have %llu bytes but the file ends after %zu: it is cut "
                       "off, get it again",
                       (unsigned long long)length, size - sizeof length);
    const char *text = (const char *)bytes + sizeof length;
    if (length == 0 || *text != '{')
        return mg_fail(err, MG_ERR_FORMAT,
                       "no safetensors file: the header does not start with '{'");
    out->header = mg_json_parse(text, length, err);
    if (!out->header) {
        mg_error_prefix(err, "safetensors header");
        return err ? err->code : MG_ERR_FORMAT;
    }
    const uint8_t *data = (const uint8_t *)text + length;
    mg_status status =
        read_all(mg_json_root(out->header), data, size - sizeof length - length, out, err);
    if (status) mg_safetensors_free(out);
    return status;
}

void mg_safetensors_free(mg_safetensors *file) {
    mg_json_free(file->header);
    free(file->tensors);
    free(file->metadata);
    *file = (mg_safetensors){0};
}
