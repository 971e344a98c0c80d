/* optimizer.h: SGD with momentum, Adam and AdamW over groups of parameters.
 *
 *     SGD    b = mu b + g,  w -= lr b                       (g includes weight decay · w)
 *     Adam   m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g²
 *            w -= lr/(1-b1^t) · m / (sqrt(v/(1-b2^t)) + eps)
 *     AdamW  w *= 1 - lr·decay first, then Adam without decay in g
 *
 * The arithmetic is PyTorch's up to rounding. State exists for trained parameters only
 * and lives in the context's model arena under names that a checkpoint can carry. Updates are
 * elementwise, so results do not depend on threads.
 * Sources: Kingma & Ba 2015 (Adam), Loshchilov & Hutter 2019 (AdamW), Polyak 1964 (momentum). */
#ifndef MG_OPTIM_OPTIMIZER_H
#define MG_OPTIM_OPTIMIZER_H

#include "autograd/context.h"

typedef enum mg_optimizer_kind { MG_SGD, MG_ADAM, MG_ADAMW } mg_optimizer_kind;

typedef struct mg_optimizer_options {
    mg_optimizer_kind kind;
    double lr, weight_decay;
    double momentum;          /* SGD */
    double beta1, beta2, eps; /* Adam; 0 stands for 0.9, 0.999, 1e-8 */
} mg_optimizer_options;

typedef struct mg_optimizer_group {
    double lr_scale;     /* the group's learning rate is lr · lr_scale */
    double weight_decay; /* negative: the options' */
} mg_optimizer_group;

typedef struct mg_optimizer_entry {
    mg_tensor *parameter;
    mg_tensor *first, *second; /* momentum or m; v. NULL where the kind needs none */
    char first_name[80], second_name[80];
    int group;
    int64_t first_chunk; /* update loops run over chunks of all parameters in a row */
} mg_optimizer_entry;

enum { MG_OPTIMIZER_MAX_GROUPS = 16 };

typedef struct mg_optimizer {
    mg_optimizer_options options; /* options.lr is the current learning rate: set it freely */
    mg_optimizer_group group[MG_OPTIMIZER_MAX_GROUPS];
    int groups;
    mg_optimizer_entry *entry;
    int entries, room;
    int64_t chunks;
    double *partial; /* one number a chunk, for the norm */
    int64_t steps;   /* t above; saved with the state */
    mg_context *ctx; /* of the parameters; NULL before the first */
} mg_optimizer;

/* NULL when out of memory. One group (scale 1) exists from the start. */
mg_optimizer *mg_optimizer_create(const mg_optimizer_options *options);
void mg_optimizer_destroy(mg_optimizer *o);
/* Returns the new group's number, or -1 when there are too many. */
int mg_optimizer_add_group(mg_optimizer *o, double lr_scale, double weight_decay);
/* Parameters that require no gradient are left out: they get no state. */
mg_status mg_optimizer_add(mg_optimizer *o, mg_context *ctx, mg_tensor *parameter, int group);

/* One update from the gradients, which are left as they are. */
void mg_optimizer_step(mg_optimizer *o, mg_pool *pool);
void mg_optimizer_zero_grad(mg_optimizer *o, mg_pool *pool);

/* Scales every gradient by `factor` (averaging over accumulated microbatches). */
void mg_optimizer_scale_grad(mg_optimizer *o, mg_pool *pool, double factor);
/* The gradients' global L2 norm, summed in f64 over fixed chunks in order. */
double mg_optimizer_grad_norm(const mg_optimizer *o, mg_pool *pool);
/* Scales gradients so that their norm is at most max_norm (torch's clip_grad_norm_: factor
 * max_norm / (norm + 1e-6)); returns the norm before. MG_ERR_NUMERIC and untouched gradients when
 * the norm is not finite: the caller skips or stops. */
mg_status mg_optimizer_clip(mg_optimizer *o, mg_pool *pool, double max_norm, double *norm,
                            mg_error *err);

#endif
