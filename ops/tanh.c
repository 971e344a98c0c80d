/* tanh: the hyperbolic tangent, the squashing of gated attention pooling.
 *
 *     y = (e^x - e^-x) / (e^x + e^-x)
 *     dx += dy (1 - y²)
 *
 * Shapes: x and y any, equal. Backward reads y, so x need not be kept.
 * Source: Ilse, Tomczak & Welling 2018 (attention-based pooling). */
#include <math.h>

#include "ops/real.h"

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 6, 4); }

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = (real)tanh((double)x[i]);
}

static void backward(const mg_op_call *c) {
    const real *y = c->y, *dy = c->dy;
    real *dx = c->dx[0];
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * (1 - y[i] * y[i]);
}

static const mg_case cases[] = {
    {"image", .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"one element", .inputs = 1, .shape = {MG_SHAPE(1)}},
    {"ragged tail", .inputs = 1, .shape = {MG_SHAPE(3, 37)}},
    {"saturated", .inputs = 1, .shape = {MG_SHAPE(1, 11, 13, 2)}, .fill = {MG_FILL_SATURATED}},
    {"many chunks", .inputs = 1, .shape = {MG_SHAPE(1, 61, 53, 17)}},
};

MG_OP(tanh) = {
    .name = "tanh",
    .summary = "the hyperbolic tangent",
    .formula = "y = tanh(x)",
    .gradient = "dx += dy * (1 - y^2)",
    .source = "Ilse, Tomczak & Welling 2018, arXiv:1802.04712",
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
