/* efficientnet.c: building the network: parameters, names, paddings. The forward pass is in
 * forward.c, folding in fold.c, initial values in initialise.c. */
#include "nn/efficientnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct builder {
    mg_context *ctx;
    mg_efficientnet *net;
    int64_t nominal; /* MG_PAD_STATIC: side length of the nominal image at this layer */
} builder;

static mg_tensor *add(builder *b, const char *prefix, const char *suffix, mg_parameter_kind kind,
                      int stage, mg_shape shape) {
    mg_efficientnet *net = b->net;
    mg_parameter_info *p = &net->parameter[net->parameters];
    snprintf(p->name, sizeof p->name, "%s.%s", prefix, suffix);
    p->kind = kind;
    p->stage = stage;
    bool running = kind == MG_KIND_RUNNING_MEAN || kind == MG_KIND_RUNNING_VAR;
    p->trained = stage >= net->options.first_trained && !running;
    p->tensor = mg_parameter(b->ctx, p->name, shape, p->trained);
    net->parameters++;
    if (p->tensor && (kind == MG_KIND_NORM_WEIGHT || kind == MG_KIND_RUNNING_VAR))
        for (int64_t i = 0; i < shape.dim[0]; i++) mg_tensor_set(p->tensor, i, 1);
    return p->tensor;
}

static void pad_static(builder *b, mg_attr *attr) {
    mg_attr same = {.kernel = attr->kernel, .stride = attr->stride, .padding = MG_PAD_SAME};
    mg_conv_axis axis = mg_conv_output(&same, 0, b->nominal);
    int64_t total = (axis.out - 1) * attr->stride + attr->kernel - b->nominal;
    if (total < 0) total = 0;
    attr->pad_top = attr->pad_left = (int)axis.before;
    attr->pad_bottom = attr->pad_right = (int)(total - axis.before);
    b->nominal = axis.out;
}

/* `at` is the torchvision module that holds the convolution (".0") and its batch norm (".1"). */
static void add_conv_norm(builder *b, mg_conv_norm *layer, const char *at, mg_parameter_kind kind,
                          int stage, int kernel, int stride, int in, int out) {
    const mg_efficientnet_options *o = &b->net->options;
    char conv[48], norm[48];
    snprintf(conv, sizeof conv, "%s.0", at);
    snprintf(norm, sizeof norm, "%s.1", at);
    mg_shape shape = kind == MG_KIND_CONV        ? (mg_shape)MG_SHAPE(kernel, kernel, in, out)
                     : kind == MG_KIND_DEPTHWISE ? (mg_shape)MG_SHAPE(kernel, kernel, out)
                                                 : (mg_shape)MG_SHAPE(in, out);
    mg_shape channels = MG_SHAPE(out);
    layer->attr = (mg_attr){.kernel = kernel, .stride = stride, .padding = o->padding};
    if (o->padding == MG_PAD_STATIC && kind != MG_KIND_POINTWISE) pad_static(b, &layer->attr);
    layer->weight = add(b, conv, "weight", kind, stage, shape);
    layer->norm = (mg_batch_norm_parameters){
        .gamma = add(b, norm, "weight", MG_KIND_NORM_WEIGHT, stage, channels),
        .beta = add(b, norm, "bias", MG_KIND_NORM_BIAS, stage, channels),
        .running_mean = add(b, norm, "running_mean", MG_KIND_RUNNING_MEAN, stage, channels),
        .running_var = add(b, norm, "running_var", MG_KIND_RUNNING_VAR, stage, channels),
        .eps = o->bn_eps,
        .momentum = o->bn_momentum};
}

static void add_block(builder *b, mg_block *block, const mg_block_arch *p, int number) {
    mg_efficientnet *net = b->net;
    char at[48];
    int part = 0;
    block->arch = *p;
    snprintf(block->scope, sizeof block->scope, "features.%d.%d", p->stage, p->index);
    block->drop_probability = net->options.stochastic_depth * number / net->arch.blocks;
    if (p->expanded != p->in) {
        snprintf(at, sizeof at, "%s.block.%d", block->scope, part++);
        add_conv_norm(b, &block->expand, at, MG_KIND_POINTWISE, p->stage, 1, 1, p->in, p->expanded);
    }
    snprintf(at, sizeof at, "%s.block.%d", block->scope, part++);
    add_conv_norm(b, &block->depthwise, at, MG_KIND_DEPTHWISE, p->stage, p->kernel, p->stride,
                  p->expanded, p->expanded);
    snprintf(at, sizeof at, "%s.block.%d", block->scope, part++);
    mg_shape reduce = MG_SHAPE(p->expanded, p->squeezed), gate = MG_SHAPE(p->squeezed, p->expanded);
    block->reduce_w = add(b, at, "fc1.weight", MG_KIND_POINTWISE, p->stage, reduce);
    block->reduce_b =
        add(b, at, "fc1.bias", MG_KIND_BIAS, p->stage, (mg_shape)MG_SHAPE(p->squeezed));
    block->gate_w = add(b, at, "fc2.weight", MG_KIND_POINTWISE, p->stage, gate);
    block->gate_b = add(b, at, "fc2.bias", MG_KIND_BIAS, p->stage, (mg_shape)MG_SHAPE(p->expanded));
    snprintf(at, sizeof at, "%s.block.%d", block->scope, part++);
    add_conv_norm(b, &block->project, at, MG_KIND_POINTWISE, p->stage, 1, 1, p->expanded, p->out);
}

