#include "tests/lib/golden_ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"

/* Norm and two projections, as tests/oracle/ops.py computes them. */
static void project(const double *v, int64_t n, double out[3]) {
    static const uint32_t factor[2] = {2654435761u, 2246822519u};
    memset(out, 0, 3 * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        out[0] += v[i] * v[i];
        for (int k = 0; k < 2; k++)
            out[k + 1] += v[i] * ((double)((uint32_t)i * factor[k]) * 0x1p-32 - 0.5);
    }
    out[0] = sqrt(out[0]);
}

/* The quantity of a trial that a golden line names: y, d<input>, or an input (state). */
static const double *quantity(mg_trial *t, const char *name, int64_t *n) {
    if (strcmp(name, "y") == 0) {
        *n = mg_shape_elements(&t->call.y_shape);
        return t->call.y;
    }
    for (int i = 0; i < t->call.inputs; i++) {
        if (!t->call.x[i]) continue;
        *n = mg_shape_elements(&t->call.x_shape[i]);
        if (strcmp(name, t->op->input_names[i]) == 0) return t->call.x[i];
        if (name[0] != 'd' || strcmp(name + 1, t->op->input_names[i]) != 0) continue;
        for (int64_t k = 0; k < *n; k++) ((double *)t->dx[i])[k] -= MG_TRIAL_PREFILL;
        return t->dx[i];
    }
    return NULL;
}

static double line_disagreement(mg_trial *t, const char *name, const char *numbers) {
    double want[3], got[3], worst = 0;
    int64_t n = 0;
    const double *v = quantity(t, name, &n);
    if (!v || sscanf(numbers, "%lf|%lf|%lf", want, want + 1, want + 2) != 3) return INFINITY;
    project(v, n, got);
    for (int k = 0; k < 3; k++) {
        double e = fabs(got[k] - want[k]) / (want[0] + 1e-3);
        if (!(e <= worst)) worst = isnan(e) ? INFINITY : e;
    }
    return worst;
}

static double compare_lines(mg_trial *t, FILE *f, char *what) {
    char line[512], prefix[160], name[32];
    size_t length =
        (size_t)snprintf(prefix, sizeof prefix, "%s|%s|", t->op->name, t->test_case->name);
    double worst = -1;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, prefix, length) != 0) continue;
        const char *numbers = strchr(line + length, '|');
        if (!numbers) return INFINITY;
        snprintf(name, sizeof name, "%.*s", (int)(numbers - line - (long)length), line + length);
        double e = line_disagreement(t, name, numbers + 1);
        if (e > worst) {
            worst = e;
            snprintf(what, 32, "%s", name);
        }
    }
    return worst;
}

double golden_disagreement(const mg_op *op, const mg_case *test_case, char *what) {
    mg_trial t;
    mg_error err = {0};
    double worst = INFINITY;
    FILE *f = fopen("tests/golden/ops.txt", "r");
    mg_status s = mg_trial_open(&t, op, test_case, MG_F64, &err);
    if (!s) s = mg_trial_forward(&t, &op->reference, NULL, &err);
    if (!s && !(op->flags & MG_OP_NO_BACKWARD) && !test_case->forward_only)
        s = mg_trial_backward(&t, &op->reference, NULL, ~0u, &err);
    if (f && !s) worst = compare_lines(&t, f, what);
    if (f) fclose(f);
    mg_trial_close(&t);
    return worst;
}
