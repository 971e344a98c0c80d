/* conv2d: a dense k×k convolution, EfficientNet's stem.
 *
 *     y[n,i,j,o] = sum_{a,b,ch} x[n, i s + a - top, j s + b - left, ch] w[a,b,ch,o] + bias[o]
 *     dx[n,p,q,ch]  += sum over the (i,j,a,b) that touch (p,q), and over o,
 *                      of dy[n,i,j,o] w[a,b,ch,o]
 *     dw[a,b,ch,o]  += sum_{n,i,j} dy[n,i,j,o] x[n, i s + a - top, j s + b - left, ch]
 *     dbias[o]      += sum_{n,i,j} dy[n,i,j,o]
 *
 * Shapes: x [N,H,W,Cin], w [k,k,Cin,Cout], bias [Cout] or absent; y [N,H',W',Cout] with H' from
 * mg_conv_output (attr.kernel, attr.stride, attr.padding). Positions outside the image are zero.
 * attr.activation = MG_ACTIVATION_SILU ends the forward with SiLU (folded batch norm, inference);
 * such a call has no backward, because the sum before the activation is not kept.
 * Source: LeCun et al. 1998. */
#include "ops/activation.h"
#include "ops/real.h"

enum { X, W, BIAS };

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "conv2d", X, "x", 4, "[N,H,W,Cin]", err);
    if (!s) s = mg_expect_rank(c, "conv2d", W, "w", 4, "[k,k,Cin,Cout]", err);
    if (s) return s;
    int64_t k = c->attr.kernel, in = c->x_shape[X].dim[3], out = c->x_shape[W].dim[3];
    s = mg_conv_shape(c, "conv2d", out, err);
    if (!s) s = mg_expect_shape(c, "conv2d", W, "w", (mg_shape)MG_SHAPE(k, k, in, out), err);
    if (!s && mg_has_input(c, BIAS))
        s = mg_expect_shape(c, "conv2d", BIAS, "bias", (mg_shape)MG_SHAPE(out), err);
    return s;
}

static mg_cost cost(const mg_op_call *c) {
    const int64_t *w = c->x_shape[W].dim;
    double products = 2.0 * (double)(w[0] * w[1] * w[2]) * (mg_bytes_out(c) / 4);
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){products, in + out, 2 * products, in + out + in};
}

/* Offset in x of the pixel under tap (a,b) of output (n,i,j); -1 outside the image. */
static int64_t pixel_under(const mg_op_call *c, int64_t n, int64_t i, int64_t j, int64_t a,
                           int64_t b) {
    const int64_t *x = c->x_shape[X].dim;
    int64_t p = i * c->attr.stride + a - mg_conv_output(&c->attr, 0, x[1]).before;
    int64_t q = j * c->attr.stride + b - mg_conv_output(&c->attr, 1, x[2]).before;
    if (p < 0 || p >= x[1] || q < 0 || q >= x[2]) return -1;
    return ((n * x[1] + p) * x[2] + q) * x[3];
}

static void forward_pixel(const mg_op_call *c, int64_t n, int64_t i, int64_t j) {
    const real *x = c->x[X], *w = c->x[W], *bias = mg_has_input(c, BIAS) ? c->x[BIAS] : NULL;
    const int64_t *y_dim = c->y_shape.dim;
    int64_t k = c->attr.kernel, in = c->x_shape[X].dim[3], out = y_dim[3];
    real *y = (real *)c->y + ((n * y_dim[1] + i) * y_dim[2] + j) * out;
    for (int64_t o = 0; o < out; o++) {
        real sum = bias ? bias[o] : 0;
        for (int64_t a = 0; a < k; a++)
            for (int64_t b = 0; b < k; b++) {
                int64_t pixel = pixel_under(c, n, i, j, a, b);
                for (int64_t ch = 0; pixel >= 0 && ch < in; ch++)
                    sum += x[pixel + ch] * w[((a * k + b) * in + ch) * out + o];
            }
        y[o] = activate(c->attr.activation, sum);
    }
}

