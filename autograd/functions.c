#include "autograd/functions.h"

static mg_tensor *apply1(mg_context *ctx, mg_op_id id, mg_tensor *x, mg_attr attr) {
    return mg_apply(ctx, id, &attr, (mg_tensor *[]){x}, 1);
}

static mg_tensor *apply2(mg_context *ctx, mg_op_id id, mg_tensor *a, mg_tensor *b, mg_attr attr) {
    return mg_apply(ctx, id, &attr, (mg_tensor *[]){a, b}, 2);
}

/* A convolution with its activation: in one op where nothing is derived, else in two. */
static mg_tensor *convolve(mg_context *ctx, mg_op_id id, mg_tensor *x, mg_tensor *w, mg_tensor *b,
                           mg_attr attr) {
    bool derived = (x && x->requires_grad) || (w && w->requires_grad) || (b && b->requires_grad);
    bool apart = derived && ctx->recording && attr.activation == MG_ACTIVATION_SILU;
    if (apart) attr.activation = MG_ACTIVATION_NONE;
    mg_tensor *y = mg_apply(ctx, id, &attr, (mg_tensor *[]){x, w, b}, b ? 3 : 2);
    if (!apart) return y;
    mg_tensor *activated = mg_silu(ctx, y);
    mg_release(ctx, y);
    return activated;
}

mg_tensor *mg_conv2d(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b, mg_attr attr) {
    return convolve(ctx, MG_OP_conv2d, x, w, b, attr);
}

mg_tensor *mg_depthwise_conv(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_attr attr) {
    return apply2(ctx, MG_OP_depthwise_conv, x, w, attr);
}

mg_tensor *mg_pointwise_conv(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b,
                             mg_activation activation) {
    return convolve(ctx, MG_OP_pointwise_conv, x, w, b, (mg_attr){.activation = activation});
}

mg_tensor *mg_linear(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b) {
    return mg_pointwise_conv(ctx, x, w, b, MG_ACTIVATION_NONE);
}

mg_tensor *mg_batch_norm(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                         bool training) {
    mg_attr attr = {.training = training, .eps = bn->eps, .momentum = bn->momentum};
    mg_tensor *in[] = {x, bn->gamma, bn->beta, bn->running_mean, bn->running_var};
    return mg_apply(ctx, MG_OP_batch_norm, &attr, in, 5);
}

mg_tensor *mg_norm_depthwise_conv(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                                  mg_tensor *w, mg_attr conv, bool training) {
    conv.training = training;
    conv.eps = bn->eps;
    conv.momentum = bn->momentum;
    mg_tensor *in[] = {x, bn->gamma, bn->beta, bn->running_mean, bn->running_var, w};
    return mg_apply(ctx, MG_OP_norm_depthwise_conv, &conv, in, 6);
}

mg_tensor *mg_norm_gate_project(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                                const mg_gate_parameters *gate, mg_tensor *w, bool training) {
    mg_attr attr = {.training = training, .eps = bn->eps, .momentum = bn->momentum};
    mg_tensor *in[] = {x,
                       bn->gamma,
                       bn->beta,
                       bn->running_mean,
                       bn->running_var,
                       gate->reduce_w,
                       gate->reduce_b,
                       gate->expand_w,
                       gate->expand_b,
                       w};
    return mg_apply(ctx, MG_OP_norm_gate_project, &attr, in, 10);
}

bool mg_has_fused_training(const mg_context *ctx) {
    return mg_op_kernels(MG_OP_norm_depthwise_conv, ctx->device, ctx->dtype) &&
           mg_op_kernels(MG_OP_norm_gate_project, ctx->device, ctx->dtype);
}

