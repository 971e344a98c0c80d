/* What memory-bound CUDA kernels ask of memory, by the emulator's counts: the sectors touched are
 * at most 1.5 times the compulsory bytes, a request takes at most 1.3 times the fewest sectors, and
 * shared memory has no bank conflicts but where the data decide (concat, resize). Exceptions, as
 * low as they can be, stand with their reasons in the table. Sizes have B4's channel counts and
 * enough pixels for halos and partial sums to count as they do at full size; `apps/audit --counts`
 * prints the full sizes. */
#include <stdio.h>

#include "apps/lib/audit_counts.h"
#include "tests/lib/emulator.h"

#define TOUCHED 1.5
#define SECTORS 1.3

typedef struct limits {
    mg_op_id id;
    mg_case test_case;
    double forward, backward; /* touched / compulsory */
    double turns;             /* shared memory, of the fewest */
    uint32_t unwanted;        /* gradients that backward is not asked for */
} limits;

#define WIDE      MG_SHAPE(2, 60, 32, 144)
#define COLUMN(c) MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c)
#define TRAINING                                                                                   \
    { .training = true, .eps = 1e-5, .momentum = 0.1 }
#define NORM(text, n, h, w, c)                                                                     \
    { text, TRAINING, 5, {MG_SHAPE(n, h, w, c), COLUMN(c)}, .forward_only = false }
#define NORMED(text, k, s, n, h, w, c)                                                             \
    {                                                                                              \
        text, {.kernel = k, .stride = s, .training = true, .eps = 1e-5, .momentum = 0.1}, 6,       \
            {MG_SHAPE(n, h, w, c), COLUMN(c), MG_SHAPE(k, k, c)}, .forward_only = false            \
    }
#define END(text, n, h, w, c, s, k)                                                                \
    {                                                                                              \
        text, TRAINING, 10, {MG_SHAPE(n, h, w, c), COLUMN(c),   MG_SHAPE(c, s), MG_SHAPE(s),       \
                             MG_SHAPE(s, c),       MG_SHAPE(c), MG_SHAPE(c, k)},                   \
            .forward_only = false                                                                  \
    }
#define STEM                                                                                       \
    {                                                                                              \
        "stem", {.kernel = 3, .stride = 2}, 2, {MG_SHAPE(1, 95, 150, 3), MG_SHAPE(3, 3, 3, 48)},   \
            .forward_only = false                                                                  \
    }
#define ENLARGE(n, h, w, c)                                                                        \
    {                                                                                              \
        "to an image", .attr = {.height = 311, .width = 160}, .inputs = 1, .shape = {              \
            MG_SHAPE(n, h, w, c)                                                                   \
        }                                                                                          \
    }
#define JOIN(c, d)                                                                                 \
    {                                                                                              \
        "channels", .attr = {.axis = 3}, .inputs = 2, .shape = {                                   \
            MG_SHAPE(2, 60, 32, c),                                                                \
            MG_SHAPE(2, 60, 32, d)                                                                 \
        }                                                                                          \
    }
static const limits table[] = {
    {MG_OP_depthwise_conv,
     {"3x3", {.kernel = 3, .stride = 1}, 2, {WIDE, MG_SHAPE(3, 3, 144)}, .forward_only = false},
     TOUCHED,
     TOUCHED,
     1,
     0},
    {MG_OP_depthwise_conv,
     {"5x5 stride 2",
      {.kernel = 5, .stride = 2},
      2,
      {WIDE, MG_SHAPE(5, 5, 144)},
      .forward_only = false},
     TOUCHED,
     TOUCHED,
     1,
     0},
    {MG_OP_conv2d, STEM, TOUCHED, TOUCHED, 1, 0},
    {MG_OP_conv2d, STEM, TOUCHED, TOUCHED, 1, 1}, /* training: dw alone */
    {MG_OP_batch_norm, NORM("whole columns", 2, 60, 32, 144), 1.01, 1.01, 1, 0},
    {MG_OP_batch_norm, NORM("40 slices, more rows", 1, 67, 62, 320), 1.01, 1.01, 1, 0},
    /* Chunks of rows: x twice and y are 1.5 by themselves, x and dy twice and dx 1.67
     * (cuda/batch_norm.h). */
    {MG_OP_batch_norm, NORM("chunks", 2, 96, 64, 48), 1.51, 1.68, 1, 0},
    {MG_OP_channel_scale,
     {"wide", .inputs = 2, .shape = {WIDE, MG_SHAPE(2, 144)}},
     TOUCHED,
     TOUCHED,
     1,
     0},
    {MG_OP_global_average_pool, {"wide", .inputs = 1, .shape = {WIDE}}, TOUCHED, TOUCHED, 1, 0},
    /* Gates need all of x before the first element is scaled: x twice and y are 1.5 by
     * themselves. */
    {MG_OP_squeeze_excite,
     {"wide", .inputs = 5,
      .shape = {WIDE, MG_SHAPE(144, 6), MG_SHAPE(6), MG_SHAPE(6, 144), MG_SHAPE(144)}},
     1.51,
     TOUCHED,
     1,
     0},
    /* x twice and y, and x and dy twice and dx, as in batch norm; partial sums of a filter and two
     * more per 1024 inputs. */
    {MG_OP_norm_depthwise_conv, NORMED("5x5", 5, 1, 2, 60, 32, 144), 1.51, 1.69, 1, 0},
    {MG_OP_norm_depthwise_conv, NORMED("3x3", 3, 1, 2, 60, 32, 144), 1.51, 1.68, 1, 0},
    {MG_OP_norm_depthwise_conv, NORMED("chunks of statistics", 3, 1, 1, 96, 64, 48), 1.51, 1.68, 1,
     0},
    /* Of stride 2, y is a quarter of x: 2.25 tensors for 1.25, and 3.5 for 2.25. */
    {MG_OP_norm_depthwise_conv, NORMED("5x5 stride 2", 5, 2, 2, 60, 32, 144), 1.81, 1.60, 1, 0},
    /* With X the size of x: forward 2 X where blocks own whole columns, else 3, backward 4, or 5
     * where dz is kept (cuda/norm_gate_project*.cu); x and y, and dy, x and dx, are compulsory.
     * Turns: of a second tree in a loop the counter pairs steps that do not belong together. */
    {MG_OP_norm_gate_project, END("whole columns", 2, 60, 32, 144, 6, 32), 1.66, 1.85, 1.02, 0},
    {MG_OP_norm_gate_project, END("chunks", 2, 96, 64, 48, 2, 24), 2.03, 1.66, 1, 0},
    {MG_OP_norm_gate_project, END("chunks, dz kept", 2, 96, 64, 48, 2, 72), 1.25, 1.45, 1, 0},
    {MG_OP_silu, {"wide", .inputs = 1, .shape = {WIDE}}, TOUCHED, TOUCHED, 1, 0},
    {MG_OP_concat, JOIN(2, 1), TOUCHED, TOUCHED, 1.5, 0},
    {MG_OP_concat, JOIN(33, 7), TOUCHED, TOUCHED, 1.5, 0},
    {MG_OP_concat, JOIN(24, 8), TOUCHED, TOUCHED, 1, 0},
    {MG_OP_resize_bilinear, ENLARGE(1, 10, 5, 1), TOUCHED, TOUCHED, 2.5, 0},
    {MG_OP_resize_bicubic, ENLARGE(1, 10, 5, 1), TOUCHED, TOUCHED, 2.5, 0},
    {MG_OP_resize_bilinear, ENLARGE(1, 30, 16, 12), TOUCHED, TOUCHED, 2.5, 0},
    {MG_OP_resize_bicubic, ENLARGE(1, 30, 16, 12), TOUCHED, TOUCHED, 2.5, 0},
};

