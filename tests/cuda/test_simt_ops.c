/* Every CUDA kernel in the emulator, on every test case of its op: against the f64 reference within
 * the error bound, guards, the same bits twice, one gradient at a time, gradients added to and
 * overwritten (mg_check_device). */
#include <stdio.h>
#include <string.h>

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

/* --- gradients that hold nothing yet (mg_op_call.overwrite) ----------------------------------- */

/* check_op runs both ways wherever a kernel declares that it can overwrite; here, that each does
 * where the CPU's does, but those that still add. */
Test(simt_overwrites, declared_where_the_cpu_does, .init = emulator_open) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_kernels *cpu = mg_op_kernels((mg_op_id)id, MG_DEVICE_CPU, MG_F32);
        const mg_kernels *simt = emulator->kernels[id];
        const char *name = mg_op_get((mg_op_id)id, MG_F32)->name;
        cr_assert(cpu && simt, "%s", name);
        cr_expect_eq(cpu->overwrites & ~simt->overwrites, 0, "%s overwrites %x, on the CPU %x",
                     name, simt->overwrites, cpu->overwrites);
    }
}

/* The planted bug: a backward that ignores the flag, and one that always takes it as set. */
static const mg_kernels *honest;
static void ignores_flag(const mg_op_call *c) {
    mg_op_call deaf = *c;
    deaf.overwrite = 0;
    honest->backward(&deaf);
}
static void never_adds(const mg_op_call *c) {
    mg_op_call rash = *c;
    rash.overwrite = honest->overwrites;
    honest->backward(&rash);
}

static void expect_caught(mg_op_id id, mg_kernel *backward, const char *message) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_kernels broken = *honest;
    broken.backward = backward;
    mg_device_check r;
    mg_error err = {0};
    mg_status s = mg_check_device(id, &op->cases[0], &broken, NULL, &r, &err);
    cr_expect_neq(s, MG_OK, "%s: nobody noticed", op->name);
    cr_expect(strstr(err.message, message), "%s: said \"%s\"", op->name, err.message);
}

Test(simt_overwrites, planted_bugs_are_caught, .init = emulator_open) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        honest = mg_staged_kernels((mg_op_id)id, emulator);
        if (!honest->overwrites) continue;
        expect_caught((mg_op_id)id, ignores_flag, "when overwritten");
        expect_caught((mg_op_id)id, never_adds, "should be");
    }
}

/* --- the table -------------------------------------------------------------------------------- */

/* One test an op, so that a crash names it. */
#define MG_SIMT_TEST(name)                                                                         \
    EMULATOR_TEST(simt_ops, name) {                                                                \
        cr_assert(emulator->kernels[MG_OP_##name], "%s has no CUDA kernel", #name);                \
        check_op(MG_OP_##name);                                                                    \
    }
MG_OP_LIST(MG_SIMT_TEST)
