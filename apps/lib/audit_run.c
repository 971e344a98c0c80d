/* audit_run.c: the checks of one op, case by case (audit.h). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/audit.h"
#include "apps/lib/audit_device.h"
#include "ops/cpu/dispatch.h"

const char *mg_device_name(mg_device device) {
    static const char *const names[MG_DEVICE_COUNT] = {"reference", "cpu", "cuda", "simt"};
    return names[device];
}

const char *mg_audit_check_name(mg_audit_check check) {
    static const char *const names[MG_AUDIT_CHECKS] = {"bound",  "gradient", "guards",
                                                       "repeat", "bits",     "races"};
    return names[check];
}

const char *mg_audit_check_meaning(mg_audit_check check) {
    static const char *const meanings[MG_AUDIT_CHECKS] = {
        "the f32 kernel differs from the f64 reference by less than the error bound",
        "the reference's backward agrees with central differences (f64, limit 1e-6)",
        "nothing is written outside a buffer, every element inside is, and none is NaN",
        "two runs give the same bits",
        "the same bits on every instruction set of the machine, with 1, 2 and 3 threads",
        "no race, missing barrier, overrun or read of unwritten memory (simt, emulator's checker)",
    };
    return meanings[check];
}

mg_status mg_audit_pools_open(mg_audit_pools *pools, mg_error *err) {
    for (int i = 0; i < 3; i++)
        if (!(pools->pool[i] = mg_pool_create(i + 1)))
            return mg_fail(err, MG_ERR_MEMORY, "no thread pool of %d threads", i + 1);
    return MG_OK;
}

void mg_audit_pools_close(mg_audit_pools *pools) {
    for (int i = 0; i < 3; i++) mg_pool_destroy(pools->pool[i]);
    *pools = (mg_audit_pools){0};
}

static bool differentiable(const mg_op *op, const mg_case *c) {
    return !(op->flags & MG_OP_NO_BACKWARD) && !c->forward_only;
}

static void judge(mg_audit_case *c, mg_audit_check check, bool passed, const char *format, ...) {
    c->verdict[check] = passed ? MG_VERDICT_PASS : MG_VERDICT_FAIL;
    if (passed || c->message[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
}

/* Opens a trial of the case and runs forward and backward. */
static mg_status run_once(mg_trial *t, mg_op_id id, const mg_case *c, const mg_kernels *kernels,
                          mg_pool *pool, mg_error *err) {
    mg_status s = mg_trial_open(t, mg_op_get(id, MG_F32), c, MG_F32, err);
    if (!s) s = mg_trial_forward(t, kernels, pool, err);
    if (!s && differentiable(t->op, c)) s = mg_trial_backward(t, kernels, pool, ~0u, err);
    return s;
}

/* Every instruction set and every pool against the first run. */
static mg_status check_bits(mg_op_id id, mg_audit_case *c, const mg_trial *want,
                            const mg_audit_pools *pools, mg_error *err) {
    mg_isa chosen = mg_cpu_isa();
    mg_status s = MG_OK;
    judge(c, MG_AUDIT_BITS, true, "");
    for (int isa = 0; isa < MG_CPU_ISA_COUNT && !s; isa++) {
        if (!mg_cpu_use((mg_isa)isa)) continue;
        const mg_kernels *kernels = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
        for (int p = 0; p < 3 && !s; p++) {
            mg_trial t = {0};
            s = run_once(&t, id, c->test_case, kernels, pools->pool[p], err);
            if (!s && !mg_trial_same_bits(want, &t))
                judge(c, MG_AUDIT_BITS, false, "other bits on %s with %d threads",
                      mg_isa_name((mg_isa)isa), p + 1);
            mg_trial_close(&t);
        }
    }
    mg_cpu_use(chosen);
    return s;
}

