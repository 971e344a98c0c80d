/* tape.c: applying ops, recording them, and running the record backwards.
 *
 * Nodes are made in a topological order, so backward is one reverse loop. A node's output and its
 * gradient are freed as soon as the node has been processed: everybody who could add to the
 * gradient or read the data comes later in the tape, hence earlier in backward. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "autograd/internal.h"

void mg_fill_call(mg_op_call *c, const mg_context *ctx, const mg_attr *attr, mg_tensor *const *in,
                  int inputs) {
    memset(c, 0, sizeof *c);
    c->attr = *attr;
    c->inputs = inputs;
    c->pool = ctx->pool;
    for (int i = 0; i < inputs; i++) {
        if (!in[i]) continue;
        c->x[i] = in[i]->mirror ? in[i]->mirror : in[i]->data;
        c->x_shape[i] = in[i]->shape;
    }
}

/* NULL inputs are fine only where the op calls them optional; after an error everything is NULL. */
static bool inputs_fit(mg_context *ctx, const mg_op *op, mg_tensor *const *in, int inputs) {
    if (inputs < op->min_inputs || inputs > op->max_inputs) {
        mg_fail(&ctx->error, MG_ERR_ARG, "%s: takes %d to %d inputs, got %d", op->name,
                op->min_inputs, op->max_inputs, inputs);
        return false;
    }
    for (int i = 0; i < op->min_inputs; i++)
        if (!in[i] && !(op->optional >> i & 1)) {
            mg_fail(&ctx->error, MG_ERR_ARG, "%s: input %s is missing", op->name,
                    op->input_names[i]);
            return false;
        }
    for (int i = 0; i < inputs; i++)
        if (in[i] && !in[i]->data) {
            mg_fail(&ctx->error, MG_ERR_ARG, "%s: input %s was released before", op->name,
                    op->input_names[i]);
            return false;
        }
    return true;
}

static const mg_kernels *kernels_for(mg_context *ctx, mg_op_id id) {
    const mg_kernels *k = mg_op_kernels(id, ctx->device, ctx->dtype);
    if (!k)
        mg_fail(&ctx->error, MG_ERR_DEVICE, "%s: the device has no kernel for it",
                mg_op_get(id, ctx->dtype)->name);
    return k;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Runs one kernel of op `id` with its scratch memory and tells a listener how long it took. */
static bool run_kernel(mg_context *ctx, mg_op_id id, const char *scope, mg_op_call *c,
                       const mg_kernels *k, bool backward) {
    size_t scratch =
        k->scratch_bytes ? k->scratch_bytes(c, backward, mg_pool_threads(ctx->pool)) : 0;
    if (scratch && !(c->scratch = mg_step_alloc(ctx, scratch, "kernel scratch"))) return false;
    double begin = ctx->on_op && !ctx->dry_run ? seconds_now() : 0;
    bool run = !ctx->dry_run || ctx->record_launches;
    if (run) (backward ? k->backward : k->forward)(c);
    const char *failure = run && ctx->memory ? ctx->memory->failure(false) : NULL;
    if (failure) {
        mg_fail(&ctx->error, MG_ERR_DEVICE, "%s, %s%s: %s", scope ? scope : "graph",
                mg_op_get(id, ctx->dtype)->name, backward ? " backward" : "", failure);
        return false;
    }
    if (mg_op_get(id, ctx->dtype)->flags & MG_OP_MUTATES_STATE && !backward && c->attr.training)
        mg_context_device_changed(ctx);
    if (ctx->on_op)
        ctx->on_op(ctx->on_op_arg, mg_op_get(id, ctx->dtype), scope, c,
                   ctx->dry_run ? 0 : seconds_now() - begin, backward);
    if (scratch) mg_arena_free(ctx->step, c->scratch);
    return true;
}

static void record(mg_context *ctx, const mg_op *op, mg_op_id id, const mg_op_call *c,
                   mg_tensor *const *in, mg_tensor *out) {
    mg_node *node = mg_arena_alloc(ctx->headers, sizeof *node, "tape node");
    if (!node) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "tape: out of memory after %d nodes", ctx->nodes);
        return;
    }
    *node = (mg_node){.previous = ctx->tape,
                      .op = id,
                      .number = ctx->nodes++,
                      .scope = ctx->scope,
                      .attr = c->attr,
                      .inputs = c->inputs,
                      .out = out,
                      .save = c->save};
    for (int i = 0; i < c->inputs; i++) {
        node->in[i] = in[i];
        if (in[i] && (op->needs_x >> i & 1)) in[i]->needed++;
    }
    if (op->needs_y) out->needed++;
    ctx->tape = node;
}

