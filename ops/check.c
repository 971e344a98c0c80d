#include "ops/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- guarded memory -------------------------------------------------------------------------- */

/* With the byte count before it, the guard leaves data 8 bytes off a 16-byte boundary: kernels must
 * not count on vector alignment. */
enum { GUARD = 64 };
static const uint32_t guard_word = 0x7FFFDEAD; /* a quiet NaN as f32, and twice in a row as f64 */

static void fill_words(void *p, size_t bytes, uint32_t word) {
    for (size_t i = 0; i + 4 <= bytes; i += 4) memcpy((char *)p + i, &word, 4);
}

/* base: size_t bytes, guard, data, guard. Returns data. */
static void *guarded_alloc(size_t bytes) {
    bytes = (bytes + 3) & ~(size_t)3;
    char *base = malloc(sizeof(size_t) + 2 * GUARD + bytes);
    if (!base) return NULL;
    memcpy(base, &bytes, sizeof bytes);
    fill_words(base + sizeof(size_t), 2 * GUARD + bytes, guard_word);
    return base + sizeof(size_t) + GUARD;
}

static size_t guarded_bytes(const void *data) {
    size_t bytes;
    memcpy(&bytes, (const char *)data - GUARD - sizeof bytes, sizeof bytes);
    return bytes;
}

static void guarded_free(void *data) {
    if (data) free((char *)data - GUARD - sizeof(size_t));
}

static bool guards_whole(const void *data) {
    if (!data) return true;
    char want[GUARD];
    fill_words(want, GUARD, guard_word);
    return memcmp((const char *)data - GUARD, want, GUARD) == 0 &&
           memcmp((const char *)data + guarded_bytes(data), want, GUARD) == 0;
}

/* --- filling --------------------------------------------------------------------------------- */

static uint64_t hash_text(uint64_t h, const char *text) { /* FNV-1a */
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001B3u;
    return h;
}

static mg_rng_key fill_key(const mg_op *op, const mg_case *test_case, uint32_t stream) {
    uint64_t seed = hash_text(hash_text(0xCBF29CE484222325u, op->name), test_case->name);
    return (mg_rng_key){.seed = seed, .purpose = MG_RNG_TEST, .sample = stream};
}

static double fill_value(mg_fill fill, const mg_rng_key *key, uint32_t i, double deviation) {
    switch (fill) {
    case MG_FILL_NORMAL: return mg_rng_normal(key, i);
    case MG_FILL_WEIGHT: return mg_rng_normal(key, i) * deviation;
    case MG_FILL_OFFSET: return 1000 + mg_rng_normal(key, i);
    case MG_FILL_SATURATED: return 30 * mg_rng_normal(key, i);
    case MG_FILL_POSITIVE: return 0.5 + (double)mg_rng_uniform(key, i);
    case MG_FILL_TARGET: return mg_rng_uniform(key, i) < 0.5f;
    case MG_FILL_ABSENT: break;
    }
    return NAN;
}

void mg_fill_input(const mg_op *op, const mg_case *test_case, int input, double *out) {
    const mg_shape *shape = &test_case->shape[input];
    mg_rng_key key = fill_key(op, test_case, (uint32_t)input);
    int64_t n = mg_shape_elements(shape);
    double fan_in = shape->rank ? (double)(n / shape->dim[shape->rank - 1]) : 1;
    for (int64_t i = 0; i < n; i++)
        out[i] =
            (double)(float)fill_value(test_case->fill[input], &key, (uint32_t)i, 1 / sqrt(fan_in));
}

/* --- one trial ------------------------------------------------------------------------------- */

double mg_trial_get(const mg_trial *t, const void *buffer, int64_t i) {
    return t->dtype == MG_F64 ? ((const double *)buffer)[i] : (double)((const float *)buffer)[i];
}

void mg_trial_set(const mg_trial *t, void *buffer, int64_t i, double value) {
    if (t->dtype == MG_F64) ((double *)buffer)[i] = value;
    else ((float *)buffer)[i] = (float)value;
}

static int64_t saved(const mg_trial *t) {
    return t->op->save_count ? t->op->save_count(&t->call) : 0;
}

static void *reals(const mg_trial *t, int64_t count) {
    return guarded_alloc((size_t)count * mg_dtype_size(t->dtype));
}

