/* efficientnet.h: EfficientNet B0–B7 as tensors and a forward pass.
 *
 * Parameters carry torchvision's state_dict names and are registered in its order; in memory they
 * are laid out for NHWC kernels and converted only when loaded or saved (nn/state.h).
 *
 * There are two forms of every stage. *Trained* stages run op by op on the tape, batch norm with
 * batch statistics. *Folded* stages have batch norm multiplied into the convolutions and run fused
 * kernels without a tape: frozen stages always, and every stage in evaluation. Folding changes
 * rounding, so validation, prediction and frozen stages all share that one path. Whoever changes
 * parameters or running statistics calls mg_efficientnet_fold() before the next folded pass. */
#ifndef MG_NN_EFFICIENTNET_H
#define MG_NN_EFFICIENTNET_H

#include "autograd/functions.h"
#include "nn/arch.h"

typedef enum mg_parameter_kind {
    MG_KIND_CONV,      /* torch [Cout,Cin,k,k], ours [k,k,Cin,Cout] */
    MG_KIND_DEPTHWISE, /* torch [C,1,k,k], ours [k,k,C] */
    MG_KIND_POINTWISE, /* torch [Cout,Cin,1,1], ours [Cin,Cout] */
    MG_KIND_LINEAR,    /* torch [out,in], ours [in,out] */
    MG_KIND_BIAS,
    MG_KIND_NORM_WEIGHT,
    MG_KIND_NORM_BIAS,
    MG_KIND_RUNNING_MEAN,
    MG_KIND_RUNNING_VAR,
} mg_parameter_kind;

typedef struct mg_parameter_info {
    char name[64]; /* torchvision's, e.g. "features.4.0.block.1.0.weight" */
    mg_tensor *tensor;
    mg_parameter_kind kind;
    int stage;    /* 0 … head … MG_STAGE_CLASSIFIER */
    bool trained; /* has a gradient; running statistics never have */
} mg_parameter_info;

typedef struct mg_conv_norm { /* convolution without bias, then batch norm */
    mg_tensor *weight;
    mg_batch_norm_parameters norm;
    mg_tensor *folded_weight, *folded_bias;
    mg_attr attr;
} mg_conv_norm;

typedef struct mg_block {
    mg_block_arch arch;
    char scope[24];                                   /* "features.4.0" */
    mg_conv_norm expand, depthwise, project;          /* expand.weight NULL: no expansion */
    mg_tensor *reduce_w, *reduce_b, *gate_w, *gate_b; /* squeeze-excite fc1, fc2 */
    double drop_probability;                          /* stochastic depth */
} mg_block;

typedef struct mg_efficientnet_options {
    int input_channels; /* of the stem's weights: 3 (default) or 1 */
    int logits;         /* default 1 */
    int first_trained;  /* stages below are frozen; 0 trains all, 9 the classifier only */
    double dropout, stochastic_depth; /* negative: the architecture's */
    double bn_eps, bn_momentum;       /* 0: the architecture's */
    mg_padding padding;
    int nominal_size;    /* MG_PAD_STATIC: the square size that the padding is computed for */
    bool norm_inference; /* batch norm of trained stages uses running statistics */
    bool op_by_op;       /* trained blocks without fused ops: what the others are compared with */
} mg_efficientnet_options;

/* Stages 1 to 3 (with AMX 1 to 4) stay in f32, but for a cheaper SiLU and, with AMX, products by
 * halves and one tensor in bfloat16 (mg_attr.relaxed): with few channels and many pixels they gain
 * least from bfloat16, and the errors of their few-term sums reach the logit almost undiminished
 * (docs/speed.md). */
enum { MG_FIRST_BF16_STAGE = 4 };

typedef struct mg_efficientnet {
    mg_arch arch;
    mg_efficientnet_options options;
    mg_conv_norm stem, head;
    mg_block block[MG_ARCH_MAX_BLOCKS];
    mg_tensor *grey_stem; /* folded stem summed over its input channels: for one-channel images */
    mg_tensor *classifier_w, *classifier_b;
    mg_parameter_info *parameter; /* all of them, torchvision's order */
    int parameters;
    bool bf16; /* folded stages from MG_FIRST_BF16_STAGE on multiply in bfloat16, trained ones by
                  halves where the machine has AMX (CPU; other devices ignore it); may change
                  between passes */
    int64_t batches_tracked; /* num_batches_tracked of every batch norm */
    /* Looks at the output of each stage (0 … head) during a forward pass; may be NULL. */
    void (*on_stage)(void *arg, int stage, const mg_tensor *y);
    void *on_stage_arg;
} mg_efficientnet;

/* Creates parameters in ctx's model arena (zero; batch norm 1,0,0,1). NULL with ctx->error set. */
mg_efficientnet *mg_efficientnet_create(mg_context *ctx, const mg_arch *arch,
                                        const mg_efficientnet_options *options);
void mg_efficientnet_destroy(mg_efficientnet *net);

/* torchvision's initialisation: He normal with fan-out for convolutions, uniform ±1/sqrt(fan-in)
 * for a one-logit classifier (torch.nn.Linear's) and ±1/sqrt(logits) for larger ones. */
void mg_efficientnet_initialise(mg_efficientnet *net, uint64_t seed);

/* Recomputes folded weights of stages first … last (inclusive). */
void mg_efficientnet_fold(mg_context *ctx, mg_efficientnet *net, int first, int last);

/* x [N,H,W,1] or [N,H,W,3] -> logits [N,L]. One-channel images meet a three-channel stem as if
 * repeated three times. training: batch statistics, dropout and stochastic depth in trained stages.
 * *features, if not NULL, receives the head's output [N,h,w,C], kept (for a CAM). */
mg_tensor *mg_efficientnet_forward(mg_context *ctx, mg_efficientnet *net, mg_tensor *x,
                                   bool training, mg_tensor **features);

/* Everything up to the head's output. */
mg_tensor *mg_efficientnet_features(mg_context *ctx, mg_efficientnet *net, mg_tensor *x,
                                    bool training);

mg_parameter_info *mg_efficientnet_find(mg_efficientnet *net, const char *name);
int64_t mg_efficientnet_count(const mg_efficientnet *net, bool trained_only);
int mg_efficientnet_head_stage(const mg_efficientnet *net); /* 8, less for custom architectures */

/* Element access independent of dtype, for code that runs once. */
double mg_tensor_get(const mg_tensor *t, int64_t i);
void mg_tensor_set(mg_tensor *t, int64_t i, double value);

/* Logical element (o, i, kh, kw) of torch's [O,I,kh,kw] to our offset, by kind. */
int64_t mg_parameter_offset(const mg_parameter_info *p, int64_t torch_index);
/* The shape torch uses for it. */
mg_shape mg_parameter_torch_shape(const mg_parameter_info *p);

#endif
