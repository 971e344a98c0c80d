/* trainer.c: steps, epochs, validation. */
#include "apps/lib/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/lib/batch_input.h"
#include "apps/lib/interrupt.h"
#include "apps/lib/progress.h"
#include "apps/lib/scoring.h"
#include "data/metrics.h"

enum { MOST_PARTS = 4096 }; /* of a batch beyond --accumulate: 512 images each */

mg_status mg_trainer_plan_epoch(const mg_trainer *t, int64_t epoch, mg_plan *out, mg_error *err) {
    int32_t draws = mg_train.draws ? (int32_t)mg_train.draws : t->group_count[0];
    int32_t *drawn = malloc((size_t)draws * sizeof *drawn);
    if (!drawn) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_sampling sampling = mg_train.class_weight ? MG_SAMPLE_SHUFFLE : MG_SAMPLE_BALANCED;
    mg_status s = mg_sampler_draw(&t->manifest, t->groups[0], t->group_count[0], sampling,
                                  (uint64_t)mg_train.seed, (uint32_t)epoch, drawn, draws, err);
    if (!s) s = mg_plan_groups(&t->manifest, drawn, draws, (int32_t)mg_train.batch_ids, out, err);
    free(drawn);
    return s;
}

/* Adds the step's mean loss times its images to the epoch's sum. */
static mg_status count_loss(mg_trainer *t, double sum, int images, int64_t step, mg_error *err) {
    double loss = sum / images;
    if (!isfinite(loss))
        return mg_fail(err, MG_ERR_NUMERIC,
                       "the loss is no longer a number at step %lld (epoch %lld); the last good "
                       "checkpoint is kept: start again from it with a lower --lr, or --clip 1",
                       (long long)step, (long long)t->state.epoch + 1);
    t->state.loss_sum += loss * images;
    return MG_OK;
}

mg_status mg_trainer_settle(mg_trainer *t, mg_error *err) {
    mg_late_loss *late = &t->late;
    if (!late->total) {
        late->parts = 0; /* of a step that failed */
        return MG_OK;
    }
    float *loss = malloc((size_t)late->parts * sizeof *loss);
    if (!loss) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    t->ctx->memory->read(loss, late->device, (size_t)late->parts * sizeof *loss);
    double sum = 0;
    for (int i = 0; i < late->parts; i++) sum += (double)loss[i] * late->images[i];
    free(loss);
    int total = late->total;
    late->parts = late->total = 0;
    const char *failure = t->ctx->memory->failure(false);
    if (failure) return mg_fail(err, MG_ERR_MEMORY, "%s", failure);
    return count_loss(t, sum, total, late->step, err);
}

/* Keeps a part's loss on the device. */
static mg_status keep_loss(mg_trainer *t, const mg_tensor *loss, int images, mg_error *err) {
    mg_late_loss *late = &t->late;
    if (!late->device) {
        late->room = (int)mg_train.accumulate + MOST_PARTS;
        late->device = t->ctx->memory->alloc((size_t)late->room * sizeof *late->device, "losses");
        late->images = calloc((size_t)late->room, sizeof *late->images);
        if (!late->device || !late->images) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    }
    MG_ASSERT(late->parts < late->room);
    t->ctx->memory->copy(late->device + late->parts, loss->data, sizeof *late->device);
    late->images[late->parts++] = images;
    return MG_OK;
}

/* Forward and backward of images first … first+count-1 of the batch; adds count/total of the mean
 * gradient, so that the parts of a batch sum to the whole. */
