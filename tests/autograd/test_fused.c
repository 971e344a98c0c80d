/* The fused ends of a trained block give the very bits, forward, of the ops they stand for. */
#include <criterion/criterion.h>
#include <string.h>

#include "autograd/functions.h"

static mg_tensor *parameter(mg_context *ctx, const char *name, mg_shape shape, double low,
                            double high) {
    static uint32_t number;
    mg_tensor *t = mg_parameter(ctx, name, shape, true);
    mg_rng_key key = {.seed = 17, .purpose = MG_RNG_TEST, .epoch = number++};
    for (int64_t i = 0; i < mg_shape_elements(&shape); i++)
        ((float *)t->data)[i] =
            (float)(low + (high - low) * (double)mg_rng_uniform(&key, (uint32_t)i));
    return t;
}

typedef struct setup {
    mg_pool *pool;
    mg_context *ctx;
    mg_tensor *x;
    mg_batch_norm_parameters norm, again; /* running statistics of their own */
} setup;

enum { N = 3, H = 37, W = 21, C = 70 };

static setup make(void) {
    setup s = {.pool = mg_pool_create(2)};
    mg_shape each = MG_SHAPE(C);
    s.ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, s.pool, 0);
    s.x = parameter(s.ctx, "x", (mg_shape)MG_SHAPE(N, H, W, C), -3, 5);
    s.norm = (mg_batch_norm_parameters){.gamma = parameter(s.ctx, "gamma", each, -1, 2),
                                        .beta = parameter(s.ctx, "beta", each, -1, 1),
                                        .running_mean = parameter(s.ctx, "mean", each, 0, 1),
                                        .running_var = parameter(s.ctx, "var", each, 1, 2),
                                        .eps = 1e-3,
                                        .momentum = 0.1};
    s.again = s.norm;
    s.again.running_mean = parameter(s.ctx, "mean", each, 0, 0);
    s.again.running_var = parameter(s.ctx, "var", each, 0, 0);
    memcpy(s.again.running_mean->data, s.norm.running_mean->data, C * sizeof(float));
    memcpy(s.again.running_var->data, s.norm.running_var->data, C * sizeof(float));
    return s;
}

static void expect_equal(setup s, const mg_tensor *a, const mg_tensor *b) {
    cr_assert(a && b, "%s", s.ctx->error.message);
    size_t bytes = (size_t)mg_shape_elements(&a->shape) * sizeof(float);
    cr_assert(mg_shape_equal(&a->shape, &b->shape));
    cr_expect_arr_eq(a->data, b->data, bytes);
    cr_expect_arr_eq(s.norm.running_mean->data, s.again.running_mean->data, C * sizeof(float));
    cr_expect_arr_eq(s.norm.running_var->data, s.again.running_var->data, C * sizeof(float));
    mg_context_destroy(s.ctx);
    mg_pool_destroy(s.pool);
}

static void compare_depthwise(int kernel, int stride) {
    setup s = make();
    mg_attr conv = {.kernel = kernel, .stride = stride};
    mg_tensor *w = parameter(s.ctx, "w", (mg_shape)MG_SHAPE(kernel, kernel, C), -1, 1);
    mg_tensor *n = mg_batch_norm(s.ctx, s.x, &s.norm, true);
    mg_tensor *y = mg_depthwise_conv(s.ctx, mg_silu(s.ctx, n), w, conv);
    expect_equal(s, y, mg_norm_depthwise_conv(s.ctx, s.x, &s.again, w, conv, true));
}

Test(fused, norm_depthwise_conv_has_the_bits_of_its_parts) {
    compare_depthwise(3, 1);
    compare_depthwise(3, 2);
    compare_depthwise(5, 1);
    compare_depthwise(5, 2);
    compare_depthwise(7, 3);
}

Test(fused, norm_gate_project_has_the_bits_of_its_parts) {
    enum { S = 5, K = 41 };
    setup s = make();
    mg_gate_parameters g = {.reduce_w = parameter(s.ctx, "w1", (mg_shape)MG_SHAPE(C, S), -1, 1),
                            .reduce_b = parameter(s.ctx, "b1", (mg_shape)MG_SHAPE(S), -1, 1),
                            .expand_w = parameter(s.ctx, "w2", (mg_shape)MG_SHAPE(S, C), -1, 1),
                            .expand_b = parameter(s.ctx, "b2", (mg_shape)MG_SHAPE(C), -1, 1)};
    mg_tensor *w = parameter(s.ctx, "w", (mg_shape)MG_SHAPE(C, K), -1, 1);
    mg_tensor *n = mg_batch_norm(s.ctx, s.x, &s.norm, true);
    mg_tensor *z =
        mg_squeeze_excite(s.ctx, mg_silu(s.ctx, n), g.reduce_w, g.reduce_b, g.expand_w, g.expand_b);
    mg_tensor *y = mg_pointwise_conv(s.ctx, z, w, NULL, MG_ACTIVATION_NONE);
    expect_equal(s, y, mg_norm_gate_project(s.ctx, s.x, &s.again, &g, w, true));
}
