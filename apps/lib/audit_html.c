/* audit_html.c: the atlas, an op on one page: what it computes, how, and the proof (audit.h). */
#include "apps/lib/audit_html.h"

#include <stdio.h>
#include <string.h>

#include "data/files.h"

static void open_page(mg_text *t, const char *title) {
    mg_text_add(t,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    mg_text_escaped(t, title);
    mg_text_add(t, "</title>\n<style>\n");
    mg_text_add(t, mg_audit_style);
    mg_text_add(t, "</style>\n</head>\n<body>\n<main>\n");
}

static mg_status close_page(mg_text *t, mg_device device, const char *path, mg_error *err) {
    mg_text_format(t,
                   "<footer>Written by mammograd " MG_VERSION
                   ", apps/audit --html, from checks of device %s.</footer>\n</main>\n</body>\n"
                   "</html>\n",
                   mg_device_name(device));
    mg_status s = t->failed ? mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path)
                            : mg_file_write(path, t->data, t->size, err);
    mg_text_free(t);
    return s;
}

/* Links to all ops: anchors on one page, else files. here: the op whose page this is. */
static void navigation(mg_text *t, const mg_audit_op *ops, size_t count, bool single,
                       const mg_audit_op *here) {
    mg_text_format(t, "<nav aria-label=\"Ops\"><a href=\"%s\">all ops</a>",
                   single ? "#top" : "index.html");
    for (size_t i = 0; i < count; i++)
        mg_text_format(t, single ? "<a%s href=\"#%s\">%s</a>" : "<a%s href=\"%s.html\">%s</a>",
                       &ops[i] == here ? " class=\"here\"" : "", ops[i].op->name, ops[i].op->name);
    mg_text_add(t, "</nav>\n");
}

static void verdict_cell(mg_text *t, mg_verdict v, const char *extra) {
    if (v == MG_VERDICT_NONE) mg_text_format(t, "<td class=\"soft%s\">–</td>", extra);
    else if (v == MG_VERDICT_PASS) mg_text_format(t, "<td class=\"pass%s\">✓ pass</td>", extra);
    else mg_text_format(t, "<td class=\"fail%s\">✗ FAIL</td>", extra);
}

/* --- overview --------------------------------------------------------------------------------- */

static void overview(mg_text *t, const mg_audit_op *ops, size_t count, bool single) {
    mg_text_add(t,
                "<header id=\"top\"><h1>The kernel atlas of mammograd</h1>\n"
                "<p>Every operation of the framework: its formula and gradient, the reference that "
                "defines it, the kernel that runs, and what was checked when this page was "
                "written.</p></header>\n"
                "<section><div class=\"scroll\"><table><thead><tr><th>op</th><th "
                "class=\"wide\"></th><th class=\"r\">error</th><th class=\"r\">gradient</th>"
                "<th class=\"r wide\">flop/byte</th><th class=\"r wide\">cases</th><th>checks</th>"
                "</tr></thead><tbody>\n");
    for (size_t i = 0; i < count; i++) {
        const mg_audit_op *a = &ops[i];
        double error = a->forward_error > a->backward_error ? a->forward_error : a->backward_error;
        mg_text_format(t,
                       single ? "<tr><th><a href=\"#%s\">%s</a></th><td class=\"wide\">"
                              : "<tr><th><a href=\"%s.html\">%s</a></th><td class=\"wide\">",
                       a->op->name, a->op->name);
        mg_text_escaped(t, a->op->summary);
        mg_text_format(t, "</td><td class=\"r\">%.2f</td>", error);
        if (a->has_backward) mg_text_format(t, "<td class=\"r\">%.0e</td>", a->gradient_error);
        else mg_text_add(t, "<td class=\"r soft\">–</td>");
        mg_text_format(t, "<td class=\"r wide\">%.1f</td><td class=\"r wide\">%d</td>",
                       a->cost.forward_flops / a->cost.forward_bytes, a->op->case_count);
        verdict_cell(t, a->failed ? MG_VERDICT_FAIL : MG_VERDICT_PASS, "");
        mg_text_add(t, "</tr>\n");
    }
    mg_text_add(t, "</tbody></table></div>\n<p class=\"soft\" style=\"margin:1rem 0 0\">Error: "
                   "largest against the f64 reference, as a share of the bound. Gradient: largest "
                   "disagreement with central differences, limit 1e-6.</p></section>\n");
}

