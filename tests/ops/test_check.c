/* The checks check: broken kernels, one defect each, must be reported by mg_check_device; and shape
 * rules must refuse what does not fit, with a message that names op, input and sizes. */
#include <criterion/criterion.h>
#include <string.h>

#include "ops/check.h"

static int64_t count(const mg_op_call *c) { return mg_shape_elements(&c->y_shape); }
static const mg_kernels *honest(void) {
    return mg_op_kernels(MG_OP_add, MG_DEVICE_REFERENCE, MG_F32);
}

static void right(const mg_op_call *c) { honest()->forward(c); }
static void right_back(const mg_op_call *c) { honest()->backward(c); }

static void last_unwritten(const mg_op_call *c) {
    float last = ((float *)c->y)[count(c) - 1];
    right(c);
    ((float *)c->y)[count(c) - 1] = last;
}
static void one_beyond(const mg_op_call *c) {
    right(c);
    ((float *)c->y)[count(c)] = 1;
}
static void one_before(const mg_op_call *c) {
    right(c);
    ((float *)c->y)[-1] = 1;
}
static void reads_beyond(const mg_op_call *c) {
    right(c);
    ((float *)c->y)[0] = ((const float *)c->x[0])[count(c)];
}
static void changes_input(const mg_op_call *c) {
    right(c);
    ((float *)c->x[0])[0] += 1;
}
static void beyond_rounding(const mg_op_call *c) {
    right(c);
    ((float *)c->y)[0] += 1e-5f; /* rounding leaves 1e-7 */
}
static void never_twice_the_same(const mg_op_call *c) {
    static int runs = 0;
    right(c);
    ((float *)c->y)[0] *= runs++ ? 1 + 0x1p-23f : 1;
}
static void overwrites_gradient(const mg_op_call *c) {
    for (int i = 0; i < 2; i++)
        if (c->dx[i]) memcpy(c->dx[i], c->dy, (size_t)count(c) * sizeof(float));
}
static void needs_both_gradients(const mg_op_call *c) {
    if (c->dx[0] && c->dx[1]) right_back(c);
}
static void overruns_scratch(const mg_op_call *c) {
    right(c);
    ((char *)c->scratch)[8] = 0;
}
static size_t eight_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)c, (void)backward, (void)threads;
    return 8;
}

static bool accepted(mg_kernels kernels, mg_error *err) {
    const mg_case *c = &mg_op_get(MG_OP_add, MG_F32)->cases[0];
    mg_device_check r;
    *err = (mg_error){0};
    return mg_check_device(MG_OP_add, c, &kernels, NULL, &r, err) == MG_OK;
}

Test(check, accepts_the_right_kernel) {
    mg_error err;
    cr_expect(accepted((mg_kernels){right, right_back, NULL, 0}, &err), "%s", err.message);
}

Test(check, refuses_every_defect) {
    static const struct {
        const char *defect, *message;
        mg_kernels kernels;
    } broken[] = {
        {"element unwritten", "not written", {last_unwritten, right_back, NULL, 0}},
        {"write beyond the end", "outside", {one_beyond, right_back, NULL, 0}},
        {"write before the start", "outside", {one_before, right_back, NULL, 0}},
        {"read beyond the end", "NaN", {reads_beyond, right_back, NULL, 0}},
        {"input changed", "changed its input a", {changes_input, right_back, NULL, 0}},
        {"wrong beyond rounding", "should be", {beyond_rounding, right_back, NULL, 0}},
        {"not reproducible", "different bits", {never_twice_the_same, right_back, NULL, 0}},
        {"gradient overwritten", "should be", {right, overwrites_gradient, NULL, 0}},
        {"single gradient ignored", "should be", {right, needs_both_gradients, NULL, 0}},
        {"adds where it should overwrite", "when overwritten", {right, right_back, NULL, 1}},
        {"scratch overrun", "outside", {overruns_scratch, right_back, eight_bytes, 0}},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        mg_error err;
        cr_expect(!accepted(broken[i].kernels, &err), "%s went unnoticed", broken[i].defect);
        cr_expect(strstr(err.message, broken[i].message), "%s: said \"%s\"", broken[i].defect,
                  err.message);
    }
}

/* --- shape rules ------------------------------------------------------------------------------ */

static void refuses(mg_op_id id, mg_op_call c, const char *message) {
    mg_error err = {0};
    mg_status s = mg_op_get(id, MG_F32)->shape(&c, &err);
    cr_expect_neq(s, MG_OK, "%s accepted what should say \"%s\"", mg_op_get(id, MG_F32)->name,
                  message);
    cr_expect(strstr(err.message, message), "said \"%s\", expected \"%s\"", err.message, message);
}

