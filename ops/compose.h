/* compose.h: references of ops that are made of other ops. A composite's reference runs its parts'
 * references on calls made from its own; MG_PART(name) is the part's descriptor in this file's
 * precision. */
#ifndef MG_OPS_COMPOSE_H
#define MG_OPS_COMPOSE_H

#include "ops/real.h"

#define MG_PART_NAME(name) MG_CAT(mg_op_##name, MG_REAL_SUFFIX)
#define MG_PART(name)      (&MG_PART_NAME(name))

extern const mg_op MG_PART_NAME(batch_norm), MG_PART_NAME(depthwise_conv),
    MG_PART_NAME(squeeze_excite), MG_PART_NAME(pointwise_conv);

/* batch_norm on the composite's first five inputs; y and dy are the caller's to set. save: batch
 * norm's part comes first in the composite's. */
static inline mg_op_call mg_part_norm(const mg_op_call *c) {
    mg_op_call part = {.attr = c->attr, .inputs = 5, .save = c->save, .y_shape = c->x_shape[0]};
    for (int i = 0; i < 5; i++) {
        part.x[i] = c->x[i];
        part.x_shape[i] = c->x_shape[i];
        part.dx[i] = c->dx[i];
    }
    return part;
}

/* A part with input 0 shaped like the composite's x (its numbers are the caller's to set) and
 * `inputs - 1` more, the composite's from `first` on. */
static inline mg_op_call mg_part_after(const mg_op_call *c, int first, int inputs) {
    mg_op_call part = {.attr = c->attr, .inputs = inputs, .y_shape = c->y_shape};
    part.x_shape[0] = c->x_shape[0];
    for (int i = 1; i < inputs; i++) {
        part.x[i] = c->x[first + i - 1];
        part.x_shape[i] = c->x_shape[first + i - 1];
        part.dx[i] = c->dx[first + i - 1];
    }
    return part;
}

static inline mg_op_call mg_part_depthwise(const mg_op_call *c, int w) {
    return mg_part_after(c, w, 2);
}

/* Element i of the normalised x, from what batch_norm saved. */
static inline real mg_part_normalised(const mg_op_call *c, int64_t i) {
    const real *gamma = c->x[1], *beta = c->x[2], *save = c->save;
    int64_t channels = c->x_shape[1].dim[0], ch = i % channels;
    real h = (((const real *)c->x[0])[i] - save[ch]) * save[channels + ch];
    return gamma[ch] * h + beta[ch];
}

#endif
