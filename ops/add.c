/* add: the residual connection.
 *
 *     y = a + b
 *     da += dy,  db += dy
 *
 * Shapes: a, b and y any, equal. a and b may be the same tensor.
 * Source: He et al. 2015 (residual networks). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_shape(c, "add", 1, "b", c->x_shape[0], err);
    return s ? s : mg_shape_same(c, err);
}

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 1, 2); }

static void forward(const mg_op_call *c) {
    const real *a = c->x[0], *b = c->x[1];
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void backward(const mg_op_call *c) {
    const real *dy = c->dy;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int input = 0; input < 2; input++) {
        real *dx = c->dx[input];
        for (int64_t i = 0; dx && i < n; i++) dx[i] += dy[i];
    }
}

#define TWICE(...) .shape = {MG_SHAPE(__VA_ARGS__), MG_SHAPE(__VA_ARGS__)}
static const mg_case cases[] = {
    {"image", .inputs = 2, TWICE(2, 5, 7, 3)},
    {"one element", .inputs = 2, TWICE(1)},
    {"ragged tail", .inputs = 2, TWICE(3, 37)},
    {"many chunks", .inputs = 2, TWICE(1, 61, 53, 17)},
};

MG_OP(add) = {
    .name = "add",
    .summary = "the sum of two tensors of one shape: the residual connection",
    .formula = "y = a + b",
    .gradient = "da += dy; db += dy",
    .source = "He et al. 2015, arXiv:1512.03385",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = {"a", "b"},
    .differentiable = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
