/* The tape: whole-network gradient check, recomputation, memory, errors, traces, determinism. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/efficientnet.h"
#include "ops/cpu/dispatch.h"
#include "optim/optimizer.h"

static const mg_stage_row two_stages[] = {{3, 1, 1, 8, 1}, {5, 2, 4, 8, 2}};

static mg_arch tiny(void) {
    mg_arch arch = mg_arch_custom("tiny", 6, two_stages, 2, 12);
    arch.dropout = 0.3;
    return arch;
}

static float *noise(int64_t n, uint32_t epoch) {
    float *x = malloc((size_t)n * sizeof *x);
    mg_rng_key key = {.seed = 3, .purpose = MG_RNG_TEST, .epoch = epoch};
    for (int64_t i = 0; i < n; i++) x[i] = (float)mg_rng_normal(&key, (uint32_t)i);
    return x;
}

typedef struct setup {
    mg_context *ctx;
    mg_efficientnet *net;
    float *image;
} setup;

static setup make(mg_dtype dtype, mg_pool *pool, mg_efficientnet_options options) {
    setup s = {.ctx = mg_context_create(MG_DEVICE_CPU, dtype, pool, 0)};
    mg_arch arch = tiny();
    s.net = mg_efficientnet_create(s.ctx, &arch, &options);
    cr_assert_not_null(s.net, "%s", s.ctx->error.message);
    mg_efficientnet_initialise(s.net, 11);
    s.image = noise(3 * 13 * 9, 1);
    return s;
}

static void destroy(setup s) {
    free(s.image);
    mg_efficientnet_destroy(s.net);
    mg_context_destroy(s.ctx);
}

static const float targets[3] = {1, 0, 1};

static mg_tensor *loss_of(setup s) {
    mg_tensor *x = mg_input(s.ctx, "image", (mg_shape)MG_SHAPE(3, 13, 9, 1), s.image);
    mg_tensor *t = mg_input(s.ctx, "target", (mg_shape)MG_SHAPE(3, 1), targets);
    mg_tensor *y = mg_efficientnet_forward(s.ctx, s.net, x, true, NULL);
    return mg_bce_with_logits(s.ctx, y, t, NULL, 0);
}

/* Loss without touching the running statistics, so that it is a function of the parameters. */
static double pure_loss(setup s) {
    s.ctx->recording = false;
    s.ctx->recomputing = true;
    mg_tensor *loss = loss_of(s);
    cr_assert_not_null(loss, "%s", s.ctx->error.message);
    double value = mg_tensor_get(loss, 0);
    mg_step_reset(s.ctx, false);
    s.ctx->recording = true;
    s.ctx->recomputing = false;
    return value;
}

Test(tape, gradient_of_a_whole_network) {
    setup s = make(MG_F64, NULL, (mg_efficientnet_options){.dropout = -1, .stochastic_depth = 0.5});
    for (int k = 0; k < s.net->parameters; k++) { /* backward must add to what is there */
        mg_tensor *p = s.net->parameter[k].tensor;
        for (int64_t i = 0; p->grad && i < mg_shape_elements(&p->shape); i++)
            ((double *)p->grad)[i] = 0.25;
    }
    s.ctx->recomputing = true; /* keep running statistics still */
    mg_backward(s.ctx, loss_of(s));
    s.ctx->recomputing = false;
    cr_assert_eq(s.ctx->error.code, MG_OK, "%s", s.ctx->error.message);
    mg_step_reset(s.ctx, false);
    double worst = 0, scale = 0;
    int checked = 0;
    for (int k = 0; k < s.net->parameters; k++) {
        mg_parameter_info *p = &s.net->parameter[k];
        if (!p->trained) continue;
        int64_t n = mg_shape_elements(&p->tensor->shape);
        double error = 0, norm = 0;
        for (int64_t i = 0; i<n; i += n> 12 ? n / 7 : 1) {
            double *w = (double *)p->tensor->data + i, keep = *w, h = 1e-5;
            *w = keep + h;
            double up = pure_loss(s);
            *w = keep - h;
            double down = pure_loss(s);
            *w = keep;
            double numeric = (up - down) / (2 * h);
            double ours = ((double *)p->tensor->grad)[i] - 0.25;
            error = fmax(error, fabs(numeric - ours));
            norm = fmax(norm, fabs(numeric));
            checked++;
        }
        scale = fmax(scale, norm);
        worst = fmax(worst, error);
    }
    cr_assert_gt(checked, 200);
    cr_assert_lt(worst / scale, 1e-6, "worst %g of %g", worst, scale);
    printf("whole network: %d derivatives, worst error %.2g of the largest\n", checked,
           worst / scale);
    destroy(s);
}

