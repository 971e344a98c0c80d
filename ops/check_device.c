/* The device check (see check.h): f32 kernels against the f64 reference. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/check.h"

/* What one rounding may change: half a unit in the last place of f32, or of 18 bits where products
 * may be made by halves (mg_attr.relaxed). */
static double unit_of(const mg_trial *t) { return t->call.attr.relaxed ? 0x1p-18 : 0x1p-24; }

/* What the f64 reference says about one case, and by how much an f32 kernel may differ: arrays laid
 * out like y and dx. */
typedef struct verdict {
    mg_trial exact;
    double *y_bound, *dx_bound[MG_MAX_INPUTS], *state_bound[MG_MAX_INPUTS];
} verdict;

static bool is_state(const mg_op *op, int i) {
    return (op->flags & MG_OP_MUTATES_STATE) && !(op->differentiable >> i & 1);
}

static bool has_backward(const mg_trial *t) {
    return !(t->op->flags & MG_OP_NO_BACKWARD) && !t->test_case->forward_only;
}

static mg_status run(mg_trial *t, mg_error *err) {
    mg_status s = mg_trial_forward(t, &t->op->reference, NULL, err);
    if (!s && has_backward(t)) s = mg_trial_backward(t, &t->op->reference, NULL, ~0u, err);
    return s;
}

static int64_t count_of(const mg_trial *t, int input) {
    return input < 0 ? mg_shape_elements(&t->call.y_shape)
                     : mg_shape_elements(&t->call.x_shape[input]);
}

/* --- linear ops: 2 u K op(|x|,|w|) ------------------------------------------------------------ */

typedef enum magnitude { ABSOLUTE_VALUES, ONES } magnitude;

/* Replaces all numbers of a trial by their absolute values or by one. The activation that may end
 * a linear op is left out: its slope is at most 1.1. */
static void take_magnitudes(mg_trial *t, magnitude m) {
    t->call.attr.activation = MG_ACTIVATION_NONE;
    for (int i = 0; i < t->call.inputs; i++) {
        double *x = t->pristine[i];
        for (int64_t k = 0; x && k < count_of(t, i); k++) x[k] = m == ONES ? 1 : fabs(x[k]);
    }
    double *dy = (double *)t->call.dy;
    for (int64_t k = 0; k < count_of(t, -1); k++) dy[k] = m == ONES ? 1 : fabs(dy[k]);
}

/* An average counts HW terms of 1/HW as one: its K comes from the flops. */
static void linear_bound(const double *size, const double *terms, double flops, double unit,
                         double *bound, int64_t n) {
    double least = flops / (2 * (double)n);
    for (int64_t i = 0; i < n; i++)
        bound[i] = 2 * unit * (fmax(terms[i], least) + 8) * size[i] + 1e-37;
}

static mg_status linear_bounds(verdict *v, mg_error *err) {
    const mg_op *op = v->exact.op;
    mg_trial size = {0}, terms = {0};
    mg_status s = mg_trial_open(&size, op, v->exact.test_case, MG_F64, err);
    if (!s) s = mg_trial_open(&terms, op, v->exact.test_case, MG_F64, err);
    if (!s) {
        take_magnitudes(&size, ABSOLUTE_VALUES);
        take_magnitudes(&terms, ONES);
        s = run(&size, err);
        if (!s) s = run(&terms, err);
    }
    if (!s) {
        mg_cost cost = op->cost(&size.call);
        double unit = unit_of(&size);
        linear_bound(size.call.y, terms.call.y, cost.forward_flops, unit, v->y_bound,
                     count_of(&size, -1));
        for (int i = 0; i < size.call.inputs && has_backward(&size); i++)
            if (size.call.x[i] && (op->differentiable >> i & 1))
                linear_bound(size.dx[i], terms.dx[i], 0, unit, v->dx_bound[i], count_of(&size, i));
    }
    mg_trial_close(&size);
    mg_trial_close(&terms);
    return s;
}

/* --- other ops: c u (max|y| + how far y moves when the inputs move by u) ---------------------- */

enum { SHIFTS = 3 };
static const double factor = 8;

static void shift_inputs(mg_trial *t, uint32_t round) {
    mg_rng_key key = {.seed = 13, .purpose = MG_RNG_TEST, .epoch = round};
    double unit = unit_of(t);
    for (int i = -1; i < t->call.inputs; i++) {
        double *x = i < 0 ? (double *)t->call.dy : t->pristine[i];
        key.sample = (uint32_t)(i + 1);
        for (int64_t k = 0; x && k < count_of(t, i); k++)
            x[k] *= 1 + unit * (2 * (double)mg_rng_uniform(&key, (uint32_t)k) - 1);
    }
}

/* bound (uniform over the tensor) = max(bound, factor (u max|a| + max|a - b|)) */
static void raise_bound(const double *a, const double *b, double unit, double *bound, int64_t n) {
    double largest = 0, moved = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(a[i]));
        moved = fmax(moved, fabs(a[i] - b[i]));
    }
    double allowed = fmax(bound[0], factor * (unit * largest + moved)) + 1e-37;
    for (int64_t i = 0; i < n; i++) bound[i] = allowed;
}

static mg_status other_bounds(verdict *v, mg_error *err) {
    const mg_trial *e = &v->exact;
    double unit = unit_of(e);
    mg_status s = MG_OK;
    for (uint32_t round = 0; round < SHIFTS && !s; round++) {
        mg_trial t;
        s = mg_trial_open(&t, e->op, e->test_case, MG_F64, err);
        if (!s) {
            shift_inputs(&t, round);
            s = run(&t, err);
        }
        if (!s) raise_bound(e->call.y, t.call.y, unit, v->y_bound, count_of(e, -1));
        for (int i = 0; i < e->call.inputs && !s; i++) {
            if (v->state_bound[i])
                raise_bound(e->call.x[i], t.call.x[i], unit, v->state_bound[i], count_of(e, i));
            else if (v->dx_bound[i] && has_backward(e))
                raise_bound(e->dx[i], t.dx[i], unit, v->dx_bound[i], count_of(e, i));
        }
        mg_trial_close(&t);
    }
    return s;
}