static mg_status part_of_step(mg_trainer *t, const mg_batch *batch, int first, int count,
                              double *loss_sum, mg_error *err) {
    mg_context *ctx = t->ctx;
    bool levels = mg_batch_on_device(ctx, &t->card, mg_trainer_augment(t));
    float target[512], weight[512];
    MG_ASSERT(count <= 512);
    for (int i = 0; i < count; i++) {
        int cancer = t->manifest.image[batch->image[first + i]].cancer == 1;
        target[i] = (float)cancer;
        weight[i] = t->class_weight[cancer];
    }
    ctx->sample_base = (uint32_t)first;
    mg_tensor *x = mg_batch_input(ctx, &t->card, batch, first, count, levels);
    if (!first && !ctx->dry_run && mg_trainer_settle(t, err)) return err->code;
    mg_tensor *y = mg_input(ctx, "targets", (mg_shape)MG_SHAPE(count, 1), target);
    mg_tensor *w = mg_train.class_weight
                       ? mg_input(ctx, "weights", (mg_shape)MG_SHAPE(count, 1), weight)
                       : NULL;
    mg_tensor *logits = mg_efficientnet_forward(ctx, t->net, x, true, NULL);
    mg_tensor *loss = mg_keep(mg_bce_with_logits(ctx, logits, y, w, 0));
    float share = (float)count / (float)batch->count;
    mg_backward_from(ctx, loss, &share);
    if (ctx->error.code) return mg_fail(err, ctx->error.code, "%s", ctx->error.message);
    mg_status s = MG_OK;
    if (ctx->memory && !ctx->dry_run) {
        s = keep_loss(t, loss, count, err);
    } else if (!ctx->dry_run) {
        float value = 0;
        mg_tensor_read(ctx, loss, &value);
        *loss_sum += (double)value * count;
    }
    mg_step_reset(ctx, false);
    return s;
}

mg_status mg_trainer_step(mg_trainer *t, const mg_batch *batch, mg_error *err) {
    int parts = (int)mg_train.accumulate;
    int size = (batch->count + parts - 1) / parts;
    if (size > 512) size = 512;
    double sum = 0;
    t->ctx->step_number = (uint32_t)t->state.step;
    if (!t->ctx->dry_run) mg_optimizer_zero_grad(t->optimizer, t->pool);
    for (int first = 0; first < batch->count; first += size) {
        int count = batch->count - first < size ? batch->count - first : size;
        mg_status s = part_of_step(t, batch, first, count, &sum, err);
        if (s) return s;
    }
    if (t->ctx->dry_run) return MG_OK;
    if (t->ctx->memory) {
        t->late.total = batch->count;
        t->late.step = t->state.step;
    } else {
        mg_status s = count_loss(t, sum, batch->count, t->state.step, err);
        if (s) return s;
    }
    if (mg_train.clip > 0) { /* which waits for the gradients' norm, so the loss is there, too */
        mg_status s = mg_trainer_settle(t, err);
        if (!s) s = mg_optimizer_clip(t->optimizer, t->pool, mg_train.clip, NULL, err);
        if (s) return s;
    }
    t->optimizer->options.lr = t->state.lr;
    mg_optimizer_step(t->optimizer, t->pool);
    if (t->ema) mg_ema_update(t->ema);
    t->state.step++;
    return MG_OK;
}

static void note_bad(void *arg, const mg_bad_item *bad) {
    mg_trainer *t = arg;
    const mg_manifest_image *image = &t->manifest.image[bad->image];
    mg_trainer_say(t, "skipped %s_%s: %s", image->patient_id, image->image_id, bad->reason);
}

