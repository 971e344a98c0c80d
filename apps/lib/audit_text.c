/* audit_text.c: what can be said of an op without running it (audit.h). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apps/lib/audit.h"

/* A list that grows in a fixed buffer; what does not fit is left out. */
typedef struct list {
    char *out;
    size_t size, used;
} list;

__attribute__((format(printf, 2, 3))) static void add(list *l, const char *format, ...) {
    if (l->used + 1 >= l->size) return;
    if (l->used) l->used += (size_t)snprintf(l->out + l->used, l->size - l->used, ", ");
    if (l->used + 1 >= l->size) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->out + l->used, l->size - l->used, format, args);
    va_end(args);
    l->used += n > 0 ? (size_t)n : 0;
}

void mg_audit_attributes(const mg_attr *a, char *out, size_t size) {
    list l = {out, size, 0};
    out[0] = 0;
    if (a->kernel) add(&l, "kernel %d", a->kernel);
    if (a->stride) add(&l, "stride %d", a->stride);
    if (a->padding == MG_PAD_SAME) add(&l, "SAME padding");
    if (a->padding == MG_PAD_STATIC)
        add(&l, "padding %d %d %d %d", a->pad_top, a->pad_left, a->pad_bottom, a->pad_right);
    if (a->activation == MG_ACTIVATION_SILU) add(&l, "SiLU");
    if (a->training) add(&l, "training");
    if (a->residual) add(&l, "residual");
    if (a->align_corners) add(&l, "align corners");
    if (a->axis) add(&l, "axis %d", a->axis);
    if (a->height || a->width) add(&l, "to %lldx%lld", (long long)a->height, (long long)a->width);
    if (a->eps > 0) add(&l, "eps %g", a->eps);
    if (a->momentum > 0) add(&l, "momentum %g", a->momentum);
    if (a->p > 0) add(&l, "p %g", a->p);
    if (a->positive_weight > 0) add(&l, "positive weight %g", a->positive_weight);
}

void mg_audit_shapes(const mg_op *op, const mg_case *c, char *out, size_t size) {
    list l = {out, size, 0};
    out[0] = 0;
    for (int i = 0; i < c->inputs; i++) {
        char shape[96];
        if (c->fill[i] == MG_FILL_ABSENT || !c->shape[i].rank) continue;
        add(&l, "%s %s", op->input_names[i], mg_shape_text(&c->shape[i], shape, sizeof shape));
    }
}

void mg_audit_statements(const char *statements, mg_text *out) {
    for (const char *end; (end = strstr(statements, "; ")) != NULL; statements = end + 2) {
        mg_text_bytes(out, statements, (size_t)(end - statements));
        mg_text_add(out, "\n");
    }
    mg_text_add(out, statements);
    mg_text_add(out, "\n");
}

void mg_audit_decade(double error, char *out, size_t size) {
    if (!(error >= 0) || isinf(error)) snprintf(out, size, "NaN");
    else if (error < 1e-9) snprintf(out, size, "1e-9"); /* below, rounding of libm shows */
    else snprintf(out, size, "1e%.0f", ceil(log10(error)));
}

double mg_audit_bounds(double share) { return share > 1 ? ceil(share) : 1; }
