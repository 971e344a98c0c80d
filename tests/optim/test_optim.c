/* Optimizers and schedules against PyTorch (tests/golden/optim.inc), and their own rules. */
#include <criterion/criterion.h>
#include <math.h>

#include "optim/ema.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "tests/golden/optim.inc"

enum { N = 37 };

static void fill_normal(float *out, uint32_t epoch, double scale) {
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST, .epoch = epoch};
    for (uint32_t i = 0; i < N; i++) out[i] = (float)(mg_rng_normal(&key, i) * scale);
}

static void five_steps(mg_optimizer_options options, const float *golden) {
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(N), true);
    mg_tensor *frozen = mg_parameter(ctx, "frozen", (mg_shape)MG_SHAPE(N), false);
    fill_normal(w->data, 0, 1);
    mg_optimizer *o = mg_optimizer_create(&options);
    cr_assert_eq(mg_optimizer_add(o, ctx, w, 0), MG_OK);
    cr_assert_eq(mg_optimizer_add(o, ctx, frozen, 0), MG_OK);
    cr_assert_eq(o->entries, 1, "a frozen tensor got optimizer state");
    for (uint32_t step = 0; step < 5; step++) {
        fill_normal(w->grad, 1 + step, pow(10, (double)step - 2));
        mg_optimizer_step(o, NULL);
    }
    for (int i = 0; i < N; i++)
        cr_assert_float_eq(((float *)w->data)[i], golden[i], 1e-6 * fmax(1, fabs(golden[i])),
                           "element %d: %g against %g", i, (double)((float *)w->data)[i],
                           (double)golden[i]);
    mg_optimizer_destroy(o);
    mg_context_destroy(ctx);
}

Test(optimizer, sgd) {
    five_steps(
        (mg_optimizer_options){.kind = MG_SGD, .lr = 0.05, .momentum = 0.9, .weight_decay = 0.01},
        golden_sgd);
    five_steps((mg_optimizer_options){.kind = MG_SGD, .lr = 0.05}, golden_sgd_plain);
}
Test(optimizer, adam) {
    five_steps((mg_optimizer_options){.kind = MG_ADAM, .lr = 1e-3}, golden_adam);
    five_steps((mg_optimizer_options){.kind = MG_ADAM, .lr = 1e-2, .weight_decay = 0.1},
               golden_adam_l2);
}
Test(optimizer, adamw) {
    five_steps((mg_optimizer_options){.kind = MG_ADAMW, .lr = 1e-2, .weight_decay = 0.1},
               golden_adamw);
}

Test(optimizer, groups_and_clipping) {
    mg_pool *pool = mg_pool_create(3);
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, pool, 0);
    mg_tensor *a = mg_parameter(ctx, "a", (mg_shape)MG_SHAPE(100000), true);
    mg_tensor *b = mg_parameter(ctx, "b", (mg_shape)MG_SHAPE(3), true);
    mg_optimizer *o = mg_optimizer_create(&(mg_optimizer_options){.kind = MG_SGD, .lr = 1});
    int slow = mg_optimizer_add_group(o, 0.25, 0);
    mg_optimizer_add(o, ctx, a, 0);
    mg_optimizer_add(o, ctx, b, slow);
    for (int i = 0; i < 100000; i++) ((float *)a->grad)[i] = 0.01f;
    for (int i = 0; i < 3; i++) ((float *)b->grad)[i] = 2;
    double want = sqrt(100000 * 1e-4 + 12), norm = 0;
    cr_assert_float_eq(mg_optimizer_grad_norm(o, pool), want, 1e-6);
    cr_assert_eq(mg_optimizer_grad_norm(o, pool), mg_optimizer_grad_norm(o, NULL));
    cr_assert_eq(mg_optimizer_clip(o, pool, want / 2, &norm, NULL), MG_OK);
    cr_assert_float_eq(norm, want, 1e-6);
    cr_assert_float_eq(((float *)b->grad)[0], 1, 1e-5);
    mg_optimizer_step(o, pool);
    cr_assert_float_eq(((float *)a->data)[99999], -0.005, 1e-6);
    cr_assert_float_eq(((float *)b->data)[2], -0.25, 1e-5);
    ((float *)a->grad)[70000] = NAN;
    mg_error err = {0};
    cr_assert_eq(mg_optimizer_clip(o, pool, 1, NULL, &err), MG_ERR_NUMERIC);
    mg_optimizer_zero_grad(o, pool);
    cr_assert_eq(mg_optimizer_grad_norm(o, pool), 0);
    mg_optimizer_destroy(o);
    mg_context_destroy(ctx);
    mg_pool_destroy(pool);
}

