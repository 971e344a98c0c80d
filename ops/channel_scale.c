/* channel_scale: every channel of every image times its own factor.
 *
 *     y[n,h,w,c] = x[n,h,w,c] s[n,c]
 *     dx[n,h,w,c] += dy[n,h,w,c] s[n,c]
 *     ds[n,c]     += sum_{h,w} dy[n,h,w,c] x[n,h,w,c]
 *
 * Shapes: x, y [N,H,W,C], s [N,C].
 * Source: Hu, Shen & Sun 2017 (squeeze-and-excitation, the "scale" step). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "channel_scale", 0, "x", 4, "[N,H,W,C]", err);
    if (s) return s;
    mg_shape scale = MG_SHAPE(c->x_shape[0].dim[0], c->x_shape[0].dim[3]);
    s = mg_expect_shape(c, "channel_scale", 1, "s", scale, err);
    return s ? s : mg_shape_same(c, err);
}

static mg_cost cost(const mg_op_call *c) { return mg_cost_elementwise(c, 1, 4); }

static void forward(const mg_op_call *c) {
    const real *x = c->x[0], *s = c->x[1];
    real *y = c->y;
    const int64_t *d = c->y_shape.dim;
    int64_t pixels = d[1] * d[2], channels = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t ch = 0; ch < channels; ch++) {
                int64_t i = (n * pixels + p) * channels + ch;
                y[i] = x[i] * s[n * channels + ch];
            }
}

static void backward(const mg_op_call *c) {
    const real *x = c->x[0], *s = c->x[1], *dy = c->dy;
    real *dx = c->dx[0], *ds = c->dx[1];
    const int64_t *d = c->y_shape.dim;
    int64_t pixels = d[1] * d[2], channels = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t ch = 0; ch < channels; ch++) {
                int64_t i = (n * pixels + p) * channels + ch;
                if (dx) dx[i] += dy[i] * s[n * channels + ch];
                if (ds) ds[n * channels + ch] += dy[i] * x[i];
            }
}

#define IMAGE(n, h, w, c) .inputs = 2, .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(n, c)}
static const mg_case cases[] = {
    {"two images", IMAGE(2, 5, 7, 3)},
    {"one pixel", IMAGE(1, 1, 1, 1)},
    {"three images, ragged channels", IMAGE(3, 3, 5, 37)},
    {"many chunks", IMAGE(2, 61, 29, 19)},
};

MG_OP(channel_scale) = {
    .name = "channel_scale",
    .summary = "every channel of every image times its own factor",
    .formula = "y[n,h,w,c] = x[n,h,w,c] s[n,c]",
    .gradient = "dx[n,h,w,c] += dy[n,h,w,c] s[n,c]; ds[n,c] += sum_{h,w} dy[n,h,w,c] x[n,h,w,c]",
    .source = "Hu, Shen & Sun 2017, arXiv:1709.01507, section 3",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = {"x", "s"},
    .flags = MG_OP_LINEAR,
    .differentiable = 3,
    .needs_x = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
