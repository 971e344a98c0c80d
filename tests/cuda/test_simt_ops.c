/* Every CUDA kernel in the emulator, on every test case of its op: against the f64 reference within
 * the error bound, guards, the same bits twice, one gradient at a time (mg_check_device). Skipped,
 * with a word, where the emulated device is not built (no CUDA headers). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"
#include "ops/device.h"

static const mg_device_plugin *plugin;

static void open_plugin(void) {
    mg_device device;
    mg_error err = {0};
    if (mg_device_open("simt", &device, &plugin, &err)) {
        cr_assert(strstr(err.message, "not built"), "%s", err.message);
        cr_skip_test("%s", err.message);
    }
}

/* As fast as it goes: threads in ascending order, every operation at once. */
static void open_device(void) { open_plugin(); }

/* The other extreme: threads in random order, streams that do nothing until they must, and the
 * checker for races, missing barriers, overruns and reads of unwritten memory. */
static void open_checked(void) {
#ifdef MG_SANITIZE
    cr_skip_test("the checker and the compiler's sanitizers exclude each other");
#endif
    setenv("MG_SIMT", "check", 1);
    setenv("SIMT_ORDER", "rand", 1);
    setenv("SIMT_SEED", "3", 0);
    setenv("SIMT_ASYNC", "1", 1);
    setenv("SIMT_ABORT", "0", 1);
    open_plugin();
}

static void check_op(mg_op_id id) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_device_check worst = {0};
    for (int k = 0; k < op->case_count; k++) {
        mg_device_check r;
        mg_error err = {0};
        mg_status s =
            mg_check_device(id, &op->cases[k], mg_staged_kernels(id, plugin), NULL, &r, &err);
        const char *failure = plugin->memory->failure(true);
        cr_expect(!failure, "%s, %s: %s", op->name, op->cases[k].name, failure ? failure : "");
        cr_expect_eq(s, MG_OK, "%s", err.message);
        if (r.forward > worst.forward) worst.forward = r.forward;
        if (r.backward > worst.backward) worst.backward = r.backward;
    }
    printf("simt     %-20s error %.2f of the bound forward, %.2f backward\n", op->name,
           worst.forward, worst.backward);
}

static void check_op_for_races(mg_op_id id) {
    check_op(id);
    cr_assert(plugin->findings, "not the checker's plugin");
    cr_expect_eq(plugin->findings(), 0, "%s: %d findings of the checker, see above",
                 mg_op_get(id, MG_F32)->name, plugin->findings());
}

static bool chosen(const char *name) {
    const char *ops = getenv("MG_OPS");
    return !ops || strstr(ops, name);
}

/* One test an op, so that a crash names it; MG_OPS=silu,add picks some. */
#define MG_SIMT_TEST(name)                                                                         \
    Test(simt_ops, name, .init = open_device) {                                                    \
        if (!chosen(#name)) cr_skip_test("not chosen");                                            \
        cr_assert(plugin->kernels[MG_OP_##name], "%s has no CUDA kernel", #name);                  \
        check_op(MG_OP_##name);                                                                    \
    }                                                                                              \
    Test(simt_checked, name, .init = open_checked) {                                               \
        if (!chosen(#name)) cr_skip_test("not chosen");                                            \
        if (!plugin->kernels[MG_OP_##name]) cr_skip_test("no kernel");                             \
        check_op_for_races(MG_OP_##name);                                                          \
    }
MG_OP_LIST(MG_SIMT_TEST)
