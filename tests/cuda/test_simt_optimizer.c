/* The fused updates of cuda/optimizer.cu against the CPU's, bit for bit: every rule, tensors of odd
 * sizes and of several chunks, several groups, more tensors than one launch takes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/efficientnet.h"
#include "optim/ema.h"
#include "optim/optimizer.h"
#include "tests/lib/emulator.h"

enum { TENSORS = 7, STEPS = 3, MOST = 20001 };
static const int64_t size_of[TENSORS] = {1, 3, 4, 37, 8192, 8193, MOST};

typedef struct network {
    mg_context *ctx;
    mg_tensor *w[TENSORS];
    mg_optimizer *o;
} network;

static float number(uint32_t stream, uint32_t i) {
    mg_rng_key key = {.seed = 21, .purpose = MG_RNG_TEST, .sample = stream};
    return (float)mg_rng_normal(&key, i);
}

static network build(const mg_optimizer_options *options, bool on_device) {
    network n = {.ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, (size_t)1 << 28)};
    if (on_device) mg_context_use(n.ctx, MG_DEVICE_SIMT, emulator);
    n.o = mg_optimizer_create(options);
    int second = mg_optimizer_add_group(n.o, 0.5, 0.125);
    for (int k = 0; k < TENSORS; k++) {
        n.w[k] = mg_parameter(n.ctx, "w", (mg_shape)MG_SHAPE(size_of[k]), true);
        for (int64_t i = 0; i < size_of[k]; i++)
            mg_tensor_set(n.w[k], i, (double)number((uint32_t)k, (uint32_t)i));
        mg_optimizer_add(n.o, n.ctx, n.w[k], k % 2 ? second : 0);
    }
    cr_assert_eq(n.ctx->error.code, MG_OK, "%s", n.ctx->error.message);
    return n;
}

static void set_gradients(network *n, uint32_t step) {
    static float grad[MOST];
    cr_assert(mg_context_to_device(n->ctx));
    for (int k = 0; k < TENSORS; k++) {
        for (int64_t i = 0; i < size_of[k]; i++)
            grad[i] = number(100 * (step + 1) + (uint32_t)k, (uint32_t)i);
        void *to = n->ctx->plugin ? n->w[k]->mirror_grad : n->w[k]->grad;
        mg_memory_write(n->ctx->memory, to, grad, (size_t)size_of[k] * sizeof(float));
    }
}

static void get(const network *n, int k, bool gradient, float *out) {
    const mg_tensor *t = n->w[k];
    const void *data = gradient ? t->grad : t->data;
    if (n->ctx->plugin) data = gradient ? t->mirror_grad : t->mirror;
    mg_memory_read(n->ctx->memory, out, data, (size_t)size_of[k] * sizeof(float));
}

static void expect_same(const network *a, const network *b, bool gradient, const char *what) {
    static float left[MOST], right[MOST];
    for (int k = 0; k < TENSORS; k++) {
        get(a, k, gradient, left);
        get(b, k, gradient, right);
        for (int64_t i = 0; i < size_of[k]; i++)
            cr_assert(memcmp(&left[i], &right[i], sizeof *left) == 0,
                      "%s: element %lld of tensor %d is %.9g on the CPU, %.9g on the device", what,
                      (long long)i, k, (double)left[i], (double)right[i]);
    }
}

static void drop(network *n) {
    mg_optimizer_destroy(n->o);
    mg_context_destroy(n->ctx);
}

static void compare(const char *what, const mg_optimizer_options *options) {
    network cpu = build(options, false), device = build(options, true);
    for (uint32_t step = 0; step < STEPS; step++) {
        set_gradients(&cpu, step);
        set_gradients(&device, step);
        double norm = mg_optimizer_grad_norm(cpu.o, NULL);
        double other = mg_optimizer_grad_norm(device.o, NULL);
        cr_expect_float_eq(other, norm, 1e-13 * norm, "%s: norm %.17g, %.17g", what, norm, other);
        mg_optimizer_scale_grad(cpu.o, NULL, 0.3);
        mg_optimizer_scale_grad(device.o, NULL, 0.3);
        expect_same(&cpu, &device, true, what);
        mg_optimizer_step(cpu.o, NULL);
        mg_optimizer_step(device.o, NULL);
        expect_same(&cpu, &device, false, what);
        mg_optimizer_zero_grad(cpu.o, NULL);
        mg_optimizer_zero_grad(device.o, NULL);
        expect_same(&cpu, &device, true, what);
    }
    emulator_expect_clean(what);
    drop(&cpu);
    drop(&device);
}

EMULATOR_TEST(simt_optimizer, sgd) {
    compare("SGD", &(mg_optimizer_options){.kind = MG_SGD, .lr = 0.1});
}
EMULATOR_TEST(simt_optimizer, sgd_with_momentum_and_decay) {
    compare("momentum", &(mg_optimizer_options){
                            .kind = MG_SGD, .lr = 0.1, .momentum = 0.9, .weight_decay = 0.01});
}
EMULATOR_TEST(simt_optimizer, adam) {
    compare("Adam", &(mg_optimizer_options){.kind = MG_ADAM, .lr = 0.01, .weight_decay = 0.02});
}
EMULATOR_TEST(simt_optimizer, adamw) {
    compare("AdamW", &(mg_optimizer_options){.kind = MG_ADAMW, .lr = 0.01, .weight_decay = 0.02});
}

/* The moving average through five updates, the parameters changing in between; a swap, and back. */
EMULATOR_TEST(simt_optimizer, moving_average) {
    mg_optimizer_options options = {.kind = MG_ADAM, .lr = 0.01};
    network n[2] = {build(&options, false), build(&options, true)};
    mg_ema *ema[2];
    for (int side = 0; side < 2; side++) {
        ema[side] = mg_ema_create(0.3);
        for (int k = 0; k < TENSORS; k++)
            cr_assert_eq(mg_ema_add(ema[side], n[side].ctx, n[side].w[k]), MG_OK);
        for (uint32_t step = 0; step < 5; step++) {
            set_gradients(&n[side], step);
            mg_optimizer_step(n[side].o, NULL);
            mg_ema_update(ema[side]);
        }
        mg_context_to_host(n[side].ctx);
    }
    for (int k = 0; k < TENSORS; k++) {
        const mg_tensor *a = mg_ema_shadow(ema[0], k), *b = mg_ema_shadow(ema[1], k);
        cr_expect(memcmp(a->data, b->data, (size_t)size_of[k] * sizeof(float)) == 0,
                  "average of tensor %d", k);
        cr_expect(memcmp(a->data, n[0].w[k]->data, (size_t)size_of[k] * sizeof(float)) != 0);
    }
    for (int turn = 0; turn < 2; turn++) {
        mg_ema_swap(ema[0]);
        mg_ema_swap(ema[1]);
        cr_assert(mg_context_to_device(n[1].ctx));
        expect_same(&n[0], &n[1], false, "swapped");
    }
    for (int side = 0; side < 2; side++) {
        mg_ema_destroy(ema[side]);
        drop(&n[side]);
    }
}

/* 1,500 tensors of one element: several launches, no tensor left out or visited twice. */
EMULATOR_TEST(simt_optimizer, more_tensors_than_one_launch_takes) {
    enum { COUNT = 1500 };
    static mg_update_tensor list[COUNT];
    static float grad[4 * COUNT];
    float *on_device = emulator->memory->alloc(sizeof grad, "gradients");
    cr_assert(on_device);
    for (int i = 0; i < 4 * COUNT; i++) grad[i] = (float)(i % 7);
    emulator->memory->write(on_device, grad, sizeof grad);
    double want = 0;
    for (int i = 0; i < COUNT; i++) {
        list[i] = (mg_update_tensor){.grad = on_device + 4 * i, .n = 1, .lr = (float)(i % 40)};
        want += (double)grad[4 * i] * (double)grad[4 * i];
    }
    cr_expect_float_eq(emulator->squared_norm(list, COUNT), want, 1e-9);
    emulator->scale_grad(list, COUNT, 2);
    emulator->memory->read(grad, on_device, sizeof grad);
    for (int i = 0; i < 4 * COUNT; i++)
        cr_assert_eq(grad[i], (float)((i % 4 ? 1 : 2) * (i % 7)), "element %d", i);
    emulator->memory->free(on_device);
}