/* Trains on the rest of the epoch. */
static mg_status train_epoch(mg_trainer *t, mg_error *err) {
    mg_run_state *state = &t->state;
    mg_plan plan = {0};
    mg_status s = mg_trainer_plan_epoch(t, state->epoch, &plan, err);
    if (s) return s;
    mg_loader_options options = mg_trainer_loader(t, &plan);
    options.augment = mg_trainer_augment(t);
    options.levels = mg_batch_on_device(t->ctx, &t->card, options.augment);
    options.epoch = (uint32_t)state->epoch;
    options.first_batch = (int32_t)state->next_batch;
    mg_loader *loader = mg_loader_start(&options, err);
    if (!loader) s = err->code;
    char label[32];
    snprintf(label, sizeof label, "epoch %lld/%lld", (long long)state->epoch + 1,
             (long long)mg_train.epochs);
    mg_progress bar;
    mg_progress_start(&bar, label, plan.batch_count);
    int64_t done_before = state->images;
    const mg_batch *batch = NULL;
    while (!s && !(s = mg_loader_next(loader, &batch, err)) && batch) {
        mg_progress_clear(&bar);
        for (int i = 0; i < batch->bad_count; i++) note_bad(t, &batch->bad[i]);
        if (batch->count && (s = mg_trainer_step(t, batch, err))) break;
        state->images += batch->count;
        state->bad += batch->bad_count;
        state->next_batch = batch->index + 1;
        mg_loader_statistics how;
        mg_loader_get_statistics(loader, &how);
        char detail[128];
        int64_t counted = state->images - t->late.total;
        snprintf(detail, sizeof detail, "loss %.4f  %.1f images/s  wait %.0f%%",
                 state->loss_sum / (double)(counted ? counted : 1),
                 (double)(state->images - done_before) / (mg_clock() - bar.started),
                 100 * how.waiting / (how.elapsed > 0 ? how.elapsed : 1));
        mg_progress_update(&bar, state->next_batch, detail);
        bool last = state->next_batch == plan.batch_count;
        if (mg_interrupted()) {
            if (!(s = mg_trainer_settle(t, err))) s = mg_trainer_save_last(t, err);
            if (!s) s = mg_fail(err, MG_ERR_INTERRUPTED, "interrupted; --resume goes on from here");
        } else if (!last && mg_train.checkpoint_steps &&
                   state->step % mg_train.checkpoint_steps == 0) {
            if (!(s = mg_trainer_settle(t, err))) s = mg_trainer_save_last(t, err);
        }
    }
    if (!s) s = mg_trainer_settle(t, err);
    mg_progress_clear(&bar);
    double seconds = mg_clock() - bar.started;
    if (!s && state->images > done_before)
        mg_trainer_say(t, "epoch %lld: %lld images in %.1f s, %.2f images/s",
                       (long long)state->epoch + 1, (long long)(state->images - done_before),
                       seconds, (double)(state->images - done_before) / seconds);
    mg_loader_stop(loader);
    mg_plan_free(&plan);
    if (!s && !state->images)
        s = mg_fail(err, MG_ERR_IO, "not one training image could be read; see the reasons above");
    return s;
}

typedef struct tally {
    mg_trainer *t;
    double *probability;
    uint8_t *label;
    size_t count;
    double loss;
} tally;

static bool add_score(void *arg, const mg_scored *one) {
    tally *c = arg;
    int cancer = c->t->manifest.image[one->image].cancer == 1;
    double z = (double)one->logit;
    c->loss += fmax(z, 0) - z * cancer + log1p(exp(-fabs(z)));
    c->probability[c->count] = 1 / (1 + exp(-z));
    c->label[c->count++] = (uint8_t)cancer;
    return true;
}

static void note_bad_score(void *arg, const mg_bad_item *bad) { note_bad(((tally *)arg)->t, bad); }

static mg_status validate(mg_trainer *t, double *loss, mg_metrics *metrics, mg_error *err) {
    int32_t n = t->validation_plan.item_count;
    tally c = {.t = t};
    *metrics = (mg_metrics){0};
    for (int i = 0; i < MG_METRIC_COUNT; i++) metrics->value[i] = NAN;
    *loss = NAN;
    if (!n) return MG_OK;
    c.probability = malloc((size_t)n * sizeof *c.probability);
    c.label = malloc((size_t)n);
    if (!c.probability || !c.label) {
        free(c.probability);
        free(c.label);
        return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    }
    if (t->ema) mg_ema_swap(t->ema);
    mg_efficientnet_fold(t->ctx, t->net, t->net->options.first_trained, MG_STAGE_CLASSIFIER);
    mg_scoring scoring = {.ctx = t->ctx,
                          .net = t->net,
                          .card = &t->card,
                          .loader = mg_trainer_loader(t, &t->validation_plan),
                          .on_image = add_score,
                          .on_bad = note_bad_score,
                          .arg = &c,
                          .progress = "validation"};
    mg_status s = mg_score(&scoring, err);
    if (t->ema) mg_ema_swap(t->ema);
    if (!s && c.count) {
        *loss = c.loss / (double)c.count;
        mg_eval_set set = {.count = c.count, .probability = c.probability, .label = c.label};
        s = mg_metrics_compute(&set, &(mg_metric_options){.threshold = 0.5}, metrics, err);
    }
    free(c.probability);
    free(c.label);
    return s;
}

