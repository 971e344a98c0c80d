/* batch_norm: per-channel normalisation with learned scale and shift.
 *
 *     training:  m = mean(x), v = mean((x - m)²) over the R = N·H·W rows
 *     inference: m = running_mean, v = running_var
 *     h = (x - m) / sqrt(v + eps),  y = gamma h + beta
 *
 *     dbeta += sum dy,  dgamma += sum dy h
 *     training:  dx += gamma / sqrt(v + eps) (dy - mean(dy) - h mean(dy h))
 *     inference: dx += gamma / sqrt(v + eps) dy
 *
 * Training also updates running_mean and running_var in place by attr.momentum, the variance with
 * R/(R-1) (Bessel), as PyTorch does; momentum 0 leaves them alone (recomputation). R = 1 keeps the
 * biased value. The variance is two-pass: with mean 1000 and spread 1 the one-pass float formula is
 * 25% off. Shapes: x, y [..., C]; gamma, beta, running_mean, running_var [C]. Saved: m,
 * 1/sqrt(v+eps).
 * Source: Ioffe & Szegedy 2015. */
#include <math.h>

#include "ops/real.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR };

static mg_status shape(mg_op_call *c, mg_error *err) {
    int rank = c->x_shape[X].rank;
    if (rank < 2) return mg_expect_rank(c, "batch_norm", X, "x", 4, "[...,C]", err);
    static const char *const names[] = {"x", "gamma", "beta", "running_mean", "running_var"};
    mg_shape want = MG_SHAPE(c->x_shape[X].dim[rank - 1]);
    for (int i = GAMMA; i <= RUNNING_VAR; i++) {
        mg_status s = mg_expect_shape(c, "batch_norm", i, names[i], want, err);
        if (s) return s;
    }
    return mg_shape_same(c, err);
}

static int64_t channels_of(const mg_op_call *c) { return c->x_shape[GAMMA].dim[0]; }
static int64_t rows_of(const mg_op_call *c) {
    return mg_shape_elements(&c->x_shape[X]) / channels_of(c);
}
static int64_t save_count(const mg_op_call *c) { return 2 * channels_of(c); }

static mg_cost cost(const mg_op_call *c) {
    double flops = c->attr.training ? 7 : 2, n = mg_bytes_out(c) / 4;
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){flops * n, in + out, (c->attr.training ? 9 : 4) * n, in + out + in};
}

static void channel_statistics(const mg_op_call *c, int64_t ch, real *mean, real *variance) {
    const real *x = c->x[X];
    int64_t rows = rows_of(c), channels = channels_of(c);
    double m = 0, v = 0;
    for (int64_t r = 0; r < rows; r++) m += (double)x[r * channels + ch];
    m /= (double)rows;
    for (int64_t r = 0; r < rows; r++) {
        double d = (double)x[r * channels + ch] - m;
        v += d * d;
    }
    *mean = (real)m;
    *variance = (real)(v / (double)rows);
}

static void update_running(const mg_op_call *c, int64_t ch, real mean, real variance) {
    real *running_mean = c->x[RUNNING_MEAN], *running_var = c->x[RUNNING_VAR];
    real k = (real)c->attr.momentum, rows = (real)rows_of(c);
    real unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
    if (k == 0) return;
    running_mean[ch] = (1 - k) * running_mean[ch] + k * mean;
    running_var[ch] = (1 - k) * running_var[ch] + k * unbiased;
}

static void forward(const mg_op_call *c) {
    const real *x = c->x[X], *gamma = c->x[GAMMA], *beta = c->x[BETA];
    real *y = c->y, *save = c->save;
    int64_t rows = rows_of(c), channels = channels_of(c);
    for (int64_t ch = 0; ch < channels; ch++) {
        real mean = ((const real *)c->x[RUNNING_MEAN])[ch];
        real variance = ((const real *)c->x[RUNNING_VAR])[ch];
        if (c->attr.training) {
            channel_statistics(c, ch, &mean, &variance);
            update_running(c, ch, mean, variance);
        }
        real inverse = (real)(1.0 / sqrt((double)variance + c->attr.eps));
        save[ch] = mean;
        save[channels + ch] = inverse;
        for (int64_t r = 0; r < rows; r++) {
            int64_t i = r * channels + ch;
            y[i] = gamma[ch] * ((x[i] - mean) * inverse) + beta[ch];
        }
    }
}

