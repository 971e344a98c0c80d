/* fold.c: batch norm in inference mode is a scale and a shift per output channel; multiplied into
 * the convolution before it, it costs nothing.
 *
 *     w' = w gamma / sqrt(v + eps),   b' = beta - m gamma / sqrt(v + eps)
 *
 * The scale is computed in f64 and rounded once per weight. */
#include <math.h>
#include <stdlib.h>

#include "nn/efficientnet.h"

static void scale_row(mg_conv_norm *layer, int64_t first, int64_t channels, const double *scale) {
    if (layer->weight->dtype == MG_F32) {
        const float *w = (const float *)layer->weight->data + first;
        float *out = (float *)layer->folded_weight->data + first;
        for (int64_t c = 0; c < channels; c++) out[c] = (float)((double)w[c] * scale[c]);
        return;
    }
    for (int64_t c = 0; c < channels; c++)
        mg_tensor_set(layer->folded_weight, first + c,
                      mg_tensor_get(layer->weight, first + c) * scale[c]);
}

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
    double *scale = malloc((size_t)channels * sizeof *scale);
    if (!scale) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "%s: out of memory", scope);
        return;
    }
    for (int64_t c = 0; c < channels; c++) {
        scale[c] =
            mg_tensor_get(norm->gamma, c) / sqrt(mg_tensor_get(norm->running_var, c) + norm->eps);
        mg_tensor_set(layer->folded_bias, c,
                      mg_tensor_get(norm->beta, c) -
                          mg_tensor_get(norm->running_mean, c) * scale[c]);
    }
    /* channels are the last axis in every layout of ours */
    for (int64_t r = 0; r < rows; r++) scale_row(layer, r * channels, channels, scale);
    free(scale);
}

/* A grey image repeated over the stem's channels is one channel against the summed weights: exactly
 * the same function, a third of the work. */
static void sum_stem(mg_context *ctx, mg_efficientnet *net) {
    const mg_tensor *folded = net->stem.folded_weight;
    if (!folded || net->options.input_channels == 1) return;
    const int64_t *d = folded->shape.dim; /* [k,k,Cin,Cout] */
    if (!net->grey_stem)
        net->grey_stem =
            mg_parameter(ctx, "grey stem", (mg_shape)MG_SHAPE(d[0], d[1], 1, d[3]), false);
    for (int64_t tap = 0; net->grey_stem && tap < d[0] * d[1]; tap++)
        for (int64_t o = 0; o < d[3]; o++) {
            double sum = 0;
            for (int64_t i = 0; i < d[2]; i++)
                sum += mg_tensor_get(folded, (tap * d[2] + i) * d[3] + o);
            mg_tensor_set(net->grey_stem, tap * d[3] + o, sum);
        }
}

void mg_efficientnet_fold(mg_context *ctx, mg_efficientnet *net, int first, int last) {
    mg_context_to_host(ctx);
    mg_context_host_changed(ctx);
    if (first <= 0 && last >= 0) {
        fold_layer(ctx, &net->stem, "folded features.0");
        sum_stem(ctx, net);
    }
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
