/* norm_depthwise_conv: batch norm, SiLU and a depthwise convolution as one op, the middle of a
 * block that is trained.
 *
 *     n = batch_norm(x), s = silu(n), y = depthwise_conv(s, w)
 *
 *     ds, dw from depthwise_conv;  dn = ds silu'(n);  dx, dgamma, dbeta from batch_norm
 *
 * It computes what the three ops compute, in their order, and is here for memory: x alone is kept
 * for backward, n and s are computed again where they are needed, in cache.
 *
 * Shapes: x [N,H,W,C]; gamma, beta, running_mean, running_var [C]; w [k,k,C]; y [N,H',W',C].
 * Attributes are those of batch_norm and depthwise_conv. Saved: batch_norm's m and 1/sqrt(v+eps).
 * Source: Ioffe & Szegedy 2015; Tan & Le 2019, section 4; fusing with recomputation as in Bulò et
 * al. 2018 (In-place activated batch norm). */
#include <string.h>

#include "ops/activation.h"
#include "ops/compose.h"
#include "ops/real.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, W };

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_op_call norm = mg_part_norm(c), conv = mg_part_depthwise(c, W);
    mg_status s = mg_expect_rank(c, "norm_depthwise_conv", X, "x", 4, "[N,H,W,C]", err);
    if (!s) s = MG_PART(batch_norm)->shape(&norm, err);
    if (!s) s = MG_PART(depthwise_conv)->shape(&conv, err);
    c->y_shape = conv.y_shape;
    return s;
}

static int64_t save_count(const mg_op_call *c) { return 2 * c->x_shape[GAMMA].dim[0]; }

static int64_t elements(const mg_op_call *c) { return mg_shape_elements(&c->x_shape[X]); }

/* s, and in backward ds. */
static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    return (size_t)elements(c) * (backward ? 2 : 1) * sizeof(real);
}

static mg_cost cost(const mg_op_call *c) {
    double products = 2.0 * c->attr.kernel * c->attr.kernel * (mg_bytes_out(c) / 4);
    double n = (double)elements(c), in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){(c->attr.training ? 11 : 6) * n + products, in + out,
                     (c->attr.training ? 15 : 10) * n + 2 * products, in + out + in};
}

static void forward(const mg_op_call *c) {
    mg_op_call norm = mg_part_norm(c), conv = mg_part_depthwise(c, W);
    real *s = norm.y = conv.x[0] = c->scratch;
    MG_PART(batch_norm)->reference.forward(&norm);
    for (int64_t i = 0; i < elements(c); i++) s[i] = silu(s[i]);
    conv.y = c->y;
    MG_PART(depthwise_conv)->reference.forward(&conv);
}

static void backward(const mg_op_call *c) {
    mg_op_call norm = mg_part_norm(c), conv = mg_part_depthwise(c, W);
    real *s = c->scratch, *ds = s + elements(c);
    for (int64_t i = 0; i < elements(c); i++) s[i] = silu(mg_part_normalised(c, i));
    memset(ds, 0, (size_t)elements(c) * sizeof *ds);
    conv.x[0] = s;
    conv.dx[0] = ds;
    conv.dy = c->dy;
    MG_PART(depthwise_conv)->reference.backward(&conv);
    for (int64_t i = 0; i < elements(c); i++) ds[i] *= silu_slope(mg_part_normalised(c, i));
    norm.dy = ds;
    MG_PART(batch_norm)->reference.backward(&norm);
}

#define IMAGE(n, h, w, c, k)                                                                       \
    6, {                                                                                           \
        MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c),                  \
            MG_SHAPE(k, k, c)                                                                      \
    }
#define FILLS(x)                                                                                   \
    .fill = {x, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_POSITIVE, MG_FILL_WEIGHT}
#define ATTR(k, s, ...)                                                                            \
    { .kernel = k, .stride = s, .eps = 1e-3, .momentum = 0.1, __VA_ARGS__ }
static const mg_case cases[] = {
    {"3x3", ATTR(3, 1, .training = true), IMAGE(2, 5, 7, 3, 3), FILLS(MG_FILL_NORMAL)},
    {"5x5, ragged channels", ATTR(5, 1, .training = true), IMAGE(3, 7, 11, 37, 5),
     FILLS(MG_FILL_NORMAL)},
    {"3x3 stride 2, odd sides", ATTR(3, 2, .training = true), IMAGE(2, 11, 7, 19, 3),
     FILLS(MG_FILL_NORMAL)},
    {"5x5 stride 2, even sides", ATTR(5, 2, .training = true), IMAGE(1, 12, 20, 18, 5),
     FILLS(MG_FILL_NORMAL)},
    {"mean far above spread", ATTR(3, 1, .training = true), IMAGE(2, 11, 7, 5, 3),
     FILLS(MG_FILL_OFFSET)},
    {"several bands", ATTR(5, 1, .training = true), IMAGE(2, 37, 7, 33, 5), FILLS(MG_FILL_NORMAL)},
    {"several bands, stride 2", ATTR(3, 2, .training = true), IMAGE(1, 67, 9, 17, 3),
     FILLS(MG_FILL_NORMAL)},
    {"SAME, stride 2", ATTR(5, 2, .training = true, .padding = MG_PAD_SAME), IMAGE(2, 6, 9, 16, 5),
     FILLS(MG_FILL_NORMAL)},
    {"static padding, stride 2",
     ATTR(3, 2, .training = true, .padding = MG_PAD_STATIC, .pad_bottom = 2, .pad_right = 1),
     IMAGE(1, 34, 8, 5, 3), FILLS(MG_FILL_NORMAL)},
    {"kernel larger than the image", ATTR(5, 1, .training = true), IMAGE(3, 2, 1, 7, 5),
     FILLS(MG_FILL_NORMAL)},
    {"7x7, stride 3", ATTR(7, 3, .training = true), IMAGE(1, 13, 17, 6, 7), FILLS(MG_FILL_NORMAL)},
    {"saturated", ATTR(3, 1, .training = true), IMAGE(2, 5, 5, 20, 3), FILLS(MG_FILL_SATURATED)},
    {"running statistics", ATTR(5, 1, .training = false), IMAGE(2, 5, 7, 23, 5),
     FILLS(MG_FILL_NORMAL)},
};

MG_OP(norm_depthwise_conv) = {
    .name = "norm_depthwise_conv",
    .summary = "batch norm, SiLU and a depthwise convolution as one op",
    .formula = "n = batch_norm(x); s = silu(n); y = depthwise_conv(s, w)",
    .gradient = "ds, dw of depthwise_conv; dn = ds silu'(n); dx, dgamma, dbeta of batch_norm",
    .source = "Ioffe & Szegedy 2015, arXiv:1502.03167; Tan & Le 2019, arXiv:1905.11946; Bulo et "
              "al. 2018, arXiv:1712.02616",
    .min_inputs = 6,
    .max_inputs = 6,
    .input_names = {"x", "gamma", "beta", "running_mean", "running_var", "w"},
    .flags = MG_OP_MUTATES_STATE,
    .differentiable = 1 | 2 | 4 | 32,
    .needs_x = 1 | 2 | 4 | 32,
    .shape = shape,
    .save_count = save_count,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, scratch_bytes, 0},
};
