/* op.h: the contract that every operation fulfils.
 *
 * One op is one file, ops/X.c, which holds in this order: documentation, shape rule, cost,
 * reference forward, reference backward, test cases, descriptor. The reference is written over
 * `real` and compiled twice, as f64 (truth for every test) and f32. ops/table.h lists all ops;
 * gradient checks, device comparisons, benchmarks and the generated documentation walk that list.
 *
 * Kernels, reference or fast, have one signature: they take a call that was fully validated by
 * the shape rule, return nothing and cannot fail. Forward writes every element of y (and save).
 * Backward reads dy and *adds* to dx[i] wherever dx[i] is not NULL, unless the call says that there
 * is nothing to add to (overwrite). */
#ifndef MG_OPS_OP_H
#define MG_OPS_OP_H

#include "tensor/error.h"
#include "tensor/pool.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

#define MG_MAX_INPUTS 12
#define MG_MAX_KERNEL 16 /* sides of a convolution's kernel */

typedef enum mg_device {
    MG_DEVICE_REFERENCE,
    MG_DEVICE_CPU,
    MG_DEVICE_CUDA,
    MG_DEVICE_SIMT,
    MG_DEVICE_COUNT
} mg_device;

typedef enum mg_padding {
    MG_PAD_SYMMETRIC, /* (k-1)/2 on every side: torchvision */
    MG_PAD_SAME,      /* TensorFlow "SAME", from the actual size: out = ceil(n/stride) */
    MG_PAD_STATIC,    /* pad_top … pad_right given: "SAME" of a nominal size */
} mg_padding;

typedef enum mg_activation { MG_ACTIVATION_NONE, MG_ACTIVATION_SILU } mg_activation;

/* Everything an op can be told besides its tensors. Each op documents which fields it reads. */
typedef struct mg_attr {
    int kernel, stride; /* convolutions */
    mg_padding padding;
    int pad_top, pad_left, pad_bottom, pad_right; /* MG_PAD_STATIC */
    mg_activation activation;                     /* fused inference ops */
    bool training;          /* batch norm: batch statistics; dropout: active */
    bool residual;          /* mbconv: add the input */
    bool bf16;              /* fused inference ops on the CPU: products in bfloat16 */
    bool relaxed;           /* the same, in f32 but for 2^-12: cheaper SiLU, products by halves
                               (mbconv then keeps its wide tensor in bfloat16) */
    bool align_corners;     /* resize */
    int axis;               /* concat */
    int64_t height, width;  /* resize: output size */
    double eps, momentum;   /* batch norm */
    double p;               /* dropout, stochastic depth: probability of dropping */
    double positive_weight; /* bce_with_logits: weight of positives; 0 means 1 */
    mg_rng_key key;         /* dropout, stochastic depth: which draws */
} mg_attr;

typedef struct mg_op_call {
    mg_attr attr;
    int inputs;
    void *x[MG_MAX_INPUTS]; /* an optional input that is absent is NULL with rank 0 */
    mg_shape x_shape[MG_MAX_INPUTS];
    void *y;
    mg_shape y_shape;
    void *save;              /* what forward keeps for backward: save_count() reals */
    const void *dy;          /* backward only */
    void *dx[MG_MAX_INPUTS]; /* backward only; NULL: not wanted */
    uint32_t overwrite;      /* backward only: bit i: dx[i] holds nothing yet, write instead of
                                adding; only bits that mg_kernels.overwrites allows are ever set */
    void *scratch;           /* scratch_bytes() of the kernels in use */
    mg_pool *pool;           /* may be NULL */
} mg_op_call;

typedef void mg_kernel(const mg_op_call *call);

typedef struct mg_kernels {
    mg_kernel *forward, *backward;
    /* Scratch memory for one call; NULL means none. */
    size_t (*scratch_bytes)(const mg_op_call *call, bool backward, int threads);
    /* Bit i: backward can write dx[i] instead of adding to it (mg_op_call.overwrite). Nobody then
     * has to fill a large gradient with zeros first, and the kernel need not read them. */
    uint32_t overwrites;
} mg_kernels;

/* Compulsory work of one call: a multiply-add counts as 2 flops; bytes are f32 inputs read once
 * and outputs written once. */
typedef struct mg_cost {
    double forward_flops, forward_bytes;
    double backward_flops, backward_bytes;
} mg_cost;

