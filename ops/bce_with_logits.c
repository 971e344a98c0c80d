/* bce_with_logits: binary cross-entropy of a logit, averaged over the batch.
 *
 *     l[n] = w[n] (q t[n] softplus(-z[n]) + (1 - t[n]) softplus(z[n])),  q = attr.positive_weight
 *     y = (1 / N) sum_n l[n],  softplus(z) = max(z, 0) + log1p(e^-|z|)
 *     dz[n] += dy w[n] ((1 - t[n]) s(z[n]) - q t[n] s(-z[n])) / N,  s(z) = 1 / (1 + e^-z)
 *
 * Shapes: z [N] or [N,1]; t (the target, in [0,1], soft labels allowed) of the same shape; w [N] or
 * [N,1] or absent (1); y [1]. The mean divides by N, not by the sum of weights. No term is the
 * difference of two large ones, and no e^x overflows, however confident the logit.
 * Source: Good 1952 (logarithmic score); Mächler 2012 (log1p(exp)). */
#include "ops/activation.h"
#include "ops/real.h"

enum { Z, TARGET, WEIGHT };

static mg_status shape(mg_op_call *c, mg_error *err) {
    const mg_shape *z = &c->x_shape[Z];
    if (z->rank != 1 && !(z->rank == 2 && z->dim[1] == 1)) {
        char is[96];
        return mg_fail(err, MG_ERR_SHAPE, "bce_with_logits: z must be [N] or [N,1], is %s",
                       mg_shape_text(z, is, sizeof is));
    }
    if (!(c->attr.positive_weight >= 0))
        return mg_fail(err, MG_ERR_ARG, "bce_with_logits: positive_weight %g is negative",
                       c->attr.positive_weight);
    mg_status s = mg_expect_shape(c, "bce_with_logits", TARGET, "target", *z, err);
    if (!s && mg_has_input(c, WEIGHT))
        s = mg_expect_shape(c, "bce_with_logits", WEIGHT, "weight", *z, err);
    c->y_shape = (mg_shape)MG_SHAPE(1);
    return s;
}

static mg_cost cost(const mg_op_call *c) {
    double n = (double)c->x_shape[Z].dim[0], in = mg_bytes_in(c);
    return (mg_cost){12 * n, in + 4, 12 * n, in + 4 + 4 * n};
}

static real softplus(real z) {
    double x = (double)z;
    return (real)((x > 0 ? x : 0) + log1p(exp(-fabs(x))));
}

static real positive_weight(const mg_op_call *c) {
    return c->attr.positive_weight > 0 ? (real)c->attr.positive_weight : 1;
}

static void forward(const mg_op_call *c) {
    const real *z = c->x[Z], *t = c->x[TARGET], *w = mg_has_input(c, WEIGHT) ? c->x[WEIGHT] : NULL;
    int64_t count = c->x_shape[Z].dim[0];
    real q = positive_weight(c);
    double sum = 0;
    for (int64_t n = 0; n < count; n++) {
        real loss = q * t[n] * softplus(-z[n]) + (1 - t[n]) * softplus(z[n]);
        sum += (double)(w ? w[n] * loss : loss);
    }
    ((real *)c->y)[0] = (real)(sum / (double)count);
}

static void backward(const mg_op_call *c) {
    const real *z = c->x[Z], *t = c->x[TARGET], *w = mg_has_input(c, WEIGHT) ? c->x[WEIGHT] : NULL;
    real *dz = c->dx[Z], dy = ((const real *)c->dy)[0], q = positive_weight(c);
    int64_t count = c->x_shape[Z].dim[0];
    for (int64_t n = 0; n < count; n++) {
        real slope = (1 - t[n]) * sigmoid(z[n]) - q * t[n] * sigmoid(-z[n]);
        dz[n] += dy * (w ? w[n] * slope : slope) / (real)count;
    }
}

static const mg_case cases[] = {
    {"a batch", .inputs = 2, .shape = {MG_SHAPE(7), MG_SHAPE(7)},
     .fill = {MG_FILL_NORMAL, MG_FILL_TARGET}},
    {"one image, column", .inputs = 2, .shape = {MG_SHAPE(1, 1), MG_SHAPE(1, 1)},
     .fill = {MG_FILL_NORMAL, MG_FILL_TARGET}},
    {"two images, weighted", .inputs = 3, .shape = {MG_SHAPE(2), MG_SHAPE(2), MG_SHAPE(2)},
     .fill = {MG_FILL_NORMAL, MG_FILL_TARGET, MG_FILL_POSITIVE}},
    {"weighted, positives count more",
     {.positive_weight = 3.5},
     .inputs = 3,
     .shape = {MG_SHAPE(37, 1), MG_SHAPE(37, 1), MG_SHAPE(37, 1)},
     .fill = {MG_FILL_NORMAL, MG_FILL_TARGET, MG_FILL_POSITIVE}},
    {"soft targets",
     {.positive_weight = 2},
     .inputs = 2,
     .shape = {MG_SHAPE(3), MG_SHAPE(3)},
     .fill = {MG_FILL_NORMAL, MG_FILL_POSITIVE}},
    {"beyond the range of exp", .inputs = 2, .shape = {MG_SHAPE(5), MG_SHAPE(5)},
     .fill = {MG_FILL_OFFSET, MG_FILL_TARGET}},
    {"saturated", .inputs = 2, .shape = {MG_SHAPE(131), MG_SHAPE(131)},
     .fill = {MG_FILL_SATURATED, MG_FILL_TARGET}},
};

MG_OP(bce_with_logits) = {
    .name = "bce_with_logits",
    .summary = "binary cross-entropy from logits, averaged over the batch",
    .formula = "y = (1/N) sum_n w[n] (q t[n] softplus(-z[n]) + (1 - t[n]) softplus(z[n]))",
    .gradient = "dz[n] += dy w[n] ((1 - t[n]) sigmoid(z[n]) - q t[n] sigmoid(-z[n])) / N",
    .source = "Good 1952; Maechler 2012 (log1p(exp))",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = {"z", "target", "weight"},
    .differentiable = 1,
    .needs_x = 7,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
