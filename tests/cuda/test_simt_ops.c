/* Every CUDA kernel in the emulator, on every test case of its op: against the f64 reference within
 * the error bound, guards, the same bits twice, one gradient at a time (mg_check_device). */
#include <stdio.h>

#include "ops/check.h"
#include "tests/lib/emulator.h"

static void check_op(mg_op_id id) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_device_check worst = {0};
    for (int k = 0; k < op->case_count; k++) {
        mg_device_check r;
        mg_error err = {0};
        mg_status s =
            mg_check_device(id, &op->cases[k], mg_staged_kernels(id, emulator), NULL, &r, &err);
        emulator_expect_clean(op->cases[k].name);
        cr_assert_eq(s, MG_OK, "%s", err.message);
        if (r.forward > worst.forward) worst.forward = r.forward;
        if (r.backward > worst.backward) worst.backward = r.backward;
    }
    printf("simt     %-20s error %.2f of the bound forward, %.2f backward\n", op->name,
           worst.forward, worst.backward);
}

/* One test an op, so that a crash names it. */
#define MG_SIMT_TEST(name)                                                                         \
    EMULATOR_TEST(simt_ops, name) {                                                                \
        cr_assert(emulator->kernels[MG_OP_##name], "%s has no CUDA kernel", #name);                \
        check_op(MG_OP_##name);                                                                    \
    }
MG_OP_LIST(MG_SIMT_TEST)
