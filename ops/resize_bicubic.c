/* resize_bicubic: images resampled to attr.height x attr.width by cubic convolution interpolation.
 *
 *     y[n,i,j,c] = sum over 4x4 taps (a,b) of wy(i,a) wx(j,b) x[n, ty(i,a), tx(j,b), c]
 *     dx[n,p,q,c] += sum over all (i,a) with ty(i,a) = p, (j,b) with tx(j,b) = q of wy wx
 *     dy[n,i,j,c]
 *
 * Taps and weights: ops/resize.h. Shapes: x [N,H,W,C]; y [N,height,width,C]. attr.align_corners.
 * Keys' kernel with a = -0.75, the value image libraries and PyTorch settled on.
 * Source: Keys 1981 (cubic convolution interpolation). */
#include "ops/resize.h"
#include "ops/real.h"

enum { TAPS = 4 };

static mg_status shape(mg_op_call *c, mg_error *err) {
    return mg_resize_shape(c, "resize_bicubic", err);
}

static mg_cost cost(const mg_op_call *c) {
    double n = mg_bytes_out(c) / 4, in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){2.0 * TAPS * TAPS * n, in + out, 2.0 * TAPS * TAPS * n, out + in};
}

static void forward_tap(const mg_op_call *c, int64_t o, int64_t i, real weight) {
    ((real *)c->y)[o] += weight * ((const real *)c->x[0])[i];
}

static void backward_tap(const mg_op_call *c, int64_t o, int64_t i, real weight) {
    ((real *)c->dx[0])[i] += weight * ((const real *)c->dy)[o];
}

static void forward(const mg_op_call *c) {
    real *y = c->y;
    int64_t n = mg_shape_elements(&c->y_shape);
    for (int64_t i = 0; i < n; i++) y[i] = 0;
    mg_resize_each(c, mg_bicubic_taps, TAPS, forward_tap);
}

static void backward(const mg_op_call *c) {
    mg_resize_each(c, mg_bicubic_taps, TAPS, backward_tap);
}

#define TO(h, w)         {.height = h, .width = w}, .inputs = 1
#define TO_ALIGNED(h, w) {.height = h, .width = w, .align_corners = true}, .inputs = 1
static const mg_case cases[] = {
    {"larger", TO(11, 13), .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"smaller", TO(3, 5), .shape = {MG_SHAPE(1, 13, 11, 2)}},
    {"the same size", TO(5, 7), .shape = {MG_SHAPE(3, 5, 7, 1)}},
    {"from one pixel", TO(3, 2), .shape = {MG_SHAPE(1, 1, 1, 5)}},
    {"to one pixel", TO(1, 1), .shape = {MG_SHAPE(1, 7, 5, 3)}},
    {"aligned corners", TO_ALIGNED(11, 13), .shape = {MG_SHAPE(2, 5, 7, 3)}},
    {"aligned corners, to one row", TO_ALIGNED(1, 3), .shape = {MG_SHAPE(1, 5, 7, 19)}},
    {"channels in fours", TO(11, 3), .shape = {MG_SHAPE(2, 5, 7, 8)}},
    {"many chunks", TO(61, 29), .shape = {MG_SHAPE(2, 30, 16, 19)}},
};

MG_OP(resize_bicubic) = {
    .name = "resize_bicubic",
    .summary = "images resampled by cubic convolution interpolation",
    .formula = "y[n,i,j,c] = sum over 4x4 taps of wy(i,a) wx(j,b) x[n, ty(i,a), tx(j,b), c]",
    .gradient = "dx[n,p,q,c] += sum of wy(i,a) wx(j,b) dy[n,i,j,c] over ty(i,a) = p, tx(j,b) = q",
    .source = "Keys 1981, IEEE Trans. ASSP 29(6)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = {"x"},
    .flags = 0, /* linear, but some weights are negative: |x| gives no error bound */
    .differentiable = 1,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