mg_tensor *mg_apply(mg_context *ctx, mg_op_id id, const mg_attr *attr, mg_tensor *const *in,
                    int inputs) {
    if (ctx->error.code) return NULL;
    const mg_op *op = mg_op_get(id, ctx->dtype);
    if (!inputs_fit(ctx, op, in, inputs)) return NULL;
    const mg_kernels *k = kernels_for(ctx, id);
    if (!k) return NULL;
    mg_op_call c;
    if (ctx->host_newer && !mg_context_to_device(ctx)) return NULL;
    mg_fill_call(&c, ctx, attr, in, inputs);
    c.attr.relaxed |= ctx->relaxed;
    if (ctx->recomputing && (op->flags & MG_OP_MUTATES_STATE)) c.attr.momentum = 0;
    if (op->shape(&c, &ctx->error)) {
        mg_error_prefix(&ctx->error, "%s", ctx->scope ? ctx->scope : "graph");
        return NULL;
    }
    bool wants = false;
    for (int i = 0; i < inputs; i++)
        wants |= in[i] && in[i]->requires_grad && (op->differentiable >> i & 1);
    if (wants && ctx->recording && attr->activation != MG_ACTIVATION_NONE) {
        mg_fail(&ctx->error, MG_ERR_ARG,
                "%s: a fused activation has no gradient; apply the activation by itself", op->name);
        return NULL;
    }
    mg_tensor *out = mg_tensor_new(ctx, c.y_shape, ctx->scope ? ctx->scope : op->name);
    if (!out) return NULL;
    c.y = out->data;
    size_t save = op->save_count ? (size_t)op->save_count(&c) * mg_dtype_size(ctx->dtype) : 0;
    if (save && !(c.save = mg_step_alloc(ctx, save, "saved for backward"))) return NULL;
    if (!run_kernel(ctx, id, ctx->scope, &c, k, false)) return NULL;
    mg_cost cost = op->cost(&c);
    ctx->flops += cost.forward_flops;
    ctx->bytes += cost.forward_bytes;
    out->requires_grad = wants;
    if (wants && ctx->recording) {
        record(ctx, op, id, &c, in, out);
    } else if (save) {
        mg_arena_free(ctx->step, c.save);
    }
    if (ctx->trace_nan && !ctx->dry_run) {
        mg_node here = {.op = id, .number = ctx->nodes, .scope = ctx->scope};
        mg_trace_numbers(ctx, &here, "output", out->data, mg_shape_elements(&out->shape));
    }
    return ctx->error.code ? NULL : out;
}

/* *fresh, if given, becomes true where the buffer is new and left unfilled. */
static void *gradient_of(mg_context *ctx, mg_tensor *t, bool *fresh) {
    if (!t || !t->requires_grad) return NULL;
    if (t->grad) return t->mirror_grad ? t->mirror_grad : t->grad;
    size_t bytes = (size_t)mg_shape_elements(&t->shape) * mg_dtype_size(t->dtype);
    t->grad = mg_step_alloc(ctx, bytes, t->name);
    if (fresh) *fresh = t->grad != NULL;
    else if (t->grad && !ctx->dry_run) mg_memory_zero(ctx->memory, t->grad, bytes);
    return t->grad;
}

void *mg_gradient_of(mg_context *ctx, mg_tensor *t) { return gradient_of(ctx, t, NULL); }

/* Whether input i is the only input that is this tensor: two gradients then never share a buffer,
 * of which one would overwrite the other. */
static bool met_once(const mg_node *node, int i) {
    for (int k = 0; k < node->inputs; k++)
        if (k != i && node->in[k] == node->in[i]) return false;
    return true;
}

static void free_step_memory(mg_context *ctx, mg_tensor *t) {
    mg_arena_free(ctx->step, t->grad);
    t->grad = NULL;
    if (t->keep || t->is_leaf) return;
    mg_arena_free(ctx->step, t->data);
    t->data = NULL;
}

static void run_node(mg_context *ctx, mg_node *node) {
    const mg_kernels *k = kernels_for(ctx, node->op);
    if (!k) return;
    mg_op_call c;
    mg_fill_call(&c, ctx, &node->attr, node->in, node->inputs);
    c.y = node->out->data;
    c.y_shape = node->out->shape;
    c.save = node->save;
    c.dy = node->out->grad;
    const mg_op *op = mg_op_get(node->op, ctx->dtype);
    for (int i = 0; i < node->inputs; i++) {
        bool fresh = false, can = (k->overwrites >> i & 1) && met_once(node, i);
        if (op->differentiable >> i & 1)
            c.dx[i] = gradient_of(ctx, node->in[i], can ? &fresh : NULL);
        if (fresh) c.overwrite |= 1u << i;
    }
    if (ctx->error.code || !run_kernel(ctx, node->op, node->scope, &c, k, true)) return;
    for (int i = 0; i < node->inputs && ctx->trace_nan && !ctx->dry_run; i++)
        if (c.dx[i])
            mg_trace_numbers(ctx, node, "gradient", c.dx[i],
                             mg_shape_elements(&node->in[i]->shape));
}

