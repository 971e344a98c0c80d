/* torch_file.h: PyTorch's checkpoint files, read without Python.
 *
 * Two containers: since 1.6 a zip archive (NAME/data.pkl describes, NAME/data/KEY holds each
 * storage, NAME/byteorder says little or big); before, five pickles in a row (magic number,
 * protocol 1001, system, object, storage keys) and then, per key, a count and the raw elements.
 * Source: torch/serialization.py. */
#ifndef MG_TENSOR_TORCH_FILE_H
#define MG_TENSOR_TORCH_FILE_H

#include "tensor/torch_objects.h"
#include "tensor/zip.h"

enum { MG_TORCH_MAX_PICKLE = 64 << 20 }; /* bytes; real ones have some 100 kB */

typedef struct mg_torch_file {
    mg_stored_tensor *tensors; /* in the order of the state dictionary; they point into the file */
    size_t count, skipped;     /* skipped: entries of the dictionary that are no tensors */
    char path[64];             /* keys that lead to the state dictionary: "", "state_dict", … */
    mg_torch_objects objects;  /* own the names */
} mg_torch_file;

/* `bytes` must stay. `out` is zeroed on failure. */
mg_status mg_torch_parse_zip(const uint8_t *bytes, size_t size, mg_torch_file *out, mg_error *err);
mg_status mg_torch_parse_legacy(const uint8_t *bytes, size_t size, mg_torch_file *out,
                                mg_error *err);
void mg_torch_free(mg_torch_file *file);

#endif