#define CALL(count, ...) ((mg_op_call){.inputs = count, .x_shape = {__VA_ARGS__}})
#define CONV(k, s, count, ...)                                                                     \
    ((mg_op_call){.attr = {.kernel = k, .stride = s}, .inputs = count, .x_shape = {__VA_ARGS__}})

Test(shapes, convolutions) {
    refuses(MG_OP_pointwise_conv, CALL(2, MG_SHAPE(2, 3), MG_SHAPE(4, 5)),
            "pointwise_conv: w must be [3,5] to fit the other inputs, is [4,5]");
    refuses(MG_OP_pointwise_conv, CALL(3, MG_SHAPE(2, 3), MG_SHAPE(3, 5), MG_SHAPE(4)),
            "b must be [5]");
    refuses(MG_OP_depthwise_conv, CONV(3, 1, 2, MG_SHAPE(1, 5, 5, 8), MG_SHAPE(3, 3, 7)),
            "w must be [3,3,8]");
    refuses(MG_OP_depthwise_conv, CONV(0, 1, 2, MG_SHAPE(1, 5, 5, 8), MG_SHAPE(3, 3, 8)),
            "kernel 0 and stride 1 must be positive");
    refuses(MG_OP_depthwise_conv, CONV(17, 1, 2, MG_SHAPE(1, 5, 5, 8), MG_SHAPE(17, 17, 8)),
            "larger than 16");
    refuses(MG_OP_conv2d, CONV(3, 2, 2, MG_SHAPE(5, 5, 1), MG_SHAPE(3, 3, 1, 8)),
            "x must be [N,H,W,Cin], is [5,5,1]");
    mg_op_call narrow = CONV(4, 1, 2, MG_SHAPE(1, 2, 9, 1), MG_SHAPE(4, 4, 1, 8));
    narrow.attr.padding = MG_PAD_STATIC;
    refuses(MG_OP_conv2d, narrow, "kernel 4 is larger than the 2x9 image");
}

Test(shapes, others) {
    refuses(MG_OP_batch_norm,
            CALL(5, MG_SHAPE(2, 8), MG_SHAPE(8), MG_SHAPE(7), MG_SHAPE(8), MG_SHAPE(8)),
            "beta must be [8]");
    refuses(MG_OP_add, CALL(2, MG_SHAPE(2, 3), MG_SHAPE(3, 2)), "b must be [2,3]");
    refuses(MG_OP_channel_scale, CALL(2, MG_SHAPE(2, 5, 5, 3), MG_SHAPE(3)), "s must be [2,3]");
    refuses(MG_OP_global_average_pool, CALL(1, MG_SHAPE(2, 3)), "x must be [N,H,W,C]");
    refuses(MG_OP_softmax, CALL(1, {0}), "at least one dim");
    refuses(MG_OP_bce_with_logits, CALL(2, MG_SHAPE(3, 2), MG_SHAPE(3, 2)),
            "z must be [N] or [N,1], is [3,2]");
    refuses(MG_OP_bce_with_logits, CALL(2, MG_SHAPE(3), MG_SHAPE(4)), "target must be [3]");
    mg_op_call drop = CALL(1, MG_SHAPE(3));
    drop.attr.p = 1;
    refuses(MG_OP_dropout, drop, "p must be at least 0 and below 1, is 1");
    refuses(MG_OP_stochastic_depth, drop, "p must be at least 0 and below 1, is 1");
    mg_op_call join = CALL(2, MG_SHAPE(3, 2), MG_SHAPE(3, 3));
    refuses(MG_OP_concat, join, "b must be [3,2]");
    join.attr.axis = 2;
    refuses(MG_OP_concat, join, "axis 2 of a tensor with 2 dims");
    refuses(MG_OP_resize_bilinear, CALL(1, MG_SHAPE(1, 5, 5, 1)), "output size 0x0");
}

Test(shapes, block) {
    mg_op_call c = CONV(3, 2, 11, MG_SHAPE(1, 8, 8, 4), MG_SHAPE(4, 24), MG_SHAPE(24),
                        MG_SHAPE(3, 3, 24), MG_SHAPE(24), MG_SHAPE(24, 2), MG_SHAPE(2),
                        MG_SHAPE(2, 24), MG_SHAPE(24), MG_SHAPE(24, 4), MG_SHAPE(4));
    mg_error err = {0};
    mg_op_call good = c;
    cr_expect_eq(mg_op_get(MG_OP_mbconv, MG_F32)->shape(&good, &err), MG_OK, "%s", err.message);
    c.attr.residual = true;
    refuses(MG_OP_mbconv, c, "residual needs y of x's shape [1,8,8,4], it is [1,4,4,4]");
    c.x_shape[1] = c.x_shape[2] = (mg_shape){0};
    refuses(MG_OP_mbconv, c, "without expansion dw_w must have x's 4 channels, has 24");
}