static mg_tensor *segment(mg_context *ctx, void *arg, mg_tensor *x) {
    return mg_efficientnet_features(ctx, arg, x, true);
}

/* The same network with its features recomputed in backward: same loss, same gradients to the bit,
 * same running statistics, less memory. */
Test(tape, recomputation_changes_memory_only) {
    mg_efficientnet_options options = {.dropout = 0.3, .stochastic_depth = 0.5};
    setup a = make(MG_F32, NULL, options), b = make(MG_F32, NULL, options);
    mg_backward(a.ctx, loss_of(a));
    mg_tensor *x = mg_input(b.ctx, "image", (mg_shape)MG_SHAPE(3, 13, 9, 1), b.image);
    x->requires_grad = true; /* a segment must reach something trained */
    mg_tensor *t = mg_input(b.ctx, "target", (mg_shape)MG_SHAPE(3, 1), targets);
    mg_tensor *f = mg_checkpoint(b.ctx, segment, b.net, x);
    mg_tensor *pooled = mg_global_average_pool(b.ctx, f);
    mg_tensor *kept = mg_dropout(b.ctx, pooled, 0.3, 1000, true);
    mg_tensor *y = mg_linear(b.ctx, kept, b.net->classifier_w, b.net->classifier_b);
    mg_backward(b.ctx, mg_bce_with_logits(b.ctx, y, t, NULL, 0));
    cr_assert_eq(b.ctx->error.code, MG_OK, "%s", b.ctx->error.message);
    for (int k = 0; k < a.net->parameters; k++) {
        mg_tensor *p = a.net->parameter[k].tensor, *q = b.net->parameter[k].tensor;
        size_t bytes = (size_t)mg_shape_elements(&p->shape) * sizeof(float);
        cr_assert(memcmp(p->data, q->data, bytes) == 0, "%s", a.net->parameter[k].name);
        if (p->grad)
            cr_assert(memcmp(p->grad, q->grad, bytes) == 0, "%s", a.net->parameter[k].name);
    }
    destroy(a);
    destroy(b);
}

Test(tape, dry_run_reports_the_exact_peak) {
    setup a = make(MG_F32, NULL, (mg_efficientnet_options){0}),
          b = make(MG_F32, NULL, (mg_efficientnet_options){0});
    a.ctx->dry_run = true;
    mg_backward(a.ctx, loss_of(a));
    cr_assert_eq(a.ctx->error.code, MG_OK, "%s", a.ctx->error.message);
    mg_backward(b.ctx, loss_of(b));
    cr_assert_eq(mg_arena_peak(a.ctx->step), mg_arena_peak(b.ctx->step));
    char report[300];
    mg_memory_report(a.ctx, report, sizeof report);
    cr_assert(strstr(report, "needs 0.00 GiB") && strstr(report, "largest:"), "%s", report);
    mg_step_reset(b.ctx, true);
    mg_arena_set_limit(b.ctx->step, mg_arena_peak(a.ctx->step) / 2);
    mg_backward(b.ctx, loss_of(b));
    cr_assert_eq(b.ctx->error.code, MG_ERR_MEMORY);
    cr_assert(strstr(b.ctx->error.message, "out of memory"), "%s", b.ctx->error.message);
    destroy(a);
    destroy(b);
}

Test(tape, backward_frees_everything) {
    setup s = make(MG_F32, NULL, (mg_efficientnet_options){0});
    mg_tensor *loss = loss_of(s);
    mg_backward(s.ctx, loss);
    /* left: image, targets, kept logits, kept loss */
    cr_assert_leq(mg_arena_used(s.ctx->step), (size_t)(3 * 13 * 9 * 4 + 4 * 64 + 64));
    destroy(s);
}

Test(tape, first_error_wins_and_nulls_flow) {
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    mg_tensor *x = mg_input(ctx, "x", (mg_shape)MG_SHAPE(1, 4, 4, 8), NULL);
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(3, 3, 7), true);
    ctx->scope = "features.1.0";
    mg_tensor *y = mg_depthwise_conv(ctx, x, w, (mg_attr){.kernel = 3, .stride = 1});
    mg_tensor *z = mg_add(ctx, mg_silu(ctx, y), x);
    mg_backward(ctx, z);
    cr_assert(!y && !z);
    cr_assert_eq(ctx->error.code, MG_ERR_SHAPE);
    cr_assert(strstr(ctx->error.message, "features.1.0") && strstr(ctx->error.message, "[3,3,7]"),
              "%s", ctx->error.message);
    mg_context_destroy(ctx);
}

