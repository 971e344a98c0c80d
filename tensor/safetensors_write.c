/* safetensors_write.c: the writer. */
#include <stdlib.h>
#include <string.h>

#include "tensor/atomic_file.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

/* Where a tensor goes in the file. */
typedef struct place {
    size_t index, element;
    int64_t bytes;
    const char *name;
} place;

static int by_width(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->element != y->element) return x->element > y->element ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const place *)a)->name, ((const place *)b)->name);
}

static mg_status measure(const mg_stored_tensor *t, size_t index, place *out, mg_error *err) {
    if (!t->name || strcmp(t->name, "__metadata__") == 0)
        return mg_fail(err, MG_ERR_ARG, "tensor %zu needs a name other than __metadata__", index);
    MG_ASSERT(t->rank >= 0 && t->rank <= MG_STORED_MAX_RANK);
    *out = (place){index, mg_stored_size(t->type), (int64_t)mg_stored_size(t->type), t->name};
    for (int d = 0; d < t->rank; d++)
        if (t->shape[d] < 0 || __builtin_mul_overflow(out->bytes, t->shape[d], &out->bytes))
            return mg_fail(err, MG_ERR_SHAPE, "tensor %s has an impossible shape", t->name);
    return MG_OK;
}

/* Sizes, unique names, and the order of the data. */
static mg_status plan(const mg_stored_tensor *tensors, size_t count, place *places, mg_error *err) {
    for (size_t i = 0; i < count; i++) {
        mg_status status = measure(&tensors[i], i, &places[i], err);
        if (status) return status;
    }
    qsort(places, count, sizeof *places, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(places[i - 1].name, places[i].name) == 0)
            return mg_fail(err, MG_ERR_ARG, "two tensors are called %s", places[i].name);
    qsort(places, count, sizeof *places, by_width);
    return MG_OK;
}

static char *make_header(const mg_stored_tensor *tensors, const place *places, size_t count,
                         const mg_metadata_entry *metadata, size_t metadata_count, size_t *length,
                         mg_error *err) {
    mg_json_writer *w = mg_json_writer_create(0);
    mg_json_begin_object(w);
    if (metadata_count) {
        mg_json_key(w, "__metadata__");
        mg_json_begin_object(w);
        for (size_t i = 0; i < metadata_count; i++) {
            mg_json_key(w, metadata[i].key);
            mg_json_string(w, metadata[i].value);
        }
        mg_json_end(w);
    }
    int64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const mg_stored_tensor *t = &tensors[places[i].index];
        mg_json_key(w, t->name);
        mg_json_begin_object(w);
        mg_json_key(w, "dtype");
        mg_json_string(w, mg_stored_name(t->type));
        mg_json_key(w, "shape");
        mg_json_begin_array(w);
        for (int d = 0; d < t->rank; d++) mg_json_integer(w, t->shape[d]);
        mg_json_end(w);
        mg_json_key(w, "data_offsets");
        mg_json_begin_array(w);
        mg_json_integer(w, at);
        mg_json_integer(w, at += places[i].bytes);
        mg_json_end(w);
        mg_json_end(w);
    }
    mg_json_end(w);
    return mg_json_writer_finish(w, length, err);
}

/* Fails only where the source does; the file remembers its own failure until the commit. */
static mg_status write_data(mg_atomic_file *file, const mg_stored_tensor *tensors,
                            const place *places, size_t count, mg_safetensors_source source,
                            void *context, mg_error *err) {
    for (size_t i = 0; i < count; i++) {
        const void *bytes = tensors[places[i].index].bytes;
        mg_status status = source ? source(context, places[i].index, &bytes, err) : MG_OK;
        if (status) return status;
        if (mg_atomic_write(file, bytes, (size_t)places[i].bytes)) break;
    }
    return MG_OK;
}

static mg_status write_file(const char *path, const char *header, size_t length,
                            const mg_stored_tensor *tensors, const place *places, size_t count,
                            mg_safetensors_source source, void *context, mg_error *err) {
    mg_atomic_file *file = mg_atomic_open(path, err);
    if (!file) return MG_ERR_IO;
    uint64_t padded = (length + 7) / 8 * 8; /* spaces up to the data's 8-byte boundary */
    mg_atomic_write(file, &padded, sizeof padded);
    mg_atomic_write(file, header, length);
    mg_atomic_write(file, "       ", (size_t)padded - length);
    mg_status status = write_data(file, tensors, places, count, source, context, err);
    if (!status) return mg_atomic_commit(file, err);
    mg_atomic_abandon(file);
    return status;
}

mg_status mg_safetensors_write(const char *path, const mg_stored_tensor *tensors, size_t count,
                               const mg_metadata_entry *metadata, size_t metadata_count,
                               mg_safetensors_source source, void *context, mg_error *err) {
    place *places = calloc(count + 1, sizeof *places);
    if (!places) return mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu tensors", count);
    size_t length = 0;
    char *header = NULL;
    mg_status status = plan(tensors, count, places, err);
    if (!status) {
        header = make_header(tensors, places, count, metadata, metadata_count, &length, err);
        status =
            header ? write_file(path, header, length, tensors, places, count, source, context, err)
                   : MG_ERR_FORMAT;
    }
    if (status) mg_error_prefix(err, "cannot save %s", path);
    free(header);
    free(places);
    return status;
}
