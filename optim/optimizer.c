#include "optim/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optim/device_update.h"

/* Elements per chunk of the update loops: fixed, so that the norm's sum order is too. */
enum { CHUNK = 1 << 15 };

mg_optimizer *mg_optimizer_create(const mg_optimizer_options *options) {
    mg_optimizer *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->options = *options;
    if (o->options.beta1 == 0) o->options.beta1 = 0.9;
    if (o->options.beta2 == 0) o->options.beta2 = 0.999;
    if (o->options.eps == 0) o->options.eps = 1e-8;
    mg_optimizer_add_group(o, 1, -1);
    return o;
}

void mg_optimizer_destroy(mg_optimizer *o) {
    if (!o) return;
    free(o->entry);
    free(o->partial);
    free(o);
}

int mg_optimizer_add_group(mg_optimizer *o, double lr_scale, double weight_decay) {
    if (o->groups == MG_OPTIMIZER_MAX_GROUPS) return -1;
    o->group[o->groups] = (mg_optimizer_group){lr_scale, weight_decay};
    return o->groups++;
}

mg_status mg_optimizer_add(mg_optimizer *o, mg_context *ctx, mg_tensor *parameter, int group) {
    if (!parameter || !parameter->requires_grad) return MG_OK;
    if (parameter->dtype != MG_F32)
        return mg_fail(&ctx->error, MG_ERR_ARG, "optimizer: %s is not f32", parameter->name);
    if (group < 0 || group >= o->groups)
        return mg_fail(&ctx->error, MG_ERR_ARG, "optimizer: there is no group %d for %s", group,
                       parameter->name);
    if (o->entries == o->room) {
        int room = o->room ? 2 * o->room : 64;
        mg_optimizer_entry *entry = calloc((size_t)room, sizeof *entry);
        if (!entry) return mg_fail(&ctx->error, MG_ERR_MEMORY, "optimizer: out of memory");
        if (o->entries) memcpy(entry, o->entry, (size_t)o->entries * sizeof *entry);
        free(o->entry);
        o->entry = entry;
        o->room = room;
    }
    int64_t chunks = (mg_shape_elements(&parameter->shape) + CHUNK - 1) / CHUNK;
    double *partial = realloc(o->partial, (size_t)(o->chunks + chunks) * sizeof *partial);
    if (!partial) return mg_fail(&ctx->error, MG_ERR_MEMORY, "optimizer: out of memory");
    o->partial = partial;
    o->ctx = ctx;
    mg_optimizer_entry *e = &o->entry[o->entries];
    *e = (mg_optimizer_entry){.parameter = parameter, .group = group, .first_chunk = o->chunks};
    snprintf(e->first_name, sizeof e->first_name, "optimizer.first.%s", parameter->name);
    snprintf(e->second_name, sizeof e->second_name, "optimizer.second.%s", parameter->name);
    bool adam = o->options.kind != MG_SGD;
    if (adam || o->options.momentum != 0)
        e->first = mg_parameter(ctx, "optimizer state", parameter->shape, false);
    if (adam) e->second = mg_parameter(ctx, "optimizer state", parameter->shape, false);
    if (ctx->error.code) return ctx->error.code;
    o->entries++;
    o->chunks += chunks;
    return MG_OK;
}

/* --- loops over all elements, cut into (entry, chunk) pairs ---------------------------------- */

typedef struct sweep {
    mg_optimizer *o;
    double factor;
    void (*body)(struct sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end, int64_t chunk);
} sweep;

static void sweep_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    sweep *s = arg;
    int low = 0, high = s->o->entries - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (s->o->entry[middle].first_chunk <= chunk) low = middle;
        else high = middle - 1;
    }
    mg_optimizer_entry *e = &s->o->entry[low];
    int64_t n = mg_shape_elements(&e->parameter->shape);
    int64_t begin = (chunk - e->first_chunk) * CHUNK, end = begin + CHUNK;
    s->body(s, e, begin, end < n ? end : n, chunk);
}

static void run_sweep(sweep *s, mg_pool *pool) {
    mg_parallel_for(pool, s->o->chunks, sweep_chunk, s);
}

