/* dropout: in training, every element is zeroed with probability p, the others scaled to keep the
 * mean ("inverted" dropout).
 *
 *     keep[i] = uniform(key, i) >= p,  y[i] = x[i] keep[i] / (1 - p)
 *     dx[i] += dy[i] keep[i] / (1 - p)
 *
 * Shapes: x and y any, equal, below 2^32 elements. attr.p in [0,1), attr.key, attr.training;
 * outside training y = x. Draw i of the key's stream decides element i, so backward draws the same
 * mask again and nothing is stored.
 * Source: Srivastava et al. 2014. */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    if (!(c->attr.p >= 0 && c->attr.p < 1))
        return mg_fail(err, MG_ERR_ARG, "dropout: p must be at least 0 and below 1, is %g",
                       c->attr.p);
    if (mg_shape_elements(&c->x_shape[0]) > UINT32_MAX)
        return mg_fail(err, MG_ERR_SHAPE, "dropout: x has more than 2^32 elements");
    return mg_shape_same(c, err);
}

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 1, 2); }

/* 0 or 1/(1-p): the factor of element i, the same in forward and backward. */
static real factor(const mg_op_call *c, int64_t i) {
    if (!c->attr.training) return 1;
    bool keep = (double)mg_rng_uniform(&c->attr.key, (uint32_t)i) >= c->attr.p;
    return keep ? (real)(1 / (1 - c->attr.p)) : 0;
}

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor(c, i);
}

static void backward(const mg_op_call *c) {
    const real *dy = c->dy;
    real *dx = c->dx[0];
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * factor(c, i);
}

#define TRAIN(probability)                                                                         \
    .attr = {.training = true, .p = probability, .key = {.seed = 7, .purpose = MG_RNG_TEST}},      \
    .inputs = 1
static const mg_case cases[] = {
    {"features", TRAIN(0.4), .shape = {MG_SHAPE(3, 37)}},
    {"one element, p = 0", TRAIN(0.0), .shape = {MG_SHAPE(1)}},
    {"image, nearly all dropped", TRAIN(0.9), .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"many chunks", TRAIN(0.2), .shape = {MG_SHAPE(1, 61, 53, 17)}},
    {"inference", .attr = {.p = 0.4}, .inputs = 1, .shape = {MG_SHAPE(2, 131)}},
};

MG_OP(dropout) = {
    .name = "dropout",
    .summary = "elements zeroed at random in training, the others scaled to keep the mean",
    .formula = "y[i] = x[i] (uniform(key, i) >= p) / (1 - p) in training, else x[i]",
    .gradient = "dx[i] += dy[i] (uniform(key, i) >= p) / (1 - p) in training, else dy[i]",
    .source = "Srivastava et al. 2014, JMLR 15(56)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .flags = MG_OP_RANDOM | MG_OP_LINEAR,
    .differentiable = 1,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
