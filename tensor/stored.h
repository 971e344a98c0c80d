/* stored.h: a tensor as it lies in a file: a name, a type, a shape and its bytes.
 *
 * What the readers of weights.h deliver and the safetensors writer takes. Bytes in files may be
 * unaligned, strided or of the other byte order, so elements are only ever copied out; `bytes` is
 * there for code that wants to look without copying. */
#ifndef MG_TENSOR_STORED_H
#define MG_TENSOR_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef enum mg_stored_type {
    MG_STORED_F64,
    MG_STORED_F32,
    MG_STORED_F16,
    MG_STORED_BF16,
    MG_STORED_I64,
    MG_STORED_I32,
    MG_STORED_I16,
    MG_STORED_I8,
    MG_STORED_U8,
    MG_STORED_BOOL, /* one byte, 0 or 1 */
    MG_STORED_TYPE_COUNT
} mg_stored_type;

enum { MG_STORED_MAX_RANK = 8 };

typedef struct mg_stored_tensor {
    const char *name;
    mg_stored_type type;
    int rank; /* 0: one element */
    int64_t shape[MG_STORED_MAX_RANK];
    int64_t count;     /* of elements; readers guarantee that count * size fits the file */
    const void *bytes; /* row-major, little-endian, maybe unaligned; NULL if they do not lie so */

    /* Where they do lie; filled by readers, ignored by the writer. */
    const uint8_t *base;                /* of element [0, 0, …] */
    int64_t stride[MG_STORED_MAX_RANK]; /* in elements */
    bool big_endian;
} mg_stored_tensor;

size_t mg_stored_size(mg_stored_type type);      /* bytes of one element */
const char *mg_stored_name(mg_stored_type type); /* as safetensors spells it: "F32" */
bool mg_stored_type_by_name(const char *name, mg_stored_type *out);

/* "[48,3,3,3]" into a buffer of at least MG_STORED_SHAPE_TEXT bytes; returns it. */
enum { MG_STORED_SHAPE_TEXT = MG_STORED_MAX_RANK * 21 + 3 };
char *mg_stored_shape_text(const int64_t *shape, int rank, char *text);

/* Copies out all elements, row-major, in the host's byte order, as they are or converted. `count`
 * is how many elements `out` holds; anything but tensor->count is refused. Conversion rounds to
 * nearest even where the target is narrower. */
mg_status mg_stored_copy(const mg_stored_tensor *tensor, void *out, int64_t count, mg_error *err);
mg_status mg_stored_to_f32(const mg_stored_tensor *tensor, float *out, int64_t count,
                           mg_error *err);
mg_status mg_stored_to_f64(const mg_stored_tensor *tensor, double *out, int64_t count,
                           mg_error *err);

#endif
