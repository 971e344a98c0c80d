/* audit_print.c: the audit on a terminal, as a table, a page, or JSON (audit.h). */
#include <stdio.h>
#include <stdlib.h>

#include "apps/lib/audit.h"
#include "tensor/json.h"

static const char *say(mg_verdict v) {
    return v == MG_VERDICT_PASS ? "ok" : v == MG_VERDICT_FAIL ? "BAD" : "-";
}

/* --- the table -------------------------------------------------------------------------------- */

static void print_work(double flops, double bytes, double seconds, const mg_machine *m) {
    printf(" %7.1f %6.2f %5.1f", flops * 1e-6, bytes * 1e-6, flops / bytes);
    if (m && seconds > 0)
        printf(" %7.3f %6.1f %5.1f %3.0f%%", seconds * 1e3, flops / seconds * 1e-9,
               bytes / seconds * 1e-9, 100 * mg_machine_share(m, flops, bytes, seconds));
    printf("\n");
}

static void print_row(const mg_audit_op *a, const mg_machine *m) {
    printf("%-19s %-4s fwd %5.2f %6s %-4s%-4s%-4s%-5s", a->op->name, mg_device_name(a->device),
           a->forward_error, "", say(a->verdict[MG_AUDIT_GUARDS]), say(a->verdict[MG_AUDIT_REPEAT]),
           say(a->verdict[MG_AUDIT_BITS]), say(a->verdict[MG_AUDIT_RACES]));
    print_work(a->cost.forward_flops, a->cost.forward_bytes, a->time.forward, m);
    if (!a->has_backward) return;
    printf("%-19s %-4s bwd %5.2f %6.0e %-17s", "", "", a->backward_error, a->gradient_error, "");
    print_work(a->cost.backward_flops, a->cost.backward_bytes, a->time.backward, m);
}

static void print_failures(const mg_audit_op *a) {
    for (int k = 0; k < a->op->case_count; k++)
        if (a->cases[k].message[0])
            printf("FAILED  %s, %s: %s\n", a->op->name, a->cases[k].test_case->name,
                   a->cases[k].message);
}

static void print_machine(const mg_machine *m) {
    printf("%s, %s, %d thread%s: peak %.1f GFLOP/s (f32 FMA), copy %.1f GB/s (read + write)\n",
           m->processor, m->isa, m->threads, m->threads > 1 ? "s" : "", m->flops * 1e-9,
           m->bytes * 1e-9);
}

void mg_audit_print_table(const mg_audit_op *ops, size_t count, const mg_machine *m) {
    size_t failed = 0, cases = 0;
    if (m) print_machine(m);
    printf("%-19s %-4s %3s %5s %6s %-4s%-4s%-4s%-5s %7s %6s %5s%s\n", "op", "dev", "", "error",
           "grad", "mem", "rep", "isa", "race", "MFLOP", "MB", "F/B",
           m ? "      ms GFLOPS  GB/s roof" : "");
    for (size_t i = 0; i < count; i++) {
        print_row(&ops[i], m);
        failed += ops[i].failed;
        cases += (size_t)ops[i].op->case_count;
    }
    printf(
        "\n"
        "error  largest error against the f64 reference, as a share of its bound (1 is too much)\n"
        "grad   largest relative disagreement of f64 backward and central differences (< 1e-6)\n"
        "mem    guards around every buffer whole, every element written    rep  two runs, same "
        "bits\n"
        "isa    the same bits on scalar, AVX2 and AVX-512, with 1, 2 and 3 threads\n"
        "race   nothing found by the emulator's race and memory checker (--device simt)\n"
        "MFLOP, MB, F/B   compulsory work of a typical call in B4 at 955 x 500, and its "
        "intensity\n");
    if (m)
        printf("ms     best of several; roof: share of what peak and copy speed allow (caches can "
               "beat it)\n");
    for (size_t i = 0; i < count; i++) print_failures(&ops[i]);
    printf("%zu ops, %zu cases: %s\n", count, cases, failed ? "FAILED" : "all checks passed");
}

/* --- one op ----------------------------------------------------------------------------------- */

static void print_statements(const char *title, const char *statements) {
    mg_text t = {0};
    mg_audit_statements(statements, &t);
    printf("\n%s\n", title);
    for (char *line = t.data, *end; line && *line; line = end) {
        end = line;
        while (*end && *end != '\n') end++;
        printf("    %.*s\n", (int)(end - line), line);
        if (*end) end++;
    }
    mg_text_free(&t);
}

