/* A network of two layers learns the sign of a product: does (x, y) lie in the first or third
 * quadrant? What every training program does is here once: parameters, an optimiser, and in a loop
 * inputs, forward, loss, backward, step.
 *
 *     cc -O2 two_layers.c $(pkg-config --cflags --libs mammograd) -o two_layers
 *
 * `make examples` builds it here, `make test` runs it. */
#include <mammograd.h>
#include <stdio.h>

enum { POINTS = 256, HIDDEN = 16, STEPS = 300 };

/* Points of a square, and 1 where x and y have the same sign. */
static void make_points(float points[POINTS][2], float same_sign[POINTS]) {
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (uint32_t i = 0; i < POINTS; i++) {
        for (uint32_t k = 0; k < 2; k++) points[i][k] = 2 * mg_rng_uniform(&key, 2 * i + k) - 1;
        same_sign[i] = points[i][0] * points[i][1] > 0;
    }
}

static mg_tensor *weights(mg_context *ctx, mg_optimizer *o, const char *name, mg_shape shape,
                          double scale, uint32_t layer) {
    mg_tensor *w = mg_parameter(ctx, name, shape, true); /* zero-filled; lives as long as ctx */
    mg_rng_key key = {.seed = 2, .purpose = MG_RNG_INIT, .epoch = layer};
    for (int64_t i = 0; w && i < mg_shape_elements(&shape); i++)
        ((float *)w->data)[i] = (float)(scale * mg_rng_normal(&key, (uint32_t)i));
    mg_optimizer_add(o, ctx, w, 0);
    return w;
}

int main(void) {
    static float points[POINTS][2], same_sign[POINTS], logit[POINTS];
    make_points(points, same_sign);

    mg_pool *pool = mg_pool_create(0); /* a thread per core */
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, pool, 0);
    mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_ADAM, .lr = 0.02});
    if (!pool || !ctx || !o) return fputs("two_layers: out of memory\n", stderr), 1;

    mg_tensor *w1 = weights(ctx, o, "w1", (mg_shape)MG_SHAPE(2, HIDDEN), 1, 0);
    mg_tensor *b1 = weights(ctx, o, "b1", (mg_shape)MG_SHAPE(HIDDEN), 0, 1);
    mg_tensor *w2 = weights(ctx, o, "w2", (mg_shape)MG_SHAPE(HIDDEN, 1), 0.3, 2);
    mg_tensor *b2 = weights(ctx, o, "b2", (mg_shape)MG_SHAPE(1), 0, 3);

    for (int step = 0; step <= STEPS; step++) {
        mg_step_reset(ctx, false); /* forgets the tensors of the step before */
        mg_optimizer_zero_grad(o, pool);
        mg_tensor *x = mg_input(ctx, "points", (mg_shape)MG_SHAPE(POINTS, 2), points[0]);
        mg_tensor *t = mg_input(ctx, "targets", (mg_shape)MG_SHAPE(POINTS, 1), same_sign);
        mg_tensor *h = mg_silu(ctx, mg_linear(ctx, x, w1, b1));
        mg_tensor *y = mg_keep(mg_linear(ctx, h, w2, b2)); /* read below, after backward */
        mg_tensor *loss = mg_bce_with_logits(ctx, y, t, NULL, 0);
        mg_backward(ctx, loss);
        if (ctx->error.code) break; /* one test for everything above: NULL flows through */
        mg_optimizer_step(o, pool);

        float mean_loss;
        int right = 0;
        mg_tensor_read(ctx, loss, &mean_loss);
        mg_tensor_read(ctx, y, logit);
        for (int i = 0; i < POINTS; i++) right += (logit[i] > 0) == (same_sign[i] > 0);
        if (step % 100 == 0)
            printf("step %3d: loss %.4f, %d of %d points right\n", step, (double)mean_loss, right,
                   POINTS);
    }
    int failed = ctx->error.code != MG_OK;
    if (failed) fprintf(stderr, "two_layers: %s\n", ctx->error.message);
    mg_optimizer_destroy(o);
    mg_context_destroy(ctx);
    mg_pool_destroy(pool);
    return failed;
}