static void complete_options(mg_efficientnet *net, const mg_efficientnet_options *options) {
    static const mg_efficientnet_options defaults = {.dropout = -1, .stochastic_depth = -1};
    mg_efficientnet_options o = options ? *options : defaults;
    if (!o.input_channels) o.input_channels = 3;
    if (!o.logits) o.logits = 1;
    if (o.dropout < 0) o.dropout = net->arch.dropout;
    if (o.stochastic_depth < 0) o.stochastic_depth = net->arch.stochastic_depth;
    if (o.bn_eps == 0) o.bn_eps = net->arch.bn_eps;
    if (o.bn_momentum == 0) o.bn_momentum = net->arch.bn_momentum;
    if (!o.nominal_size) o.nominal_size = net->arch.resolution;
    net->options = o;
}

mg_efficientnet *mg_efficientnet_create(mg_context *ctx, const mg_arch *arch,
                                        const mg_efficientnet_options *options) {
    mg_efficientnet *net = calloc(1, sizeof *net);
    if (net) net->parameter = calloc((size_t)arch->blocks * 20 + 16, sizeof *net->parameter);
    if (!net || !net->parameter) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "efficientnet: out of memory");
        free(net);
        return NULL;
    }
    net->arch = *arch;
    complete_options(net, options);
    builder b = {ctx, net, net->options.nominal_size};
    add_conv_norm(&b, &net->stem, "features.0", MG_KIND_CONV, 0, 3, 2, net->options.input_channels,
                  arch->stem);
    for (int i = 0; i < arch->blocks; i++) add_block(&b, &net->block[i], &arch->block[i], i);
    int head = mg_efficientnet_head_stage(net);
    char at[24];
    snprintf(at, sizeof at, "features.%d", head);
    add_conv_norm(&b, &net->head, at, MG_KIND_POINTWISE, head, 1, 1,
                  arch->block[arch->blocks - 1].out, arch->head);
    net->classifier_w = add(&b, "classifier.1", "weight", MG_KIND_LINEAR, MG_STAGE_CLASSIFIER,
                            (mg_shape)MG_SHAPE(arch->head, net->options.logits));
    net->classifier_b = add(&b, "classifier.1", "bias", MG_KIND_BIAS, MG_STAGE_CLASSIFIER,
                            (mg_shape)MG_SHAPE(net->options.logits));
    if (ctx->error.code) {
        mg_efficientnet_destroy(net);
        return NULL;
    }
    return net;
}

void mg_efficientnet_destroy(mg_efficientnet *net) {
    if (!net) return;
    free(net->parameter);
    free(net);
}

int mg_efficientnet_head_stage(const mg_efficientnet *net) { return net->arch.stages + 1; }

mg_parameter_info *mg_efficientnet_find(mg_efficientnet *net, const char *name) {
    for (int i = 0; i < net->parameters; i++)
        if (strcmp(net->parameter[i].name, name) == 0) return &net->parameter[i];
    return NULL;
}

int64_t mg_efficientnet_count(const mg_efficientnet *net, bool trained_only) {
    int64_t n = 0;
    for (int i = 0; i < net->parameters; i++) {
        const mg_parameter_info *p = &net->parameter[i];
        bool running = p->kind == MG_KIND_RUNNING_MEAN || p->kind == MG_KIND_RUNNING_VAR;
        if (!running && (p->trained || !trained_only)) n += mg_shape_elements(&p->tensor->shape);
    }
    return n;
}

double mg_tensor_get(const mg_tensor *t, int64_t i) {
    return t->dtype == MG_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

void mg_tensor_set(mg_tensor *t, int64_t i, double value) {
    if (t->dtype == MG_F64) ((double *)t->data)[i] = value;
    else ((float *)t->data)[i] = (float)value;
}

mg_shape mg_parameter_torch_shape(const mg_parameter_info *p) {
    const int64_t *d = p->tensor->shape.dim;
    switch (p->kind) {
    case MG_KIND_CONV: return (mg_shape)MG_SHAPE(d[3], d[2], d[0], d[1]);
    case MG_KIND_DEPTHWISE: return (mg_shape)MG_SHAPE(d[2], 1, d[0], d[1]);
    case MG_KIND_POINTWISE: return (mg_shape)MG_SHAPE(d[1], d[0], 1, 1);
    case MG_KIND_LINEAR: return (mg_shape)MG_SHAPE(d[1], d[0]);
    default: return p->tensor->shape;
    }
}

int64_t mg_parameter_offset(const mg_parameter_info *p, int64_t index) {
    mg_shape torch = mg_parameter_torch_shape(p);
    if (torch.rank < 2) return index;
    int64_t taps = torch.rank == 4 ? torch.dim[2] * torch.dim[3] : 1;
    int64_t in = torch.dim[1], out = torch.dim[0];
    int64_t tap = index % taps, i = index / taps % in, o = index / taps / in;
    return (tap * in + i) * out + o;
}