static void print_inputs(const mg_op *op) {
    printf("\ninputs\n");
    for (int i = 0; i < op->max_inputs; i++)
        printf("    %-14s %-10s %-12s %s\n", op->input_names[i],
               op->differentiable >> i & 1 ? "gradient" : "",
               op->needs_x >> i & 1 ? "kept for backward" : "",
               i >= op->min_inputs || (op->optional >> i & 1) ? "optional" : "");
}

static void print_cases(const mg_audit_op *a) {
    printf("\ncases (error as a share of the bound; gradient relative, limit 1e-6)\n"
           "    %-28s %6s %6s %9s  %-4s%-4s%-4s\n",
           "", "fwd", "bwd", "gradient", "mem", "rep", "isa");
    for (int k = 0; k < a->op->case_count; k++) {
        const mg_audit_case *c = &a->cases[k];
        char shapes[256], attributes[160];
        printf("    %-28s %6.2f ", c->test_case->name, c->error.forward);
        if (c->has_backward) printf("%6.2f %9.0e", c->error.backward, c->gradient.worst);
        else printf("%6s %9s", "-", "-");
        printf("  %-4s%-4s%-4s%s\n", say(c->verdict[MG_AUDIT_GUARDS]),
               say(c->verdict[MG_AUDIT_REPEAT]), say(c->verdict[MG_AUDIT_BITS]),
               c->message[0] ? "FAILED" : "");
        mg_audit_shapes(a->op, c->test_case, shapes, sizeof shapes);
        mg_audit_attributes(&c->test_case->attr, attributes, sizeof attributes);
        printf("      %s%s%s\n", shapes, attributes[0] ? "; " : "", attributes);
    }
}

static void print_cost(const char *way, double flops, double bytes, double seconds,
                       const mg_machine *m) {
    printf("    %-9s %9.2f MFLOP %8.3f MB %7.2f flop/byte", way, flops * 1e-6, bytes * 1e-6,
           flops / bytes);
    if (m && seconds > 0)
        printf(" %8.3f ms %7.1f GFLOP/s %6.1f GB/s %4.0f%%", seconds * 1e3, flops / seconds * 1e-9,
               bytes / seconds * 1e-9, 100 * mg_machine_share(m, flops, bytes, seconds));
    printf("\n");
}

