/* softmax: exponentials normalised to sum 1 along the last axis.
 *
 *     y[r,i] = e^(x[r,i] - max_r) / sum_j e^(x[r,j] - max_r)
 *     dx[r,i] += y[r,i] (dy[r,i] - sum_j dy[r,j] y[r,j])
 *
 * Shapes: x and y any of rank >= 1, equal; every row of the last axis on its own. Subtracting the
 * maximum changes nothing but keeps e^x finite. Backward reads y.
 * Source: Bridle 1990; Goodfellow, Bengio & Courville 2016, section 6.2.2.3. */
#include <math.h>

#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    if (c->x_shape[0].rank < 1)
        return mg_expect_rank(c, "softmax", 0, "x", 1, "[...,C] with at least one dim", err);
    return mg_shape_same(c, err);
}

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 5, 4); }

static int64_t width_of(const mg_op_call *c) { return c->y_shape.dim[c->y_shape.rank - 1]; }

static void forward_row(const real *x, real *y, int64_t width) {
    real largest = x[0];
    for (int64_t i = 1; i < width; i++)
        if (x[i] > largest) largest = x[i];
    double sum = 0;
    for (int64_t i = 0; i < width; i++) sum += exp((double)(x[i] - largest));
    for (int64_t i = 0; i < width; i++) y[i] = (real)(exp((double)(x[i] - largest)) / sum);
}

static void backward_row(const real *y, const real *dy, real *dx, int64_t width) {
    double dot = 0;
    for (int64_t i = 0; i < width; i++) dot += (double)dy[i] * (double)y[i];
    for (int64_t i = 0; i < width; i++) dx[i] += y[i] * (dy[i] - (real)dot);
}

static void forward(const mg_op_call *c) {
    int64_t n = mg_shape_elements(&c->y_shape), width = width_of(c);
    for (int64_t i = 0; i < n; i += width)
        forward_row((const real *)c->x[0] + i, (real *)c->y + i, width);
}

static void backward(const mg_op_call *c) {
    int64_t n = mg_shape_elements(&c->y_shape), width = width_of(c);
    for (int64_t i = 0; i < n; i += width)
        backward_row((const real *)c->y + i, (const real *)c->dy + i, (real *)c->dx[0] + i, width);
}

static const mg_case cases[] = {
    {"classes", .inputs = 1, .shape = {MG_SHAPE(3, 5)}},
    {"one class", .inputs = 1, .shape = {MG_SHAPE(2, 1)}},
    {"one row, ragged", .inputs = 1, .shape = {MG_SHAPE(37)}},
    {"image", .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 19)}},
    {"saturated", .inputs = 1, .shape = {MG_SHAPE(7, 11)}, .fill = {MG_FILL_SATURATED}},
    {"far from zero", .inputs = 1, .shape = {MG_SHAPE(5, 131)}, .fill = {MG_FILL_OFFSET}},
    {"many chunks", .inputs = 1, .shape = {MG_SHAPE(331, 53)}},
    {"long rows", .inputs = 1, .shape = {MG_SHAPE(3, 1031)}},
};

MG_OP(softmax) = {
    .name = "softmax",
    .summary = "exponentials normalised to sum 1 along the last axis",
    .formula = "y[r,i] = exp(x[r,i] - max_r) / sum_j exp(x[r,j] - max_r)",
    .gradient = "dx[r,i] += y[r,i] * (dy[r,i] - sum_j dy[r,j] y[r,j])",
    .source = "Bridle 1990; Goodfellow, Bengio & Courville 2016, section 6.2.2.3",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .differentiable = 1,
    .needs_y = true,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
