/* internal.h: the tape's node, shared by the files of this layer. */
#ifndef MG_AUTOGRAD_INTERNAL_H
#define MG_AUTOGRAD_INTERNAL_H

#include "autograd/context.h"

struct mg_node {
    mg_node *previous;
    mg_op_id op; /* MG_OP_COUNT for a checkpointed segment */
    int number;
    const char *scope;
    mg_attr attr;
    int inputs;
    mg_tensor *in[MG_MAX_INPUTS];
    mg_tensor *out;
    void *save;
    mg_segment segment; /* checkpointed segments only */
    void *segment_arg;
};

mg_tensor *mg_tensor_new(mg_context *ctx, mg_shape shape, const char *name);
/* Gradient buffer of t, zero-filled on first use; NULL on failure or when t wants none. */
void *mg_gradient_of(mg_context *ctx, mg_tensor *t);
/* Runs the tape down to (not including) `end`. */
void mg_run_tape(mg_context *ctx, mg_node *end);
void mg_fill_call(mg_op_call *c, const mg_context *ctx, const mg_attr *attr, mg_tensor *const *in,
                  int inputs);
/* Sets the sticky error when data holds a NaN or infinity. */
void mg_trace_numbers(mg_context *ctx, const mg_node *node, const char *what, const void *data,
                      int64_t n);
void *mg_step_alloc(mg_context *ctx, size_t bytes, const char *label);

#endif