Test(tape, nan_tracer_names_the_culprit) {
    setup s = make(MG_F32, NULL, (mg_efficientnet_options){0});
    mg_parameter_info *p = mg_efficientnet_find(s.net, "features.2.1.block.0.0.weight");
    cr_assert_not_null(p);
    ((float *)p->tensor->data)[5] = NAN;
    s.ctx->trace_nan = true;
    cr_assert_null(loss_of(s));
    cr_assert_eq(s.ctx->error.code, MG_ERR_NUMERIC);
    cr_assert(strstr(s.ctx->error.message, "pointwise_conv in features.2.1"), "%s",
              s.ctx->error.message);
    destroy(s);
}

Test(tape, dump_lists_every_node) {
    setup s = make(MG_F32, NULL, (mg_efficientnet_options){0});
    loss_of(s);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    mg_tape_dump(s.ctx, out);
    fclose(out);
    int lines = 0;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    cr_assert_eq(lines, s.ctx->nodes);
    cr_assert(strstr(text, "norm_gate_project") && strstr(text, "features.2.0") &&
              strstr(text, "[3,1]"));
    free(text);
    destroy(s);
}

/* Gradients are written where nothing is there yet, added where something is: a tensor that is both
 * inputs of one op, and that others read too. y = sum of silu(a) + (a + a) with a = x + x. */
Test(tape, tensors_used_more_than_once) {
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    enum { N = 21 };
    mg_tensor *x = mg_parameter(ctx, "x", (mg_shape)MG_SHAPE(1, N), true);
    for (int i = 0; i < N; i++) ((float *)x->data)[i] = 0.25f * (float)(i - 9);
    mg_tensor *a = mg_add(ctx, x, x);
    mg_tensor *y = mg_add(ctx, mg_silu(ctx, a), mg_add(ctx, a, a));
    float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1;
    mg_backward_from(ctx, y, ones);
    cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
    for (int i = 0; i < N; i++) {
        double u = 0.5 * (i - 9), s = 1 / (1 + exp(-u)), want = 2 * (s * (1 + u * (1 - s)) + 2);
        cr_expect_float_eq((double)((float *)x->grad)[i], want, 1e-5, "dx[%d]", i);
    }
    mg_context_destroy(ctx);
}

/* Twenty steps of Adam with dropout, stochastic depth and batch norm: the loss curve and the final
 * parameters are the same bits for every instruction set and thread count. */
static void train_twenty(mg_isa isa, int threads, float *curve, float *weights, int64_t room) {
    cr_assert(mg_cpu_use(isa));
    mg_pool *pool = mg_pool_create(threads);
    setup s =
        make(MG_F32, pool, (mg_efficientnet_options){.dropout = 0.2, .stochastic_depth = 0.3});
    mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_ADAM, .lr = 1e-3});
    for (int k = 0; k < s.net->parameters; k++)
        mg_optimizer_add(o, s.ctx, s.net->parameter[k].tensor, 0);
    for (uint32_t step = 0; step < 20; step++) {
        s.ctx->step_number = step;
        mg_optimizer_zero_grad(o, pool);
        mg_tensor *loss = loss_of(s);
        mg_backward(s.ctx, loss);
        cr_assert_eq(s.ctx->error.code, MG_OK, "%s", s.ctx->error.message);
        curve[step] = (float)mg_tensor_get(loss, 0);
        mg_optimizer_step(o, pool);
        mg_step_reset(s.ctx, false);
    }
    int64_t at = 0;
    for (int k = 0; k < s.net->parameters; k++) {
        mg_tensor *t = s.net->parameter[k].tensor;
        int64_t n = mg_shape_elements(&t->shape);
        cr_assert_leq(at + n, room);
        memcpy(weights + at, t->data, (size_t)n * sizeof(float));
        at += n;
    }
    mg_optimizer_destroy(o);
    destroy(s);
    mg_pool_destroy(pool);
}

Test(tape, twenty_steps_are_the_same_bits_everywhere) {
    enum { ROOM = 20000 };
    static float curve[20], first_curve[20], weights[ROOM], first_weights[ROOM];
    bool first = true;
    for (int isa = 0; isa < MG_CPU_ISA_COUNT; isa++) {
        if (!mg_isa_available((mg_isa)isa)) continue;
        for (int threads = 1; threads <= 3; threads++) {
            train_twenty((mg_isa)isa, threads, first ? first_curve : curve,
                         first ? first_weights : weights, ROOM);
            if (!first)
                cr_assert(memcmp(curve, first_curve, sizeof curve) == 0 &&
                              memcmp(weights, first_weights, sizeof weights) == 0,
                          "%s with %d threads", mg_isa_name((mg_isa)isa), threads);
            first = false;
        }
    }
    cr_assert_lt(first_curve[19], first_curve[0], "and it learns");
}
