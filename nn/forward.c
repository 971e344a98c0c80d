/* forward.c: the forward pass, trained stages op by op, folded stages fused (efficientnet.h). */
#include <string.h>

#include "nn/efficientnet.h"
#include "ops/cpu/dispatch.h"

static mg_tensor *conv_norm(mg_context *ctx, const mg_efficientnet *net, const mg_conv_norm *layer,
                            mg_tensor *x, mg_parameter_kind kind) {
    mg_tensor *y = kind == MG_KIND_CONV ? mg_conv2d(ctx, x, layer->weight, NULL, layer->attr)
                   : kind == MG_KIND_DEPTHWISE
                       ? mg_depthwise_conv(ctx, x, layer->weight, layer->attr)
                       : mg_pointwise_conv(ctx, x, layer->weight, NULL, MG_ACTIVATION_NONE);
    mg_release(ctx, x);
    mg_tensor *z = mg_batch_norm(ctx, y, &layer->norm, !net->options.norm_inference);
    mg_release(ctx, y);
    return z;
}

static mg_tensor *activated(mg_context *ctx, mg_tensor *x) {
    mg_tensor *y = mg_silu(ctx, x);
    mg_release(ctx, x);
    return y;
}

/* Expansion to the squeezed and projected tensor, before its batch norm: one op a step. */
static mg_tensor *block_by_op(mg_context *ctx, const mg_efficientnet *net, const mg_block *b,
                              mg_tensor *x) {
    bool training = !net->options.norm_inference;
    mg_tensor *y = x; /* still needed for the residual: released by the caller */
    if (b->expand.weight) {
        mg_tensor *e = mg_pointwise_conv(ctx, x, b->expand.weight, NULL, MG_ACTIVATION_NONE);
        y = mg_batch_norm(ctx, e, &b->expand.norm, training);
        mg_release(ctx, e);
        y = activated(ctx, y);
    }
    mg_tensor *d = mg_depthwise_conv(ctx, y, b->depthwise.weight, b->depthwise.attr);
    if (y != x) mg_release(ctx, y);
    mg_tensor *n = mg_batch_norm(ctx, d, &b->depthwise.norm, training);
    mg_release(ctx, d);
    n = activated(ctx, n);
    mg_tensor *s = mg_squeeze_excite(ctx, n, b->reduce_w, b->reduce_b, b->gate_w, b->gate_b);
    mg_release(ctx, n);
    y = mg_pointwise_conv(ctx, s, b->project.weight, NULL, MG_ACTIVATION_NONE);
    mg_release(ctx, s);
    return y;
}

/* The same in two or three ops: of the wide tensors only the outputs of the expansion and of the
 * depthwise convolution exist, two instead of seven. */
static mg_tensor *block_fused(mg_context *ctx, const mg_efficientnet *net, const mg_block *b,
                              mg_tensor *x) {
    bool training = !net->options.norm_inference;
    mg_tensor *d;
    if (b->expand.weight) {
        mg_tensor *e = mg_pointwise_conv(ctx, x, b->expand.weight, NULL, MG_ACTIVATION_NONE);
        d = mg_norm_depthwise_conv(ctx, e, &b->expand.norm, b->depthwise.weight, b->depthwise.attr,
                                   training);
        mg_release(ctx, e);
    } else {
        d = mg_depthwise_conv(ctx, x, b->depthwise.weight, b->depthwise.attr);
    }
    mg_gate_parameters gate = {b->reduce_w, b->reduce_b, b->gate_w, b->gate_b};
    mg_tensor *y =
        mg_norm_gate_project(ctx, d, &b->depthwise.norm, &gate, b->project.weight, training);
    mg_release(ctx, d);
    return y;
}

static mg_tensor *trained_block(mg_context *ctx, mg_efficientnet *net, mg_block *b, int number,
                                mg_tensor *x) {
    bool fused = mg_has_fused_training(ctx) && !net->options.op_by_op;
    mg_tensor *p = fused ? block_fused(ctx, net, b, x) : block_by_op(ctx, net, b, x);
    mg_tensor *y = mg_batch_norm(ctx, p, &b->project.norm, !net->options.norm_inference);
    mg_release(ctx, p);
    if (b->arch.residual) {
        mg_tensor *kept = mg_stochastic_depth(ctx, y, b->drop_probability, (uint32_t)number, true);
        if (kept != y) mg_release(ctx, y);
        y = mg_add(ctx, kept, x);
        mg_release(ctx, kept);
    }
    mg_release(ctx, x);
    return y;
}

