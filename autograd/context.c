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
    if (dtype != MG_F32 && dtype != MG_F64)
        mg_fail(&ctx->error, MG_ERR_ARG, "a context computes in f32 or f64, nothing else");
    ctx->host_newer = true;
#ifdef MG_DEBUG_ARENA
    mg_arena_poison(ctx->step, true);
#endif
    return ctx;
}

void mg_context_destroy(mg_context *ctx) {
    if (!ctx) return;
    for (mg_tensor *t = ctx->parameters; t && ctx->memory; t = t->next_parameter) {
        ctx->memory->free(t->mirror);
        ctx->memory->free(t->mirror_grad);
    }
    mg_arena_destroy(ctx->model);
    mg_arena_destroy(ctx->step);
    mg_arena_destroy(ctx->headers);
    free(ctx);
}

/* --- parameters on a device ------------------------------------------------------------------- */

void mg_context_use(mg_context *ctx, mg_device device, const mg_device_plugin *plugin) {
    ctx->device = device;
    if (!plugin) return;
    ctx->plugin = plugin;
    ctx->memory = plugin->memory;
    mg_arena_use_memory(ctx->step, plugin->memory);
}

static size_t bytes_of(const mg_context *ctx, const mg_shape *shape) {
    return (size_t)mg_shape_elements(shape) * mg_dtype_size(ctx->dtype);
}

/* First use of the device: memory for every parameter made so far. */
static bool make_mirror(mg_context *ctx, mg_tensor *t) {
    size_t bytes = bytes_of(ctx, &t->shape);
    if (!t->mirror) t->mirror = ctx->memory->alloc(bytes, t->name);
    if (t->grad && !t->mirror_grad) {
        t->mirror_grad = ctx->memory->alloc(bytes, t->name);
        if (t->mirror_grad) ctx->memory->zero(t->mirror_grad, bytes);
    }
    if (t->mirror && (!t->grad || t->mirror_grad)) return true;
    const char *reason = ctx->memory->failure(false);
    mg_fail(&ctx->error, MG_ERR_MEMORY, "%s", reason ? reason : "the device's memory is full");
    return false;
}

bool mg_context_to_device(mg_context *ctx) {
    if (!ctx->memory || !ctx->host_newer || ctx->dry_run) return true;
    for (mg_tensor *t = ctx->parameters; t; t = t->next_parameter) {
        if (!make_mirror(ctx, t)) return false;
        ctx->memory->write(t->mirror, t->data, bytes_of(ctx, &t->shape));
    }
    ctx->host_newer = false;
    return true;
}

void mg_context_to_host(mg_context *ctx) {
    if (!ctx->device_newer) return;
    for (mg_tensor *t = ctx->parameters; t; t = t->next_parameter)
        if (t->mirror) ctx->memory->read(t->data, t->mirror, bytes_of(ctx, &t->shape));
    ctx->device_newer = false;
}

void mg_context_host_changed(mg_context *ctx) {
    MG_ASSERT(!ctx->device_newer); /* an update on the device would be lost */
    ctx->host_newer = true;
}

void mg_context_device_changed(mg_context *ctx) {
    if (ctx->memory && !ctx->dry_run) ctx->device_newer = true;
}

void mg_tensor_read(mg_context *ctx, const mg_tensor *t, void *host) {
    const void *from = t->mirror ? t->mirror : t->data;
    if (!from) {
        mg_fail(&ctx->error, MG_ERR_ARG,
                "%s cannot be read: its memory was given back (mg_keep before backward keeps it)",
                t->name ? t->name : "a tensor");
        return;
    }
    bool here = t->is_parameter && !t->mirror;
    mg_memory_read(here ? NULL : ctx->memory, host, from, bytes_of(ctx, &t->shape));
}

/* Memory ran out against a limit: the message names what was being made and what is large. */
static void report_exhausted(mg_context *ctx, mg_arena *arena, size_t bytes, const char *label) {
    const double mib = 1048576.0;
    mg_arena_block largest = {"nothing", 0};
    mg_arena_largest(arena, &largest, 1);
    const char *device = ctx->memory ? ctx->memory->failure(false) : NULL;
    /* The arena's peak includes what a dry run before the first step went up to. */
    mg_fail(
        &ctx->error, MG_ERR_MEMORY,
        "out of memory: %s needs %.1f MiB more beside %.1f MiB in use (predicted peak %.1f MiB; "
        "largest: %s, %.1f MiB); use a smaller batch or size, more frozen stages, or "
        "recomputation%s%s",
        label ? label : "a tensor", (double)bytes / mib, (double)mg_arena_used(arena) / mib,
        (double)mg_arena_peak(arena) / mib, largest.label, (double)largest.bytes / mib,
        device ? "; " : "", device ? device : "");
}

