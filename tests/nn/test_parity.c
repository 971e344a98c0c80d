/* The network against torchvision, timm and efficientnet_pytorch: same weights, same images. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/nn/golden.h"
#include "optim/optimizer.h"
#include "tests/golden/efficientnet.inc"
#include "tests/golden/sgd_curve.inc"

typedef struct convention {
    mg_padding padding;
    double eps;
} convention;

static const convention torchvision = {MG_PAD_SYMMETRIC, 0}, timm_tf = {MG_PAD_SAME, 1e-3},
                        lukemelas = {MG_PAD_STATIC, 1e-3};

static void check_logits(int variant, convention how, int n, int h, int w, const double *golden) {
    mg_pool *pool = mg_pool_create(0);
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, pool, 0);
    mg_arch arch = mg_arch_efficientnet(variant);
    mg_efficientnet_options options = {.logits = 3,
                                       .padding = how.padding,
                                       .bn_eps = how.eps,
                                       .dropout = -1,
                                       .stochastic_depth = -1};
    mg_efficientnet *net = mg_efficientnet_create(ctx, &arch, &options);
    cr_assert_not_null(net, "%s", ctx->error.message);
    golden_fill(net);
    mg_efficientnet_fold(ctx, net, 0, 9);
    ctx->recording = false;
    float *image = golden_image(n, h, w);
    mg_tensor *x = mg_input(ctx, "image", (mg_shape)MG_SHAPE(n, h, w, 1), image);
    mg_tensor *y = mg_efficientnet_forward(ctx, net, x, false, NULL);
    cr_assert_not_null(y, "%s", ctx->error.message);
    double scale = 0;
    for (int i = 0; i < 3 * n; i++) scale = fmax(scale, fabs(golden[i]));
    for (int i = 0; i < 3 * n; i++)
        cr_assert_float_eq(mg_tensor_get(y, i), golden[i], 1e-4 * scale, "b%d %dx%d: %g is not %g",
                           variant, h, w, mg_tensor_get(y, i), golden[i]);
    free(image);
    mg_efficientnet_destroy(net);
    mg_context_destroy(ctx);
    mg_pool_destroy(pool);
}

Test(parity, b0_logits) {
    check_logits(0, torchvision, 2, 224, 224, torchvision_b0_224x224);
    check_logits(0, torchvision, 1, 97, 61, torchvision_b0_97x61);
    check_logits(0, timm_tf, 1, 97, 61, timm_tf_b0_97x61);
    check_logits(0, torchvision, 1, 97, 61, timm_b0_97x61);
    check_logits(0, lukemelas, 1, 97, 61, lukemelas_b0_97x61);
}

Test(parity, b4_logits) {
    check_logits(4, torchvision, 1, 380, 380, torchvision_b4_380x380);
    check_logits(4, timm_tf, 1, 97, 61, timm_tf_b4_97x61);
    check_logits(4, torchvision, 1, 97, 61, timm_b4_97x61);
    check_logits(4, lukemelas, 1, 97, 61, lukemelas_b4_97x61);
    check_logits(4, timm_tf, 1, 190, 131, timm_tf_b4_190x131);
    check_logits(4, lukemelas, 1, 190, 131, lukemelas_b4_190x131);
}

Test(parity, b4_logits_at_full_size) {
    check_logits(4, torchvision, 1, 955, 500, torchvision_b4_955x500);
}

Test(parity, parameter_counts) {
    static const int64_t with_1000_classes[8] = {5288548,  7794184,  9109994,  12233232,
                                                 19341616, 30389784, 43040704, 66347960};
    for (int v = 0; v < 8; v++) {
        mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
        mg_arch arch = mg_arch_efficientnet(v);
        mg_efficientnet_options options = {.logits = 1000, .first_trained = 9};
        mg_efficientnet *net = mg_efficientnet_create(ctx, &arch, &options);
        cr_assert_eq(mg_efficientnet_count(net, false), with_1000_classes[v], "b%d", v);
        mg_efficientnet_destroy(net);
        mg_context_destroy(ctx);
    }
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    mg_arch b4 = mg_arch_efficientnet(4);
    mg_efficientnet *net =
        mg_efficientnet_create(ctx, &b4, &(mg_efficientnet_options){.first_trained = 7});
    cr_assert_eq(mg_efficientnet_count(net, false), 17550409);
    cr_assert_eq(mg_efficientnet_count(net, true), 5278197, "the seed's 30.07%%");
    mg_efficientnet_destroy(net);
    mg_context_destroy(ctx);
}

typedef struct view {
    const mg_parameter_info *p;
    const float *data;
} view;

static double view_at(void *arg, int64_t i) {
    const view *v = arg;
    return (double)v->data[mg_parameter_offset(v->p, i)];
}

static void check_train_step(int variant, int n, int h, int w, double loss_want,
                             const golden_tensor *golden) {
    mg_pool *pool = mg_pool_create(0);
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, pool, 0);
    mg_arch arch = mg_arch_efficientnet(variant);
    mg_efficientnet *net = mg_efficientnet_create(ctx, &arch, &(mg_efficientnet_options){0});
    cr_assert_not_null(net);
    golden_fill(net);
    float *image = golden_image(n, h, w), target[8];
    for (int i = 0; i < n; i++) target[i] = (float)(i % 2);
    mg_tensor *x = mg_input(ctx, "image", (mg_shape)MG_SHAPE(n, h, w, 1), image);
    mg_tensor *y = mg_input(ctx, "target", (mg_shape)MG_SHAPE(n, 1), target);
    mg_tensor *logits = mg_efficientnet_forward(ctx, net, x, true, NULL);
    mg_tensor *loss = mg_bce_with_logits(ctx, logits, y, NULL, 0);
    mg_backward(ctx, loss);
    cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
    cr_assert_float_eq(mg_tensor_get(loss, 0), loss_want, 1e-5 * fmax(1, fabs(loss_want)));
    /* A bias before batch norm has no gradient but rounding: measured against the whole instead. */
    double worst = 0, whole = 0;
    for (int k = 0; k < net->parameters; k++) whole = fmax(whole, golden[k].norm);
    for (int k = 0; k < net->parameters; k++) {
        const mg_parameter_info *p = &net->parameter[k];
        bool running = p->kind == MG_KIND_RUNNING_MEAN || p->kind == MG_KIND_RUNNING_VAR;
        view v = {p, running ? p->tensor->data : p->tensor->grad};
        double d =
            golden_distance(&golden[k], k, mg_shape_elements(&p->tensor->shape), view_at, &v);
        double bound = fmax(1e-4, 2 * golden[k].torch_f32_error);
        if (golden[k].norm < 1e-6 * whole) d *= golden[k].norm / whole;
        if (d / bound > worst) worst = d / bound;
        cr_assert_leq(d, bound, "b%d %s: relative L2 distance %g, torch f32's own is %g", variant,
                      p->name, d, golden[k].torch_f32_error);
    }
    printf("b%d: worst tensor is at %.2f of its bound\n", variant, worst);
    free(image);
    mg_efficientnet_destroy(net);
    mg_context_destroy(ctx);
    mg_pool_destroy(pool);
}