/* --- one op ----------------------------------------------------------------------------------- */

static void statements(mg_text *t, const char *title, const char *kind, const char *text) {
    mg_text lines = {0};
    mg_audit_statements(text, &lines);
    mg_text_format(t, "<div><h3>%s</h3><pre class=\"math%s\">", title, kind);
    mg_text plain = {0};
    for (char *line = strtok(lines.data, "\n"); line; line = strtok(NULL, "\n")) {
        mg_text_escaped(&plain, line); /* control characters would become spaces: line by line */
        mg_text_add(&plain, "\n");
    }
    if (plain.data) mg_text_add(t, plain.data);
    mg_text_add(t, "</pre></div>\n");
    mg_text_free(&plain);
    mg_text_free(&lines);
}

static void inputs(mg_text *t, const mg_op *op) {
    mg_text_add(t, "<div><h3>Inputs</h3><table><tbody>\n");
    for (int i = 0; i < op->max_inputs; i++)
        mg_text_format(t, "<tr><th>%s</th><td>%s</td><td>%s</td><td class=\"soft\">%s</td></tr>\n",
                       op->input_names[i], op->differentiable >> i & 1 ? "gradient" : "",
                       op->needs_x >> i & 1 ? "read by backward" : "",
                       i >= op->min_inputs || (op->optional >> i & 1) ? "optional" : "");
    mg_text_add(t, "</tbody></table></div>\n");
}

static void counter_row(mg_text *t, const char *way, double flops, double bytes) {
    mg_text_format(t,
                   "<tr><th>%s</th><td class=\"r\">%.2f</td><td class=\"r\">%.2f</td>"
                   "<td class=\"r\">%.2f</td></tr>\n",
                   way, flops * 1e-6, bytes * 1e-6, flops / bytes);
}

static void counters(mg_text *t, const mg_audit_op *a) {
    const mg_case *w = mg_audit_workload(a->id);
    char shapes[256];
    mg_audit_shapes(a->op, w, shapes, sizeof shapes);
    mg_text_add(t, "<div><h3>Counters of a typical call: ");
    mg_text_escaped(t, w->name);
    mg_text_add(t, "</h3><table><thead><tr><th></th><th class=\"r\">MFLOP</th><th "
                   "class=\"r\">MB</th><th class=\"r\">flop/byte</th></tr></thead><tbody>\n");
    counter_row(t, "forward", a->cost.forward_flops, a->cost.forward_bytes);
    if (a->has_backward) counter_row(t, "backward", a->cost.backward_flops, a->cost.backward_bytes);
    mg_text_add(t, "</tbody></table><p class=\"shape\" style=\"margin-top:.5rem\">");
    mg_text_escaped(t, shapes);
    mg_text_add(t, "</p></div>\n");
}

static void checks(mg_text *t, const mg_audit_op *a) {
    mg_text_add(t, "<div><h3>Checks</h3><table><tbody>\n");
    for (int i = 0; i < MG_AUDIT_CHECKS; i++) {
        mg_text_format(t, "<tr><th>%s</th>", mg_audit_check_name((mg_audit_check)i));
        verdict_cell(t, a->verdict[i], "");
        mg_text_format(t, "<td class=\"soft\">%s</td></tr>\n",
                       mg_audit_check_meaning((mg_audit_check)i));
    }
    mg_text_add(t, "</tbody></table>");
    if (a->op->waiver) {
        mg_text_add(t, "<p class=\"soft\">Waiver: ");
        mg_text_escaped(t, a->op->waiver);
        mg_text_add(t, ".</p>");
    }
    mg_text_add(t, "</div>\n");
}