void mg_audit_print_page(const mg_audit_op *a, const mg_machine *m) {
    const mg_op *op = a->op;
    const mg_case *w = mg_audit_workload(a->id);
    char shapes[256], attributes[160];
    printf("%s (%s): %s\n", op->name, mg_device_name(a->device), op->summary);
    print_statements("formula", op->formula);
    print_statements("gradient", op->gradient);
    print_inputs(op);
    print_cases(a);
    mg_audit_shapes(op, w, shapes, sizeof shapes);
    mg_audit_attributes(&w->attr, attributes, sizeof attributes);
    printf("\ncost of a typical call: %s\n    %s%s%s\n", w->name, shapes, attributes[0] ? "; " : "",
           attributes);
    print_cost("forward", a->cost.forward_flops, a->cost.forward_bytes, a->time.forward, m);
    if (a->has_backward)
        print_cost("backward", a->cost.backward_flops, a->cost.backward_bytes, a->time.backward, m);
    if (m) printf("    on "), print_machine(m);
    printf("\nchecks\n");
    for (int i = 0; i < MG_AUDIT_CHECKS; i++)
        printf("    %-9s %-4s %s\n", mg_audit_check_name((mg_audit_check)i), say(a->verdict[i]),
               mg_audit_check_meaning((mg_audit_check)i));
    if (op->waiver) printf("    waiver         %s\n", op->waiver);
    printf("\nsource      %s\n", op->source);
    printf("read        ops/%s.c (reference, cases), ops/cpu/%s.c, cuda/%s.cu\n\n", op->name,
           op->name, op->name);
    print_failures(a);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_real(mg_json_writer *w, const char *key, double value) {
    mg_json_key(w, key);
    if (value - value == 0) mg_json_real(w, value); /* finite */
    else mg_json_null(w);
}

static void json_text(mg_json_writer *w, const char *key, const char *value) {
    mg_json_key(w, key);
    mg_json_string(w, value);
}

static void json_verdicts(mg_json_writer *w, const mg_verdict *verdict) {
    for (int i = 0; i < MG_AUDIT_CHECKS; i++) {
        mg_json_key(w, mg_audit_check_name((mg_audit_check)i));
        if (verdict[i] == MG_VERDICT_NONE) mg_json_null(w);
        else mg_json_bool(w, verdict[i] == MG_VERDICT_PASS);
    }
}

static void json_case(mg_json_writer *w, const mg_audit_op *a, const mg_audit_case *c) {
    char text[256];
    mg_json_begin_object(w);
    json_text(w, "name", c->test_case->name);
    mg_audit_shapes(a->op, c->test_case, text, sizeof text);
    json_text(w, "shapes", text);
    mg_audit_attributes(&c->test_case->attr, text, sizeof text);
    json_text(w, "attributes", text);
    json_real(w, "forward_error", c->error.forward);
    if (c->has_backward) {
        json_real(w, "backward_error", c->error.backward);
        json_real(w, "gradient_error", c->gradient.worst);
    }
    mg_json_key(w, "checks");
    mg_json_begin_object(w);
    json_verdicts(w, c->verdict);
    mg_json_end(w);
    if (c->message[0]) json_text(w, "message", c->message);
    mg_json_end(w);
}

static void json_pass(mg_json_writer *w, const char *way, double flops, double bytes,
                      double seconds, const mg_machine *m) {
    mg_json_key(w, way);
    mg_json_begin_object(w);
    json_real(w, "flops", flops);
    json_real(w, "bytes", bytes);
    if (m && seconds > 0) {
        json_real(w, "seconds", seconds);
        json_real(w, "roofline_share", mg_machine_share(m, flops, bytes, seconds));
    }
    mg_json_end(w);
}

static void json_op(mg_json_writer *w, const mg_audit_op *a, const mg_machine *m) {
    mg_json_begin_object(w);
    json_text(w, "op", a->op->name);
    json_text(w, "device", mg_device_name(a->device));
    json_text(w, "summary", a->op->summary);
    json_text(w, "formula", a->op->formula);
    json_text(w, "gradient", a->op->gradient);
    json_text(w, "source", a->op->source);
    mg_json_key(w, "passed");
    mg_json_bool(w, !a->failed);
    mg_json_key(w, "checks");
    mg_json_begin_object(w);
    json_verdicts(w, a->verdict);
    mg_json_end(w);
    json_real(w, "forward_error", a->forward_error);
    if (a->has_backward) {
        json_real(w, "backward_error", a->backward_error);
        json_real(w, "gradient_error", a->gradient_error);
    }
    json_text(w, "typical_call", mg_audit_workload(a->id)->name);
    json_pass(w, "forward", a->cost.forward_flops, a->cost.forward_bytes, a->time.forward, m);
    if (a->has_backward)
        json_pass(w, "backward", a->cost.backward_flops, a->cost.backward_bytes, a->time.backward,
                  m);
    mg_json_key(w, "cases");
    mg_json_begin_array(w);
    for (int k = 0; k < a->op->case_count; k++) json_case(w, a, &a->cases[k]);
    mg_json_end(w);
    mg_json_end(w);
}

mg_status mg_audit_print_json(const mg_audit_op *ops, size_t count, const mg_machine *m,
                              mg_error *err) {
    mg_json_writer *w = mg_json_writer_create(2);
    mg_json_begin_object(w);
    if (m) {
        mg_json_key(w, "machine");
        mg_json_begin_object(w);
        json_text(w, "processor", m->processor);
        json_text(w, "isa", m->isa);
        mg_json_key(w, "threads");
        mg_json_integer(w, m->threads);
        json_real(w, "flops_per_s", m->flops);
        json_real(w, "bytes_per_s", m->bytes);
        mg_json_end(w);
    }
    mg_json_key(w, "ops");
    mg_json_begin_array(w);
    for (size_t i = 0; i < count; i++) json_op(w, &ops[i], m);
    mg_json_end(w);
    mg_json_end(w);
    char *text = mg_json_writer_finish(w, NULL, err);
    if (!text) return err->code;
    puts(text);
    free(text);
    return MG_OK;
}
