/* mbconv: EfficientNet's whole inverted-residual block, for inference, as one op.
 *
 *     e = silu(x expand_w + expand_b)              1×1, absent in blocks without expansion: e = x
 *     d = silu(depthwise(e, dw_w) + dw_b)          k×k, stride, padding of attr
 *     a = sigmoid(silu(mean_{h,w}(d) se_w1 + se_b1) se_w2 + se_b2)
 *     y = (d a) project_w + project_b  (+ x when attr.residual)
 *
 * Batch norm is folded into weights and biases beforehand. The point of fusing is that e and d, six
 * times as wide as x and y, never reach memory as whole tensors; here, in the reference, they do.
 *
 * Shapes: x [N,H,W,Cin]; expand_w [Cin,E], expand_b [E], or both absent and E = Cin; dw_w [k,k,E],
 * dw_b [E]; se_w1 [E,S], se_b1 [S], se_w2 [S,E], se_b2 [E]; project_w [E,Cout], project_b [Cout];
 * y [N,H',W',Cout]. attr.kernel, stride, padding as in depthwise_conv; attr.residual needs y to
 * have x's shape. No backward: the frozen part of a network is never differentiated.
 * Source: Sandler et al. 2018 (MobileNetV2), Tan & Le 2019 (EfficientNet). */
#include "ops/activation.h"
#include "ops/real.h"

enum { X, EXPAND_W, EXPAND_B, DW_W, DW_B, SE_W1, SE_B1, SE_W2, SE_B2, PROJECT_W, PROJECT_B };

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "mbconv", X, "x", 4, "[N,H,W,Cin]", err);
    if (!s) s = mg_expect_rank(c, "mbconv", DW_W, "dw_w", 3, "[k,k,E]", err);
    if (!s) s = mg_expect_rank(c, "mbconv", SE_W1, "se_w1", 2, "[E,S]", err);
    if (!s) s = mg_expect_rank(c, "mbconv", PROJECT_W, "project_w", 2, "[E,Cout]", err);
    if (s) return s;
    int64_t in = c->x_shape[X].dim[3], k = c->attr.kernel, wide = c->x_shape[DW_W].dim[2];
    int64_t squeezed = c->x_shape[SE_W1].dim[1], out = c->x_shape[PROJECT_W].dim[1];
    const mg_shape want[] = {
        c->x_shape[X],  MG_SHAPE(in, wide),       MG_SHAPE(wide),     MG_SHAPE(k, k, wide),
        MG_SHAPE(wide), MG_SHAPE(wide, squeezed), MG_SHAPE(squeezed), MG_SHAPE(squeezed, wide),
        MG_SHAPE(wide), MG_SHAPE(wide, out),      MG_SHAPE(out)};
    static const char *const names[] = {"x",     "expand_w",  "expand_b", "dw_w",
                                        "dw_b",  "se_w1",     "se_b1",    "se_w2",
                                        "se_b2", "project_w", "project_b"};
    bool expands = mg_has_input(c, EXPAND_W);
    if (!expands && wide != in)
        return mg_fail(err, MG_ERR_SHAPE,
                       "mbconv: without expansion dw_w must have x's %lld channels, has %lld",
                       (long long)in, (long long)wide);
    for (int i = expands ? EXPAND_W : DW_W; i <= PROJECT_B && !s; i++)
        s = mg_expect_shape(c, "mbconv", i, names[i], want[i], err);
    if (!s) s = mg_conv_shape(c, "mbconv", out, err);
    if (!s && c->attr.residual && !mg_shape_equal(&c->y_shape, &c->x_shape[X])) {
        char is[96], must[96];
        s = mg_fail(err, MG_ERR_SHAPE, "mbconv: residual needs y of x's shape %s, it is %s",
                    mg_shape_text(&c->x_shape[X], must, sizeof must),
                    mg_shape_text(&c->y_shape, is, sizeof is));
    }
    return s;
}

typedef struct sizes {
    int64_t in_pixels, out_pixels, in, wide, squeezed, out;
} sizes;

static sizes sizes_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[X].dim, *y = c->y_shape.dim;
    return (sizes){
        x[1] * x[2], y[1] * y[2], x[3], c->x_shape[DW_W].dim[2], c->x_shape[SE_W1].dim[1], y[3]};
}