static void sgd_chunk(sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end, int64_t chunk) {
    (void)chunk;
    const mg_optimizer_options *p = &s->o->options;
    const mg_optimizer_group *g = &s->o->group[e->group];
    float lr = (float)(p->lr * g->lr_scale), momentum = (float)p->momentum;
    float decay = (float)(g->weight_decay < 0 ? p->weight_decay : g->weight_decay);
    float *w = e->parameter->data, *b = e->first ? e->first->data : NULL;
    const float *grad = e->parameter->grad;
    bool fresh = s->o->steps == 1; /* torch starts the buffer with the first gradient itself */
    for (int64_t i = begin; i < end; i++) {
        float d = decay != 0 ? grad[i] + decay * w[i] : grad[i];
        if (b) d = b[i] = fresh ? d : momentum * b[i] + d;
        w[i] -= lr * d;
    }
}

static void adam_chunk(sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end, int64_t chunk) {
    (void)chunk;
    const mg_optimizer_options *p = &s->o->options;
    const mg_optimizer_group *g = &s->o->group[e->group];
    double lr = p->lr * g->lr_scale, t = (double)s->o->steps;
    double decay = g->weight_decay < 0 ? p->weight_decay : g->weight_decay;
    float step = (float)(lr / (1 - pow(p->beta1, t)));
    float root = (float)sqrt(1 - pow(p->beta2, t));
    float b1 = (float)p->beta1, b2 = (float)p->beta2, eps = (float)p->eps;
    float c1 = (float)(1 - p->beta1), c2 = (float)(1 - p->beta2);
    float shrink = p->kind == MG_ADAMW ? (float)(1 - lr * decay) : 1;
    float l2 = p->kind == MG_ADAM ? (float)decay : 0;
    float *w = e->parameter->data, *m = e->first->data, *v = e->second->data;
    const float *grad = e->parameter->grad;
    for (int64_t i = begin; i < end; i++) {
        float d = grad[i] + l2 * w[i];
        m[i] = b1 * m[i] + c1 * d;
        v[i] = b2 * v[i] + c2 * d * d;
        w[i] = w[i] * shrink - step * m[i] / (sqrtf(v[i]) / root + eps);
    }
}

void mg_optimizer_step(mg_optimizer *o, mg_pool *pool) {
    o->steps++;
    if (mg_update_on_device(o)) {
        mg_device_step(o);
        return;
    }
    sweep s = {.o = o, .body = o->options.kind == MG_SGD ? sgd_chunk : adam_chunk};
    run_sweep(&s, pool);
}

static void zero_chunk(sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end, int64_t chunk) {
    (void)s, (void)chunk;
    memset((float *)e->parameter->grad + begin, 0, (size_t)(end - begin) * sizeof(float));
}

void mg_optimizer_zero_grad(mg_optimizer *o, mg_pool *pool) {
    if (mg_update_on_device(o)) {
        mg_device_zero_grad(o);
        return;
    }
    sweep s = {.o = o, .body = zero_chunk};
    run_sweep(&s, pool);
}

static void scale_chunk(sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end,
                        int64_t chunk) {
    (void)chunk;
    float *grad = e->parameter->grad, factor = (float)s->factor;
    for (int64_t i = begin; i < end; i++) grad[i] *= factor;
}

void mg_optimizer_scale_grad(mg_optimizer *o, mg_pool *pool, double factor) {
    if (mg_update_on_device(o)) {
        mg_device_scale_grad(o, factor);
        return;
    }
    sweep s = {.o = o, .body = scale_chunk, .factor = factor};
    run_sweep(&s, pool);
}

static void norm_chunk(sweep *s, mg_optimizer_entry *e, int64_t begin, int64_t end, int64_t chunk) {
    const float *grad = e->parameter->grad;
    double sum = 0;
    for (int64_t i = begin; i < end; i++) sum += (double)grad[i] * (double)grad[i];
    s->o->partial[chunk] = sum;
}

double mg_optimizer_grad_norm(const mg_optimizer *o, mg_pool *pool) {
    if (mg_update_on_device(o)) return mg_device_grad_norm(o);
    sweep s = {.o = (mg_optimizer *)o, .body = norm_chunk};
    run_sweep(&s, pool);
    double sum = 0;
    for (int64_t i = 0; i < o->chunks; i++) sum += o->partial[i];
    return sqrt(sum);
}

mg_status mg_optimizer_clip(mg_optimizer *o, mg_pool *pool, double max_norm, double *norm,
                            mg_error *err) {
    double n = mg_optimizer_grad_norm(o, pool);
    if (norm) *norm = n;
    if (!isfinite(n))
        return mg_fail(err, MG_ERR_NUMERIC, "the gradient is not finite; lower the learning rate");
    double factor = max_norm / (n + 1e-6);
    if (max_norm > 0 && factor < 1) mg_optimizer_scale_grad(o, pool, factor);
    return MG_OK;
}
