/* silu: x times its sigmoid, EfficientNet's activation ("swish").
 *
 *     y = x s(x),  s(x) = 1 / (1 + e^-x)
 *     dx += dy s (1 + x (1 - s))
 *
 * Shapes: x and y any, equal. Backward recomputes s from x: one exp is cheaper than a buffer.
 * Source: Elfwing, Uchibe & Doya 2017 (SiLU); Ramachandran et al. 2017 (swish). */
#include "ops/activation.h"
#include "ops/real.h"

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 5, 9); }

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = silu(x[i]);
}

static void backward(const mg_op_call *c) {
    const real *x = c->x[0], *dy = c->dy;
    real *dx = c->dx[0];
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i] * silu_slope(x[i]);
}

static const mg_case cases[] = {
    {"image", .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"one element", .inputs = 1, .shape = {MG_SHAPE(1)}},
    {"ragged tail", .inputs = 1, .shape = {MG_SHAPE(3, 37)}},
    {"saturated", .inputs = 1, .shape = {MG_SHAPE(1, 11, 13, 2)}, .fill = {MG_FILL_SATURATED}},
    {"many chunks", .inputs = 1, .shape = {MG_SHAPE(1, 61, 53, 17)}},
};

MG_OP(silu) = {
    .name = "silu",
    .summary = "x times its sigmoid",
    .formula = "y = x / (1 + exp(-x))",
    .gradient = "dx += dy * s * (1 + x * (1 - s)), s = 1 / (1 + exp(-x))",
    .source = "Elfwing, Uchibe & Doya 2017, arXiv:1702.03118",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .differentiable = 1,
    .needs_x = 1,
    .shape = mg_shape_same,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