/* Rounding hurts most in early stages (docs/speed.md). Where they cost little by halves, one more
 * is spared. */
static int first_bf16_stage(void) {
    return mg_cpu_bf16_kernels(MG_HALVES_MBCONV) ? MG_FIRST_BF16_STAGE + 1 : MG_FIRST_BF16_STAGE;
}

static mg_tensor *folded_block(mg_context *ctx, const mg_efficientnet *net, mg_block *b,
                               mg_tensor *x) {
    mg_attr attr = b->depthwise.attr;
    attr.residual = b->arch.residual;
    attr.bf16 = net->bf16 && b->arch.stage >= first_bf16_stage();
    attr.relaxed = net->bf16;
    mg_tensor *in[] = {x,
                       b->expand.folded_weight,
                       b->expand.folded_bias,
                       b->depthwise.folded_weight,
                       b->depthwise.folded_bias,
                       b->reduce_w,
                       b->reduce_b,
                       b->gate_w,
                       b->gate_b,
                       b->project.folded_weight,
                       b->project.folded_bias};
    mg_tensor *y = mg_apply(ctx, MG_OP_mbconv, &attr, in, MG_COUNT(in));
    mg_release(ctx, x);
    return y;
}

/* A grey image meets three-channel weights: repeat it, as the weights' origin did. */
static mg_tensor *match_channels(mg_context *ctx, const mg_efficientnet *net, mg_tensor *x) {
    if (!x || x->shape.rank != 4 || x->shape.dim[3] == net->options.input_channels) return x;
    if (x->shape.dim[3] != 1 || net->options.input_channels != 3) {
        mg_fail(&ctx->error, MG_ERR_SHAPE, "efficientnet: images have %lld channels, the stem %d",
                (long long)x->shape.dim[3], net->options.input_channels);
        return NULL;
    }
    mg_tensor *two = mg_concat(ctx, x, x, 3);
    mg_tensor *three = mg_concat(ctx, two, x, 3);
    mg_release(ctx, two);
    return three;
}

static mg_tensor *folded_conv(mg_context *ctx, mg_conv_norm *layer, mg_tensor *x, mg_op_id op,
                              bool bf16) {
    mg_attr attr = layer->attr;
    attr.activation = MG_ACTIVATION_SILU;
    attr.bf16 = bf16;
    mg_tensor *in[] = {x, layer->folded_weight, layer->folded_bias};
    mg_tensor *y = mg_apply(ctx, op, &attr, in, MG_COUNT(in));
    mg_release(ctx, x);
    return y;
}

static mg_tensor *folded_stem(mg_context *ctx, mg_efficientnet *net, mg_tensor *x) {
    bool grey = x && x->shape.rank == 4 && x->shape.dim[3] == 1 && net->grey_stem;
    if (!grey)
        return folded_conv(ctx, &net->stem, match_channels(ctx, net, x), MG_OP_conv2d, false);
    mg_attr attr = net->stem.attr;
    attr.activation = MG_ACTIVATION_SILU;
    attr.relaxed = net->bf16;
    mg_tensor *y = mg_conv2d(ctx, x, net->grey_stem, net->stem.folded_bias, attr);
    mg_release(ctx, x);
    return y;
}

/* Tells a listener about a stage that ends with block i (-1: the stem). */
static void show_stage(mg_context *ctx, const mg_efficientnet *net, int i, const mg_tensor *y) {
    if (!net->on_stage || !y || ctx->dry_run) return;
    bool last = i + 1 == net->arch.blocks || i < 0 ||
                net->block[i + 1].arch.stage != net->block[i].arch.stage;
    if (last) net->on_stage(net->on_stage_arg, i < 0 ? 0 : net->block[i].arch.stage, y);
}

/* The folded stages below `first`, on a few images. */
static mg_tensor *folded_prefix(mg_context *ctx, mg_efficientnet *net, mg_tensor *x, int first) {
    ctx->scope = "features.0";
    mg_tensor *y = folded_stem(ctx, net, x);
    show_stage(ctx, net, -1, y);
    for (int i = 0; i < net->arch.blocks && net->block[i].arch.stage < first; i++) {
        ctx->scope = net->block[i].scope;
        y = folded_block(ctx, net, &net->block[i], y);
        show_stage(ctx, net, i, y);
    }
    if (mg_efficientnet_head_stage(net) >= first) return y;
    ctx->scope = "head";
    y = folded_conv(ctx, &net->head, y, MG_OP_pointwise_conv, net->bf16);
    if (net->on_stage && y && !ctx->dry_run)
        net->on_stage(net->on_stage_arg, mg_efficientnet_head_stage(net), y);
    return y;
}

