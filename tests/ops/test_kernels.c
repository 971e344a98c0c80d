/* CPU kernels: the same bits on every instruction set and at every thread count, and within the
 * error bound of the f64 reference. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ops/check.h"
#include "ops/cpu/dispatch.h"

enum { POOLS = 3 };

static void run(mg_trial *t, mg_op_id id, const mg_case *c, mg_pool *pool) {
    mg_error err = {0};
    const mg_kernels *kernels = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    cr_assert_eq(mg_trial_open(t, mg_op_get(id, MG_F32), c, MG_F32, &err), MG_OK, "%s",
                 err.message);
    cr_assert_eq(mg_trial_forward(t, kernels, pool, &err), MG_OK);
    if (!(t->op->flags & MG_OP_NO_BACKWARD) && !c->forward_only)
        cr_assert_eq(mg_trial_backward(t, kernels, pool, ~0u, &err), MG_OK);
    cr_expect_eq(mg_trial_intact(t, &err), MG_OK, "%s", err.message);
}

static void same_bits_everywhere(mg_op_id id, const mg_case *c, mg_pool *pools[POOLS]) {
    mg_trial want;
    mg_cpu_use(MG_CPU_SCALAR);
    run(&want, id, c, NULL);
    for (int isa = 0; isa < MG_CPU_ISA_COUNT; isa++) {
        if (!mg_cpu_use((mg_isa)isa)) continue;
        for (int p = 0; p < POOLS; p++) {
            mg_trial got;
            run(&got, id, c, pools[p]);
            cr_expect(mg_trial_same_bits(&want, &got), "%s, %s: %s with %d threads differs",
                      want.op->name, c->name, mg_isa_name((mg_isa)isa), p + 1);
            mg_trial_close(&got);
        }
    }
    mg_trial_close(&want);
}

Test(kernels, same_bits_on_every_isa_and_thread_count) {
    mg_pool *pools[POOLS];
    for (int p = 0; p < POOLS; p++) pools[p] = mg_pool_create(p + 1);
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F32);
        for (int k = 0; k < op->case_count; k++)
            same_bits_everywhere((mg_op_id)id, &op->cases[k], pools);
    }
    for (int p = 0; p < POOLS; p++) mg_pool_destroy(pools[p]);
}

Test(kernels, within_the_error_bound) {
    mg_pool *pool = mg_pool_create(2);
    for (int isa = 0; isa < MG_CPU_ISA_COUNT; isa++) {
        if (!mg_cpu_use((mg_isa)isa)) continue;
        for (int id = 0; id < MG_OP_COUNT; id++) {
            const mg_op *op = mg_op_get((mg_op_id)id, MG_F32);
            mg_device_check worst = {0};
            for (int k = 0; k < op->case_count; k++) {
                mg_device_check r;
                mg_error err = {0};
                const mg_kernels *kernels = mg_op_kernels((mg_op_id)id, MG_DEVICE_CPU, MG_F32);
                cr_expect_eq(mg_check_device((mg_op_id)id, &op->cases[k], kernels, pool, &r, &err),
                             MG_OK, "%s: %s", mg_isa_name((mg_isa)isa), err.message);
                if (r.forward > worst.forward) worst.forward = r.forward;
                if (r.backward > worst.backward) worst.backward = r.backward;
            }
            printf("%-8s %-20s error %.2f of the bound forward, %.2f backward\n",
                   mg_isa_name((mg_isa)isa), op->name, worst.forward, worst.backward);
        }
    }
    mg_pool_destroy(pool);
}
