/* Every op of the table: gradient against central differences, and nothing missing. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "ops/check.h"
#include "tests/lib/golden_ops.h"

Test(gradcheck, every_op_and_case) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F64);
        double worst = 0;
        int64_t derivatives = 0;
        for (int k = 0; k < op->case_count && !(op->flags & MG_OP_NO_BACKWARD); k++) {
            const mg_case *c = &op->cases[k];
            if (c->forward_only) continue;
            mg_gradient_check r;
            mg_error err = {0};
            cr_expect_eq(mg_check_gradient(op, c, &r, &err), MG_OK, "%s", err.message);
            cr_expect_lt(r.worst, MG_GRADIENT_LIMIT,
                         "%s, %s: d%s[%lld] is %.12g, central differences say %.12g (%.2g)",
                         op->name, c->name, op->input_names[r.input], (long long)r.element,
                         r.analytic, r.numeric, r.worst);
            cr_expect_gt(r.derivatives, 0);
            if (r.worst > worst) worst = r.worst;
            derivatives += r.derivatives;
        }
        printf("%-20s worst %.1e over %lld derivatives\n", op->name, worst, (long long)derivatives);
    }
}

/* PyTorch's values: catches what forward and backward agree on and both have wrong. */
Test(gradcheck, references_agree_with_pytorch) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F64);
        for (int k = 0; k < op->case_count; k++) {
            char what[32] = "";
            double e = golden_disagreement(op, &op->cases[k], what);
            cr_expect(e >= 0 && e < GOLDEN_LIMIT, "%s, %s: %s differs by %.2g of its norm",
                      op->name, op->cases[k].name, what, e);
        }
    }
}

/* The references of the two precisions must not differ in anything but precision. */
Test(gradcheck, f32_reference_agrees_with_f64) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F32);
        for (int k = 0; k < op->case_count; k++) {
            mg_device_check r;
            mg_error err = {0};
            const mg_kernels *reference = &op->reference;
            cr_expect_eq(mg_check_device((mg_op_id)id, &op->cases[k], reference, NULL, &r, &err),
                         MG_OK, "%s", err.message);
        }
    }
}

static void complete(const mg_op *op, mg_op_id id) {
    bool waived = op->waiver && (op->flags & MG_OP_NO_BACKWARD);
    cr_expect(op->summary && op->formula && op->gradient && op->source, "%s: a text is missing",
              op->name);
    cr_expect(op->shape && op->cost && op->reference.forward, "%s: shape, cost or forward missing",
              op->name);
    cr_expect(op->reference.backward || waived, "%s: no backward and no waiver", op->name);
    cr_expect_geq(op->case_count, 4, "%s: too few cases", op->name);
    for (int i = 0; i < op->max_inputs; i++)
        cr_expect(op->input_names[i], "%s: input %d has no name", op->name, i);
    const mg_kernels *cpu = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    cr_expect(cpu && cpu->forward && (cpu->backward || waived), "%s: CPU kernels missing",
              op->name);
    cr_expect_eq(mg_op_find(op->name), id);
}

Test(coverage, every_op_is_complete) {
    for (int id = 0; id < MG_OP_COUNT; id++)
        complete(mg_op_get((mg_op_id)id, MG_F64), (mg_op_id)id);
}

Test(coverage, cost_is_positive) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F64);
        for (int k = 0; k < op->case_count; k++) {
            mg_trial t;
            mg_error err = {0};
            cr_assert_eq(mg_trial_open(&t, op, &op->cases[k], MG_F64, &err), MG_OK, "%s",
                         err.message);
            mg_cost cost = op->cost(&t.call);
            cr_expect(cost.forward_bytes > 0 && cost.forward_flops >= 0, "%s", op->name);
            cr_expect((op->flags & MG_OP_NO_BACKWARD) || cost.backward_bytes > 0, "%s", op->name);
            mg_trial_close(&t);
        }
    }
}

/* ops/X.c for every op of the table and no other, apart from the machinery. */
Test(coverage, files_equal_the_table) {
    static const char *const machinery[] = {"op",           "table", "check", "check_gradient",
                                            "check_device", "device"};
    int files = 0;
    DIR *folder = opendir("ops");
    cr_assert(folder, "run from the root of the repository");
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n = strlen(e->d_name);
        if (n < 3 || strcmp(e->d_name + n - 2, ".c") != 0) continue;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)n - 2, e->d_name);
        bool machine = false;
        for (size_t i = 0; i < sizeof machinery / sizeof *machinery; i++)
            machine = machine || strcmp(name, machinery[i]) == 0;
        if (machine) continue;
        files++;
        cr_expect_neq(mg_op_find(name), MG_OP_COUNT, "ops/%s.c is not in the table", name);
    }
    closedir(folder);
    cr_expect_eq(files, MG_OP_COUNT, "the table has %d ops, ops/ has %d files", MG_OP_COUNT, files);
}