/* Folded stages keep nothing for backward, so a batch goes through them a few images at a time:
 * the widest activations then exist for those only. Images do not meet each other in these stages,
 * and the group's size is fixed by the image's, so neither batch nor threads change a bit. A GPU
 * needs more images at once to be busy, and has the memory for them. */
static mg_tensor *folded_in_groups(mg_context *ctx, mg_efficientnet *net, mg_tensor *x, int first) {
    enum { CPU_PIXELS = 1 << 18, DEVICE_PIXELS = 1 << 23 };
    if (!x || x->shape.rank != 4) return folded_prefix(ctx, net, x, first);
    int64_t images = x->shape.dim[0], pixels = x->shape.dim[1] * x->shape.dim[2];
    int64_t most = ctx->plugin ? DEVICE_PIXELS : CPU_PIXELS;
    int64_t group = pixels < most ? most / pixels : 1;
    size_t image_bytes = (size_t)(pixels * x->shape.dim[3]) * mg_dtype_size(x->dtype);
    if (images <= group) return folded_prefix(ctx, net, x, first);
    mg_tensor *out = NULL;
    size_t out_bytes = 0;
    for (int64_t i = 0; i < images; i += group) {
        mg_tensor part = *x; /* a window into x; the tape never sees it: nothing here is recorded */
        part.data = (char *)x->data + (size_t)i * image_bytes;
        part.shape.dim[0] = images - i < group ? images - i : group;
        part.is_leaf = true;
        mg_tensor *y = folded_prefix(ctx, net, &part, first);
        if (!y) return NULL;
        if (!out) {
            mg_shape shape = y->shape;
            shape.dim[0] = images;
            out_bytes =
                (size_t)mg_shape_elements(&shape) / (size_t)images * mg_dtype_size(x->dtype);
            out = mg_input(ctx, "frozen features", shape, NULL);
            if (!out) return NULL;
            out->is_leaf = false;
        }
        if (!ctx->dry_run)
            mg_memory_copy(ctx->memory, (char *)out->data + (size_t)i * out_bytes, y->data,
                           (size_t)part.shape.dim[0] * out_bytes);
        mg_release(ctx, y);
    }
    return out;
}

mg_tensor *mg_efficientnet_features(mg_context *ctx, mg_efficientnet *net, mg_tensor *x,
                                    bool training) {
    int first = training ? net->options.first_trained : MG_STAGE_CLASSIFIER;
    int head = mg_efficientnet_head_stage(net);
    mg_tensor *y;
    if (first > 0) {
        y = folded_in_groups(ctx, net, x, first);
    } else {
        ctx->scope = "features.0";
        x = match_channels(ctx, net, x);
        y = activated(ctx, conv_norm(ctx, net, &net->stem, x, MG_KIND_CONV));
    }
    bool before = ctx->relaxed;
    ctx->relaxed = before || (training && net->bf16);
    for (int i = 0; i < net->arch.blocks; i++) {
        mg_block *b = &net->block[i];
        if (b->arch.stage < first) continue;
        ctx->scope = b->scope;
        y = trained_block(ctx, net, b, i, y);
    }
    if (head >= first) {
        ctx->scope = "head";
        y = activated(ctx, conv_norm(ctx, net, &net->head, y, MG_KIND_POINTWISE));
    }
    ctx->relaxed = before;
    return y;
}

mg_tensor *mg_efficientnet_forward(mg_context *ctx, mg_efficientnet *net, mg_tensor *x,
                                   bool training, mg_tensor **features) {
    mg_tensor *y = mg_efficientnet_features(ctx, net, x, training);
    if (features) *features = mg_keep(y);
    ctx->scope = "classifier";
    mg_tensor *pooled = mg_global_average_pool(ctx, y);
    mg_release(ctx, y);
    mg_tensor *dropped = mg_dropout(ctx, pooled, net->options.dropout, 1000, training);
    if (dropped != pooled) mg_release(ctx, pooled);
    mg_tensor *logits = mg_linear(ctx, dropped, net->classifier_w, net->classifier_b);
    mg_release(ctx, dropped);
    ctx->scope = NULL;
    if (training && net->options.first_trained <= mg_efficientnet_head_stage(net) && !ctx->dry_run)
        net->batches_tracked++;
    return mg_keep(logits);
}
