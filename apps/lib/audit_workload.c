/* audit_workload.c: one typical call per op, and its time (audit.h). */
#include <stdlib.h>
#include <string.h>

#include "apps/lib/audit.h"

/* Images of EfficientNet-B4 at 955 x 500. */
#define WIDE  MG_SHAPE(1, 120, 63, 336) /* stage 3, expanded */
#define DEEP  MG_SHAPE(1, 60, 32, 960)  /* stage 5, expanded */
#define LAST  MG_SHAPE(8, 30, 16, 1792) /* a batch of heads */
#define THIRD MG_SHAPE(336)

static const mg_case workloads[MG_OP_COUNT] = {
    [MG_OP_pointwise_conv] = {"stage 5, expand", .inputs = 3,
                              .shape = {MG_SHAPE(1, 60, 32, 160), MG_SHAPE(160, 960),
                                        MG_SHAPE(960)}},
    [MG_OP_depthwise_conv] = {"stage 5", .attr = {.kernel = 5, .stride = 1}, .inputs = 2,
                              .shape = {DEEP, MG_SHAPE(5, 5, 960)}},
    [MG_OP_conv2d] = {"stem", .attr = {.kernel = 3, .stride = 2}, .inputs = 2,
                      .shape = {MG_SHAPE(1, 955, 500, 3), MG_SHAPE(3, 3, 3, 48)}},
    [MG_OP_batch_norm] = {"stage 3", .attr = {.training = true, .eps = 1e-5, .momentum = 0.1},
                          .inputs = 5, .shape = {WIDE, THIRD, THIRD, THIRD, THIRD}},
    [MG_OP_silu] = {"stage 3", .inputs = 1, .shape = {WIDE}},
    [MG_OP_sigmoid] = {"as large as stage 3", .inputs = 1, .shape = {WIDE}},
    [MG_OP_tanh] = {"as large as stage 3", .inputs = 1, .shape = {WIDE}},
    [MG_OP_softmax] = {"rows of a head", .inputs = 1, .shape = {MG_SHAPE(480, 1792)}},
    [MG_OP_add] = {"residual of stage 2", .inputs = 2,
                   .shape = {MG_SHAPE(1, 239, 125, 32), MG_SHAPE(1, 239, 125, 32)}},
    [MG_OP_channel_scale] = {"stage 3", .inputs = 2, .shape = {WIDE, MG_SHAPE(1, 336)}},
    [MG_OP_global_average_pool] = {"head, 8 images", .inputs = 1, .shape = {LAST}},
    [MG_OP_squeeze_excite] = {"stage 3", .inputs = 5,
                              .shape = {WIDE, MG_SHAPE(336, 14), MG_SHAPE(14), MG_SHAPE(14, 336),
                                        THIRD}},
    [MG_OP_dropout] = {"as large as stage 3", .attr = {.p = 0.4, .training = true}, .inputs = 1,
                       .shape = {WIDE}},
    [MG_OP_stochastic_depth] = {"stage 5, 8 images", .attr = {.p = 0.2, .training = true},
                                .inputs = 1, .shape = {MG_SHAPE(8, 60, 32, 160)}},
    [MG_OP_bce_with_logits] = {"4096 images", .inputs = 2,
                               .shape = {MG_SHAPE(4096), MG_SHAPE(4096)}},
    [MG_OP_concat] = {"grey to three channels", .attr = {.axis = 3}, .inputs = 2,
                      .shape = {MG_SHAPE(1, 955, 500, 2), MG_SHAPE(1, 955, 500, 1)}},
    [MG_OP_resize_bilinear] = {"activation map to image", .attr = {.height = 955, .width = 500},
                               .inputs = 1, .shape = {MG_SHAPE(1, 30, 16, 1)}},
    [MG_OP_resize_bicubic] = {"activation map to image", .attr = {.height = 955, .width = 500},
                              .inputs = 1, .shape = {MG_SHAPE(1, 30, 16, 1)}},
    [MG_OP_mbconv] = {"block 5.1", .attr = {.kernel = 5, .stride = 1, .residual = true},
                      .inputs = 11,
                      .shape = {MG_SHAPE(1, 60, 32, 160), MG_SHAPE(160, 960), MG_SHAPE(960),
                                MG_SHAPE(5, 5, 960), MG_SHAPE(960), MG_SHAPE(960, 40), MG_SHAPE(40),
                                MG_SHAPE(40, 960), MG_SHAPE(960), MG_SHAPE(960, 160),
                                MG_SHAPE(160)}},
    [MG_OP_norm_depthwise_conv] =
        {"stage 3",
         .attr = {.kernel = 5, .stride = 1, .training = true, .eps = 1e-5, .momentum = 0.1},
         .inputs = 6, .shape = {WIDE, THIRD, THIRD, THIRD, THIRD, MG_SHAPE(5, 5, 336)}},
    [MG_OP_norm_gate_project] = {"stage 3",
                                 .attr = {.training = true, .eps = 1e-5, .momentum = 0.1},
                                 .inputs = 10,
                                 .shape = {WIDE, THIRD, THIRD, THIRD, THIRD, MG_SHAPE(336, 14),
                                           MG_SHAPE(14), MG_SHAPE(14, 336), THIRD,
                                           MG_SHAPE(336, 56)}},
};

