/* concat: two tensors joined along one axis.
 *
 *     y = [a b] along attr.axis
 *     da += the part of dy that came from a,  db += the rest
 *
 * Shapes: a and b of one rank, equal except along attr.axis (0 … rank-1).
 * Source: Szegedy et al. 2014 (filter concatenation). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    const mg_shape *a = &c->x_shape[0], *b = &c->x_shape[1];
    int axis = c->attr.axis;
    if (axis < 0 || axis >= a->rank)
        return mg_fail(err, MG_ERR_ARG, "concat: axis %d of a tensor with %d dims", axis, a->rank);
    mg_shape want = *a;
    if (b->rank == a->rank) want.dim[axis] = b->dim[axis];
    mg_status s = mg_expect_shape(c, "concat", 1, "b", want, err);
    c->y_shape = *a;
    if (!s) c->y_shape.dim[axis] += b->dim[axis];
    return s;
}

static mg_cost cost(const mg_op_call *c) {
    double out = mg_bytes_out(c);
    return (mg_cost){0, 2 * out, out / 4, 3 * out};
}

/* Elements from one step along the dims before the axis to the next. */
static int64_t stride_of(const mg_shape *shape, int axis) {
    int64_t n = 1;
    for (int i = axis; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

static void forward(const mg_op_call *c) {
    int64_t total = mg_shape_elements(&c->y_shape), stride = stride_of(&c->y_shape, c->attr.axis);
    int64_t first = stride_of(&c->x_shape[0], c->attr.axis), second = stride - first;
    const real *a = c->x[0], *b = c->x[1];
    real *y = c->y;
    for (int64_t i = 0; i < total; i++) {
        int64_t block = i / stride, at = i % stride;
        y[i] = at < first ? a[block * first + at] : b[block * second + at - first];
    }
}

static void backward(const mg_op_call *c) {
    int64_t total = mg_shape_elements(&c->y_shape), stride = stride_of(&c->y_shape, c->attr.axis);
    int64_t first = stride_of(&c->x_shape[0], c->attr.axis), second = stride - first;
    const real *dy = c->dy;
    real *da = c->dx[0], *db = c->dx[1];
    for (int64_t i = 0; i < total; i++) {
        int64_t block = i / stride, at = i % stride;
        if (at < first && da) da[block * first + at] += dy[i];
        if (at >= first && db) db[block * second + at - first] += dy[i];
    }
}

static const mg_case cases[] = {
    {"channels", {.axis = 3}, .inputs = 2, .shape = {MG_SHAPE(2, 5, 7, 3), MG_SHAPE(2, 5, 7, 4)}},
    {"channels in fours",
     {.axis = 3},
     .inputs = 2,
     .shape = {MG_SHAPE(2, 5, 7, 8), MG_SHAPE(2, 5, 7, 12)}},
    {"batch", {.axis = 0}, .inputs = 2, .shape = {MG_SHAPE(1, 3, 5, 2), MG_SHAPE(3, 3, 5, 2)}},
    {"rows", {.axis = 1}, .inputs = 2, .shape = {MG_SHAPE(2, 3, 5, 2), MG_SHAPE(2, 7, 5, 2)}},
    {"two numbers", {.axis = 0}, .inputs = 2, .shape = {MG_SHAPE(1), MG_SHAPE(1)}},
    {"many chunks", {.axis = 1}, .inputs = 2, .shape = {MG_SHAPE(331, 61), MG_SHAPE(331, 53)}},
};

MG_OP(concat) = {
    .name = "concat",
    .summary = "two tensors joined along one axis",
    .formula = "y = [a b] along the axis",
    .gradient = "da += the part of dy that came from a; db += the rest",
    .source = "Szegedy et al. 2014, arXiv:1409.4842",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = {"a", "b"},
    .flags = 0,
    .differentiable = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
