/* global_average_pool: the mean over all pixels of an image, channel by channel.
 *
 *     y[n,c] = (1 / HW) sum_{h,w} x[n,h,w,c]
 *     dx[n,h,w,c] += dy[n,c] / HW
 *
 * Shapes: x [N,H,W,C]; y [N,C]. Linear in x.
 * Source: Lin, Chen & Yan 2013 ("network in network", section 3.2). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "global_average_pool", 0, "x", 4, "[N,H,W,C]", err);
    c->y_shape = (mg_shape)MG_SHAPE(c->x_shape[0].dim[0], c->x_shape[0].dim[3]);
    return s;
}

static mg_cost cost(const mg_op_call *c) {
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){in / 4, in + out, in / 4, out + in};
}

static void forward(const mg_op_call *c) {
    const real *x = c->x[0];
    real *y = c->y;
    const int64_t *d = c->x_shape[0].dim;
    int64_t pixels = d[1] * d[2], channels = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t ch = 0; ch < channels; ch++) {
            double sum = 0;
            for (int64_t p = 0; p < pixels; p++) sum += (double)x[(n * pixels + p) * channels + ch];
            y[n * channels + ch] = (real)(sum / (double)pixels);
        }
}

static void backward(const mg_op_call *c) {
    const real *dy = c->dy;
    real *dx = c->dx[0];
    const int64_t *d = c->x_shape[0].dim;
    int64_t pixels = d[1] * d[2], channels = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t ch = 0; ch < channels; ch++)
                dx[(n * pixels + p) * channels + ch] += dy[n * channels + ch] / (real)pixels;
}

static const mg_case cases[] = {
    {"two images", .inputs = 1, .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"one pixel", .inputs = 1, .shape = {MG_SHAPE(1, 1, 1, 1)}},
    {"three images, ragged channels", .inputs = 1, .shape = {MG_SHAPE(3, 3, 5, 37)}},
    {"mean far above spread", .inputs = 1, .shape = {MG_SHAPE(1, 13, 11, 5)},
     .fill = {MG_FILL_OFFSET}},
    {"many chunks", .inputs = 1, .shape = {MG_SHAPE(2, 61, 29, 19)}},
};

MG_OP(global_average_pool) = {
    .name = "global_average_pool",
    .summary = "the mean over all pixels, channel by channel",
    .formula = "y[n,c] = (1 / (H W)) sum_{h,w} x[n,h,w,c]",
    .gradient = "dx[n,h,w,c] += dy[n,c] / (H W)",
    .source = "Lin, Chen & Yan 2013, arXiv:1312.4400, section 3.2",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .flags = MG_OP_LINEAR,
    .differentiable = 1,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
