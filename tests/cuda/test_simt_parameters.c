/* Parameters live twice, in ordinary memory and on the device: whoever was written last wins. */
#include "autograd/functions.h"
#include "optim/optimizer.h"
#include "tests/lib/emulator.h"

/* One step of SGD at 1, and perhaps a parameter made after it, as unfreezing a network does. */
static float after_a_step(bool another) {
    mg_context *ctx = mg_context_create(emulator->device, MG_F32, NULL, 0);
    mg_context_use(ctx, emulator->device, emulator);
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(1), true);
    *(float *)w->data = 1;
    mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_SGD, .lr = 1});
    mg_optimizer_add(o, ctx, w, 0);
    mg_optimizer_zero_grad(o, NULL);
    mg_backward(ctx, mg_silu(ctx, w));
    mg_optimizer_step(o, NULL);
    if (another) {
        mg_tensor *late = mg_parameter(ctx, "late", (mg_shape)MG_SHAPE(1), true);
        *(float *)late->data = 2;
        mg_optimizer_add(o, ctx, late, 0);
        float here;
        mg_tensor_read(ctx, mg_add(ctx, w, late), &here); /* both are sent */
        cr_expect_float_eq(here, *(float *)w->data + 2, 1e-6);
    }
    float value = 0;
    mg_tensor_read(ctx, w, &value);
    cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
    mg_optimizer_destroy(o);
    mg_context_destroy(ctx);
    return value;
}

EMULATOR_TEST(simt_parameters, made_between_steps) {
    float plain = after_a_step(false);
    cr_assert_float_eq(plain, 1 - 0.927671f, 1e-5); /* 1 - silu'(1) */
    cr_assert_eq(after_a_step(true), plain);
}
