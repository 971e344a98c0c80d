/* fold.c: batch norm in inference mode is a scale and a shift per output channel; multiplied into
 * the convolution before it, it costs nothing.
 *
 *     w' = w gamma / sqrt(v + eps),   b' = beta - m gamma / sqrt(v + eps)
 *
 * The scale is computed in f64 and rounded once per weight. */
#include <math.h>

#include "nn/efficientnet.h"

static void fold_layer(mg_context *ctx, mg_conv_norm *layer, const char *scope) {
    if (!layer->weight || ctx->error.code) return;
    if (!layer->folded_weight) {
        mg_shape channels = layer->norm.gamma->shape;
        layer->folded_weight = mg_parameter(ctx, scope, layer->weight->shape, false);
        layer->folded_bias = mg_parameter(ctx, scope, channels, false);
        if (!layer->folded_weight || !layer->folded_bias) return;
    }
    const mg_batch_norm_parameters *norm = &layer->norm;
    int64_t channels = norm->gamma->shape.dim[0];
    int64_t rows = mg_shape_elements(&layer->weight->shape) / channels;
    for (int64_t c = 0; c < channels; c++) {
        double scale =
            mg_tensor_get(norm->gamma, c) / sqrt(mg_tensor_get(norm->running_var, c) + norm->eps);
        mg_tensor_set(layer->folded_bias, c,
                      mg_tensor_get(norm->beta, c) - mg_tensor_get(norm->running_mean, c) * scale);
        /* channels are the last axis in every layout of ours */
        for (int64_t r = 0; r < rows; r++)
            mg_tensor_set(layer->folded_weight, r * channels + c,
                          mg_tensor_get(layer->weight, r * channels + c) * scale);
    }
}

void mg_efficientnet_fold(mg_context *ctx, mg_efficientnet *net, int first, int last) {
    if (first <= 0 && last >= 0) fold_layer(ctx, &net->stem, "folded features.0");
    for (int i = 0; i < net->arch.blocks; i++) {
        mg_block *b = &net->block[i];
        if (b->arch.stage < first || b->arch.stage > last) continue;
        fold_layer(ctx, &b->expand, "folded expansion");
        fold_layer(ctx, &b->depthwise, "folded depthwise");
        fold_layer(ctx, &b->project, "folded projection");
    }
    int head = mg_efficientnet_head_stage(net);
    if (first <= head && last >= head) fold_layer(ctx, &net->head, "folded head");
}