static void case_row(mg_text *t, const mg_audit_op *a, const mg_audit_case *c) {
    char shapes[256], attributes[160];
    mg_audit_shapes(a->op, c->test_case, shapes, sizeof shapes);
    mg_audit_attributes(&c->test_case->attr, attributes, sizeof attributes);
    mg_text_add(t, "<tr><td>");
    mg_text_escaped(t, c->test_case->name);
    mg_text_add(t, "<div class=\"shape\">");
    mg_text_escaped(t, shapes);
    mg_text_add(t, attributes[0] ? "; " : "");
    mg_text_escaped(t, attributes);
    mg_text_format(t, "</div></td><td class=\"r\">%.2f</td>", c->error.forward);
    if (c->has_backward)
        mg_text_format(t, "<td class=\"r\">%.2f</td><td class=\"r\">%.0e</td>", c->error.backward,
                       c->gradient.worst);
    else mg_text_add(t, "<td class=\"r soft\">–</td><td class=\"r soft\">–</td>");
    bool failed = false;
    for (int i = 0; i < MG_AUDIT_CHECKS; i++) failed |= c->verdict[i] == MG_VERDICT_FAIL;
    verdict_cell(t, failed ? MG_VERDICT_FAIL : MG_VERDICT_PASS, "");
    mg_text_add(t, "</tr>\n");
    if (!c->message[0]) return;
    mg_text_add(t, "<tr><td colspan=\"5\" class=\"fail\">");
    mg_text_escaped(t, c->message);
    mg_text_add(t, "</td></tr>\n");
}

static void cases(mg_text *t, const mg_audit_op *a) {
    mg_text_format(t,
                   "<details><summary>%d cases, each with its errors</summary><div "
                   "class=\"scroll\"><table><thead><tr><th>case</th><th class=\"r\">forward</th>"
                   "<th class=\"r\">backward</th><th class=\"r\">gradient</th><th>checks</th></tr>"
                   "</thead><tbody>\n",
                   a->op->case_count);
    for (int k = 0; k < a->op->case_count; k++) case_row(t, a, &a->cases[k]);
    mg_text_add(t, "</tbody></table></div></details>\n");
}

static mg_status one_op(mg_text *t, const mg_audit_op *a, const char *source, mg_error *err) {
    mg_text_format(t, "<section id=\"%s\"><div class=\"title\"><h2>%s</h2><p>", a->op->name,
                   a->op->name);
    mg_text_escaped(t, a->op->summary);
    mg_text_add(t, "</p></div>\n<div class=\"facts\">\n");
    statements(t, "Formula", "", a->op->formula);
    statements(t, "Gradient", " back", a->op->gradient);
    checks(t, a);
    counters(t, a);
    inputs(t, a->op);
    mg_audit_html_gpu(t, a, source);
    mg_text_add(t, "<div><h3>Source</h3><p>");
    mg_text_escaped(t, a->op->source);
    mg_text_add(t, "</p></div></div>\n");
    cases(t, a);
    mg_status s = mg_audit_html_sources(t, a, source, err);
    mg_text_add(t, "</section>\n");
    return s;
}

/* --- files ------------------------------------------------------------------------------------ */

static mg_status write_single(const mg_audit_op *ops, size_t count, const char *source,
                              const char *path, mg_error *err) {
    mg_text t = {0};
    mg_status s = MG_OK;
    open_page(&t, count == 1 ? ops[0].op->name : "The kernel atlas of mammograd");
    if (count > 1) {
        overview(&t, ops, count, true);
        navigation(&t, ops, count, true, NULL);
    }
    for (size_t i = 0; i < count && !s; i++) s = one_op(&t, &ops[i], source, err);
    if (!s) return close_page(&t, ops[0].device, path, err);
    mg_text_free(&t);
    return s;
}

static mg_status write_folder(const mg_audit_op *ops, size_t count, const char *source,
                              const char *folder, mg_error *err) {
    char path[1024];
    mg_status s = mg_make_folders(folder, err);
    for (size_t i = 0; i < count && !s; i++) {
        mg_text t = {0};
        open_page(&t, ops[i].op->name);
        navigation(&t, ops, count, false, &ops[i]);
        s = one_op(&t, &ops[i], source, err);
        snprintf(path, sizeof path, "%s/%s.html", folder, ops[i].op->name);
        if (!s) s = close_page(&t, ops[0].device, path, err);
        else mg_text_free(&t);
    }
    if (s) return s;
    mg_text t = {0};
    open_page(&t, "The kernel atlas of mammograd");
    overview(&t, ops, count, false);
    snprintf(path, sizeof path, "%s/index.html", folder);
    return close_page(&t, ops[0].device, path, err);
}

mg_status mg_audit_write_html(const mg_audit_op *ops, size_t count, const char *source,
                              const char *path, mg_error *err) {
    size_t size = strlen(path);
    bool single = size > 5 && strcmp(path + size - 5, ".html") == 0;
    return single ? write_single(ops, count, source, path, err)
                  : write_folder(ops, count, source, path, err);
}