const mg_case *mg_audit_workload(mg_op_id id) {
    return workloads[id].name ? &workloads[id] : &mg_op_get(id, MG_F32)->cases[0];
}

mg_status mg_audit_workload_call(mg_op_id id, mg_op_call *c, mg_error *err) {
    const mg_case *w = mg_audit_workload(id);
    *c = (mg_op_call){.attr = w->attr, .inputs = w->inputs};
    for (int i = 0; i < w->inputs; i++)
        if (w->fill[i] != MG_FILL_ABSENT) c->x_shape[i] = w->shape[i];
    return mg_op_get(id, MG_F32)->shape(c, err);
}

/* --- timing ----------------------------------------------------------------------------------- */

/* Numbers in (0.1, 1.1): no NaN comes of any op, and denormals stay away. */
static float *filled(int64_t n) {
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 127) & ~(size_t)63);
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (int64_t i = 0; p && i < n; i++) p[i] = 0.1f + mg_rng_uniform(&key, (uint32_t)i);
    return p;
}

static bool allocate(const mg_op *op, mg_op_call *c) {
    bool all = true;
    for (int i = 0; i < c->inputs; i++) {
        if (!mg_has_input(c, i)) continue;
        all = (c->x[i] = filled(mg_shape_elements(&c->x_shape[i]))) && all;
        if (op->differentiable >> i & 1)
            all = (c->dx[i] = filled(mg_shape_elements(&c->x_shape[i]))) && all;
    }
    int64_t saved = op->save_count ? op->save_count(c) : 0;
    all = (c->y = filled(mg_shape_elements(&c->y_shape))) && all;
    all = (c->save = filled(saved + 1)) && all;
    return (c->dy = filled(mg_shape_elements(&c->y_shape))) && all;
}

static void release(mg_op_call *c) {
    for (int i = 0; i < c->inputs; i++) {
        free(c->x[i]);
        free(c->dx[i]);
    }
    free(c->y);
    free(c->save);
    free((void *)c->dy);
}

static double best_time(mg_op_call *c, const mg_kernels *k, bool backward, double seconds) {
    size_t bytes = k->scratch_bytes ? k->scratch_bytes(c, backward, mg_pool_threads(c->pool)) : 0;
    c->scratch = aligned_alloc(64, (bytes + 127) & ~(size_t)63);
    if (!c->scratch) return 0;
    (backward ? k->backward : k->forward)(c); /* touches all memory once */
    double best = 1e9, begin = mg_seconds();
    do {
        double t = mg_seconds();
        (backward ? k->backward : k->forward)(c);
        t = mg_seconds() - t;
        if (t < best) best = t;
    } while (mg_seconds() - begin < seconds);
    free(c->scratch);
    return best;
}

mg_status mg_audit_measure(mg_audit_op *a, mg_pool *pool, double seconds, mg_error *err) {
    const mg_kernels *k = mg_op_kernels(a->id, a->device, MG_F32);
    mg_op_call c;
    mg_status s = mg_audit_workload_call(a->id, &c, err);
    if (s) return s;
    c.pool = pool;
    if (allocate(a->op, &c)) {
        a->time.forward = best_time(&c, k, false, seconds);
        if (!(a->op->flags & MG_OP_NO_BACKWARD)) a->time.backward = best_time(&c, k, true, seconds);
    } else {
        s = mg_fail(err, MG_ERR_MEMORY, "%s: no memory for timing", a->op->name);
    }
    release(&c);
    return s;
}
