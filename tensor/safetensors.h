/* safetensors.h: the tensor file format of the machine-learning world, read and written.
 *
 * A file is: u64 N (little-endian), N bytes of JSON, then the data. The JSON maps each name to
 * {"dtype", "shape", "data_offsets": [begin, end]} (bytes, relative to the data) and may hold a map
 * of strings under "__metadata__". Source: https://github.com/huggingface/safetensors (README,
 * "Format").
 *
 * Reading is as strict as the reference implementation: a header of at most 100 MB that starts with
 * '{'; no duplicate names; data_offsets that fit dtype and shape; tensors that neither overlap nor
 * leave a gap, and end where the file ends (tolerance: none). Padding spaces may follow the JSON.
 * Types this project cannot use (F8_*, U16, C64, …) are refused by name. */
#ifndef MG_TENSOR_SAFETENSORS_H
#define MG_TENSOR_SAFETENSORS_H

#include "tensor/stored.h"

typedef struct mg_metadata_entry {
    const char *key, *value;
} mg_metadata_entry;

typedef struct mg_safetensors {
    mg_stored_tensor *tensors; /* in the order of the header */
    size_t count;
    mg_metadata_entry *metadata;
    size_t metadata_count;
    struct mg_json_document *header; /* owns the names */
} mg_safetensors;

/* Reads the header; tensors point into `bytes`, which must stay. `out` is zeroed on failure. */
mg_status mg_safetensors_parse(const void *bytes, size_t size, mg_safetensors *out, mg_error *err);
void mg_safetensors_free(mg_safetensors *file);

/* Called once per tensor, in the order of the data in the file: sets *bytes to the elements of
 * tensors[index], row-major, valid until the next call. This is where weights are converted to the
 * layout of files, one at a time, in a scratch buffer. */
typedef mg_status (*mg_safetensors_source)(void *context, size_t index, const void **bytes,
                                           mg_error *err);

/* Writes a file through atomic_file.h: whole or not at all. Of each tensor name, type, rank, shape
 * are used, and `bytes` if source is NULL. Data lies in the given order, except that wider elements
 * come before narrower ones, so that every tensor is aligned without gaps (which are forbidden). */
mg_status mg_safetensors_write(const char *path, const mg_stored_tensor *tensors, size_t count,
                               const mg_metadata_entry *metadata, size_t metadata_count,
                               mg_safetensors_source source, void *context, mg_error *err);

#endif
