/* squeeze_excite: each channel weighted by a gate computed from the means of all channels.
 *
 *     g[n,c] = mean over pixels of x[n,h,w,c]
 *     u[n,s] = sum_c g[n,c] w1[c,s] + b1[s]
 *     a[n,c] = sigmoid(sum_s silu(u[n,s]) w2[s,c] + b2[c])
 *     y[n,h,w,c] = x[n,h,w,c] a[n,c]
 *
 *     dt[n,c] = a (1 - a) sum_{h,w} dy x          dw2[s,c] += sum_n silu(u) dt,  db2 += sum_n dt
 *     du[n,s] = silu'(u) sum_c dt[n,c] w2[s,c]    dw1[c,s] += sum_n g du,        db1 += sum_n du
 *     dx[n,h,w,c] += dy a + (1 / HW) sum_s du[n,s] w1[c,s]
 *
 * Shapes: x, y [N,H,W,C], w1 [C,S], b1 [S], w2 [S,C], b2 [C]. Saved: g [N,C], u [N,S], a [N,C].
 * Source: Hu, Shen & Sun 2017; SiLU inside as in EfficientNet (Tan & Le 2019). */
#include "ops/activation.h"
#include "ops/real.h"

enum { X, W1, B1, W2, B2 };

static mg_status shape(mg_op_call *c, mg_error *err) {
    mg_status s = mg_expect_rank(c, "squeeze_excite", X, "x", 4, "[N,H,W,C]", err);
    if (!s) s = mg_expect_rank(c, "squeeze_excite", W1, "w1", 2, "[C,S]", err);
    if (s) return s;
    int64_t channels = c->x_shape[X].dim[3], squeezed = c->x_shape[W1].dim[1];
    static const char *const names[] = {"x", "w1", "b1", "w2", "b2"};
    const mg_shape want[] = {c->x_shape[X], MG_SHAPE(channels, squeezed), MG_SHAPE(squeezed),
                             MG_SHAPE(squeezed, channels), MG_SHAPE(channels)};
    for (int i = W1; i <= B2 && !s; i++)
        s = mg_expect_shape(c, "squeeze_excite", i, names[i], want[i], err);
    return s ? s : mg_shape_same(c, err);
}

typedef struct sizes {
    int64_t images, pixels, channels, squeezed;
} sizes;

static sizes sizes_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[X].dim;
    return (sizes){x[0], x[1] * x[2], x[3], c->x_shape[W1].dim[1]};
}

static int64_t save_count(const mg_op_call *c) {
    sizes z = sizes_of(c);
    return z.images * (2 * z.channels + z.squeezed);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    sizes z = sizes_of(c);
    return backward ? (size_t)(2 * z.channels + z.squeezed) * sizeof(real) : 0;
}

static mg_cost cost(const mg_op_call *c) {
    sizes z = sizes_of(c);
    double n = mg_bytes_out(c) / 4, small = 4.0 * (double)(z.images * z.channels * z.squeezed);
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){2 * n + small, in + out, 5 * n + 2 * small, in + out + in};
}

/* The parts of save that belong to image n. */
typedef struct saved {
    real *mean, *squeezed, *gate;
} saved;

static saved saved_of(const mg_op_call *c, int64_t n) {
    sizes z = sizes_of(c);
    real *mean = c->save, *squeezed = mean + z.images * z.channels;
    real *gate = squeezed + z.images * z.squeezed;
    return (saved){mean + n * z.channels, squeezed + n * z.squeezed, gate + n * z.channels};
}

static void forward_image(const mg_op_call *c, int64_t n) {
    sizes z = sizes_of(c);
    saved v = saved_of(c, n);
    const real *x = (const real *)c->x[X] + n * z.pixels * z.channels;
    const real *w1 = c->x[W1], *b1 = c->x[B1], *w2 = c->x[W2], *b2 = c->x[B2];
    real *y = (real *)c->y + n * z.pixels * z.channels;
    for (int64_t ch = 0; ch < z.channels; ch++) {
        double sum = 0;
        for (int64_t p = 0; p < z.pixels; p++) sum += (double)x[p * z.channels + ch];
        v.mean[ch] = (real)(sum / (double)z.pixels);
    }
    for (int64_t s = 0; s < z.squeezed; s++) {
        v.squeezed[s] = b1[s];
        for (int64_t ch = 0; ch < z.channels; ch++)
            v.squeezed[s] += v.mean[ch] * w1[ch * z.squeezed + s];
    }
    for (int64_t ch = 0; ch < z.channels; ch++) {
        real t = b2[ch];
        for (int64_t s = 0; s < z.squeezed; s++) t += silu(v.squeezed[s]) * w2[s * z.channels + ch];
        v.gate[ch] = sigmoid(t);
    }
    for (int64_t p = 0; p < z.pixels; p++)
        for (int64_t ch = 0; ch < z.channels; ch++)
            y[p * z.channels + ch] = x[p * z.channels + ch] * v.gate[ch];
}