/* One image at a time: e, d, the gate, the squeezed means. */
static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    sizes z = sizes_of(c);
    return (size_t)((z.in_pixels + z.out_pixels + 2) * z.wide + z.squeezed) * sizeof(real);
}

static mg_cost cost(const mg_op_call *c) {
    sizes z = sizes_of(c);
    double n = (double)c->x_shape[X].dim[0], wide = (double)z.wide, k = c->attr.kernel;
    double expand = mg_has_input(c, EXPAND_W) ? 2.0 * (double)z.in_pixels * (double)z.in * wide : 0;
    double depthwise = 2.0 * k * k * (double)z.out_pixels * wide;
    double project = 2.0 * (double)z.out_pixels * wide * (double)z.out;
    double gate = 4.0 * wide * (double)z.squeezed;
    return (mg_cost){n * (expand + depthwise + project + gate), mg_bytes_in(c) + mg_bytes_out(c), 0,
                     0};
}

/* y[m,:] = x[m,:] w + b over `rows` rows. */
static void product(const real *x, const real *w, const real *b, real *y, int64_t rows, int64_t in,
                    int64_t out) {
    for (int64_t m = 0; m < rows; m++)
        for (int64_t o = 0; o < out; o++) {
            real sum = b[o];
            for (int64_t i = 0; i < in; i++) sum += x[m * in + i] * w[i * out + o];
            y[m * out + o] = sum;
        }
}

static real depthwise_at(const mg_op_call *c, const real *e, int64_t i, int64_t j, int64_t ch) {
    const int64_t *x = c->x_shape[X].dim;
    const real *w = c->x[DW_W];
    int64_t k = c->attr.kernel, wide = sizes_of(c).wide;
    int64_t top = i * c->attr.stride - mg_conv_output(&c->attr, 0, x[1]).before;
    int64_t left = j * c->attr.stride - mg_conv_output(&c->attr, 1, x[2]).before;
    real sum = ((const real *)c->x[DW_B])[ch];
    for (int64_t a = 0; a < k; a++)
        for (int64_t b = 0; b < k; b++) {
            int64_t p = top + a, q = left + b;
            if (p < 0 || p >= x[1] || q < 0 || q >= x[2]) continue;
            sum += e[(p * x[2] + q) * wide + ch] * w[(a * k + b) * wide + ch];
        }
    return silu(sum);
}

static void gate_of(const mg_op_call *c, const real *d, real *mean, real *squeezed, real *gate) {
    sizes z = sizes_of(c);
    for (int64_t ch = 0; ch < z.wide; ch++) {
        double sum = 0;
        for (int64_t p = 0; p < z.out_pixels; p++) sum += (double)d[p * z.wide + ch];
        mean[ch] = (real)(sum / (double)z.out_pixels);
    }
    product(mean, c->x[SE_W1], c->x[SE_B1], squeezed, 1, z.wide, z.squeezed);
    for (int64_t s = 0; s < z.squeezed; s++) squeezed[s] = silu(squeezed[s]);
    product(squeezed, c->x[SE_W2], c->x[SE_B2], gate, 1, z.squeezed, z.wide);
    for (int64_t ch = 0; ch < z.wide; ch++) gate[ch] = sigmoid(gate[ch]);
}

static void forward_image(const mg_op_call *c, int64_t n) {
    sizes z = sizes_of(c);
    real *e = c->scratch, *d = e + z.in_pixels * z.wide, *mean = d + z.out_pixels * z.wide;
    real *gate = mean + z.wide, *squeezed = gate + z.wide;
    const real *x = (const real *)c->x[X] + n * z.in_pixels * z.in;
    real *y = (real *)c->y + n * z.out_pixels * z.out;
    int64_t columns = c->y_shape.dim[2];
    for (int64_t i = 0; i < z.in_pixels * z.in && !mg_has_input(c, EXPAND_W); i++) e[i] = x[i];
    if (mg_has_input(c, EXPAND_W)) {
        product(x, c->x[EXPAND_W], c->x[EXPAND_B], e, z.in_pixels, z.in, z.wide);
        for (int64_t i = 0; i < z.in_pixels * z.wide; i++) e[i] = silu(e[i]);
    }
    for (int64_t p = 0; p < z.out_pixels; p++)
        for (int64_t ch = 0; ch < z.wide; ch++)
            d[p * z.wide + ch] = depthwise_at(c, e, p / columns, p % columns, ch);
    gate_of(c, d, mean, squeezed, gate);
    for (int64_t i = 0; i < z.out_pixels * z.wide; i++) d[i] *= gate[i % z.wide];
    product(d, c->x[PROJECT_W], c->x[PROJECT_B], y, z.out_pixels, z.wide, z.out);
    for (int64_t i = 0; i < z.out_pixels * z.out && c->attr.residual; i++) y[i] += x[i];
}

