/* sigmoid: the logistic function, from logit to probability.
 *
 *     y = 1 / (1 + e^-x)
 *     dx += dy y (1 - y)
 *
 * Shapes: x and y any, equal. Backward reads y, so x need not be kept.
 * Source: Verhulst 1845; Goodfellow, Bengio & Courville 2016, section 3.10. */
#include "ops/activation.h"
#include "ops/real.h"

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 4, 4); }

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = sigmoid(x[i]);
}

static void backward(const mg_op_call *c) {
    const real *y = c->y, *dy = c->dy;
    real *dx = c->dx[0];
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * y[i] * (1 - y[i]);
}

static const mg_case cases[] = {
    {"image", .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"one element", .inputs = 1, .shape = {MG_SHAPE(1)}},
    {"ragged tail", .inputs = 1, .shape = {MG_SHAPE(3, 37)}},
    {"saturated", .inputs = 1, .shape = {MG_SHAPE(1, 11, 13, 2)}, .fill = {MG_FILL_SATURATED}},
    {"many chunks", .inputs = 1, .shape = {MG_SHAPE(1, 61, 53, 17)}},
};

MG_OP(sigmoid) = {
    .name = "sigmoid",
    .summary = "the logistic function",
    .formula = "y = 1 / (1 + exp(-x))",
    .gradient = "dx += dy * y * (1 - y)",
    .source = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 3.10",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .differentiable = 1,
    .needs_y = true,
    .shape = mg_shape_same,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