static void backward_pixel(const mg_op_call *c, int64_t n, int64_t i, int64_t j) {
    const real *x = c->x[X], *w = c->x[W];
    real *dx = c->dx[X], *dw = c->dx[W], *dbias = mg_has_input(c, BIAS) ? c->dx[BIAS] : NULL;
    const int64_t *y_dim = c->y_shape.dim;
    int64_t k = c->attr.kernel, in = c->x_shape[X].dim[3], out = y_dim[3];
    const real *dy = (const real *)c->dy + ((n * y_dim[1] + i) * y_dim[2] + j) * out;
    for (int64_t o = 0; o < out; o++) {
        if (dbias) dbias[o] += dy[o];
        for (int64_t a = 0; a < k; a++)
            for (int64_t b = 0; b < k; b++) {
                int64_t pixel = pixel_under(c, n, i, j, a, b);
                for (int64_t ch = 0; pixel >= 0 && ch < in; ch++) {
                    int64_t t = ((a * k + b) * in + ch) * out + o;
                    if (dx) dx[pixel + ch] += dy[o] * w[t];
                    if (dw) dw[t] += dy[o] * x[pixel + ch];
                }
            }
    }
}

static void for_each_pixel(const mg_op_call *c,
                           void (*visit)(const mg_op_call *c, int64_t n, int64_t i, int64_t j)) {
    const int64_t *y = c->y_shape.dim;
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t i = 0; i < y[1]; i++)
            for (int64_t j = 0; j < y[2]; j++) visit(c, n, i, j);
}

static void forward(const mg_op_call *c) { for_each_pixel(c, forward_pixel); }

static void backward(const mg_op_call *c) {
    MG_ASSERT(c->attr.activation == MG_ACTIVATION_NONE);
    for_each_pixel(c, backward_pixel);
}

#define WEIGHTED .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT}
static const mg_case cases[] = {
    {"stem, three channels",
     {.kernel = 3, .stride = 2},
     2,
     {MG_SHAPE(2, 7, 11, 3), MG_SHAPE(3, 3, 3, 5)},
     WEIGHTED},
    {"stem, one channel, bias",
     {.kernel = 3, .stride = 2},
     3,
     {MG_SHAPE(3, 13, 10, 1), MG_SHAPE(3, 3, 1, 19), MG_SHAPE(19)},
     WEIGHTED},
    {"stem with bias and SiLU",
     {.kernel = 3, .stride = 2, .activation = MG_ACTIVATION_SILU},
     3,
     {MG_SHAPE(1, 19, 17, 1), MG_SHAPE(3, 3, 1, 48), MG_SHAPE(48)},
     WEIGHTED,
     .forward_only = true},
    {"5x5 stride 1",
     {.kernel = 5, .stride = 1},
     2,
     {MG_SHAPE(1, 7, 5, 2), MG_SHAPE(5, 5, 2, 3)},
     WEIGHTED},
    {"SAME, even size",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_SAME},
     2,
     {MG_SHAPE(2, 8, 6, 3), MG_SHAPE(3, 3, 3, 7)},
     WEIGHTED},
    {"static padding",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_bottom = 1, .pad_right = 1},
     3,
     {MG_SHAPE(1, 9, 8, 3), MG_SHAPE(3, 3, 3, 4), MG_SHAPE(4)},
     WEIGHTED},
    {"kernel larger than the image",
     {.kernel = 5, .stride = 1},
     2,
     {MG_SHAPE(1, 2, 3, 2), MG_SHAPE(5, 5, 2, 2)},
     WEIGHTED},
    {"many chunks",
     {.kernel = 3, .stride = 2},
     3,
     {MG_SHAPE(2, 67, 43, 1), MG_SHAPE(3, 3, 1, 37), MG_SHAPE(37)},
     WEIGHTED},
};

MG_OP(conv2d) = {
    .name = "conv2d",
    .summary = "dense k x k convolution, the stem of the network",
    .formula = "y[n,i,j,o] = act(sum_{a,b,ch} x[n, i*s+a-top, j*s+b-left, ch] w[a,b,ch,o] + "
               "bias[o]), act: identity, or SiLU (inference)",
    .gradient = "dx[n,p,q,ch] += sum of dy[n,i,j,o] w[a,b,ch,o] over i*s+a-top = p, j*s+b-left = q "
                "and o; dw[a,b,ch,o] += sum_{n,i,j} dy[n,i,j,o] x[n, i*s+a-top, j*s+b-left, ch]; "
                "dbias[o] += sum_{n,i,j} dy[n,i,j,o]",
    .source = "LeCun et al. 1998, Proc. IEEE 86(11)",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = {"x", "w", "bias"},
    .flags = MG_OP_LINEAR,
    .differentiable = 7,
    .needs_x = 3,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
