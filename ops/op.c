#include "ops/op.h"

mg_status mg_shape_same(mg_op_call *c, mg_error *err) {
    (void)err;
    c->y_shape = c->x_shape[0];
    return MG_OK;
}

mg_status mg_expect_rank(const mg_op_call *c, const char *op, int input, const char *input_name,
                         int rank, const char *want, mg_error *err) {
    if (c->x_shape[input].rank == rank) return MG_OK;
    char is[96];
    return mg_fail(err, MG_ERR_SHAPE, "%s: %s must be %s, is %s", op, input_name, want,
                   mg_shape_text(&c->x_shape[input], is, sizeof is));
}

mg_status mg_expect_shape(const mg_op_call *c, const char *op, int input, const char *input_name,
                          mg_shape want, mg_error *err) {
    if (mg_shape_equal(&c->x_shape[input], &want)) return MG_OK;
    char is[96], must[96];
    return mg_fail(err, MG_ERR_SHAPE, "%s: %s must be %s to fit the other inputs, is %s", op,
                   input_name, mg_shape_text(&want, must, sizeof must),
                   mg_shape_text(&c->x_shape[input], is, sizeof is));
}

mg_conv_axis mg_conv_output(const mg_attr *attr, int axis, int64_t in) {
    int64_t k = attr->kernel, s = attr->stride;
    if (attr->padding == MG_PAD_SAME) {
        int64_t out = (in + s - 1) / s;
        int64_t total = (out - 1) * s + k - in;
        return (mg_conv_axis){out, total > 0 ? total / 2 : 0};
    }
    int64_t before = (k - 1) / 2, after = (k - 1) / 2;
    if (attr->padding == MG_PAD_STATIC) {
        before = axis == 0 ? attr->pad_top : attr->pad_left;
        after = axis == 0 ? attr->pad_bottom : attr->pad_right;
    }
    int64_t room = in + before + after - k;
    return (mg_conv_axis){room < 0 ? 0 : room / s + 1, before};
}

mg_status mg_conv_shape(mg_op_call *c, const char *op, int64_t channels, mg_error *err) {
    const mg_attr *a = &c->attr;
    if (a->kernel < 1 || a->stride < 1)
        return mg_fail(err, MG_ERR_ARG, "%s: kernel %d and stride %d must be positive", op,
                       a->kernel, a->stride);
    if (a->kernel > MG_MAX_KERNEL)
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: kernel %d is larger than %d", op, a->kernel,
                       MG_MAX_KERNEL);
    if (a->padding == MG_PAD_STATIC &&
        (a->pad_top < 0 || a->pad_left < 0 || a->pad_bottom < 0 || a->pad_right < 0))
        return mg_fail(err, MG_ERR_ARG, "%s: static padding must not be negative", op);
    const int64_t *x = c->x_shape[0].dim;
    int64_t rows = mg_conv_output(a, 0, x[1]).out, columns = mg_conv_output(a, 1, x[2]).out;
    if (rows < 1 || columns < 1)
        return mg_fail(err, MG_ERR_SHAPE,
                       "%s: kernel %d is larger than the %lldx%lld image with its padding", op,
                       a->kernel, (long long)x[1], (long long)x[2]);
    c->y_shape = (mg_shape)MG_SHAPE(x[0], rows, columns, channels);
    return MG_OK;
}

double mg_bytes_in(const mg_op_call *c) {
    double n = 0;
    for (int i = 0; i < c->inputs; i++)
        if (c->x_shape[i].rank) n += 4.0 * (double)mg_shape_elements(&c->x_shape[i]);
    return n;
}

double mg_bytes_out(const mg_op_call *c) { return 4.0 * (double)mg_shape_elements(&c->y_shape); }

mg_cost mg_cost_elementwise(const mg_op_call *c, double forward, double backward) {
    double n = (double)mg_shape_elements(&c->y_shape);
    double in = mg_bytes_in(c), out = mg_bytes_out(c);
    return (mg_cost){forward * n, in + out, backward * n, in + out + in};
}