static mg_status check_case(mg_op_id id, mg_device device, const mg_audit_pools *pools,
                            mg_audit_case *c, mg_error *err) {
    const mg_kernels *kernels = mg_audit_kernels(id, device);
    int findings = mg_audit_findings(device);
    mg_error why = {0};
    mg_trial first = {0}, second = {0};
    mg_status s = run_once(&first, id, c->test_case, kernels, pools->pool[1], err);
    if (!s) s = run_once(&second, id, c->test_case, kernels, pools->pool[1], err);
    if (!s) {
        c->y_shape = first.call.y_shape;
        c->has_backward = differentiable(first.op, c->test_case);
        mg_status intact = mg_trial_intact(&first, &why);
        judge(c, MG_AUDIT_GUARDS, intact == MG_OK, "%s", why.message);
        judge(c, MG_AUDIT_REPEAT, mg_trial_same_bits(&first, &second), "two runs, other bits");
        if (device == MG_DEVICE_CPU) s = check_bits(id, c, &first, pools, err);
    }
    mg_trial_close(&first);
    mg_trial_close(&second);
    if (s) return s;
    mg_error_clear(&why);
    s = mg_check_device(id, c->test_case, kernels, pools->pool[1], &c->error, &why);
    judge(c, MG_AUDIT_BOUND, s == MG_OK, "%s", why.message);
    if (findings >= 0) {
        int more = mg_audit_findings(device) - findings;
        judge(c, MG_AUDIT_RACES, more == 0, "the checker found %d faults (told above)", more);
    }
    if (!c->has_backward) return MG_OK;
    mg_error_clear(&why);
    s = mg_check_gradient(mg_op_get(id, MG_F64), c->test_case, &c->gradient, &why);
    judge(c, MG_AUDIT_GRADIENT, s == MG_OK && c->gradient.worst < MG_GRADIENT_LIMIT,
          "gradient of %s[%lld]: %.9g by backward, %.9g by differences %s",
          mg_op_get(id, MG_F32)->input_names[c->gradient.input], (long long)c->gradient.element,
          c->gradient.analytic, c->gradient.numeric, why.message);
    return MG_OK;
}

/* The op's verdict on a check is that of its worst case. */
static void summarise(mg_audit_op *a) {
    for (int k = 0; k < a->op->case_count; k++) {
        const mg_audit_case *c = &a->cases[k];
        for (int i = 0; i < MG_AUDIT_CHECKS; i++) {
            if (c->verdict[i] > a->verdict[i]) a->verdict[i] = c->verdict[i];
            a->failed |= c->verdict[i] == MG_VERDICT_FAIL;
        }
        a->forward_error = fmax(a->forward_error, c->error.forward);
        a->backward_error = fmax(a->backward_error, c->error.backward);
        a->gradient_error = fmax(a->gradient_error, c->gradient.worst);
        a->has_backward |= c->has_backward;
    }
}

mg_status mg_audit_run(mg_op_id id, mg_device device, const mg_audit_pools *pools, mg_audit_op *a,
                       mg_error *err) {
    *a = (mg_audit_op){.id = id, .op = mg_op_get(id, MG_F32), .device = device};
    if (!mg_audit_kernels(id, device))
        return mg_fail(err, MG_ERR_DEVICE, "%s: device %s has no kernel", a->op->name,
                       mg_device_name(device));
    a->cases = calloc((size_t)a->op->case_count, sizeof *a->cases);
    if (!a->cases) return mg_fail(err, MG_ERR_MEMORY, "%s: no memory for an audit", a->op->name);
    mg_status s = MG_OK;
    for (int k = 0; k < a->op->case_count && !s; k++) {
        a->cases[k].test_case = &a->op->cases[k];
        s = check_case(id, device, pools, &a->cases[k], err);
    }
    summarise(a);
    mg_op_call call;
    if (!s) s = mg_audit_workload_call(id, &call, err);
    if (!s) a->cost = a->op->cost(&call);
    return s;
}

void mg_audit_free(mg_audit_op *a) {
    free(a->cases);
    a->cases = NULL;
}