static void close_verdict(verdict *v) {
    mg_trial_close(&v->exact);
    free(v->y_bound);
    for (int i = 0; i < MG_MAX_INPUTS; i++) {
        free(v->dx_bound[i]);
        free(v->state_bound[i]);
    }
}

static mg_status open_verdict(verdict *v, const mg_op *op, const mg_case *test_case,
                              mg_error *err) {
    *v = (verdict){0};
    mg_trial *e = &v->exact;
    mg_status s = mg_trial_open(e, op, test_case, MG_F64, err);
    if (!s) s = run(e, err);
    if (s) return s;
    bool enough = (v->y_bound = calloc((size_t)count_of(e, -1), sizeof(double))) != NULL;
    for (int i = 0; i < e->call.inputs && enough; i++) {
        if (!e->call.x[i]) continue;
        double *bound = calloc((size_t)count_of(e, i), sizeof *bound);
        *(is_state(op, i) ? &v->state_bound[i] : &v->dx_bound[i]) = bound;
        enough = bound != NULL;
    }
    if (!enough) return mg_fail(err, MG_ERR_MEMORY, "device check: out of memory");
    return op->flags & MG_OP_LINEAR ? linear_bounds(v, err) : other_bounds(v, err);
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Largest |got - want| / bound into *share; fails when it passes 1. */
static mg_status compare(const mg_trial *t, const char *what, const void *got, const double *want,
                         const double *bound, int64_t n, double *share, mg_error *err) {
    for (int64_t i = 0; i < n; i++) {
        double g = mg_trial_get(t, got, i), error = fabs(g - want[i]) / bound[i];
        if (!(error <= *share)) *share = isnan(error) ? INFINITY : error;
        if (!(error <= 1))
            return mg_fail(err, MG_ERR_NUMERIC,
                           "%s, %s: %s[%lld] is %.9g, should be %.9g within %.2g", t->op->name,
                           t->test_case->name, what, (long long)i, g, want[i], bound[i]);
    }
    return MG_OK;
}

static mg_status compare_forward(const verdict *v, const mg_trial *t, mg_device_check *result,
                                 mg_error *err) {
    const mg_trial *e = &v->exact;
    mg_status s =
        compare(t, "y", t->call.y, e->call.y, v->y_bound, count_of(e, -1), &result->forward, err);
    for (int i = 0; i < e->call.inputs && !s; i++)
        if (v->state_bound[i])
            s = compare(t, e->op->input_names[i], t->call.x[i], e->call.x[i], v->state_bound[i],
                        count_of(e, i), &result->forward, err);
    return s;
}

static mg_status compare_backward(const verdict *v, const mg_trial *t, uint32_t wanted,
                                  mg_device_check *result, mg_error *err) {
    const mg_trial *e = &v->exact;
    mg_status s = MG_OK;
    for (int i = 0; i < e->call.inputs && !s; i++) {
        if (!e->call.x[i] || !((wanted & e->op->differentiable) >> i & 1)) continue;
        char what[32];
        snprintf(what, sizeof what, "d%s", e->op->input_names[i]);
        s = compare(t, what, t->dx[i], e->dx[i], v->dx_bound[i], count_of(e, i), &result->backward,
                    err);
    }
    return s;
}

/* Forward and backward of the kernels, with every gradient wanted. */
static mg_status run_kernels(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, mg_error *err) {
    mg_status s = mg_trial_forward(t, kernels, pool, err);
    if (!s && has_backward(t)) s = mg_trial_backward(t, kernels, pool, ~0u, err);
    return s ? s : mg_trial_intact(t, err);
}

mg_status mg_check_device(mg_op_id id, const mg_case *test_case, const mg_kernels *kernels,
                          mg_pool *pool, mg_device_check *result, mg_error *err) {
    *result = (mg_device_check){0};
    verdict v;
    mg_trial first = {0}, second = {0};
    mg_status s = open_verdict(&v, mg_op_get(id, MG_F64), test_case, err);
    if (!s) s = mg_trial_open(&first, mg_op_get(id, MG_F32), test_case, MG_F32, err);
    if (!s) s = mg_trial_open(&second, mg_op_get(id, MG_F32), test_case, MG_F32, err);
    if (!s) s = run_kernels(&first, kernels, pool, err);
    if (!s) s = run_kernels(&second, kernels, pool, err);
    if (!s) s = compare_forward(&v, &first, result, err);
    if (!s && has_backward(&first)) s = compare_backward(&v, &first, ~0u, result, err);
    if (!s && !mg_trial_same_bits(&first, &second))
        s = mg_fail(err, MG_ERR_NUMERIC, "%s, %s: two runs gave different bits", first.op->name,
                    test_case->name);
    for (int i = 0; i < test_case->inputs && !s && has_backward(&first); i++) {
        if (!first.call.x[i] || !(first.op->differentiable >> i & 1)) continue;
        s = mg_trial_backward(&second, kernels, pool, 1u << i, err);
        if (!s) s = mg_trial_intact(&second, err);
        if (!s) s = compare_backward(&v, &second, 1u << i, result, err);
    }
    if (!s && has_backward(&first) && kernels->overwrites)
        s = mg_trial_overwrites(&second, kernels, pool, err);
    close_verdict(&v);
    mg_trial_close(&first);
    mg_trial_close(&second);
    return s;
}