Test(parity, b0_training_step) { check_train_step(0, 4, 96, 64, train_b0_loss, train_b0); }
Test(parity, b4_training_step) { check_train_step(4, 3, 67, 96, train_b4_loss, train_b4); }

/* Thirty steps of SGD stay with torch's loss curve. */
static void check_sgd_curve(int first_trained, double lr, const double *golden) {
    enum { N = 4, H = 64, W = 48 };
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    mg_arch b0 = mg_arch_efficientnet(0);
    mg_efficientnet *net = mg_efficientnet_create(
        ctx, &b0, &(mg_efficientnet_options){.first_trained = first_trained});
    golden_fill(net);
    mg_efficientnet_fold(ctx, net, 0, 9);
    mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_SGD, .lr = lr});
    for (int k = 0; k < net->parameters; k++) mg_optimizer_add(o, ctx, net->parameter[k].tensor, 0);
    float *image = golden_image(N, H, W), target[N] = {0, 1, 0, 1};
    double worst = 0;
    for (int step = 0; step < 30; step++) {
        mg_optimizer_zero_grad(o, NULL);
        mg_tensor *x = mg_input(ctx, "image", (mg_shape)MG_SHAPE(N, H, W, 1), image);
        mg_tensor *y = mg_input(ctx, "target", (mg_shape)MG_SHAPE(N, 1), target);
        mg_tensor *logits = mg_efficientnet_forward(ctx, net, x, true, NULL);
        mg_tensor *loss = mg_bce_with_logits(ctx, logits, y, NULL, 0);
        mg_backward(ctx, loss);
        cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
        worst = fmax(worst, fabs(mg_tensor_get(loss, 0) - golden[step]));
        mg_optimizer_step(o, NULL);
        mg_step_reset(ctx, false);
    }
    cr_assert_lt(worst, 0.01, "the curves part by %g", worst);
    printf("30 steps of SGD, trained from stage %d: at most %.2g apart\n", first_trained, worst);
    free(image);
    mg_optimizer_destroy(o);
    mg_efficientnet_destroy(net);
    mg_context_destroy(ctx);
}

Test(parity, sgd_curve_of_the_whole_network) { check_sgd_curve(0, 0.01, sgd_whole); }
Test(parity, sgd_curve_with_frozen_stages) { check_sgd_curve(7, 0.002, sgd_frozen); }
