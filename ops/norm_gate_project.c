/* norm_gate_project: batch norm, SiLU, squeeze-and-excitation and the projection as one op, the end
 * of a block that is trained.
 *
 *     n = batch_norm(x), s = silu(n), z = squeeze_excite(s), y = z w (a pointwise convolution)
 *
 *     dz, dw from pointwise_conv;  ds and the gate's gradients from squeeze_excite;
 *     dn = ds silu'(n);  dx, dgamma, dbeta from batch_norm
 *
 * It computes what the four ops compute, in their order, and is here for memory: x alone is kept
 * for backward, n, s and z are computed again where they are needed, in cache.
 *
 * Shapes: x [N,H,W,C]; gamma, beta, running_mean, running_var [C]; w1 [C,S], b1 [S], w2 [S,C], b2
 * [C] of the gate; w [C,K]; y [N,H,W,K]. Attributes are those of batch_norm. Saved: batch_norm's m
 * and 1/sqrt(v+eps), then what squeeze_excite saves.
 * Source: Hu, Shen & Sun 2017; Tan & Le 2019, section 4; fusing with recomputation as in Bulò et
 * al. 2018 (In-place activated batch norm). */
#include <string.h>

#include "ops/activation.h"
#include "ops/compose.h"
#include "ops/real.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, W1, B1, W2, B2, W };

static mg_op_call gate_part(const mg_op_call *c) {
    mg_op_call part = mg_part_after(c, W1, 5);
    part.y_shape = c->x_shape[X];
    if (c->save) part.save = (real *)c->save + 2 * c->x_shape[GAMMA].dim[0];
    return part;
}

static mg_op_call project_part(const mg_op_call *c) {
    mg_op_call part = mg_part_after(c, W, 2);
    part.attr.activation = MG_ACTIVATION_NONE;
    return part;
}

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_op_call norm = mg_part_norm(c), gate = gate_part(c), project = project_part(c);
    mg_status s = mg_expect_rank(c, "norm_gate_project", X, "x", 4, "[N,H,W,C]", err);
    if (!s) s = MG_PART(batch_norm)->shape(&norm, err);
    if (!s) s = MG_PART(squeeze_excite)->shape(&gate, err);
    if (!s) s = MG_PART(pointwise_conv)->shape(&project, err);
    c->y_shape = project.y_shape;
    return s;
}

static int64_t save_count(const mg_op_call *c) {
    mg_op_call gate = gate_part(c);
    return 2 * c->x_shape[GAMMA].dim[0] + MG_PART(squeeze_excite)->save_count(&gate);
}

static int64_t elements(const mg_op_call *c) { return mg_shape_elements(&c->x_shape[X]); }

/* s and z, and in backward dz and ds; then the gate's own. */
static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    mg_op_call gate = gate_part(c);
    return (size_t)elements(c) * (backward ? 4 : 2) * sizeof(real) +
           MG_PART(squeeze_excite)->reference.scratch_bytes(&gate, backward, threads);
}

static mg_cost cost(const mg_op_call *c) {
    mg_op_call gate = gate_part(c);
    mg_cost g = MG_PART(squeeze_excite)->cost(&gate);
    double n = (double)elements(c), in = mg_bytes_in(c), out = mg_bytes_out(c);
    double products = 2 * n * (double)c->x_shape[W].dim[1];
    return (mg_cost){(c->attr.training ? 11 : 6) * n + g.forward_flops + products, in + out,
                     (c->attr.training ? 15 : 10) * n + g.backward_flops + 2 * products,
                     in + out + in};
}

static void forward(const mg_op_call *c) {
    mg_op_call norm = mg_part_norm(c), gate = gate_part(c), project = project_part(c);
    real *s = c->scratch, *z = s + elements(c);
    norm.y = gate.x[0] = s;
    MG_PART(batch_norm)->reference.forward(&norm);
    for (int64_t i = 0; i < elements(c); i++) s[i] = silu(s[i]);
    gate.y = project.x[0] = z;
    MG_PART(squeeze_excite)->reference.forward(&gate);
    project.y = c->y;
    MG_PART(pointwise_conv)->reference.forward(&project);
}