/* dt, du and dmean of one image; also adds to the gradients of weights and biases. */
static void backward_gate(const mg_op_call *c, int64_t n, real *dt, real *du, real *dmean) {
    sizes z = sizes_of(c);
    saved v = saved_of(c, n);
    const real *x = (const real *)c->x[X] + n * z.pixels * z.channels;
    const real *dy = (const real *)c->dy + n * z.pixels * z.channels;
    const real *w1 = c->x[W1], *w2 = c->x[W2];
    real *dw1 = c->dx[W1], *db1 = c->dx[B1], *dw2 = c->dx[W2], *db2 = c->dx[B2];
    for (int64_t ch = 0; ch < z.channels; ch++) {
        double sum = 0;
        for (int64_t p = 0; p < z.pixels; p++)
            sum += (double)dy[p * z.channels + ch] * (double)x[p * z.channels + ch];
        dt[ch] = (real)sum * v.gate[ch] * (1 - v.gate[ch]);
        if (db2) db2[ch] += dt[ch];
    }
    for (int64_t s = 0; s < z.squeezed; s++) {
        real sum = 0;
        for (int64_t ch = 0; ch < z.channels; ch++) {
            sum += dt[ch] * w2[s * z.channels + ch];
            if (dw2) dw2[s * z.channels + ch] += silu(v.squeezed[s]) * dt[ch];
        }
        du[s] = sum * silu_slope(v.squeezed[s]);
        if (db1) db1[s] += du[s];
    }
    for (int64_t ch = 0; ch < z.channels; ch++) {
        dmean[ch] = 0;
        for (int64_t s = 0; s < z.squeezed; s++) {
            dmean[ch] += du[s] * w1[ch * z.squeezed + s];
            if (dw1) dw1[ch * z.squeezed + s] += v.mean[ch] * du[s];
        }
    }
}

static void forward(const mg_op_call *c) {
    for (int64_t n = 0; n < c->x_shape[X].dim[0]; n++) forward_image(c, n);
}

static void backward(const mg_op_call *c) {
    sizes z = sizes_of(c);
    real *dt = c->scratch, *du = dt + z.channels, *dmean = du + z.squeezed;
    for (int64_t n = 0; n < z.images; n++) {
        backward_gate(c, n, dt, du, dmean);
        if (!c->dx[X]) continue;
        const real *dy = (const real *)c->dy + n * z.pixels * z.channels;
        real *dx = (real *)c->dx[X] + n * z.pixels * z.channels;
        const real *gate = saved_of(c, n).gate;
        for (int64_t p = 0; p < z.pixels; p++)
            for (int64_t ch = 0; ch < z.channels; ch++)
                dx[p * z.channels + ch] +=
                    dy[p * z.channels + ch] * gate[ch] + dmean[ch] / (real)z.pixels;
    }
}

#define IMAGE(n, h, w, c, s)                                                                       \
    .inputs = 5,                                                                                   \
    .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(c, s), MG_SHAPE(s), MG_SHAPE(s, c), MG_SHAPE(c)},     \
    .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL, MG_FILL_WEIGHT}
static const mg_case cases[] = {
    {"two images", IMAGE(2, 5, 7, 3, 2)},
    {"one pixel, one channel", IMAGE(1, 1, 1, 1, 1)},
    {"three images, ragged channels", IMAGE(3, 3, 5, 37, 11)},
    {"many chunks", IMAGE(2, 61, 29, 19, 5)},
    {"saturated", .inputs = 5,
     .shape = {MG_SHAPE(2, 3, 3, 5), MG_SHAPE(5, 3), MG_SHAPE(3), MG_SHAPE(3, 5), MG_SHAPE(5)},
     .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_SATURATED, MG_FILL_WEIGHT,
              MG_FILL_SATURATED}},
};

MG_OP(squeeze_excite) = {
    .name = "squeeze_excite",
    .summary = "channels weighted by a gate computed from their means",
    .formula = "g = mean_{h,w} x; u = g w1 + b1; a = sigmoid(silu(u) w2 + b2); "
               "y[n,h,w,c] = x[n,h,w,c] a[n,c]",
    .gradient = "dt = a (1 - a) sum_{h,w} dy x; dw2 += silu(u)^T dt; db2 += sum_n dt; "
                "du = silu'(u) (dt w2^T); dw1 += g^T du; db1 += sum_n du; "
                "dx += dy a + (du w1^T) / (H W)",
    .source = "Hu, Shen & Sun 2017, arXiv:1709.01507; Tan & Le 2019, arXiv:1905.11946",
    .min_inputs = 5,
    .max_inputs = 5,
    .input_names = {"x", "w1", "b1", "w2", "b2"},
    .differentiable = 31,
    .needs_x = 1 | 2 | 8,
    .shape = shape,
    .save_count = save_count,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, scratch_bytes, 0},
};
