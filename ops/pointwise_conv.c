/* pointwise_conv: a 1×1 convolution, also the linear layer: one matrix product over rows.
 *
 *     y[m,n] = sum_k x[m,k] w[k,n] + b[n],   m runs over N·H·W
 *     dx[m,k] += sum_n dy[m,n] w[k,n]
 *     dw[k,n] += sum_m x[m,k] dy[m,n],   db[n] += sum_m dy[m,n]
 *
 * Shapes: x [..., K] of rank 2 to 4, w [K, N], b [N] or absent; y [..., N]. NHWC makes the image
 * a matrix as it lies in memory: no packing, no im2col.
 * attr.activation = MG_ACTIVATION_SILU ends the forward with SiLU (folded batch norm, inference);
 * such a call has no backward, because the sum before the activation is not kept.
 * Source: Lin, Chen & Yan 2013 ("network in network"). */
#include "ops/activation.h"
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    int rank = c->x_shape[0].rank;
    if (rank < 2)
        return mg_expect_rank(c, "pointwise_conv", 0, "x", 4, "[...,K] with 2 to 4 dims", err);
    mg_status s = mg_expect_rank(c, "pointwise_conv", 1, "w", 2, "[K,N]", err);
    if (s) return s;
    int64_t k = c->x_shape[0].dim[rank - 1], n = c->x_shape[1].dim[1];
    s = mg_expect_shape(c, "pointwise_conv", 1, "w", (mg_shape)MG_SHAPE(k, n), err);
    if (!s && mg_has_input(c, 2))
        s = mg_expect_shape(c, "pointwise_conv", 2, "b", (mg_shape)MG_SHAPE(n), err);
    c->y_shape = c->x_shape[0];
    c->y_shape.dim[rank - 1] = n;
    return s;
}

typedef struct sizes {
    int64_t m, k, n;
} sizes;

static sizes sizes_of(const mg_op_call *c) {
    int64_t k = c->x_shape[1].dim[0], n = c->x_shape[1].dim[1];
    return (sizes){mg_shape_elements(&c->x_shape[0]) / k, k, n};
}

static mg_cost cost(const mg_op_call *c) {
    sizes s = sizes_of(c);
    double product = 2.0 * (double)s.m * (double)s.k * (double)s.n;
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){product, in + out, 2 * product, in + out + in};
}

static void forward(const mg_op_call *c) {
    sizes s = sizes_of(c);
    const real *x = c->x[0], *w = c->x[1], *b = mg_has_input(c, 2) ? c->x[2] : NULL;
    real *y = c->y;
    for (int64_t m = 0; m < s.m; m++)
        for (int64_t n = 0; n < s.n; n++) {
            real sum = b ? b[n] : 0;
            for (int64_t k = 0; k < s.k; k++) sum += x[m * s.k + k] * w[k * s.n + n];
            y[m * s.n + n] = activate(c->attr.activation, sum);
        }
}

static void backward(const mg_op_call *c) {
    MG_ASSERT(c->attr.activation == MG_ACTIVATION_NONE);
    sizes s = sizes_of(c);
    const real *x = c->x[0], *w = c->x[1], *dy = c->dy;
    real *dx = c->dx[0], *dw = c->dx[1], *db = mg_has_input(c, 2) ? c->dx[2] : NULL;
    for (int64_t m = 0; m < s.m; m++)
        for (int64_t n = 0; n < s.n; n++) {
            real g = dy[m * s.n + n];
            if (db) db[n] += g;
            for (int64_t k = 0; k < s.k; k++) {
                if (dx) dx[m * s.k + k] += g * w[k * s.n + n];
                if (dw) dw[k * s.n + n] += g * x[m * s.k + k];
            }
        }
}

#define WEIGHTED .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT}
static const mg_case cases[] = {
    {"image", .inputs = 2, .shape = {MG_SHAPE(2, 5, 7, 3), MG_SHAPE(3, 11)}, WEIGHTED},
    {"linear with bias", .inputs = 3, .shape = {MG_SHAPE(3, 37), MG_SHAPE(37, 5), MG_SHAPE(5)},
     WEIGHTED},
    {"one logit", .inputs = 3, .shape = {MG_SHAPE(5, 131), MG_SHAPE(131, 1), MG_SHAPE(1)},
     WEIGHTED},
    {"one by one", .inputs = 2, .shape = {MG_SHAPE(1, 1), MG_SHAPE(1, 1)}},
    {"ragged in every direction", .inputs = 2, .shape = {MG_SHAPE(1, 29, 31, 43), MG_SHAPE(43, 67)},
     WEIGHTED},
    {"expand", .inputs = 2, .shape = {MG_SHAPE(1, 17, 19, 24), MG_SHAPE(24, 144)}, WEIGHTED},
    {"bias and SiLU",
     {.activation = MG_ACTIVATION_SILU},
     3,
     {MG_SHAPE(2, 5, 7, 19), MG_SHAPE(19, 37), MG_SHAPE(37)},
     WEIGHTED,
     .forward_only = true},
    {"long k", .inputs = 2, .shape = {MG_SHAPE(1, 4, 5, 816), MG_SHAPE(816, 48)}, WEIGHTED},
};

MG_OP(pointwise_conv) = {
    .name = "pointwise_conv",
    .summary = "1x1 convolution or linear layer: a matrix product over rows",
    .formula = "y[m,n] = act(sum_k x[m,k] w[k,n] + b[n]), act: identity, or SiLU (inference)",
    .gradient = "dx[m,k] += sum_n dy[m,n] w[k,n]; dw[k,n] += sum_m x[m,k] dy[m,n]; "
                "db[n] += sum_m dy[m,n]",
    .source = "Lin, Chen & Yan 2013, arXiv:1312.4400",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = {"x", "w", "b"},
    .flags = MG_OP_LINEAR,
    .differentiable = 7,
    .needs_x = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