mg_tensor *mg_silu(mg_context *ctx, mg_tensor *x) {
    return apply1(ctx, MG_OP_silu, x, (mg_attr){0});
}
mg_tensor *mg_sigmoid(mg_context *ctx, mg_tensor *x) {
    return apply1(ctx, MG_OP_sigmoid, x, (mg_attr){0});
}
mg_tensor *mg_tanh(mg_context *ctx, mg_tensor *x) {
    return apply1(ctx, MG_OP_tanh, x, (mg_attr){0});
}
mg_tensor *mg_softmax(mg_context *ctx, mg_tensor *x) {
    return apply1(ctx, MG_OP_softmax, x, (mg_attr){0});
}
mg_tensor *mg_global_average_pool(mg_context *ctx, mg_tensor *x) {
    return apply1(ctx, MG_OP_global_average_pool, x, (mg_attr){0});
}
mg_tensor *mg_add(mg_context *ctx, mg_tensor *a, mg_tensor *b) {
    return apply2(ctx, MG_OP_add, a, b, (mg_attr){0});
}
mg_tensor *mg_channel_scale(mg_context *ctx, mg_tensor *x, mg_tensor *scale) {
    return apply2(ctx, MG_OP_channel_scale, x, scale, (mg_attr){0});
}

mg_tensor *mg_squeeze_excite(mg_context *ctx, mg_tensor *x, mg_tensor *w1, mg_tensor *b1,
                             mg_tensor *w2, mg_tensor *b2) {
    mg_attr attr = {0};
    return mg_apply(ctx, MG_OP_squeeze_excite, &attr, (mg_tensor *[]){x, w1, b1, w2, b2}, 5);
}

/* A layer's draws: the step is the slow index, the microbatch's first row the middle one, so that
 * an accumulated batch does not repeat its masks. */
static mg_rng_key layer_key(const mg_context *ctx, mg_rng_purpose purpose, uint32_t layer) {
    return (mg_rng_key){.seed = ctx->seed,
                        .purpose = (uint32_t)purpose | layer << 8,
                        .epoch = ctx->step_number,
                        .sample = ctx->sample_base};
}

mg_tensor *mg_dropout(mg_context *ctx, mg_tensor *x, double p, uint32_t layer, bool training) {
    if (!training || p <= 0) return x;
    mg_attr attr = {.p = p, .training = true, .key = layer_key(ctx, MG_RNG_DROPOUT, layer)};
    return apply1(ctx, MG_OP_dropout, x, attr);
}

mg_tensor *mg_stochastic_depth(mg_context *ctx, mg_tensor *x, double p, uint32_t layer,
                               bool training) {
    if (!training || p <= 0) return x;
    mg_attr attr = {
        .p = p, .training = true, .key = layer_key(ctx, MG_RNG_STOCHASTIC_DEPTH, layer)};
    return apply1(ctx, MG_OP_stochastic_depth, x, attr);
}

mg_tensor *mg_bce_with_logits(mg_context *ctx, mg_tensor *logits, mg_tensor *targets,
                              mg_tensor *weight, double positive_weight) {
    mg_attr attr = {.positive_weight = positive_weight};
    mg_tensor *in[] = {logits, targets, weight};
    return mg_apply(ctx, MG_OP_bce_with_logits, &attr, in, weight ? 3 : 2);
}

mg_tensor *mg_concat(mg_context *ctx, mg_tensor *a, mg_tensor *b, int axis) {
    return apply2(ctx, MG_OP_concat, a, b, (mg_attr){.axis = axis});
}

mg_tensor *mg_resize_bilinear(mg_context *ctx, mg_tensor *x, int64_t height, int64_t width,
                              bool align_corners) {
    mg_attr attr = {.height = height, .width = width, .align_corners = align_corners};
    return apply1(ctx, MG_OP_resize_bilinear, x, attr);
}

mg_tensor *mg_resize_bicubic(mg_context *ctx, mg_tensor *x, int64_t height, int64_t width,
                             bool align_corners) {
    mg_attr attr = {.height = height, .width = width, .align_corners = align_corners};
    return apply1(ctx, MG_OP_resize_bicubic, x, attr);
}
