/* context.h: where tensors live and what happens when an op is applied.
 *
 * A context owns two arenas: *model* (parameters, their gradients, optimizer state; lives as long
 * as the context) and *step* (activations, tape, temporary gradients; emptied by mg_step_reset).
 * Graph building reports shape errors into ctx->error, first failure wins: constructors return
 * NULL and accept NULL, so a whole forward pass is written without checks and tested once.
 *
 * On a device (mg_context_use) step tensors live there. Parameters live twice: t->data in ordinary
 * memory for everything that looks at weights (initialising, folding, saving, CAMs), and a mirror
 * on the device for kernels. The two are brought together when somebody says so, all at once:
 * mg_context_to_host before reading or writing t->data, mg_context_host_changed after writing it.
 *
 * A dry run (ctx->dry_run) applies ops without running kernels: same allocations, no memory
 * touched. mg_memory_report() then names the exact peak before a training run starts. */
#ifndef MG_AUTOGRAD_CONTEXT_H
#define MG_AUTOGRAD_CONTEXT_H

#include <stdio.h>

#include "ops/device.h"
#include "ops/imaging.h"
#include "tensor/arena.h"

typedef struct mg_node mg_node;

typedef struct mg_context {
    mg_device device;
    mg_dtype dtype; /* of everything computed: MG_F32, or MG_F64 for checks */
    mg_pool *pool;  /* borrowed; may be NULL */
    mg_arena *model, *step, *headers;
    const mg_device_plugin *plugin; /* NULL: the CPU */
    const mg_memory *memory;        /* the plugin's; NULL: ordinary memory */
    mg_tensor *parameters;          /* newest first */
    bool host_newer, device_newer;  /* which copy of the parameters is ahead */
    bool record_launches; /* in a dry run kernels' host code runs, to have its launches recorded */
    mg_error error;       /* sticky */

    bool recording;    /* record a tape: false is "no_grad" */
    bool dry_run;      /* allocate and count, run no kernels */
    bool recomputing;  /* inside the second forward of mg_checkpoint: leave running stats alone */
    bool relaxed;      /* ops from now on may be 2^-12 off (mg_attr), for speed */
    bool trace_nan;    /* name the first op that produces a NaN or infinity */
    const char *scope; /* names tensors made from now on: borrowed, e.g. "features.4.0" */

    uint64_t seed;                     /* of dropout and stochastic depth */
    uint32_t step_number, sample_base; /* together with a layer's number they key every draw */

    mg_node *tape; /* last node recorded */
    int nodes;
    double flops, bytes; /* forward work since mg_step_reset, from the ops' cost() */

    /* Told of every kernel after it ran (in a dry run: would have run, 0 seconds); may be NULL. */
    void (*on_op)(void *arg, const mg_op *op, const char *scope, const mg_op_call *call,
                  double seconds, bool backward);
    void *on_op_arg;
} mg_context;

/* dtype: MG_F32 or MG_F64. memory_limit: what the tensors of a step may take, in bytes; 0 for no
 * limit; parameters do not count. NULL when out of memory. */
mg_context *mg_context_create(mg_device device, mg_dtype dtype, mg_pool *pool, size_t memory_limit);
void mg_context_destroy(mg_context *ctx);

/* Moves the context to a device; before the first parameter. plugin NULL: does nothing. */
void mg_context_use(mg_context *ctx, mg_device device, const mg_device_plugin *plugin);
/* t->data of every parameter is up to date afterwards. Free on the CPU. */
void mg_context_to_host(mg_context *ctx);
/* t->data of parameters was written: kernels see it from the next op on. */
void mg_context_host_changed(mg_context *ctx);
/* Parameters changed on the device, by an update or as running statistics. */
void mg_context_device_changed(mg_context *ctx);
/* Brings mirrors up to date now; mg_apply does it by itself. */
bool mg_context_to_device(mg_context *ctx);
/* Copies a tensor's numbers, wherever it lives, into host memory in the context's dtype. Of a
 * tensor whose memory was given back there are none: ctx->error says so. */
void mg_tensor_read(mg_context *ctx, const mg_tensor *t, void *host);

/* A tensor that lives as long as the context (model arena), zero-filled. `name` is borrowed. May be
 * made at any time, also between steps on a device. */
mg_tensor *mg_parameter(mg_context *ctx, const char *name, mg_shape shape, bool requires_grad);

/* A step tensor holding a copy of `data` in the context's dtype from f32 (NULL: uninitialised).
 * Never requires a gradient unless asked to by setting requires_grad before it is used. */
mg_tensor *mg_input(mg_context *ctx, const char *name, mg_shape shape, const float *data);

/* The same on a device (ctx->memory) from 16-bit images, N*H*W levels for a shape of [N,H,W,1],
 * each through the resample that how[n] says (ops/imaging.h). Half the bytes are sent. */
mg_tensor *mg_input_levels(mg_context *ctx, const char *name, mg_shape shape,
                           const uint16_t *levels, const mg_imaging_augment *how);

/* Applies op `id`: validates, allocates the result, runs the kernel and records. `in` may hold
 * NULLs for absent optional inputs at the end. Returns NULL after any error. */
mg_tensor *mg_apply(mg_context *ctx, mg_op_id id, const mg_attr *attr, mg_tensor *const *in,
                    int inputs);

/* The caller will not read t->data any more; only backward may. Frees it as early as possible.
 * Does nothing for leaves, kept tensors and NULL. */
void mg_release(mg_context *ctx, mg_tensor *t);
/* t->data must survive backward and stay until mg_step_reset. Returns t. */
mg_tensor *mg_keep(mg_tensor *t);

/* Runs the tape backwards from a scalar (dL/dL = 1) and consumes it: gradients are added to every
 * parameter's grad; activations are freed on the way. An error when the tape does not hold loss. */
void mg_backward(mg_context *ctx, mg_tensor *loss);
/* The same for any tensor, from a given cotangent of the same shape in the context's dtype. */
void mg_backward_from(mg_context *ctx, mg_tensor *y, const void *dy);

/* Activation checkpointing: runs segment(ctx, arg, x) without recording; backward runs it again.
 * Memory for the price of one more forward. segment must be a pure function of x and parameters. */
typedef mg_tensor *(*mg_segment)(mg_context *ctx, void *arg, mg_tensor *x);
mg_tensor *mg_checkpoint(mg_context *ctx, mg_segment segment, void *arg, mg_tensor *x);

/* Forgets tape and step tensors. trim gives the pages back to the system too. */
void mg_step_reset(mg_context *ctx, bool trim);

/* One line per recorded node: number, op, scope, shapes, saved bytes, flops. */
void mg_tape_dump(const mg_context *ctx, FILE *out);

/* "needs 1.32 GiB: model 0.25, step 1.07; largest: features.2.0 pointwise_conv 0.21 GiB, …" */
void mg_memory_report(const mg_context *ctx, char *out, size_t size);

#endif
