/* functions.h: the ops as functions. Every argument may be NULL after an error; results are then
 * NULL too (context.h). Shapes, formulas and sources: the ops' own files and `make docs`. */
#ifndef MG_AUTOGRAD_FUNCTIONS_H
#define MG_AUTOGRAD_FUNCTIONS_H

#include "autograd/context.h"

/* attr: kernel, stride, padding, activation. b may be NULL. The activation is part of the op where
 * nothing is derived, and otherwise an op of its own behind it. */
mg_tensor *mg_conv2d(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b, mg_attr attr);
mg_tensor *mg_depthwise_conv(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_attr attr);
mg_tensor *mg_pointwise_conv(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b,
                             mg_activation activation);
/* x [M,K] · w [K,N] + b [N] */
mg_tensor *mg_linear(mg_context *ctx, mg_tensor *x, mg_tensor *w, mg_tensor *b);

typedef struct mg_batch_norm_parameters {
    mg_tensor *gamma, *beta, *running_mean, *running_var;
    double eps, momentum;
} mg_batch_norm_parameters;
mg_tensor *mg_batch_norm(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                         bool training);

/* The middle and the end of a trained block, each one op that keeps its input alone for backward;
 * for devices that have them (mg_has_fused_training). conv: kernel, stride, padding. */
typedef struct mg_gate_parameters {
    mg_tensor *reduce_w, *reduce_b, *expand_w, *expand_b;
} mg_gate_parameters;
mg_tensor *mg_norm_depthwise_conv(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                                  mg_tensor *w, mg_attr conv, bool training);
mg_tensor *mg_norm_gate_project(mg_context *ctx, mg_tensor *x, const mg_batch_norm_parameters *bn,
                                const mg_gate_parameters *gate, mg_tensor *w, bool training);
bool mg_has_fused_training(const mg_context *ctx);

mg_tensor *mg_silu(mg_context *ctx, mg_tensor *x);
mg_tensor *mg_sigmoid(mg_context *ctx, mg_tensor *x);
mg_tensor *mg_tanh(mg_context *ctx, mg_tensor *x);
mg_tensor *mg_softmax(mg_context *ctx, mg_tensor *x);
mg_tensor *mg_add(mg_context *ctx, mg_tensor *a, mg_tensor *b);
mg_tensor *mg_channel_scale(mg_context *ctx, mg_tensor *x, mg_tensor *scale);
mg_tensor *mg_squeeze_excite(mg_context *ctx, mg_tensor *x, mg_tensor *w1, mg_tensor *b1,
                             mg_tensor *w2, mg_tensor *b2);
mg_tensor *mg_global_average_pool(mg_context *ctx, mg_tensor *x);
/* layer: a number of its own per call site, so that no two layers share a mask. Outside training,
 * or with p = 0, the result is x itself: release x only when it is another tensor. */
mg_tensor *mg_dropout(mg_context *ctx, mg_tensor *x, double p, uint32_t layer, bool training);
mg_tensor *mg_stochastic_depth(mg_context *ctx, mg_tensor *x, double p, uint32_t layer,
                               bool training);
/* Mean over the batch of logits [N,1] against targets [N,1]; weight [N,1] may be NULL. */
mg_tensor *mg_bce_with_logits(mg_context *ctx, mg_tensor *logits, mg_tensor *targets,
                              mg_tensor *weight, double positive_weight);
mg_tensor *mg_concat(mg_context *ctx, mg_tensor *a, mg_tensor *b, int axis);
mg_tensor *mg_resize_bilinear(mg_context *ctx, mg_tensor *x, int64_t height, int64_t width,
                              bool align_corners);
mg_tensor *mg_resize_bicubic(mg_context *ctx, mg_tensor *x, int64_t height, int64_t width,
                             bool align_corners);

#endif
