/* Writes every test case of every op, inputs included, for tests/oracle/ops.py:
 *     make build/tests/oracle/dump_op_cases && build/tests/oracle/dump_op_cases > cases.bin
 * A case is one line of text (tab-separated), then the elements of inputs and of dy as f64. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/check.h"

static void write_case(const mg_op *op, const mg_case *k) {
    mg_trial t;
    mg_error err = {0};
    if (mg_trial_open(&t, op, k, MG_F64, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    const mg_attr *a = &k->attr;
    printf(
        "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%lld\t%lld\t%.17g\t%.17g\t%.17g\t"
        "%.17g\t%llu\t%u",
        op->name, k->name, a->kernel, a->stride, a->padding, a->pad_top, a->pad_left, a->pad_bottom,
        a->pad_right, a->activation, a->training, a->residual, a->align_corners, a->axis,
        (long long)a->height, (long long)a->width, a->eps, a->momentum, a->p, a->positive_weight,
        (unsigned long long)a->key.seed, a->key.purpose);
    for (int i = 0; i <= k->inputs; i++) {
        const mg_shape *s = i < k->inputs ? &t.call.x_shape[i] : &t.call.y_shape;
        printf("\t%d", s->rank);
        for (int d = 0; d < s->rank; d++) printf(" %lld", (long long)s->dim[d]);
    }
    printf("\n");
    for (int i = 0; i <= k->inputs; i++) {
        const mg_shape *s = i < k->inputs ? &t.call.x_shape[i] : &t.call.y_shape;
        const void *data = i < k->inputs ? t.pristine[i] : t.call.dy;
        if (data && s->rank) fwrite(data, sizeof(double), (size_t)mg_shape_elements(s), stdout);
    }
    mg_trial_close(&t);
}

int main(void) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        const mg_op *op = mg_op_get((mg_op_id)id, MG_F64);
        for (int k = 0; k < op->case_count; k++) write_case(op, &op->cases[k]);
    }
    return 0;
}