static void backward(const mg_op_call *c) {
    const real *x = c->x[X], *gamma = c->x[GAMMA], *save = c->save, *dy = c->dy;
    real *dx = c->dx[X], *dgamma = c->dx[GAMMA], *dbeta = c->dx[BETA];
    int64_t rows = rows_of(c), channels = channels_of(c);
    for (int64_t ch = 0; ch < channels; ch++) {
        real mean = save[ch], inverse = save[channels + ch];
        double sum_dy = 0, sum_dy_h = 0;
        for (int64_t r = 0; r < rows; r++) {
            int64_t i = r * channels + ch;
            sum_dy += (double)dy[i];
            sum_dy_h += (double)dy[i] * (double)((x[i] - mean) * inverse);
        }
        if (dbeta) dbeta[ch] += (real)sum_dy;
        if (dgamma) dgamma[ch] += (real)sum_dy_h;
        if (!dx) continue;
        real mean_dy = c->attr.training ? (real)(sum_dy / (double)rows) : 0;
        real mean_dy_h = c->attr.training ? (real)(sum_dy_h / (double)rows) : 0;
        for (int64_t r = 0; r < rows; r++) {
            int64_t i = r * channels + ch;
            real h = (x[i] - mean) * inverse;
            dx[i] += gamma[ch] * inverse * (dy[i] - mean_dy - h * mean_dy_h);
        }
    }
}

#define C(n)     MG_SHAPE(n), MG_SHAPE(n), MG_SHAPE(n), MG_SHAPE(n)
#define FILLS(x) .fill = {x, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_POSITIVE}
#define TRAIN                                                                                      \
    { .training = true, .eps = 1e-3, .momentum = 0.1 }
#define INFER                                                                                      \
    { .eps = 1e-5 }
static const mg_case cases[] = {
    {"training", TRAIN, 5, {MG_SHAPE(2, 5, 7, 3), C(3)}, FILLS(MG_FILL_NORMAL)},
    {"training, ragged channels", TRAIN, 5, {MG_SHAPE(3, 3, 5, 37), C(37)}, FILLS(MG_FILL_NORMAL)},
    {"training, mean far above spread",
     TRAIN,
     5,
     {MG_SHAPE(2, 11, 7, 5), C(5)},
     FILLS(MG_FILL_OFFSET)},
    {"training, many chunks", TRAIN, 5, {MG_SHAPE(2, 47, 31, 19), C(19)}, FILLS(MG_FILL_NORMAL)},
    {"training, channels in fours",
     TRAIN,
     5,
     {MG_SHAPE(3, 7, 11, 72), C(72)},
     FILLS(MG_FILL_NORMAL)},
    {"training, rank 2", TRAIN, 5, {MG_SHAPE(7, 11), C(11)}, FILLS(MG_FILL_NORMAL)},
    {"inference", INFER, 5, {MG_SHAPE(2, 5, 7, 3), C(3)}, FILLS(MG_FILL_NORMAL)},
    {"inference, one row", INFER, 5, {MG_SHAPE(1, 1, 1, 18), C(18)}, FILLS(MG_FILL_NORMAL)},
};

MG_OP(batch_norm) = {
    .name = "batch_norm",
    .summary = "per-channel normalisation with batch or running statistics",
    .formula = "y = gamma (x - m) / sqrt(v + eps) + beta; m, v: batch (training) or running",
    .gradient = "dbeta += sum dy; dgamma += sum dy h; training: dx += gamma r (dy - mean(dy) - "
                "h mean(dy h)); inference: dx += gamma r dy; h = (x - m) r, r = 1/sqrt(v + eps)",
    .source = "Ioffe & Szegedy 2015, arXiv:1502.03167",
    .min_inputs = 5,
    .max_inputs = 5,
    .input_names = {"x", "gamma", "beta", "running_mean", "running_var"},
    .flags = MG_OP_MUTATES_STATE,
    .differentiable = 7,
    .needs_x = 3,
    .shape = shape,
    .save_count = save_count,
    .cost = cost,
    .cases = cases,
    .case_count = MG_COUNT(cases),
    .reference = {forward, backward, NULL, 0},
};
