/* torch_objects.h: what the pickles inside PyTorch's checkpoints are made of.
 *
 * The globals on the list (torch_objects.c) are state dictionaries, storages and tensors. Running a
 * pickle collects every storage and tensor it mentions; the container (torch_file.c) then says
 * where the storages' bytes lie, and only then are tensors checked against them. */
#ifndef MG_TENSOR_TORCH_OBJECTS_H
#define MG_TENSOR_TORCH_OBJECTS_H

#include <stdbool.h>

#include "tensor/pickle.h"
#include "tensor/stored.h"

/* One mention of a storage; several may share a key. */
typedef struct mg_torch_storage {
    const char *key;
    mg_stored_type type;
    int64_t count;               /* elements of the whole storage */
    int64_t view_at, view_count; /* the part that this mention means (legacy views), else all */
    const uint8_t *bytes;        /* of the whole storage; set by the container */
    struct mg_torch_storage *next;
} mg_torch_storage;

typedef struct mg_torch_tensor {
    const mg_torch_storage *storage;
    int64_t offset; /* in elements, like the strides */
    int rank;
    int64_t shape[MG_STORED_MAX_RANK], stride[MG_STORED_MAX_RANK];
} mg_torch_tensor;

typedef struct mg_torch_objects {
    mg_pickle_heap *heap;
    mg_torch_storage *storages; /* all mentions */
    size_t storage_count;
} mg_torch_objects;

mg_pickle_handlers mg_torch_handlers(mg_torch_objects *objects);

/* NULL if the value is no tensor. */
const mg_torch_tensor *mg_torch_as_tensor(const mg_pickle_value *value);

/* The value of a string key of a dictionary (the last one, as in Python); NULL if there is none. */
const mg_pickle_value *mg_pickle_lookup(const mg_pickle_value *dict, const char *key);

/* The dictionary of tensors: the root, or what lies under state_dict, model, … inside it. `path`
 * receives the keys that lead there, joined by '.'. NULL on failure. */
const mg_pickle_value *mg_torch_find_state(const mg_pickle_value *root, char path[64],
                                           mg_error *err);

/* Checks one tensor against its storage and describes it. */
mg_status mg_torch_store(const mg_torch_tensor *tensor, const char *name, bool big_endian,
                         mg_stored_tensor *out, mg_error *err);

#endif
