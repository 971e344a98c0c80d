#include "optim/ema.h"

#include <stdlib.h>

typedef struct pair {
    mg_tensor *parameter, *shadow;
} pair;

struct mg_ema {
    double decay;
    int64_t steps;
    mg_context *ctx; /* of the parameters */
    pair *pairs;
    int count, room;
};

mg_ema *mg_ema_create(double decay) {
    mg_ema *ema = calloc(1, sizeof *ema);
    if (ema) ema->decay = decay;
    return ema;
}

void mg_ema_destroy(mg_ema *ema) {
    if (!ema) return;
    free(ema->pairs);
    free(ema);
}

mg_status mg_ema_add(mg_ema *ema, mg_context *ctx, mg_tensor *t) {
    if (ema->count == ema->room) {
        int room = ema->room ? 2 * ema->room : 64;
        pair *pairs = realloc(ema->pairs, (size_t)room * sizeof *pairs);
        if (!pairs) return mg_fail(&ctx->error, MG_ERR_MEMORY, "moving average: out of memory");
        ema->pairs = pairs;
        ema->room = room;
    }
    mg_tensor *shadow = mg_parameter(ctx, "moving average", t->shape, false);
    if (!shadow) return ctx->error.code;
    int64_t n = mg_shape_elements(&t->shape);
    for (int64_t i = 0; i < n; i++) ((float *)shadow->data)[i] = ((const float *)t->data)[i];
    ema->ctx = ctx;
    ema->pairs[ema->count++] = (pair){t, shadow};
    return MG_OK;
}

/* One launch; nothing is copied or waited for. */
static void update_on_device(const mg_ema *ema, float kept) {
    mg_context *ctx = ema->ctx;
    if (!mg_context_to_device(ctx)) return; /* said in ctx->error */
    mg_update_tensor *all = calloc((size_t)ema->count, sizeof *all);
    if (!all) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "moving average: out of memory");
        return;
    }
    for (int k = 0; k < ema->count; k++)
        all[k] = (mg_update_tensor){.w = ema->pairs[k].shadow->mirror,
                                    .grad = ema->pairs[k].parameter->mirror,
                                    .n = mg_shape_elements(&ema->pairs[k].shadow->shape)};
    ctx->plugin->average(all, ema->count, kept);
    mg_context_device_changed(ctx);
    free(all);
}

void mg_ema_update(mg_ema *ema) {
    double warm = (1.0 + (double)ema->steps) / (10.0 + (double)ema->steps);
    float d = (float)(warm < ema->decay ? warm : ema->decay), rest = 1 - d;
    ema->steps++;
    if (!ema->count) return;
    if (ema->ctx->plugin) {
        update_on_device(ema, d);
        return;
    }
    for (int k = 0; k < ema->count; k++) {
        float *shadow = ema->pairs[k].shadow->data;
        const float *w = ema->pairs[k].parameter->data;
        int64_t n = mg_shape_elements(&ema->pairs[k].shadow->shape);
        for (int64_t i = 0; i < n; i++) shadow[i] = d * shadow[i] + rest * w[i];
    }
}

void mg_ema_swap(mg_ema *ema) {
    if (!ema->count) return;
    mg_context_to_host(ema->ctx);
    mg_context_host_changed(ema->ctx);
    for (int k = 0; k < ema->count; k++) {
        float *a = ema->pairs[k].shadow->data, *b = ema->pairs[k].parameter->data;
        int64_t n = mg_shape_elements(&ema->pairs[k].shadow->shape);
        for (int64_t i = 0; i < n; i++) {
            float t = a[i];
            a[i] = b[i];
            b[i] = t;
        }
    }
}

int mg_ema_count(const mg_ema *ema) { return ema->count; }
mg_tensor *mg_ema_shadow(const mg_ema *ema, int i) { return ema->pairs[i].shadow; }
int64_t *mg_ema_steps(mg_ema *ema) { return &ema->steps; }
