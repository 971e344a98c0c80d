/* The gradient check (see check.h). */
#include <math.h>
#include <stdlib.h>

#include "ops/check.h"

/* Work allowed for one input, in flops of forwards: keeps a case within milliseconds. */
static const double budget = 1.5e7;
enum { DIRECTIONS = 3, SAMPLE = 10 };

typedef struct probe {
    mg_trial *t;
    mg_kernels kernels;
    double *direction, *base, *plus, *minus; /* of input size; of output size */
    mg_error *err;
    mg_gradient_check *result;
} probe;

/* y at x + step * direction of one input (all its elements, or a single one). */
static mg_status shifted(probe *p, int input, int64_t element, double step, double *y) {
    double *x = p->t->pristine[input];
    int64_t n = mg_shape_elements(&p->t->call.x_shape[input]);
    int64_t begin = element < 0 ? 0 : element, end = element < 0 ? n : element + 1;
    for (int64_t i = begin; i < end; i++) {
        p->base[i] = x[i];
        x[i] += step * (element < 0 ? p->direction[i] : 1);
    }
    mg_status s = mg_trial_forward(p->t, &p->kernels, NULL, p->err);
    for (int64_t i = begin; i < end; i++) x[i] = p->base[i];
    int64_t outputs = mg_shape_elements(&p->t->call.y_shape);
    for (int64_t i = 0; i < outputs; i++) y[i] = ((const double *)p->t->call.y)[i];
    return s;
}

/* sum over outputs of dy (y(x+h) - y(x-h)) / 2h: differences first, so that large sums cancel. */
static mg_status central(probe *p, int input, int64_t element, double h, double *slope) {
    mg_status s = shifted(p, input, element, h, p->plus);
    if (!s) s = shifted(p, input, element, -h, p->minus);
    const double *dy = p->t->call.dy;
    int64_t outputs = mg_shape_elements(&p->t->call.y_shape);
    *slope = 0;
    for (int64_t i = 0; i < outputs; i++) *slope += dy[i] * (p->plus[i] - p->minus[i]);
    *slope /= 2 * h;
    return s;
}

/* An op linear in each input has an exact difference quotient at any step; elsewhere Richardson's
 * combination of two steps leaves an error of order h⁴. */
static mg_status numeric_slope(probe *p, int input, int64_t element, double *slope) {
    if (p->t->op->flags & MG_OP_LINEAR) return central(p, input, element, 1, slope);
    const double h = 1e-3;
    double near = 0, far = 0;
    mg_status s = central(p, input, element, h, &near);
    if (!s) s = central(p, input, element, 2 * h, &far);
    *slope = (4 * near - far) / 3;
    return s;
}

static void note(probe *p, int input, int64_t element, double analytic, double numeric,
                 double scale) {
    double size = fmax(fmax(fabs(analytic), fabs(numeric)), scale);
    double error = fabs(analytic - numeric) / size;
    if (!isfinite(error)) error = INFINITY;
    p->result->derivatives++;
    if (error <= p->result->worst) return;
    *p->result =
        (mg_gradient_check){error, input, element, analytic, numeric, p->result->derivatives};
}

/* Gradients far below the largest are compared relative to 1% of it, and never below 1e-6: what
 * rounding leaves of a difference quotient is no disagreement. */
static double scale_of(const double *dx, int64_t n) {
    double largest = 1e-4;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(dx[i]));
    return 0.01 * largest;
}

static mg_status check_elements(probe *p, int input, const double *dx, int64_t n) {
    double flops = p->t->op->cost(&p->t->call).forward_flops;
    double outputs = (double)mg_shape_elements(&p->t->call.y_shape);
    double affordable = budget / (4 * fmax(flops, 4 * outputs)), scale = scale_of(dx, n);
    int64_t count = affordable > (double)n ? n : affordable < SAMPLE ? SAMPLE : (int64_t)affordable;
    if (count > n) count = n;
    mg_rng_key key = {.seed = 11, .purpose = MG_RNG_TEST, .sample = (uint32_t)input};
    mg_status s = MG_OK;
    for (int64_t k = 0; k < count && !s; k++) {
        int64_t i = k; /* all of them, or the first, the last and a random sample */
        if (count < n && k > 0) i = k == 1 ? n - 1 : mg_rng_below(&key, (uint32_t)k, (uint32_t)n);
        double slope = 0;
        s = numeric_slope(p, input, i, &slope);
        note(p, input, i, dx[i], slope, scale);
    }
    return s;
}

static mg_status check_directions(probe *p, int input, const double *dx, int64_t n) {
    mg_status s = MG_OK;
    for (uint32_t d = 0; d < DIRECTIONS && !s; d++) {
        mg_rng_key key = {
            .seed = 12, .purpose = MG_RNG_TEST, .epoch = d, .sample = (uint32_t)input};
        double analytic = 0, square = 0, slope = 0;
        for (int64_t i = 0; i < n; i++) {
            p->direction[i] = mg_rng_normal(&key, (uint32_t)i);
            analytic += p->direction[i] * dx[i];
            square += p->direction[i] * dx[i] * p->direction[i] * dx[i];
        }
        s = numeric_slope(p, input, -1, &slope);
        note(p, input, -1, analytic, slope, fmax(sqrt(square), 1e-6));
    }
    return s;
}

static mg_status check_input(probe *p, int input) {
    int64_t n = mg_shape_elements(&p->t->call.x_shape[input]);
    double *dx = malloc(3 * (size_t)n * sizeof *dx);
    if (!dx) return mg_fail(p->err, MG_ERR_MEMORY, "gradient check: out of memory");
    p->direction = dx + n;
    p->base = dx + 2 * n;
    for (int64_t i = 0; i < n; i++) dx[i] = ((const double *)p->t->dx[input])[i] - MG_TRIAL_PREFILL;
    mg_status s = check_elements(p, input, dx, n);
    if (!s) s = check_directions(p, input, dx, n);
    free(dx);
    return s;
}

mg_status mg_check_gradient(const mg_op *op, const mg_case *test_case, mg_gradient_check *result,
                            mg_error *err) {
    mg_trial t;
    *result = (mg_gradient_check){0};
    probe p = {.t = &t, .kernels = op->reference, .err = err, .result = result};
    mg_status s = mg_trial_open(&t, op, test_case, MG_F64, err);
    if (!s) s = mg_trial_forward(&t, &p.kernels, NULL, err);
    if (!s) s = mg_trial_backward(&t, &p.kernels, NULL, ~0u, err);
    if (!s) s = mg_trial_intact(&t, err);
    if (!s) {
        size_t outputs = (size_t)mg_shape_elements(&t.call.y_shape);
        p.plus = malloc(2 * outputs * sizeof *p.plus);
        p.minus = p.plus + outputs;
        if (!p.plus) s = mg_fail(err, MG_ERR_MEMORY, "gradient check: out of memory");
    }
    for (int i = 0; i < t.call.inputs && !s; i++)
        if (t.call.x[i] && (op->differentiable >> i & 1)) s = check_input(&p, i);
    free(p.plus);
    mg_trial_close(&t);
    return s;
}
