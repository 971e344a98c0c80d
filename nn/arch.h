/* arch.h: the shape of an EfficientNet, before any memory: stages, blocks and their widths.
 *
 * Width and depth of B0–B7 follow from two multipliers and one base table (Tan & Le 2019,
 * arXiv:1905.11946): widths round to multiples of 8 but never lose more than 10%, repeats round
 * up. Stage 0 is the stem, 1–7 are the MBConv stages, 8 is the 1×1 head convolution, 9 stands
 * for the classifier; torchvision's module names count the same way (features.0 … features.8). */
#ifndef MG_NN_ARCH_H
#define MG_NN_ARCH_H

#include "ops/op.h"

enum { MG_ARCH_STAGES = 9, MG_ARCH_MAX_BLOCKS = 64, MG_STAGE_HEAD = 8, MG_STAGE_CLASSIFIER = 9 };

typedef struct mg_block_arch {
    int stage, index; /* features.<stage>.<index> */
    int kernel, stride;
    int in, expanded, squeezed, out; /* channels; expanded == in: no expansion layer */
    bool residual;                   /* stride 1 and in == out */
} mg_block_arch;

typedef struct mg_arch {
    char name[16];  /* "b4", or "tiny" for hand-made ones */
    int stem, head; /* channels */
    int stages;     /* MBConv stages, numbered from 1; the head convolution is stage stages + 1 */
    int blocks;
    mg_block_arch block[MG_ARCH_MAX_BLOCKS];
    double dropout;             /* of the classifier */
    double stochastic_depth;    /* of the last block; grows linearly from 0 */
    double bn_eps, bn_momentum; /* torchvision's for this variant */
    int resolution;             /* the size its ImageNet weights were made for */
} mg_arch;

/* One row of a base table: kernel, stride, expansion factor, output width, repeats. */
typedef struct mg_stage_row {
    int kernel, stride, expansion, out, repeats;
} mg_stage_row;

/* variant 0 … 7. */
mg_arch mg_arch_efficientnet(int variant);
/* "b4" or "efficientnet_b4" to 0 … 7; -1 when it is neither. */
int mg_arch_variant(const char *name);
/* "b0" … "b7" (also "efficientnet_b4"), or "pico": half of B0's width and depth, for
 * demonstrations and small machines. False for other names. */
bool mg_arch_by_name(const char *name, mg_arch *out);
/* Any other network of the family, for tests and small demos: 1 to 7 rows of stages, as many as
 * lie between stem and head in EfficientNet, and at most MG_ARCH_MAX_BLOCKS blocks in all. */
mg_arch mg_arch_custom(const char *name, int stem, const mg_stage_row *rows, int stages, int head);

#endif