static void forward(const mg_op_call *c) {
    for (int64_t n = 0; n < c->x_shape[X].dim[0]; n++) forward_image(c, n);
}

#define SHAPES(n, h, w, in, e, k, s, out)                                                          \
    .inputs = 11,                                                                                  \
    .shape = {MG_SHAPE(n, h, w, in), MG_SHAPE(in, e),  MG_SHAPE(e),  MG_SHAPE(k, k, e),            \
              MG_SHAPE(e),           MG_SHAPE(e, s),   MG_SHAPE(s),  MG_SHAPE(s, e),               \
              MG_SHAPE(e),           MG_SHAPE(e, out), MG_SHAPE(out)}
#define FILLS(expand_w, expand_b)                                                                  \
    .fill = {MG_FILL_NORMAL, expand_w,       expand_b,       MG_FILL_WEIGHT,                       \
             MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL, MG_FILL_WEIGHT,                       \
             MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL}
#define EXPANDED   FILLS(MG_FILL_WEIGHT, MG_FILL_NORMAL)
#define UNEXPANDED FILLS(MG_FILL_ABSENT, MG_FILL_ABSENT)
static const mg_case cases[] = {
    {"residual",
     {.kernel = 3, .stride = 1, .residual = true},
     SHAPES(2, 5, 7, 3, 18, 3, 1, 3),
     EXPANDED},
    {"without expansion",
     {.kernel = 3, .stride = 1},
     SHAPES(3, 7, 5, 19, 19, 3, 5, 11),
     UNEXPANDED},
    {"stride 2, ragged", {.kernel = 5, .stride = 2}, SHAPES(1, 13, 10, 5, 35, 5, 2, 7), EXPANDED},
    {"SAME, stride 2",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_SAME},
     SHAPES(2, 8, 6, 4, 24, 3, 1, 6),
     EXPANDED},
    {"static padding",
     {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_bottom = 1, .pad_right = 1},
     SHAPES(1, 9, 8, 3, 17, 3, 2, 5),
     EXPANDED},
    {"kernel larger than the image",
     {.kernel = 5, .stride = 1, .residual = true},
     SHAPES(1, 2, 3, 7, 42, 5, 2, 7),
     EXPANDED},
    {"many bands",
     {.kernel = 5, .stride = 1, .residual = true},
     SHAPES(2, 41, 23, 8, 48, 5, 2, 8),
     EXPANDED},
};

MG_OP(mbconv) = {
    .name = "mbconv",
    .summary = "EfficientNet's inverted-residual block with folded batch norm, for inference",
    .formula = "e = silu(x expand_w + expand_b); d = silu(depthwise(e, dw_w) + dw_b); "
               "a = sigmoid(silu(mean(d) se_w1 + se_b1) se_w2 + se_b2); "
               "y = (d a) project_w + project_b (+ x)",
    .gradient = "none: inference only",
    .source = "Sandler et al. 2018, arXiv:1801.04381; Tan & Le 2019, arXiv:1905.11946",
    .waiver = "backward: frozen stages and prediction only; training uses the separate ops",
    .min_inputs = 11,
    .optional = 1u << EXPAND_W | 1u << EXPAND_B,
    .max_inputs = 11,
    .input_names = {"x", "expand_w", "expand_b", "dw_w", "dw_b", "se_w1", "se_b1", "se_w2", "se_b2",
                    "project_w", "project_b"},
    .flags = MG_OP_NO_BACKWARD,
    .shape = shape,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, NULL, scratch_bytes, 0},
};
