/* debug.c: looking at a tape and at the numbers that flow through it. */
#include <math.h>
#include <stdlib.h>

#include "autograd/internal.h"

void mg_trace_numbers(mg_context *ctx, const mg_node *node, const char *what, const void *data,
                      int64_t n) {
    void *copy = NULL;
    if (ctx->memory) {
        size_t bytes = (size_t)n * mg_dtype_size(ctx->dtype);
        if (!(copy = malloc(bytes))) return;
        ctx->memory->read(copy, data, bytes);
        data = copy;
    }
    for (int64_t i = 0; i < n; i++) {
        double v =
            ctx->dtype == MG_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
        if (isfinite(v)) continue;
        mg_fail(&ctx->error, MG_ERR_NUMERIC,
                "the first %s is in the %s of node %d, %s in %s, at element %lld",
                isnan(v) ? "NaN" : "infinity", what, node->number,
                node->op < MG_OP_COUNT ? mg_op_get(node->op, ctx->dtype)->name : "segment",
                node->scope ? node->scope : "the graph", (long long)i);
        break;
    }
    free(copy);
}

static void dump_node(const mg_context *ctx, const mg_node *node, FILE *out) {
    char text[96];
    if (node->op == MG_OP_COUNT) {
        fprintf(out, "%4d  %-16s %-22s", node->number, "(recomputed)",
                node->scope ? node->scope : "");
    } else {
        const mg_op *op = mg_op_get(node->op, ctx->dtype);
        mg_op_call c;
        mg_fill_call(&c, ctx, &node->attr, node->in, node->inputs);
        c.y_shape = node->out->shape;
        size_t save = op->save_count ? (size_t)op->save_count(&c) * mg_dtype_size(ctx->dtype) : 0;
        fprintf(out, "%4d  %-16s %-22s %9.3f MFLOP %9zu saved ", node->number, op->name,
                node->scope ? node->scope : "", op->cost(&c).forward_flops / 1e6, save);
    }
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i]) fprintf(out, " %s", mg_shape_text(&node->in[i]->shape, text, sizeof text));
    fprintf(out, " -> %s\n", mg_shape_text(&node->out->shape, text, sizeof text));
}

void mg_tape_dump(const mg_context *ctx, FILE *out) {
    /* The list runs backwards; people read forwards. Nodes are few: a second pass per line
     * is fine. */
    for (int number = 0; number < ctx->nodes; number++)
        for (const mg_node *node = ctx->tape; node; node = node->previous)
            if (node->number == number) {
                dump_node(ctx, node, out);
                break;
            }
}
