/* trainer_find_lr.c: the learning-rate range test. Weights, running statistics, optimizer and
 * state are put back afterwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/batch_input.h"
#include "apps/lib/interrupt.h"
#include "apps/lib/progress.h"
#include "apps/lib/trainer.h"

/* A copy of every tensor that a step can change. */
typedef struct snapshot {
    mg_tensor **tensor;
    void **data;
    int count;
} snapshot;

static bool snapshot_add(snapshot *s, mg_tensor *t) {
    if (!t) return true;
    size_t bytes = (size_t)mg_shape_elements(&t->shape) * sizeof(float);
    void *copy = malloc(bytes);
    if (!copy) return false;
    memcpy(copy, t->data, bytes);
    s->tensor[s->count] = t;
    s->data[s->count++] = copy;
    return true;
}

static bool snapshot_take(snapshot *s, const mg_trainer *t) {
    size_t room = (size_t)(t->net->parameters + 2 * t->optimizer->entries +
                           (t->ema ? mg_ema_count(t->ema) : 0) + 1);
    mg_context_to_host(t->ctx);
    *s = (snapshot){calloc(room, sizeof(mg_tensor *)), calloc(room, sizeof(void *)), 0};
    bool ok = s->tensor && s->data;
    for (int k = 0; k < t->net->parameters && ok; k++)
        if (t->net->parameter[k].stage >= t->net->options.first_trained)
            ok = snapshot_add(s, t->net->parameter[k].tensor);
    for (int i = 0; i < t->optimizer->entries && ok; i++)
        ok = snapshot_add(s, t->optimizer->entry[i].first) &&
             snapshot_add(s, t->optimizer->entry[i].second);
    for (int i = 0; t->ema && i < mg_ema_count(t->ema) && ok; i++)
        ok = snapshot_add(s, mg_ema_shadow(t->ema, i));
    return ok;
}

static void snapshot_restore(snapshot *s) {
    for (int i = 0; i < s->count; i++) {
        size_t bytes = (size_t)mg_shape_elements(&s->tensor[i]->shape) * sizeof(float);
        memcpy(s->tensor[i]->data, s->data[i], bytes);
        free(s->data[i]);
    }
    free(s->tensor);
    free(s->data);
}

static mg_status sweep(mg_trainer *t, mg_lr_finder *f, mg_error *err) {
    mg_progress bar;
    mg_progress_start(&bar, "learning rates", f->steps);
    mg_status s = MG_OK;
    bool more = true;
    for (int64_t epoch = 0; !s && more; epoch++) {
        mg_plan plan = {0};
        s = mg_trainer_plan_epoch(t, epoch, &plan, err);
        mg_loader_options options = mg_trainer_loader(t, &plan);
        options.augment = mg_trainer_augment(t);
        options.levels = mg_batch_on_device(t->ctx, &t->card, options.augment);
        options.epoch = (uint32_t)epoch;
        mg_loader *loader = s ? NULL : mg_loader_start(&options, err);
        if (!s && !loader) s = err->code;
        const mg_batch *batch = NULL;
        while (!s && more && !(s = mg_loader_next(loader, &batch, err)) && batch) {
            if (!batch->count) continue;
            t->state.lr = mg_lr_finder_rate(f);
            mg_error blown = {0}; /* a loss that is no number ends the test, as it should */
            t->state.loss_sum = 0;
            mg_status step = mg_trainer_step(t, batch, &blown);
            if (!step) step = mg_trainer_settle(t, &blown);
            double loss = step ? NAN : t->state.loss_sum / batch->count;
            more = mg_lr_finder_add(f, loss) && !mg_interrupted();
            mg_progress_update(&bar, f->done, NULL);
        }
        mg_loader_stop(loader);
        mg_plan_free(&plan);
    }
    mg_progress_clear(&bar);
    return s;
}

mg_status mg_trainer_find_lr(mg_trainer *t, mg_error *err) {
    static mg_lr_finder f;
    snapshot before;
    mg_run_state state = t->state;
    int64_t steps = t->optimizer->steps, batches = t->net->batches_tracked;
    if (!snapshot_take(&before, t)) {
        snapshot_restore(&before);
        return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    }
    mg_lr_finder_init(&f, 1e-7, 1, 100);
    mg_status s = sweep(t, &f, err);
    mg_context_to_host(t->ctx);
    snapshot_restore(&before);
    mg_context_host_changed(t->ctx);
    t->state = state;
    t->optimizer->steps = steps;
    t->net->batches_tracked = batches;
    if (s) return s;
    printf("learning_rate,smoothed_loss\n");
    for (int i = 0; i < f.done; i++) printf("%.6g,%.6g\n", f.lr[i], f.loss[i]);
    double steepest = 0, tenth = 0;
    if (mg_lr_finder_suggest(&f, &steepest, &tenth))
        fprintf(stderr, "steepest descent at --lr %.2g; a tenth of the minimum's rate is %.2g\n",
                steepest, tenth);
    else fprintf(stderr, "too few steps for a suggestion: the loss blew up at once\n");
    return MG_OK;
}