/* The node has read its inputs for the last time: those nobody else waits for can go. This also
 * frees inputs that no recorded node made (they needed no gradient). */
static void let_go_of_inputs(mg_context *ctx, const mg_node *node) {
    uint32_t read = node->op == MG_OP_COUNT ? 1 : mg_op_get(node->op, ctx->dtype)->needs_x;
    for (int i = 0; i < node->inputs; i++) {
        mg_tensor *t = node->in[i];
        if (!t || !(read >> i & 1) || --t->needed > 0 || !t->released) continue;
        mg_arena_free(ctx->step, t->data);
        t->data = NULL;
    }
}

/* Backward of a checkpointed segment: forward again, recorded, then its own piece of tape. */
static void run_segment(mg_context *ctx, mg_node *node) {
    mg_tensor *outer = node->in[0];
    mg_tensor *inner = mg_arena_alloc(ctx->headers, sizeof *inner, "tensor header");
    if (!inner) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "recomputation: out of memory");
        return;
    }
    *inner = *outer; /* same data and, below, the same gradient: adding goes straight through */
    inner->is_leaf = true;
    inner->grad = mg_gradient_of(ctx, outer);
    mg_node *end = ctx->tape;
    const char *scope = ctx->scope;
    ctx->recording = ctx->recomputing = true;
    mg_tensor *y = node->segment(ctx, node->segment_arg, inner);
    ctx->recomputing = false;
    ctx->scope = scope;
    if (!y) return;
    y->grad = node->out->grad;
    node->out->grad = NULL; /* moved: freed with y */
    mg_run_tape(ctx, end);
    ctx->tape = end;
}

void mg_run_tape(mg_context *ctx, mg_node *end) {
    bool recording = ctx->recording;
    while (ctx->tape != end && !ctx->error.code) {
        mg_node *node = ctx->tape;
        ctx->tape = node->previous;
        /* A node nobody derives from has no gradient: its inputs get nothing from it. */
        if (node->out->grad) {
            if (node->op == MG_OP_COUNT) run_segment(ctx, node);
            else run_node(ctx, node);
        }
        let_go_of_inputs(ctx, node);
        mg_arena_free(ctx->step, node->save);
        free_step_memory(ctx, node->out);
    }
    ctx->recording = recording;
}

/* Whether the tape still holds the node that made y. Results are usually the last node's. */
static bool on_tape(const mg_context *ctx, const mg_tensor *y) {
    for (const mg_node *n = ctx->tape; n; n = n->previous)
        if (n->out == y) return true;
    return false;
}

void mg_backward_from(mg_context *ctx, mg_tensor *y, const void *dy) {
    if (ctx->error.code || !y) return;
    if (!y->requires_grad) {
        mg_fail(&ctx->error, MG_ERR_ARG,
                "backward: the result does not depend on any trained parameter");
        return;
    }
    if (!y->is_leaf && !on_tape(ctx, y)) {
        mg_fail(&ctx->error, MG_ERR_ARG,
                "backward: the tape does not hold how the result was made; it was not recorded "
                "(ctx->recording), or an earlier backward used it up");
        return;
    }
    void *grad = mg_gradient_of(ctx, y);
    if (!grad) return;
    if (!ctx->dry_run)
        mg_memory_write(ctx->memory, grad, dy,
                        (size_t)mg_shape_elements(&y->shape) * mg_dtype_size(y->dtype));
    mg_run_tape(ctx, NULL);
}

void mg_backward(mg_context *ctx, mg_tensor *loss) {
    if (ctx->error.code || !loss) return;
    if (mg_shape_elements(&loss->shape) != 1) {
        mg_fail(&ctx->error, MG_ERR_SHAPE, "backward: the loss must be one number");
        return;
    }
    float one_f32 = 1;
    double one_f64 = 1;
    mg_keep(loss);
    mg_backward_from(ctx, loss, ctx->dtype == MG_F64 ? (void *)&one_f64 : (void *)&one_f32);
}

mg_tensor *mg_checkpoint(mg_context *ctx, mg_segment segment, void *arg, mg_tensor *x) {
    if (ctx->error.code || !x) return NULL;
    if (!ctx->recording) return segment(ctx, arg, x);
    ctx->recording = false;
    mg_tensor *y = segment(ctx, arg, x);
    ctx->recording = true;
    if (!y || ctx->error.code) return NULL;
    if (!y->requires_grad) return y;
    mg_node *node = mg_arena_alloc(ctx->headers, sizeof *node, "tape node");
    if (!node) return NULL;
    *node = (mg_node){.previous = ctx->tape,
                      .op = MG_OP_COUNT,
                      .number = ctx->nodes++,
                      .scope = ctx->scope,
                      .inputs = 1,
                      .in = {x},
                      .out = y,
                      .segment = segment,
                      .segment_arg = arg};
    x->needed++;
    ctx->tape = node;
    return y;
}
