/* audit_docs.c: docs/ops/, a Markdown page per op from the table (audit.h).
 *
 * Errors are rounded up coarsely (whole bounds, powers of ten), so that the pages are the
 * same on every machine and outlive most changes of kernels; a test compares them with the
 * committed ones. */
#include <stdio.h>

#include "apps/lib/audit.h"
#include "data/files.h"

static const char *say(mg_verdict v) {
    return v == MG_VERDICT_PASS ? "pass" : v == MG_VERDICT_FAIL ? "**FAIL**" : "–";
}

static void block(mg_text *t, const char *title, const char *statements) {
    mg_text_format(t, "## %s\n\n```text\n", title);
    mg_audit_statements(statements, t);
    mg_text_add(t, "```\n\n");
}

static void inputs(mg_text *t, const mg_op *op) {
    mg_text_add(t, "## Inputs\n\n| input | gradient | read by backward | optional |\n"
                   "|---|---|---|---|\n");
    for (int i = 0; i < op->max_inputs; i++)
        mg_text_format(t, "| `%s` | %s | %s | %s |\n", op->input_names[i],
                       op->differentiable >> i & 1 ? "yes" : "no",
                       op->needs_x >> i & 1 ? "yes" : "no",
                       i >= op->min_inputs || (op->optional >> i & 1) ? "yes" : "no");
    mg_text_format(t, "\nThe result is %sread by backward.", op->needs_y ? "" : "not ");
    if (op->flags & MG_OP_MUTATES_STATE)
        mg_text_add(t, " Inputs without gradient are state and are updated in place.");
    if (op->flags & MG_OP_RANDOM)
        mg_text_add(t, " Random numbers are a function of the call's key alone.");
    if (op->waiver) mg_text_format(t, "\n\nWaiver: %s.", op->waiver);
    mg_text_add(t, "\n\n");
}

static void cost_row(mg_text *t, const char *way, double flops, double bytes) {
    mg_text_format(t, "| %s | %.2f | %.3f | %.2f |\n", way, flops * 1e-6, bytes * 1e-6,
                   flops / bytes);
}

static void cost(mg_text *t, const mg_audit_op *a) {
    const mg_case *w = mg_audit_workload(a->id);
    char shapes[256], attributes[160];
    mg_audit_shapes(a->op, w, shapes, sizeof shapes);
    mg_audit_attributes(&w->attr, attributes, sizeof attributes);
    mg_text_format(t,
                   "## Cost\n\nCompulsory work of a typical call in EfficientNet-B4 at 955 × 500 "
                   "(%s: %s%s%s).\nA multiply-add counts as two operations; bytes are f32 inputs "
                   "read once and results written once.\n\n"
                   "| | MFLOP | MB | flop/byte |\n|---|---:|---:|---:|\n",
                   w->name, shapes, attributes[0] ? "; " : "", attributes);
    cost_row(t, "forward", a->cost.forward_flops, a->cost.forward_bytes);
    if (a->has_backward) cost_row(t, "backward", a->cost.backward_flops, a->cost.backward_bytes);
    mg_text_add(t, "\n");
}

static void cases(mg_text *t, const mg_audit_op *a) {
    mg_text_add(t, "## Cases\n\nThe error of the f32 kernel against the f64 reference is given as "
                   "a share of its bound,\nrounded up (`apps/audit` prints the digits); the "
                   "gradient error as a power of "
                   "ten above it (limit 1e-6).\n\n"
                   "| case | inputs | attributes | forward | backward | gradient |\n"
                   "|---|---|---|---:|---:|---:|\n");
    for (int k = 0; k < a->op->case_count; k++) {
        const mg_audit_case *c = &a->cases[k];
        char shapes[256], attributes[160], decade[16];
        mg_audit_shapes(a->op, c->test_case, shapes, sizeof shapes);
        mg_audit_attributes(&c->test_case->attr, attributes, sizeof attributes);
        mg_audit_decade(c->gradient.worst, decade, sizeof decade);
        mg_text_format(t, "| %s | %s | %s | ≤ %.0f |", c->test_case->name, shapes, attributes,
                       mg_audit_bounds(c->error.forward));
        if (c->has_backward)
            mg_text_format(t, " ≤ %.0f | ≤ %s |\n", mg_audit_bounds(c->error.backward), decade);
        else mg_text_add(t, " – | – |\n");
    }
    mg_text_add(t, "\n");
}