static void backward(const mg_op_call *c) {
    mg_op_call norm = mg_part_norm(c), gate = gate_part(c), project = project_part(c);
    const int64_t n = elements(c), channels = c->x_shape[GAMMA].dim[0];
    const int64_t each = n / c->x_shape[X].dim[0];
    real *s = c->scratch, *z = s + n, *dz = z + n, *ds = dz + n;
    /* squeeze_excite saves means [N,C], squeezed [N,S] and, last, gates [N,C]. */
    int64_t images = c->x_shape[X].dim[0], saved = MG_PART(squeeze_excite)->save_count(&gate);
    const real *scale = (const real *)gate.save + saved - images * channels;
    for (int64_t i = 0; i < n; i++) {
        s[i] = silu(mg_part_normalised(c, i));
        z[i] = s[i] * scale[i / each * channels + i % channels];
    }
    memset(dz, 0, 2 * (size_t)n * sizeof *dz);
    project.x[0] = z;
    project.dx[0] = dz;
    project.dy = c->dy;
    MG_PART(pointwise_conv)->reference.backward(&project);
    gate.x[0] = s;
    gate.dx[0] = ds;
    gate.dy = dz;
    gate.scratch = ds + n;
    MG_PART(squeeze_excite)->reference.backward(&gate);
    for (int64_t i = 0; i < n; i++) ds[i] *= silu_slope(mg_part_normalised(c, i));
    norm.dy = ds;
    MG_PART(batch_norm)->reference.backward(&norm);
}

#define IMAGE(n, h, w, c, s, k)                                                                    \
    10, {                                                                                          \
        MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c, s),  \
            MG_SHAPE(s), MG_SHAPE(s, c), MG_SHAPE(c), MG_SHAPE(c, k)                               \
    }
#define FILLS(x)                                                                                   \
    .fill = {x,                                                                                    \
             MG_FILL_NORMAL,                                                                       \
             MG_FILL_NORMAL,                                                                       \
             MG_FILL_NORMAL,                                                                       \
             MG_FILL_POSITIVE,                                                                     \
             MG_FILL_WEIGHT,                                                                       \
             MG_FILL_NORMAL,                                                                       \
             MG_FILL_WEIGHT,                                                                       \
             MG_FILL_NORMAL,                                                                       \
             MG_FILL_WEIGHT}
#define TRAIN                                                                                      \
    { .training = true, .eps = 1e-3, .momentum = 0.1 }
static const mg_case cases[] = {
    {"two images", TRAIN, IMAGE(2, 5, 7, 3, 2, 5), FILLS(MG_FILL_NORMAL)},
    {"ragged channels", TRAIN, IMAGE(3, 3, 5, 37, 5, 11), FILLS(MG_FILL_NORMAL)},
    {"several blocks of rows", TRAIN, IMAGE(2, 23, 19, 18, 3, 7), FILLS(MG_FILL_NORMAL)},
    {"several slabs of channels", TRAIN, IMAGE(1, 7, 5, 131, 7, 33), FILLS(MG_FILL_NORMAL)},
    {"more outputs than a depth block", TRAIN, IMAGE(1, 3, 3, 17, 2, 261), FILLS(MG_FILL_NORMAL)},
    {"more channels than a depth block", TRAIN, IMAGE(1, 2, 5, 270, 3, 6), FILLS(MG_FILL_NORMAL)},
    {"one output", TRAIN, IMAGE(2, 2, 3, 16, 4, 1), FILLS(MG_FILL_NORMAL)},
    {"mean far above spread", TRAIN, IMAGE(2, 11, 7, 5, 2, 3), FILLS(MG_FILL_OFFSET)},
    {"saturated", TRAIN, IMAGE(2, 3, 5, 20, 3, 4), FILLS(MG_FILL_SATURATED)},
    {"running statistics", {.eps = 1e-5}, IMAGE(2, 5, 7, 23, 3, 9), FILLS(MG_FILL_NORMAL)},
};

MG_OP(norm_gate_project) = {
    .name = "norm_gate_project",
    .summary = "batch norm, SiLU, squeeze-and-excitation and a projection as one op",
    .formula = "n = batch_norm(x); s = silu(n); z = squeeze_excite(s); y = z w",
    .gradient = "dz, dw of pointwise_conv; ds, dw1, db1, dw2, db2 of squeeze_excite; "
                "dn = ds silu'(n); dx, dgamma, dbeta of batch_norm",
    .source = "Hu, Shen & Sun 2017, arXiv:1709.01507; Tan & Le 2019, arXiv:1905.11946; Bulo et al. "
              "2018, arXiv:1712.02616",
    .min_inputs = 10,
    .max_inputs = 10,
    .input_names = {"x", "gamma", "beta", "running_mean", "running_var", "w1", "b1", "w2", "b2",
                    "w"},
    .flags = MG_OP_MUTATES_STATE,
    .differentiable = 1 | 2 | 4 | 32 | 64 | 128 | 256 | 512,
    .needs_x = 1 | 2 | 4 | 32 | 128 | 512,
    .shape = shape,
    .save_count = save_count,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, scratch_bytes, 0},
};
