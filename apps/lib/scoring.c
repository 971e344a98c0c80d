#include "apps/lib/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/lib/batch_input.h"
#include "apps/lib/interrupt.h"
#include "apps/lib/progress.h"

static float *read_tensor(mg_context *ctx, const mg_tensor *t) {
    float *copy = malloc((size_t)mg_shape_elements(&t->shape) * sizeof *copy);
    if (copy) mg_tensor_read(ctx, t, copy);
    return copy;
}

/* logits and values (of features, may be NULL) in ordinary memory. */
static mg_status hand_out(const mg_scoring *s, const mg_batch *batch, const mg_tensor *features,
                          const float *logits, const float *values, mg_error *err) {
    for (int i = 0; i < batch->count; i++) {
        mg_scored one = {.image = batch->image[i],
                         .item = batch->item[i],
                         .logit = logits[i],
                         .geometry = batch->geometry ? &batch->geometry[i] : NULL};
        if (!isfinite(one.logit))
            return mg_fail(err, MG_ERR_NUMERIC,
                           "the network gives no number for %s; are its weights damaged?",
                           s->loader.manifest->image[one.image].path);
        if (values) {
            const int64_t *d = features->shape.dim;
            one.feature_height = d[1], one.feature_width = d[2], one.feature_channels = d[3];
            one.features = values + i * d[1] * d[2] * d[3];
        }
        if (!s->on_image(s->arg, &one))
            return mg_fail(err, MG_ERR_INTERRUPTED, "stopped on request");
    }
    return MG_OK;
}

static mg_status score_batch(const mg_scoring *s, const mg_batch *batch, mg_error *err) {
    mg_context *ctx = s->ctx;
    mg_tensor *features = NULL;
    mg_tensor *x = mg_batch_input(ctx, s->card, batch, 0, batch->count, batch->levels);
    mg_tensor *logits =
        mg_efficientnet_forward(ctx, s->net, x, false, s->want_features ? &features : NULL);
    if (!logits) return mg_fail(err, ctx->error.code, "%s", ctx->error.message);
    /* The device works in order: what the network computed is there once it was read. */
    float *z = read_tensor(ctx, logits), *f = features ? read_tensor(ctx, features) : NULL;
    mg_status status = MG_OK;
    if (!z || (features && !f)) status = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    if (!status) status = hand_out(s, batch, features, z, f, err);
    free(z);
    free(f);
    return status;
}
mg_status mg_score(const mg_scoring *s, mg_error *err) {
    mg_loader_options options = s->loader;
    options.levels = mg_batch_on_device(s->ctx, s->card, options.augment);
    mg_loader *loader = mg_loader_start(&options, err);
    if (!loader) return err ? err->code : MG_ERR_MEMORY;
    bool recording = s->ctx->recording;
    s->ctx->recording = false;
    mg_progress bar;
    mg_progress_start(&bar, s->progress ? s->progress : "", s->loader.plan->item_count);
    const mg_batch *batch = NULL;
    mg_status status = MG_OK;
    int64_t done = 0;
    while (!(status = mg_loader_next(loader, &batch, err)) && batch) {
        for (int i = 0; i < batch->bad_count && s->on_bad; i++) s->on_bad(s->arg, &batch->bad[i]);
        if (batch->count && (status = score_batch(s, batch, err))) break;
        mg_step_reset(s->ctx, false);
        done += batch->count + batch->bad_count;
        char detail[64];
        snprintf(detail, sizeof detail, "%.1f images/s", (double)done / (mg_clock() - bar.started));
        if (s->progress) mg_progress_update(&bar, done, detail);
        if (mg_interrupted() && (status = mg_fail(err, MG_ERR_INTERRUPTED, "interrupted"))) break;
    }
    if (s->progress) mg_progress_clear(&bar);
    mg_step_reset(s->ctx, false);
    mg_loader_stop(loader);
    s->ctx->recording = recording;
    return status;
}
