#include "autograd/context.h"

#include <stdlib.h>
#include <string.h>

#include "autograd/internal.h"

mg_context *mg_context_create(mg_device device, mg_dtype dtype, mg_pool *pool, size_t limit) {
    mg_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx) return NULL;
    ctx->device = device;
    ctx->dtype = dtype;
    ctx->pool = pool;
    ctx->recording = true;
    ctx->model = mg_arena_create("model", 0);
    ctx->step = mg_arena_create("step", 0);
    ctx->headers = mg_arena_create("headers", (size_t)1 << 30);
    if (!ctx->model || !ctx->step || !ctx->headers) {
        mg_context_destroy(ctx);
        return NULL;
    }
    mg_arena_set_limit(ctx->step, limit);
#ifdef MG_DEBUG_ARENA
    mg_arena_poison(ctx->step, true);
#endif
    return ctx;
}

void mg_context_destroy(mg_context *ctx) {
    if (!ctx) return;
    mg_arena_destroy(ctx->model);
    mg_arena_destroy(ctx->step);
    mg_arena_destroy(ctx->headers);
    free(ctx);
}

/* Memory ran out against a limit: the message names what was being made and what is large. */
static void report_exhausted(mg_context *ctx, mg_arena *arena, size_t bytes, const char *label) {
    mg_arena_block largest = {"nothing", 0};
    mg_arena_largest(arena, &largest, 1);
    mg_fail(&ctx->error, MG_ERR_MEMORY,
            "out of memory: %s needs %.1f MiB more beside %.1f MiB in use (largest: %s, %.1f MiB); "
            "use a smaller batch or size, more frozen stages, or recomputation",
            label ? label : "a tensor", (double)bytes / 1048576.0,
            (double)mg_arena_used(arena) / 1048576.0, largest.label,
            (double)largest.bytes / 1048576.0);
}

void *mg_step_alloc(mg_context *ctx, size_t bytes, const char *label) {
    void *p = mg_arena_alloc(ctx->step, bytes, label);
    if (!p) report_exhausted(ctx, ctx->step, bytes, label);
    return p;
}

static size_t bytes_of(const mg_context *ctx, const mg_shape *shape) {
    return (size_t)mg_shape_elements(shape) * mg_dtype_size(ctx->dtype);
}

static mg_tensor *new_header(mg_context *ctx, mg_arena *arena, mg_shape shape, const char *name) {
    mg_tensor *t = mg_arena_alloc(arena, sizeof *t, "tensor header");
    if (!t) {
        report_exhausted(ctx, arena, sizeof *t, name);
        return NULL;
    }
    *t = (mg_tensor){.shape = shape, .dtype = ctx->dtype, .name = name};
    return t;
}

mg_tensor *mg_tensor_new(mg_context *ctx, mg_shape shape, const char *name) {
    mg_tensor *t = new_header(ctx, ctx->headers, shape, name);
    if (!t) return NULL;
    t->data = mg_step_alloc(ctx, bytes_of(ctx, &shape), name);
    return t->data ? t : NULL;
}

mg_tensor *mg_parameter(mg_context *ctx, const char *name, mg_shape shape, bool requires_grad) {
    if (ctx->error.code) return NULL;
    mg_tensor *t = new_header(ctx, ctx->model, shape, name);
    if (!t) return NULL;
    t->is_leaf = true;
    t->requires_grad = requires_grad;
    t->data = mg_arena_alloc(ctx->model, bytes_of(ctx, &shape), name);
    if (requires_grad) t->grad = mg_arena_alloc(ctx->model, bytes_of(ctx, &shape), name);
    if (!t->data || (requires_grad && !t->grad)) {
        report_exhausted(ctx, ctx->model, bytes_of(ctx, &shape), name);
        return NULL;
    }
    memset(t->data, 0, bytes_of(ctx, &shape));
    if (t->grad) memset(t->grad, 0, bytes_of(ctx, &shape));
    return t;
}

mg_tensor *mg_input(mg_context *ctx, const char *name, mg_shape shape, const float *data) {
    if (ctx->error.code) return NULL;
    if (!mg_shape_valid(&shape)) {
        char text[96];
        mg_fail(&ctx->error, MG_ERR_SHAPE, "%s: %s is no usable shape", name,
                mg_shape_text(&shape, text, sizeof text));
        return NULL;
    }
    mg_tensor *t = mg_tensor_new(ctx, shape, name);
    if (!t) return NULL;
    t->is_leaf = true;
    if (!data || ctx->dry_run) return t;
    int64_t n = mg_shape_elements(&shape);
    if (ctx->dtype == MG_F64) {
        for (int64_t i = 0; i < n; i++) ((double *)t->data)[i] = (double)data[i];
    } else {
        memcpy(t->data, data, (size_t)n * sizeof *data);
    }
    return t;
}

mg_tensor *mg_keep(mg_tensor *t) {
    if (t) t->keep = true;
    return t;
}

void mg_release(mg_context *ctx, mg_tensor *t) {
    if (!t || t->is_leaf || t->keep || t->released) return;
    t->released = true;
    if (t->needed > 0) return; /* backward frees it */
    mg_arena_free(ctx->step, t->data);
    t->data = NULL;
}

void mg_step_reset(mg_context *ctx, bool trim) {
    mg_arena_reset(ctx->step, trim);
    mg_arena_reset(ctx->headers, false);
    ctx->tape = NULL;
    ctx->nodes = 0;
    ctx->flops = ctx->bytes = 0;
}

void mg_memory_report(const mg_context *ctx, char *out, size_t size) {
    const double gib = 1024.0 * 1024.0 * 1024.0;
    double model = (double)mg_arena_peak(ctx->model) / gib;
    double step = (double)mg_arena_peak(ctx->step) / gib;
    int at = snprintf(out, size, "needs %.2f GiB: model %.2f, step %.2f; largest:", model + step,
                      model, step);
    mg_arena_block blocks[3];
    int n = mg_arena_largest(ctx->step, blocks, 3);
    for (int i = 0; i < n && at > 0 && (size_t)at < size; i++)
        at += snprintf(out + at, size - (size_t)at, "%s %s %.3f GiB", i ? "," : "", blocks[i].label,
                       (double)blocks[i].bytes / gib);
}