static mg_status write_epoch(mg_trainer *t, double train_loss, double loss, const mg_metrics *m,
                             mg_error *err) {
    const mg_run_state *state = &t->state;
    int64_t epoch = state->epoch + 1;
    double values[] = {(double)epoch,
                       train_loss,
                       loss,
                       m->value[MG_METRIC_PRECISION],
                       m->value[MG_METRIC_RECALL],
                       m->value[MG_METRIC_F1],
                       m->value[MG_METRIC_ROC_AUC],
                       state->lr,
                       (double)state->images,
                       (double)state->bad};
    mg_status s = mg_metrics_csv_append(t->csv, values, err);
    double now = (double)time(NULL);
    if (!s) s = mg_events_scalar(t->events, "loss/train", epoch, train_loss, now, err);
    if (!s) s = mg_events_scalar(t->events, "loss/validation", epoch, loss, now, err);
    if (!s) s = mg_events_scalar(t->events, "validation/f1", epoch, values[5], now, err);
    if (!s) s = mg_events_scalar(t->events, "validation/roc_auc", epoch, values[6], now, err);
    if (!s) s = mg_events_scalar(t->events, "learning_rate", epoch, state->lr, now, err);
    return s ? s : mg_events_flush(t->events, err);
}

/* True when the epochs asked for are done, which may be fewer than before the run was resumed. */
static bool finish_at_limit(mg_trainer *t) {
    if (t->state.epoch < mg_train.epochs) return false;
    t->state.finished = true;
    snprintf(t->stop_reason, sizeof t->stop_reason, "all %lld epochs done",
             (long long)mg_train.epochs);
    return true;
}

/* After the epoch's validation: best weights, schedule, state. */
static mg_status close_epoch(mg_trainer *t, double train_loss, double loss, const mg_metrics *m,
                             mg_error *err) {
    mg_run_state *state = &t->state;
    mg_status s = write_epoch(t, train_loss, loss, m, err);
    double watched = isnan(loss) ? train_loss : loss; /* nothing to validate: watch training */
    bool best = watched < state->best_loss;
    if (!s && best) {
        state->best_loss = watched;
        state->best_epoch = state->epoch + 1;
        t->card.best_epoch = (int)state->best_epoch;
        t->card.validation_loss = loss;
        if (t->ema) mg_ema_swap(t->ema);
        s = mg_trainer_save_best(t, err);
        if (t->ema) mg_ema_swap(t->ema);
    }
    if (s) return s;
    char validation[96] = "no validation loss";
    if (!isnan(loss))
        snprintf(validation, sizeof validation, "validation loss %.4f, F1 %.3f, AUC %.3f", loss,
                 m->value[MG_METRIC_F1], m->value[MG_METRIC_ROC_AUC]);
    mg_trainer_say(t, "epoch %lld: train loss %.4f, %s, lr %.2g%s", (long long)state->epoch + 1,
                   train_loss, validation, state->lr, best ? "  (best so far)" : "");
    state->lr = mg_plateau_step(&state->plateau, watched, state->lr);
    bool stop = mg_early_stop_step(&state->stop, watched);
    state->epoch++;
    state->next_batch = 0;
    state->loss_sum = 0;
    state->images = state->bad = 0;
    if (stop) {
        state->finished = true;
        snprintf(t->stop_reason, sizeof t->stop_reason, "no improvement by %g for %d epochs",
                 state->stop.min_delta, state->stop.patience);
    } else {
        finish_at_limit(t);
    }
    return mg_trainer_save_last(t, err);
}

mg_status mg_trainer_run(mg_trainer *t, mg_error *err) {
    mg_status s = MG_OK;
    if (t->state.finished && t->state.epoch < mg_train.epochs &&
        t->state.stop.waited < t->state.stop.patience)
        t->state.finished = false; /* resumed with more --epochs */
    if (!t->state.finished && finish_at_limit(t)) s = mg_trainer_save_last(t, err);
    while (!s && !t->state.finished) {
        s = train_epoch(t, err);
        if (s) break;
        double loss = NAN, train_loss = t->state.loss_sum / (double)t->state.images;
        mg_metrics metrics;
        s = validate(t, &loss, &metrics, err);
        if (s == MG_ERR_INTERRUPTED) {
            /* The epoch's training is done and kept; validation is repeated on resuming. */
            mg_status saved = mg_trainer_save_last(t, NULL);
            if (saved) return saved;
        }
        if (!s) s = close_epoch(t, train_loss, loss, &metrics, err);
    }
    return s;
}
