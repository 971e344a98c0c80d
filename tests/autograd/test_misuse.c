/* What a program can do wrong with the public interface ends in ctx->error and one clear message,
 * never in a wrong result, an abort or memory that belongs to others. */
#include <criterion/criterion.h>
#include <string.h>

#include "mammograd.h"

static mg_context *make(void) { return mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0); }

#define EXPECT(ctx, part)                                                                          \
    do {                                                                                           \
        cr_assert_neq((ctx)->error.code, MG_OK, "no error");                                       \
        cr_assert(strstr((ctx)->error.message, part), "says: %s", (ctx)->error.message);           \
        mg_context_destroy(ctx);                                                                   \
    } while (0)

static const float ones[64] = {1, 1, 1, 1, 1, 1, 1, 1};

Test(misuse, shapes_that_do_not_exist) {
    mg_context *ctx = make();
    cr_assert_null(
        mg_parameter(ctx, "w", (mg_shape){.rank = 3, .dim = {1ll << 31, 1ll << 31, 4}}, true));
    EXPECT(ctx, "w: [2147483648,2147483648,4] is no usable shape");
    ctx = make();
    cr_assert_not_null(mg_parameter(ctx, "scalar", (mg_shape){.rank = 0}, true));
    cr_assert_null(mg_parameter(ctx, "v", (mg_shape){.rank = MG_MAX_DIMS + 1}, true));
    EXPECT(ctx, "no usable shape");
}

/* An op may make a far larger tensor than it is given. */
Test(misuse, results_that_do_not_fit_a_machine) {
    mg_context *ctx = make();
    ctx->dry_run = true;
    mg_tensor *x = mg_input(ctx, "x", (mg_shape)MG_SHAPE(1, 2, 2, 4), NULL);
    mg_tensor *w = mg_input(ctx, "w", (mg_shape)MG_SHAPE(1, 1, 4), NULL);
    enum { PAD = 1 << 30 };
    mg_attr wide = {.kernel = 1,
                    .stride = 1,
                    .padding = MG_PAD_STATIC,
                    .pad_top = PAD,
                    .pad_bottom = PAD - 2,
                    .pad_left = PAD,
                    .pad_right = PAD - 2};
    cr_assert_null(mg_depthwise_conv(ctx, x, w, wide));
    EXPECT(ctx, "no usable shape");
}

Test(misuse, other_dtypes) {
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_BF16, NULL, 0);
    cr_assert_null(mg_input(ctx, "x", (mg_shape)MG_SHAPE(4), ones));
    EXPECT(ctx, "f32 or f64");
}

/* The activation becomes an op of its own where gradients flow: same values, right gradients. */
Test(misuse, activation_of_a_trained_convolution) {
    float grad[2][12], y[2][8];
    for (int fused = 0; fused < 2; fused++) {
        mg_context *ctx = make();
        mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(3, 4), true);
        for (int i = 0; i < 12; i++) ((float *)w->data)[i] = (float)(i - 5) * 0.3f;
        mg_tensor *x = mg_input(ctx, "x", (mg_shape)MG_SHAPE(2, 3), (float[]){1, -2, 3, 0, 1, 2});
        mg_tensor *a = fused ? mg_pointwise_conv(ctx, x, w, NULL, MG_ACTIVATION_SILU)
                             : mg_silu(ctx, mg_linear(ctx, x, w, NULL));
        cr_assert_not_null(a, "%s", ctx->error.message);
        mg_tensor_read(ctx, a, y[fused]);
        mg_backward_from(ctx, a, ones);
        cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
        memcpy(grad[fused], w->grad, sizeof grad[0]);
        mg_context_destroy(ctx);
    }
    cr_assert_arr_eq(y[0], y[1], sizeof y[0]);
    cr_assert_arr_eq(grad[0], grad[1], sizeof grad[0]);
    mg_context *ctx = make(); /* the op itself says no */
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(3, 4), true);
    mg_tensor *x = mg_input(ctx, "x", (mg_shape)MG_SHAPE(2, 3), ones);
    mg_attr attr = {.activation = MG_ACTIVATION_SILU};
    cr_assert_null(mg_apply(ctx, MG_OP_pointwise_conv, &attr, (mg_tensor *[]){x, w}, 2));
    EXPECT(ctx, "fused activation has no gradient");
}

Test(misuse, backward_of_what_was_not_recorded) {
    mg_context *ctx = make();
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(1), true);
    ctx->recording = false;
    mg_backward(ctx, mg_silu(ctx, w));
    EXPECT(ctx, "the tape does not hold");
    ctx = make();
    w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(1), true);
    mg_tensor *loss = mg_silu(ctx, w);
    mg_backward(ctx, loss);
    cr_assert_eq(ctx->error.code, MG_OK);
    mg_backward(ctx, loss);
    EXPECT(ctx, "used it up");
}

Test(misuse, reading_what_was_given_back) {
    mg_context *ctx = make();
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(1), true);
    mg_tensor *a = mg_silu(ctx, w), *b = mg_silu(ctx, a);
    float value;
    mg_backward(ctx, b);
    mg_tensor_read(ctx, a, &value);
    EXPECT(ctx, "memory was given back");
}

Test(misuse, a_group_that_is_not_there) {
    for (int group = -1; group <= 1; group += 2) {
        mg_context *ctx = make();
        mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(1), true);
        mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_SGD, .lr = 1});
        cr_assert_eq(mg_optimizer_add(o, ctx, w, group), MG_ERR_ARG);
        cr_assert_eq(o->entries, 0);
        mg_optimizer_destroy(o);
        EXPECT(ctx, "there is no group");
    }
}