/* How a test case fills an input (mg_fill_input in ops/check.h). */
typedef enum mg_fill {
    MG_FILL_NORMAL,    /* N(0, 1) */
    MG_FILL_WEIGHT,    /* N(0, 1/fan_in), fan_in = elements / last dim */
    MG_FILL_OFFSET,    /* mean 1000, spread 1: where one-pass variance breaks */
    MG_FILL_SATURATED, /* N(0, 30²): tails of sigmoid and softmax */
    MG_FILL_POSITIVE,  /* uniform in (0.5, 1.5): variances, scales */
    MG_FILL_TARGET,    /* 0 or 1 */
    MG_FILL_ABSENT,    /* optional input left out */
} mg_fill;

typedef struct mg_case {
    const char *name;
    mg_attr attr;
    int inputs;
    mg_shape shape[MG_MAX_INPUTS];
    mg_fill fill[MG_MAX_INPUTS];
    bool forward_only; /* a case without gradient in an op that has one (fused activations) */
} mg_case;

enum {
    MG_OP_LINEAR = 1,        /* linear in each input: error bound from |x|,|w| (ops/check.h) */
    MG_OP_NO_BACKWARD = 2,   /* inference only; needs a waiver text */
    MG_OP_MUTATES_STATE = 4, /* writes its non-differentiable inputs (running statistics) */
    MG_OP_RANDOM = 8,        /* reads attr.key */
};

typedef struct mg_op {
    const char *name;     /* same as the file */
    const char *summary;  /* one line */
    const char *formula;  /* plain text, the forward formula */
    const char *gradient; /* plain text, dL/dinputs from dy */
    const char *source;   /* paper, standard or section */
    const char *waiver; /* why something the coverage test asks for is missing; NULL: nothing is */
    int min_inputs, max_inputs;
    const char *input_names[MG_MAX_INPUTS];
    unsigned flags;
    uint32_t differentiable; /* bit i: gradient flows to input i */
    uint32_t optional;       /* bit i: input i below min_inputs may be absent all the same */
    uint32_t needs_x;        /* bit i: backward reads the data of input i */
    bool needs_y;            /* backward reads y */
    /* Validates the inputs and attributes and sets c->y_shape. On failure fills err. */
    mg_status (*shape)(mg_op_call *c, mg_error *err);
    int64_t (*save_count)(const mg_op_call *c); /* NULL: 0 */
    mg_cost (*cost)(const mg_op_call *c);
    const mg_case *cases;
    int case_count;
    mg_kernels reference; /* of this file's precision */
} mg_op;

#define MG_CAT_(a, b)   a##b
#define MG_CAT(a, b)    MG_CAT_(a, b)
#define MG_COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

/* --- helpers that shape rules share ---------------------------------------------------------- */

/* y = x[0]'s shape. */
mg_status mg_shape_same(mg_op_call *c, mg_error *err);
/* Fails with "op: x must be [N,H,W,C], is [3,4]" unless input i has that rank. */
mg_status mg_expect_rank(const mg_op_call *c, const char *op, int input, const char *input_name,
                         int rank, const char *want, mg_error *err);
/* Fails unless input i has exactly the given dims. */
mg_status mg_expect_shape(const mg_op_call *c, const char *op, int input, const char *input_name,
                          mg_shape want, mg_error *err);

/* Output size and leading padding of a convolution along one axis (axis 0: height, 1: width). */
typedef struct mg_conv_axis {
    int64_t out, before;
} mg_conv_axis;
mg_conv_axis mg_conv_output(const mg_attr *attr, int axis, int64_t in);
/* Sets y to [N,H',W',channels] from x[0] = [N,H,W,C] and the convolution fields of attr; fails when
 * those make no sense or the kernel does not fit the padded image. */
mg_status mg_conv_shape(mg_op_call *c, const char *op, int64_t channels, mg_error *err);

/* Whether an optional input was given. */
static inline bool mg_has_input(const mg_op_call *c, int i) {
    return i < c->inputs && c->x_shape[i].rank > 0;
}

/* f32 bytes of inputs and output, for cost(). */
double mg_bytes_in(const mg_op_call *c);
double mg_bytes_out(const mg_op_call *c);
/* The usual memory-bound cost: `forward` and `backward` flops per output element. */
mg_cost mg_cost_elementwise(const mg_op_call *c, double forward, double backward);

#endif
