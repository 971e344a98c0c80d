/* tensor.h: shapes, element types and the tensor header.
 *
 * A tensor is a dense row-major array; images are NHWC, so that a pointwise convolution is one
 * matrix product over the rows and everything else vectorises across channels. There are no views
 * and no strides. */
#ifndef MG_TENSOR_TENSOR_H
#define MG_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_MAX_DIMS 4

typedef enum mg_dtype { MG_F32, MG_F64, MG_BF16, MG_U16, MG_DTYPE_COUNT } mg_dtype;

typedef struct mg_shape {
    int rank; /* 0 … MG_MAX_DIMS; rank 0 is a scalar */
    int64_t dim[MG_MAX_DIMS];
} mg_shape;

/* MG_SHAPE(2, 5, 7, 3) is a shape literal, usable in static tables. */
#define MG_SHAPE(...)                                                                              \
    {                                                                                              \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), { __VA_ARGS__ }                 \
    }

size_t mg_dtype_size(mg_dtype dtype);
const char *mg_dtype_name(mg_dtype dtype);

/* Number of elements; 1 for a scalar. Shapes are validated where they enter (see
 * mg_shape_valid), so the product cannot overflow here. */
int64_t mg_shape_elements(const mg_shape *shape);
bool mg_shape_equal(const mg_shape *a, const mg_shape *b);

/* All dims >= 1 and rows*…*8 bytes below 2^60. */
bool mg_shape_valid(const mg_shape *shape);

/* "[2,5,7,3]" into out; returns out. */
char *mg_shape_text(const mg_shape *shape, char *out, size_t size);

struct mg_node;

typedef struct mg_tensor {
    void *data;
    void *grad; /* same shape and dtype, allocated when backward first needs it; or NULL */
    /* Of a parameter on a device: where kernels find data and grad, which then are the copy in
     * ordinary memory (context.h). NULL elsewhere: data itself is where kernels find it. */
    void *mirror, *mirror_grad;
    bool is_parameter;
    struct mg_tensor *next_parameter; /* of the same context */
    mg_shape shape;
    mg_dtype dtype;
    bool requires_grad; /* a gradient flows to it: a trained parameter or computed from one */
    bool is_leaf;       /* a parameter or an input: never freed by the tape */
    bool keep;          /* data survives backward (logits, features for a CAM) */
    bool released;      /* nobody will read data again except backward */
    int needed;         /* how many recorded nodes read data in their backward */
    const char *name;   /* for messages and reports; borrowed, may be NULL */
} mg_tensor;

#endif
