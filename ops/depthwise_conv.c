/* depthwise_conv: one k×k filter per channel.
 *
 *     y[n,i,j,c] = sum_{a,b} x[n, i s + a - top, j s + b - left, c] w[a,b,c]
 *     dx[n,p,q,c] += sum over the (i,j,a,b) that touch (p,q) of dy[n,i,j,c] w[a,b,c]
 *     dw[a,b,c]   += sum_{n,i,j} dy[n,i,j,c] x[n, i s + a - top, j s + b - left, c]
 *
 * Shapes: x [N,H,W,C], w [k,k,C]; y [N,H',W',C] with H' from mg_conv_output (attr.kernel,
 * attr.stride, attr.padding). Positions outside the image count as zero.
 * Source: Howard et al. 2017 (MobileNets). */
#include "ops/real.h"

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "depthwise_conv", 0, "x", 4, "[N,H,W,C]", err);
    if (s) return s;
    s = mg_conv_shape(c, "depthwise_conv", c->x_shape[0].dim[3], err);
    if (s) return s;
    mg_shape w = MG_SHAPE(c->attr.kernel, c->attr.kernel, c->x_shape[0].dim[3]);
    return mg_expect_shape(c, "depthwise_conv", 1, "w", w, err);
}

static mg_cost cost(const mg_op_call *c) {
    double products = 2.0 * c->attr.kernel * c->attr.kernel * (mg_bytes_out(c) / 4);
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){products, in + out, 2 * products, in + out + in};
}

/* Calls visit for every (output, tap) pair that lies inside the image: the one loop nest that
 * forward and backward share. o, i and t index y, x and w. */
static void for_each_tap(const mg_op_call *c,
                         void (*visit)(const mg_op_call *c, int64_t o, int64_t i, int64_t t)) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    int64_t kernel = c->attr.kernel, stride = c->attr.stride, channels = x[3];
    int64_t top = mg_conv_output(&c->attr, 0, x[1]).before;
    int64_t left = mg_conv_output(&c->attr, 1, x[2]).before;
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t i = 0; i < y[1]; i++)
            for (int64_t j = 0; j < y[2]; j++)
                for (int64_t a = 0; a < kernel; a++)
                    for (int64_t b = 0; b < kernel; b++) {
                        int64_t p = i * stride + a - top, q = j * stride + b - left;
                        if (p < 0 || p >= x[1] || q < 0 || q >= x[2]) continue;
                        for (int64_t ch = 0; ch < channels; ch++)
                            visit(c, ((n * y[1] + i) * y[2] + j) * channels + ch,
                                  ((n * x[1] + p) * x[2] + q) * channels + ch,
                                  (a * kernel + b) * channels + ch);
                    }
}

static void forward_tap(const mg_op_call *c, int64_t o, int64_t i, int64_t t) {
    ((real *)c->y)[o] += ((const real *)c->x[0])[i] * ((const real *)c->x[1])[t];
}

static void backward_tap(const mg_op_call *c, int64_t o, int64_t i, int64_t t) {
    real g = ((const real *)c->dy)[o];
    if (c->dx[0]) ((real *)c->dx[0])[i] += g * ((const real *)c->x[1])[t];
    if (c->dx[1]) ((real *)c->dx[1])[t] += g * ((const real *)c->x[0])[i];
}

static void forward(const mg_op_call *c) {
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = 0;
    for_each_tap(c, forward_tap);
}

static void backward(const mg_op_call *c) { for_each_tap(c, backward_tap); }

#define WEIGHTED .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT}
static const mg_case cases[] = {
    {"3x3", {.kernel = 3, .stride = 1}, 2, {MG_SHAPE(2, 5, 7, 3), MG_SHAPE(3, 3, 3)}, WEIGHTED},
    {"5x5", {.kernel = 5, .stride = 1}, 2, {MG_SHAPE(1, 7, 11, 5), MG_SHAPE(5, 5, 5)}, WEIGHTED},
    {"3x3 stride 2, ragged",
     {.kernel = 3, .stride = 2},
     2,
     {MG_SHAPE(3, 7, 6, 19), MG_SHAPE(3, 3, 19)},
     WEIGHTED},
    {"5x5 stride 2, ragged",
     {.kernel = 5, .stride = 2},
     2,
     {MG_SHAPE(1, 13, 10, 35), MG_SHAPE(5, 5, 35)},
     WEIGHTED},
    {"5x5 SAME stride 2",
     {.kernel = 5, .stride = 2, .padding = MG_PAD_SAME},
     2,
     {MG_SHAPE(2, 8, 11, 17), MG_SHAPE(5, 5, 17)},
     WEIGHTED},
    {"3x3 SAME stride 2",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_SAME},
     2,
     {MG_SHAPE(1, 10, 9, 4), MG_SHAPE(3, 3, 4)},
     WEIGHTED},
    {"static padding",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_bottom = 1, .pad_right = 1},
     2,
     {MG_SHAPE(1, 9, 8, 3), MG_SHAPE(3, 3, 3)},
     WEIGHTED},
    {"kernel larger than the image",
     {.kernel = 5, .stride = 1},
     2,
     {MG_SHAPE(2, 2, 3, 2), MG_SHAPE(5, 5, 2)},
     WEIGHTED},
    {"one pixel",
     {.kernel = 3, .stride = 2},
     2,
     {MG_SHAPE(1, 1, 1, 33), MG_SHAPE(3, 3, 33)},
     WEIGHTED},
};

MG_OP(depthwise_conv) = {
    .name = "depthwise_conv",
    .summary = "k x k convolution of each channel with its own filter",
    .formula = "y[n,i,j,c] = sum_{a,b} x[n, i*s+a-top, j*s+b-left, c] w[a,b,c]",
    .gradient = "dx[n,p,q,c] += sum of dy[n,i,j,c] w[a,b,c] over i*s+a-top = p, j*s+b-left = q; "
                "dw[a,b,c] += sum_{n,i,j} dy[n,i,j,c] x[n, i*s+a-top, j*s+b-left, c]",
    .source = "Howard et al. 2017, arXiv:1704.04861",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = {"x", "w"},
    .flags = MG_OP_LINEAR,
    .differentiable = 3,
    .needs_x = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
