/* stochastic_depth: in training, a whole image's residual branch is dropped with probability p,
 * else scaled to keep the mean ("row" mode).
 *
 *     keep[n] = uniform(key, n) >= p,  y[n,...] = x[n,...] keep[n] / (1 - p)
 *     dx[n,...] += dy[n,...] keep[n] / (1 - p)
 *
 * Shapes: x and y any of rank >= 1, equal; the first dim counts the images. attr.p in [0,1),
 * attr.key, attr.training; outside training y = x. Backward draws the same numbers again.
 * Source: Huang et al. 2016; one draw per image as in EfficientNet ("drop connect"). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    if (c->x_shape[0].rank < 1)
        return mg_expect_rank(c, "stochastic_depth", 0, "x", 4, "[N,...]", err);
    if (!(c->attr.p >= 0 && c->attr.p < 1))
        return mg_fail(err, MG_ERR_ARG, "stochastic_depth: p must be at least 0 and below 1, is %g",
                       c->attr.p);
    return mg_shape_same(c, err);
}

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 1, 2); }

/* 0 or 1/(1-p): the factor of image n, the same in forward and backward. */
static real factor(const mg_op_call *c, int64_t n) {
    if (!c->attr.training) return 1;
    bool keep = (double)mg_rng_uniform(&c->attr.key, (uint32_t)n) >= c->attr.p;
    return keep ? (real)(1 / (1 - c->attr.p)) : 0;
}

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    int64_t images = c->y_shape.dim[0], each = mg_shape_elements(&c->y_shape) / images;
    for (int64_t n = 0; n < images; n++)
        for (int64_t i = n * each; i < (n + 1) * each; i++) y[i] = x[i] * factor(c, n);
}

static void backward(const mg_op_call *c) {
    const real *dy = c->dy;
    real *dx = c->dx[0];
    int64_t images = c->y_shape.dim[0], each = mg_shape_elements(&c->y_shape) / images;
    for (int64_t n = 0; n < images; n++)
        for (int64_t i = n * each; i < (n + 1) * each; i++) dx[i] += dy[i] * factor(c, n);
}

#define TRAIN(probability)                                                                         \
    .attr = {.training = true, .p = probability, .key = {.seed = 9, .purpose = MG_RNG_TEST}},      \
    .inputs = 1
static const mg_case cases[] = {
    {"seven images", TRAIN(0.5), .shape = {MG_SHAPE(7, 3, 5, 2)}},
    {"images in fours", TRAIN(0.5), .shape = {MG_SHAPE(5, 3, 5, 8)}},
    {"one image", TRAIN(0.2), .shape = {MG_SHAPE(1, 5, 7, 3)}},
    {"three rows", TRAIN(0.3), .shape = {MG_SHAPE(3, 37)}},
    {"many chunks", TRAIN(0.5), .shape = {MG_SHAPE(5, 47, 11, 17)}},
    {"inference", .attr = {.p = 0.5}, .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 3)}},
};

MG_OP(stochastic_depth) = {
    .name = "stochastic_depth",
    .summary = "a residual branch dropped at random, image by image",
    .formula = "y[n,...] = x[n,...] (uniform(key, n) >= p) / (1 - p) in training, else x[n,...]",
    .gradient = "dx[n,...] += dy[n,...] (uniform(key, n) >= p) / (1 - p) in training, else dy",
    .source = "Huang et al. 2016, arXiv:1603.09382",
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
