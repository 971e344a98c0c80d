/* How many bytes the kernels of memory-bound ops touch, by the emulator's counts, at a size of a
 * middle stage of EfficientNet: different 32-byte sectors per launch, summed over launches, at most
 * 1.5 times what must move (inputs once, outputs once), and loads coalesced: at most 1.3 times the
 * fewest sectors per request.
 *
 * Batch norm in training keeps it where blocks own whole columns (cuda/batch_norm.h). In chunks of
 * rows forward must read x twice (3 tensors where 2 move), backward x and dy twice (5 where 3
 * move), and partial sums come on top: limits of their own hold that below one per cent. */
#include <stdio.h>

#include "ops/check.h"
#include "tests/lib/emulator.h"

static double bytes_of(const mg_shape *s) { return 4.0 * (double)mg_shape_elements(s); }

static void expect_few(const char *op, const char *way, double compulsory, double limit) {
    mg_access_counts n;
    emulator->count_accesses(&n);
    double touched = 32.0 * (double)n.touched_sectors / compulsory;
    double loads = (double)n.load_sectors / (double)n.least_load_sectors;
    printf("%-18s %-8s touched %.3f of what must move, loads %.3f of the fewest sectors\n", op, way,
           touched, loads);
    cr_expect_gt(n.launches, 0);
    cr_expect_leq(touched, limit, "%s %s touches %.3f times what must move", op, way, touched);
    cr_expect_leq(loads, 1.3, "%s %s loads %.3f times the fewest sectors", op, way, loads);
}

static void check(mg_op_id id, mg_case c, double forward_limit, double backward_limit) {
    const mg_op *op = mg_op_get(id, MG_F32);
    const mg_kernels *kernels = mg_staged_kernels(id, emulator);
    mg_trial t;
    mg_error err = {0};
    c.name = "sectors";
    cr_assert_eq(mg_trial_open(&t, op, &c, MG_F32, &err), MG_OK, "%s", err.message);
    double in = 0, gradients = 0, kept = 0, out = bytes_of(&t.call.y_shape);
    for (int i = 0; i < t.call.inputs; i++) {
        double bytes = bytes_of(&t.call.x_shape[i]);
        in += bytes;
        if (op->differentiable >> i & 1) gradients += bytes;
        if (op->needs_x >> i & 1) kept += bytes;
    }
    if (op->needs_y) kept += out;
    emulator->count_accesses(NULL);
    cr_assert_eq(mg_trial_forward(&t, kernels, NULL, &err), MG_OK, "%s", err.message);
    expect_few(op->name, "forward", in + out, forward_limit);
    cr_assert_eq(mg_trial_backward(&t, kernels, NULL, ~0u, &err), MG_OK, "%s", err.message);
    expect_few(op->name, "backward", kept + out + gradients, backward_limit);
    mg_trial_close(&t);
    emulator_expect_clean(op->name);
}

#define IMAGE    MG_SHAPE(2, 60, 32, 112)
#define CHANNELS MG_SHAPE(112)
#define SECTOR_TEST(name, limit, ...)                                                              \
    Test(sectors, name, .init = emulator_open_checked) {                                           \
        check(MG_OP_##name, (mg_case){__VA_ARGS__}, limit, limit);                                 \
    }
#define RANDOM .attr = {.training = true, .p = 0.3, .key = {.seed = 7, .purpose = MG_RNG_TEST}}

SECTOR_TEST(silu, 1.5, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(sigmoid, 1.5, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(tanh, 1.5, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(add, 1.5, .inputs = 2, .shape = {IMAGE, IMAGE})
SECTOR_TEST(dropout, 1.5, RANDOM, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(stochastic_depth, 1.5, RANDOM, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(concat, 1.5, .attr = {.axis = 3}, .inputs = 2, .shape = {IMAGE, IMAGE})
SECTOR_TEST(softmax, 1.5, .inputs = 1, .shape = {MG_SHAPE(512, 256)})
SECTOR_TEST(resize_bilinear, 1.5, .attr = {.height = 90, .width = 48}, .inputs = 1,
            .shape = {IMAGE})
SECTOR_TEST(resize_bicubic, 1.5, .attr = {.height = 90, .width = 48}, .inputs = 1, .shape = {IMAGE})
SECTOR_TEST(channel_scale, 1.5, .inputs = 2, .shape = {IMAGE, MG_SHAPE(2, 112)})
SECTOR_TEST(global_average_pool, 1.5, .inputs = 1, .shape = {IMAGE})
#define NORM(...)                                                                                  \
    (mg_case) {                                                                                    \
        .attr = {.training = true, .eps = 1e-3, .momentum = 0.1}, .inputs = 5,                     \
        .shape = {MG_SHAPE(__VA_ARGS__), CHANNELS, CHANNELS, CHANNELS, CHANNELS}, .fill = {        \
            MG_FILL_NORMAL,                                                                        \
            MG_FILL_NORMAL,                                                                        \
            MG_FILL_NORMAL,                                                                        \
            MG_FILL_NORMAL,                                                                        \
            MG_FILL_POSITIVE                                                                       \
        }                                                                                          \
    }
Test(sectors, batch_norm, .init = emulator_open_checked) {
    check(MG_OP_batch_norm, NORM(2, 60, 32, 112), 1.01, 1.01);
}
Test(sectors, batch_norm_chunks, .init = emulator_open_checked) {
    check(MG_OP_batch_norm, NORM(2, 90, 32, 112), 1.51, 1.68);
}