static void checks(mg_text *t, const mg_audit_op *a) {
    mg_text_format(t, "## Checks on device %s\n\n| check | result | meaning |\n|---|---|---|\n",
                   mg_device_name(a->device));
    for (int i = 0; i < MG_AUDIT_CHECKS; i++)
        mg_text_format(t, "| %s | %s | %s |\n", mg_audit_check_name((mg_audit_check)i),
                       say(a->verdict[i]), mg_audit_check_meaning((mg_audit_check)i));
    mg_text_add(t, "\n");
}

static mg_status write_text(mg_text *t, const char *folder, const char *name, mg_error *err) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.md", folder, name);
    mg_status s = t->failed ? mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path)
                            : mg_file_write(path, t->data, t->size, err);
    mg_text_free(t);
    return s;
}

static mg_status write_page(const mg_audit_op *a, const char *folder, mg_error *err) {
    const mg_op *op = a->op;
    mg_text t = {0};
    mg_text_format(&t,
                   "<!-- Written by `make docs` from ops/%s.c. -->\n# %s\n\n%s. [All ops](index.md)"
                   "\n\n",
                   op->name, op->name, op->summary);
    block(&t, "Formula", op->formula);
    block(&t, "Gradient", op->gradient);
    inputs(&t, op);
    cost(&t, a);
    cases(&t, a);
    checks(&t, a);
    mg_text_format(&t,
                   "## Source\n\n%s\n\n- [ops/%s.c](../../ops/%s.c): shape rule, cost, reference, "
                   "cases\n- [ops/cpu/%s.c](../../ops/cpu/%s.c): kernel for the CPU\n",
                   op->source, op->name, op->name, op->name, op->name);
    return write_text(&t, folder, op->name, err);
}

static mg_status write_index(const mg_audit_op *ops, size_t count, const char *folder,
                             mg_error *err) {
    mg_text t = {0};
    mg_text_add(&t,
                "<!-- Written by `make docs` from ops/table.c. -->\n# Ops\n\n"
                "One op is one file in ops/ with its shape rule, cost, reference and cases, and a "
                "file of the\nsame name per device. `apps/audit` runs all of these checks here and "
                "now, with times;\n`apps/audit --html atlas.html` shows reference and kernel side "
                "by side. How the numbers are\nkept honest: [numerics](../numerics.md).\n\n"
                "| op | | cases | error forward | backward | gradient | checks |\n"
                "|---|---|---:|---:|---:|---:|---|\n");
    for (size_t i = 0; i < count; i++) {
        const mg_audit_op *a = &ops[i];
        char decade[16];
        mg_audit_decade(a->gradient_error, decade, sizeof decade);
        mg_text_format(&t, "| [%s](%s.md) | %s | %d | ≤ %.0f |", a->op->name, a->op->name,
                       a->op->summary, a->op->case_count, mg_audit_bounds(a->forward_error));
        if (a->has_backward)
            mg_text_format(&t, " ≤ %.0f | ≤ %s |", mg_audit_bounds(a->backward_error), decade);
        else mg_text_add(&t, " – | – |");
        mg_text_format(&t, " %s |\n", a->failed ? "**FAIL**" : "pass");
    }
    mg_text_add(&t, "\nErrors are shares of the bound that the error model allows (ops/check.h); "
                    "gradients are compared\nwith central differences in f64, limit 1e-6.\n");
    return write_text(&t, folder, "index", err);
}

mg_status mg_audit_write_docs(const mg_audit_op *ops, size_t count, const char *folder,
                              mg_error *err) {
    mg_status s = mg_make_folders(folder, err);
    for (size_t i = 0; i < count && !s; i++) s = write_page(&ops[i], folder, err);
    return s ? s : write_index(ops, count, folder, err);
}
