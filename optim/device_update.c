#include "optim/device_update.h"

#include <math.h>
#include <stdlib.h>

bool mg_update_on_device(const mg_optimizer *o) { return o->ctx && o->ctx->plugin; }

/* The constants of the update, rounded exactly as optimizer.c rounds them. */
static mg_update_tensor describe(const mg_optimizer *o, const mg_optimizer_entry *e) {
    const mg_optimizer_options *p = &o->options;
    const mg_optimizer_group *g = &o->group[e->group];
    double lr = p->lr * g->lr_scale, t = (double)o->steps;
    double decay = g->weight_decay < 0 ? p->weight_decay : g->weight_decay;
    return (mg_update_tensor){
        .w = e->parameter->mirror,
        .grad = e->parameter->mirror_grad,
        .first = e->first ? e->first->mirror : NULL,
        .second = e->second ? e->second->mirror : NULL,
        .n = mg_shape_elements(&e->parameter->shape),
        .lr = (float)lr,
        .decay = (float)decay,
        .step = t > 0 ? (float)(lr / (1 - pow(p->beta1, t))) : 0,
        .shrink = p->kind == MG_ADAMW ? (float)(1 - lr * decay) : 1,
        .l2 = p->kind == MG_ADAM ? (float)decay : 0,
    };
}

/* One entry per trained tensor; NULL when memory is short or the device refused. */
static mg_update_tensor *list(const mg_optimizer *o) {
    mg_update_tensor *all = malloc(((size_t)o->entries + 1) * sizeof *all);
    if (!all || !mg_context_to_device(o->ctx)) {
        mg_fail(&o->ctx->error, MG_ERR_MEMORY, "optimizer: out of memory");
        free(all);
        return NULL;
    }
    for (int i = 0; i < o->entries; i++) all[i] = describe(o, &o->entry[i]);
    return all;
}

void mg_device_step(mg_optimizer *o) {
    const mg_optimizer_options *p = &o->options;
    mg_update_rule rule = {.adam = p->kind != MG_SGD,
                           .fresh = o->steps == 1,
                           .momentum = (float)p->momentum,
                           .beta1 = (float)p->beta1,
                           .beta2 = (float)p->beta2,
                           .one_minus_beta1 = (float)(1 - p->beta1),
                           .one_minus_beta2 = (float)(1 - p->beta2),
                           .eps = (float)p->eps,
                           .root = (float)sqrt(1 - pow(p->beta2, (double)o->steps))};
    mg_update_tensor *all = list(o);
    if (!all) return;
    o->ctx->plugin->update(&rule, all, o->entries);
    mg_context_device_changed(o->ctx);
    free(all);
}

void mg_device_zero_grad(mg_optimizer *o) {
    mg_update_tensor *all = list(o);
    if (all) o->ctx->plugin->zero_grad(all, o->entries);
    free(all);
}

void mg_device_scale_grad(mg_optimizer *o, double factor) {
    mg_update_tensor *all = list(o);
    if (all) o->ctx->plugin->scale_grad(all, o->entries, (float)factor);
    free(all);
}

double mg_device_grad_norm(const mg_optimizer *o) {
    mg_update_tensor *all = list(o);
    double sum = all ? o->ctx->plugin->squared_norm(all, o->entries) : NAN;
    free(all);
    return sqrt(sum);
}