Test(schedule, plateau_equals_torch) {
    static const mg_plateau settings[] = {
        {.factor = 0.1, .min_lr = 1e-6, .eps = 1e-8, .relative = true, .best = INFINITY},
        {.factor = 0.1,
         .threshold = 1e-4,
         .min_lr = 1e-6,
         .eps = 1e-8,
         .relative = true,
         .patience = 2,
         .best = INFINITY},
        {.factor = 0.5,
         .threshold = 1e-2,
         .min_lr = 1e-5,
         .eps = 1e-8,
         .patience = 1,
         .cooldown = 2,
         .best = INFINITY},
    };
    for (int s = 0; s < 3; s++)
        for (size_t c = 0; c < sizeof curves / sizeof *curves; c++) {
            mg_plateau p = settings[s];
            double lr = 1e-3;
            for (int i = 0; i < 12; i++) {
                lr = mg_plateau_step(&p, curves[c][i], lr);
                cr_assert_float_eq(lr, golden_plateau[s][c][i], 1e-15,
                                   "setting %d, curve %zu, epoch %d", s, c, i);
            }
        }
}

/* The epoch after which training stops, by the seed's words: "if the validation loss does not
 * improve by a minimum of 0.01 after 8 epochs". -1: not within the curve. */
static int stops_after(const double *loss, int n, int patience) {
    mg_early_stop s = mg_early_stop_init();
    s.patience = patience;
    for (int i = 0; i < n; i++)
        if (mg_early_stop_step(&s, loss[i])) return i;
    return -1;
}

Test(schedule, early_stop_follows_the_text) {
    cr_assert_eq(mg_early_stop_init().patience, 8);
    cr_assert_eq(stops_after(curves[0], 12, 4), -1);
    cr_assert_eq(stops_after(curves[1], 12, 8), 8);
    cr_assert_eq(stops_after(curves[2], 12, 8), -1);
    cr_assert_eq(stops_after(curves[2], 12, 7), 8);
    cr_assert_eq(stops_after(curves[4], 12, 8), 8);
    cr_assert_eq(stops_after(curves[5], 12, 3), 3, "NaN is no improvement");
    cr_assert_eq(stops_after(curves[6], 12, 3), 3, "a crawl below min_delta does not count");
}

/* A first loss that is no number must not become the mark that nothing can pass. */
Test(schedule, early_stop_starts_with_a_number) {
    mg_early_stop s = mg_early_stop_init();
    cr_assert_not(mg_early_stop_step(&s, NAN));
    for (int epoch = 0; epoch < 20; epoch++)
        cr_assert_not(mg_early_stop_step(&s, 1 - 0.02 * epoch), "epoch %d", epoch);
    s = mg_early_stop_init();
    for (int epoch = 1; epoch < s.patience; epoch++) cr_assert_not(mg_early_stop_step(&s, NAN));
    cr_assert(mg_early_stop_step(&s, NAN));
}

Test(schedule, lr_finder_finds_the_slope) {
    static mg_lr_finder f;
    mg_lr_finder_init(&f, 1e-7, 1, 100);
    bool more = true;
    int steps = 0;
    while (more) {
        double lr = mg_lr_finder_rate(&f);
        /* falls fastest at 1e-3, bottoms at 1e-2, then blows up */
        double loss = 1 / (1 + lr / 1e-3) + pow(lr / 0.05, 2);
        more = mg_lr_finder_add(&f, loss);
        steps++;
    }
    cr_assert_lt(steps, 100, "diverging ends the test early");
    double steepest = 0, tenth = 0;
    cr_assert(mg_lr_finder_suggest(&f, &steepest, &tenth));
    cr_assert(steepest > 2e-4 && steepest < 3e-2, "%g", steepest);
    cr_assert(tenth > 5e-4 && tenth < 1e-2, "%g", tenth);
}

Test(ema, warm_up_and_swap) {
    mg_context *ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    mg_tensor *w = mg_parameter(ctx, "w", (mg_shape)MG_SHAPE(2), true);
    mg_ema *ema = mg_ema_create(0.5);
    cr_assert_eq(mg_ema_add(ema, ctx, w), MG_OK);
    float *v = w->data;
    v[0] = 10;
    mg_ema_update(ema); /* d = min(.5, 1/10): shadow = .1·0 + .9·10 */
    cr_assert_float_eq(((float *)mg_ema_shadow(ema, 0)->data)[0], 9, 1e-5);
    mg_ema_swap(ema);
    cr_assert_float_eq(v[0], 9, 1e-5);
    mg_ema_swap(ema);
    cr_assert_eq(v[0], 10);
    mg_ema_destroy(ema);
    mg_context_destroy(ctx);
}