static mg_status open_input(mg_trial *t, int i, mg_error *err) {
    int64_t n = mg_shape_elements(&t->call.x_shape[i]);
    double *values = malloc((size_t)n * sizeof *values);
    t->call.x[i] = reals(t, n);
    t->pristine[i] = reals(t, n);
    t->dx[i] = reals(t, n);
    if (!values || !t->call.x[i] || !t->pristine[i] || !t->dx[i]) {
        free(values);
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory for a test", t->op->name);
    }
    mg_fill_input(t->op, t->test_case, i, values);
    for (int64_t k = 0; k < n; k++) mg_trial_set(t, t->pristine[i], k, values[k]);
    free(values);
    return MG_OK;
}

mg_status mg_trial_open(mg_trial *t, const mg_op *op, const mg_case *test_case, mg_dtype dtype,
                        mg_error *err) {
    *t = (mg_trial){.op = op, .test_case = test_case, .dtype = dtype};
    t->call.attr = test_case->attr;
    t->call.inputs = test_case->inputs;
    for (int i = 0; i < test_case->inputs; i++)
        if (test_case->fill[i] != MG_FILL_ABSENT) t->call.x_shape[i] = test_case->shape[i];
    mg_status s = op->shape(&t->call, err);
    for (int i = 0; i < test_case->inputs && !s; i++)
        if (test_case->fill[i] != MG_FILL_ABSENT) s = open_input(t, i, err);
    if (s) return s;
    int64_t n = mg_shape_elements(&t->call.y_shape);
    double *dy = NULL;
    t->call.y = reals(t, n);
    t->call.dy = dy = reals(t, n);
    t->call.save = saved(t) ? reals(t, saved(t)) : NULL;
    if (!t->call.y || !dy || (saved(t) && !t->call.save))
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory for a test", op->name);
    mg_rng_key key = fill_key(op, test_case, 1000);
    for (int64_t i = 0; i < n; i++)
        mg_trial_set(t, dy, i, (double)(float)mg_rng_normal(&key, (uint32_t)i));
    return MG_OK;
}

void mg_trial_close(mg_trial *t) {
    for (int i = 0; i < MG_MAX_INPUTS; i++) {
        guarded_free(t->call.x[i]);
        guarded_free(t->pristine[i]);
        guarded_free(t->dx[i]);
    }
    guarded_free(t->call.y);
    guarded_free(t->call.save);
    guarded_free((void *)t->call.dy);
    *t = (mg_trial){0};
}

/* Runs one kernel with scratch memory of its own. */
static mg_status run_kernel(mg_trial *t, mg_op_call *call, const mg_kernels *kernels, bool backward,
                            mg_pool *pool, mg_error *err) {
    call->pool = pool;
    size_t bytes = 0;
    if (kernels->scratch_bytes)
        bytes = kernels->scratch_bytes(call, backward, mg_pool_threads(pool));
    call->scratch = bytes ? guarded_alloc(bytes) : NULL;
    if (bytes && !call->scratch)
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory for a test", t->op->name);
    (backward ? kernels->backward : kernels->forward)(call);
    if (!guards_whole(call->scratch)) t->overrun = true;
    guarded_free(call->scratch);
    return MG_OK;
}

mg_status mg_trial_forward(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, mg_error *err) {
    mg_op_call call = t->call;
    for (int i = 0; i < call.inputs; i++)
        if (call.x[i]) memcpy(call.x[i], t->pristine[i], guarded_bytes(call.x[i]));
    fill_words(call.y, guarded_bytes(call.y), guard_word);
    if (call.save) fill_words(call.save, guarded_bytes(call.save), guard_word);
    call.dy = NULL;
    return run_kernel(t, &call, kernels, false, pool, err);
}

mg_status mg_trial_backward(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, uint32_t wanted,
                            mg_error *err) {
    mg_op_call call = t->call;
    for (int i = 0; i < call.inputs; i++) {
        if (!call.x[i]) continue;
        int64_t n = mg_shape_elements(&call.x_shape[i]);
        bool want = (wanted & t->op->differentiable) >> i & 1;
        for (int64_t k = 0; want && k < n; k++) mg_trial_set(t, t->dx[i], k, MG_TRIAL_PREFILL);
        call.dx[i] = want ? t->dx[i] : NULL;
        if (!(t->op->needs_x >> i & 1)) call.x[i] = NULL;
    }
    if (!t->op->needs_y) call.y = NULL;
    return run_kernel(t, &call, kernels, true, pool, err);
}