static void check_direction(const limits *l, bool backward) {
    const mg_op *op = mg_op_get(l->id, MG_F32);
    const mg_case *c = &l->test_case;
    mg_error err = {0};
    mg_access_counts n;
    mg_status s = mg_audit_count_wanted(l->id, c, mg_staged_kernels(l->id, emulator), backward,
                                        ~l->unwanted, &n, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
    mg_trial t;
    cr_assert_eq(mg_trial_open(&t, op, c, MG_F32, &err), MG_OK);
    const double compulsory = mg_audit_compulsory(op, &t.call, backward, ~l->unwanted);
    mg_trial_close(&t);
    const double touched = 32.0 * (double)n.touched_sectors / compulsory;
    const double loads = (double)n.load_sectors / (double)n.least_load_sectors;
    const double stores = (double)n.store_sectors / (double)n.least_store_sectors;
    const double turns = n.least_turns ? (double)n.turns / (double)n.least_turns : 1;
    printf("simt     %-20s %-20s %-8s touched %.3f, loads %.2f, stores %.2f, turns %.2f\n",
           op->name, c->name, backward ? "backward" : "forward", touched, loads, stores, turns);
    cr_expect_gt(touched, 0.5, "%s, %s: the counter does not count", op->name, c->name);
    cr_expect_leq(touched, backward ? l->backward : l->forward, "%s, %s: touched %.3f", op->name,
                  c->name, touched);
    cr_expect_leq(loads, SECTORS, "%s, %s: loads %.3f", op->name, c->name, loads);
    cr_expect_leq(stores, SECTORS, "%s, %s: stores %.3f", op->name, c->name, stores);
    cr_expect_leq(turns, l->turns, "%s, %s: bank conflicts, %.3f", op->name, c->name, turns);
}

Test(simt_counts, memory_bound_kernels, .init = emulator_open_checked) {
    for (int i = 0; i < MG_COUNT(table); i++) {
        check_direction(&table[i], false);
        check_direction(&table[i], true);
    }
}

/* The counter itself: a kernel whose neighbouring threads read far apart, and its coalesced
 * twin. */
Test(simt_counts, counter_tells_naive_from_coalesced, .init = emulator_open_checked) {
    static const mg_case c = {"3x3",
                              {.kernel = 3, .stride = 1},
                              2,
                              {MG_SHAPE(1, 16, 32, 64), MG_SHAPE(3, 3, 64)},
                              .forward_only = false};
    mg_error err = {0};
    double loads[2] = {0};
    for (const mg_lab_level *const *l = emulator->lab; *l; l++) {
        mg_access_counts n;
        if ((*l)->op != MG_OP_depthwise_conv || (*l)->level > 2) continue;
        cr_assert_eq(
            mg_audit_count((*l)->op, &c, mg_staged_lab_kernels(*l, emulator), false, &n, &err),
            MG_OK, "%s", err.message);
        cr_expect_eq(n.launches, 1);
        cr_expect_eq(n.store_requests, 16 * 32 * 64 / 32);
        loads[(*l)->level - 1] = (double)n.load_sectors / (double)n.least_load_sectors;
    }
    cr_expect_gt(loads[0], 4, "level 1: %.2f", loads[0]);
    cr_expect_leq(loads[1], 1.001, "level 2: %.2f", loads[1]);
}