void *mg_step_alloc(mg_context *ctx, size_t bytes, const char *label) {
    mg_arena_set_dry(ctx->step, ctx->dry_run);
    void *p = mg_arena_alloc(ctx->step, bytes, label);
    if (!p) report_exhausted(ctx, ctx->step, bytes, label);
    return p;
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

static bool usable_shape(mg_context *ctx, const char *name, const mg_shape *shape) {
    if (mg_shape_valid(shape)) return true;
    char text[96];
    mg_fail(&ctx->error, MG_ERR_SHAPE, "%s: %s is no usable shape", name ? name : "a tensor",
            mg_shape_text(shape, text, sizeof text));
    return false;
}

mg_tensor *mg_tensor_new(mg_context *ctx, mg_shape shape, const char *name) {
    if (!usable_shape(ctx, name, &shape)) return NULL;
    mg_tensor *t = new_header(ctx, ctx->headers, shape, name);
    if (!t) return NULL;
    t->data = mg_step_alloc(ctx, bytes_of(ctx, &shape), name);
    return t->data ? t : NULL;
}

mg_tensor *mg_parameter(mg_context *ctx, const char *name, mg_shape shape, bool requires_grad) {
    if (ctx->error.code || !usable_shape(ctx, name, &shape)) return NULL;
    mg_tensor *t = new_header(ctx, ctx->model, shape, name);
    if (!t) return NULL;
    t->is_leaf = t->is_parameter = true;
    t->requires_grad = requires_grad;
    t->data = mg_arena_alloc(ctx->model, bytes_of(ctx, &shape), name);
    if (requires_grad) t->grad = mg_arena_alloc(ctx->model, bytes_of(ctx, &shape), name);
    if (!t->data || (requires_grad && !t->grad)) {
        report_exhausted(ctx, ctx->model, bytes_of(ctx, &shape), name);
        return NULL;
    }
    memset(t->data, 0, bytes_of(ctx, &shape));
    if (t->grad && !ctx->memory) memset(t->grad, 0, bytes_of(ctx, &shape));
    t->next_parameter = ctx->parameters;
    mg_context_to_host(ctx); /* all are sent again, and steps may have been made on the device */
    ctx->parameters = t;
    ctx->host_newer = true;
    return t;
}

mg_tensor *mg_input(mg_context *ctx, const char *name, mg_shape shape, const float *data) {
    if (ctx->error.code) return NULL;
    mg_tensor *t = mg_tensor_new(ctx, shape, name);
    if (!t) return NULL;
    t->is_leaf = true;
    if (!data || ctx->dry_run) return t;
    int64_t n = mg_shape_elements(&shape);
    if (ctx->memory) {
        ctx->memory->write(t->data, data, (size_t)n * sizeof *data);
    } else if (ctx->dtype == MG_F64) {
        for (int64_t i = 0; i < n; i++) ((double *)t->data)[i] = (double)data[i];
    } else {
        memcpy(t->data, data, (size_t)n * sizeof *data);
    }
    return t;
}

mg_tensor *mg_input_levels(mg_context *ctx, const char *name, mg_shape shape,
                           const uint16_t *levels, const mg_imaging_augment *how) {
    mg_tensor *t = mg_input(ctx, name, shape, NULL);
    if (!t) return NULL;
    const mg_device_imaging *imaging = ctx->plugin->imaging;
    size_t n = (size_t)mg_shape_elements(&shape), each = n / (size_t)shape.dim[0];
    uint16_t *sent = mg_step_alloc(ctx, n * sizeof *sent, name);
    void *scratch = mg_step_alloc(ctx, imaging->augment_scratch, name);
    if (!sent || !scratch) return NULL;
    if (levels && !ctx->dry_run) {
        ctx->memory->write(sent, levels, n * sizeof *sent);
        for (int64_t i = 0; i < shape.dim[0]; i++)
            imaging->augment(&how[i], sent + (size_t)i * each, (uint32_t)shape.dim[1],
                             (uint32_t)shape.dim[2], scratch, (float *)t->data + (size_t)i * each);
    }
    mg_arena_free(ctx->step, scratch); /* the device works in order */
    mg_arena_free(ctx->step, sent);
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