/* Backward with all dx full of `prefill`; `overwrite` as in mg_op_call. */
static mg_status backward_onto(mg_trial *t, const mg_kernels *kernels, mg_pool *pool,
                               double prefill, uint32_t overwrite, mg_error *err) {
    mg_op_call call = t->call;
    call.overwrite = overwrite;
    for (int i = 0; i < call.inputs; i++) {
        if (!call.x[i] || !(t->op->differentiable >> i & 1)) continue;
        double value = overwrite >> i & 1 ? prefill : 0;
        for (int64_t k = 0; k < mg_shape_elements(&call.x_shape[i]); k++)
            mg_trial_set(t, t->dx[i], k, value);
        call.dx[i] = t->dx[i];
    }
    return run_kernel(t, &call, kernels, true, pool, err);
}

mg_status mg_trial_overwrites(mg_trial *t, const mg_kernels *kernels, mg_pool *pool,
                              mg_error *err) {
    double *added[MG_MAX_INPUTS] = {0};
    mg_status s = backward_onto(t, kernels, pool, 0, 0, err);
    for (int i = 0; i < t->call.inputs && !s; i++) {
        if (!t->call.x[i] || !(t->op->differentiable >> i & 1)) continue;
        int64_t n = mg_shape_elements(&t->call.x_shape[i]);
        if (!(added[i] = malloc((size_t)n * sizeof(double))))
            s = mg_fail(err, MG_ERR_MEMORY, "%s: out of memory for a test", t->op->name);
        for (int64_t k = 0; k < n && !s; k++) added[i][k] = mg_trial_get(t, t->dx[i], k);
    }
    if (!s) s = backward_onto(t, kernels, pool, NAN, kernels->overwrites, err);
    for (int i = 0; i < t->call.inputs; i++) {
        for (int64_t k = 0; added[i] && !s && k < mg_shape_elements(&t->call.x_shape[i]); k++)
            if (mg_trial_get(t, t->dx[i], k) != added[i][k])
                s = mg_fail(err, MG_ERR_NUMERIC,
                            "%s, %s: d%s[%lld] is %.9g when overwritten, %.9g when added to zero",
                            t->op->name, t->test_case->name, t->op->input_names[i], (long long)k,
                            mg_trial_get(t, t->dx[i], k), added[i][k]);
        free(added[i]);
    }
    return s ? s : mg_trial_intact(t, err);
}

static bool fully_written(const mg_trial *t, const void *buffer, int64_t n) {
    for (int64_t i = 0; buffer && i < n; i++)
        if (isnan(mg_trial_get(t, buffer, i))) return false;
    return true;
}

mg_status mg_trial_intact(const mg_trial *t, mg_error *err) {
    const mg_op_call *c = &t->call;
    const char *op = t->op->name, *name = t->test_case->name;
    bool whole = !t->overrun && guards_whole(c->y) && guards_whole(c->save) && guards_whole(c->dy);
    for (int i = 0; i < c->inputs; i++)
        whole = whole && guards_whole(c->x[i]) && guards_whole(t->dx[i]);
    if (!whole) return mg_fail(err, MG_ERR_NUMERIC, "%s, %s: wrote outside a buffer", op, name);
    if (!fully_written(t, c->y, mg_shape_elements(&c->y_shape)))
        return mg_fail(err, MG_ERR_NUMERIC, "%s, %s: an element of y is NaN or was not written", op,
                       name);
    if (!fully_written(t, c->save, saved(t)))
        return mg_fail(err, MG_ERR_NUMERIC, "%s, %s: an element of save is NaN or was not written",
                       op, name);
    for (int i = 0; i < c->inputs; i++) {
        bool state = (t->op->flags & MG_OP_MUTATES_STATE) && !(t->op->differentiable >> i & 1);
        if (c->x[i] && !state && memcmp(c->x[i], t->pristine[i], guarded_bytes(c->x[i])) != 0)
            return mg_fail(err, MG_ERR_NUMERIC, "%s, %s: changed its input %s", op, name,
                           t->op->input_names[i]);
    }
    return MG_OK;
}

static bool same_bytes(const void *a, const void *b) {
    return !a || memcmp(a, b, guarded_bytes(a)) == 0;
}

bool mg_trial_same_bits(const mg_trial *a, const mg_trial *b) {
    bool same = same_bytes(a->call.y, b->call.y) && same_bytes(a->call.save, b->call.save);
    for (int i = 0; i < a->call.inputs && same; i++)
        same = same_bytes(a->call.x[i], b->call.x[i]) && same_bytes(a->dx[i], b->dx[i]);
    return same;
}
