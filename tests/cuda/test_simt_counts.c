/* What memory-bound CUDA kernels ask of memory, by the emulator's counts: the sectors touched are
 * at most 1.5 times the compulsory bytes, a request takes at most 1.3 times the fewest sectors, and
 * shared memory has no bank conflicts. Sizes have B4's channel counts and enough pixels for halos
 * and partial sums to count as they do at full size; `apps/audit --counts` prints the full
 * sizes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "apps/lib/audit_counts.h"

#define TOUCHED 1.5
#define SECTORS 1.3

typedef struct limits {
    mg_op_id id;
    mg_case test_case;
    double forward, backward; /* touched / compulsory; 0: not bound by memory or not asked for */
} limits;

#define WIDE   MG_SHAPE(2, 60, 32, 144)
#define COLUMN MG_SHAPE(144)
static const limits table[] = {
    {MG_OP_depthwise_conv,
     {"3x3", {.kernel = 3, .stride = 1}, 2, {WIDE, MG_SHAPE(3, 3, 144)}, .forward_only = false},
     TOUCHED,
     TOUCHED},
    {MG_OP_depthwise_conv,
     {"5x5 stride 2",
      {.kernel = 5, .stride = 2},
      2,
      {WIDE, MG_SHAPE(5, 5, 144)},
      .forward_only = false},
     TOUCHED,
     TOUCHED},
    /* Both gradients of a stem read dy, a pass each, which makes 1.7; training asks only for dw. */
    {MG_OP_conv2d,
     {"stem",
      {.kernel = 3, .stride = 2},
      2,
      {MG_SHAPE(1, 95, 150, 3), MG_SHAPE(3, 3, 3, 48)},
      .forward_only = false},
     TOUCHED,
     1.8},
    {MG_OP_channel_scale,
     {"wide", .inputs = 2, .shape = {WIDE, MG_SHAPE(2, 144)}},
     TOUCHED,
     TOUCHED},
    {MG_OP_global_average_pool, {"wide", .inputs = 1, .shape = {WIDE}}, TOUCHED, TOUCHED},
    /* Gates need all of x before the first element is scaled: x twice and y are 1.5 by
     * themselves. */
    {MG_OP_squeeze_excite,
     {"wide", .inputs = 5,
      .shape = {WIDE, MG_SHAPE(144, 6), MG_SHAPE(6), MG_SHAPE(6, 144), COLUMN}},
     1.53,
     TOUCHED},
    {MG_OP_silu, {"wide", .inputs = 1, .shape = {WIDE}}, TOUCHED, TOUCHED},
};

static void open_device(void) {
    const mg_device_plugin *plugin;
    mg_error err = {0};
    if (mg_audit_counting(&plugin, &err)) {
        cr_assert(strstr(err.message, "not built") || strstr(err.message, "checker"), "%s",
                  err.message);
        cr_skip_test("%s", err.message);
    }
}

static void check_direction(const limits *l, bool backward) {
    const mg_device_plugin *plugin;
    const mg_op *op = mg_op_get(l->id, MG_F32);
    const mg_case *c = &l->test_case;
    mg_error err = {0};
    mg_access_counts n;
    cr_assert_eq(mg_audit_counting(&plugin, &err), MG_OK);
    mg_status s = mg_audit_count(l->id, c, mg_staged_kernels(l->id, plugin), backward, &n, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
    mg_trial t;
    cr_assert_eq(mg_trial_open(&t, op, c, MG_F32, &err), MG_OK);
    const mg_cost cost = op->cost(&t.call);
    mg_trial_close(&t);
    const double compulsory = backward ? cost.backward_bytes : cost.forward_bytes;
    const double touched = 32.0 * (double)n.touched_sectors / compulsory;
    const double loads = (double)n.load_sectors / (double)n.least_load_sectors;
    const double stores = (double)n.store_sectors / (double)n.least_store_sectors;
    printf("simt     %-20s %-8s touched %.2f, loads %.2f, stores %.2f\n", op->name,
           backward ? "backward" : "forward", touched, loads, stores);
    cr_expect_gt(touched, 0.5, "%s, %s: the counter does not count", op->name, c->name);
    cr_expect_leq(touched, backward ? l->backward : l->forward, "%s, %s: touched %.3f", op->name,
                  c->name, touched);
    cr_expect_leq(loads, SECTORS, "%s, %s: loads %.3f", op->name, c->name, loads);
    cr_expect_leq(stores, SECTORS, "%s, %s: stores %.3f", op->name, c->name, stores);
    cr_expect_eq(n.turns, n.least_turns, "%s, %s: bank conflicts", op->name, c->name);
}

Test(simt_counts, memory_bound_kernels, .init = open_device) {
    for (int i = 0; i < MG_COUNT(table); i++) {
        check_direction(&table[i], false);
        check_direction(&table[i], true);
    }
}

/* The counter itself: a kernel whose neighbouring threads read far apart, and its coalesced
 * twin. */
Test(simt_counts, counter_tells_naive_from_coalesced, .init = open_device) {
    static const mg_case c = {"3x3",
                              {.kernel = 3, .stride = 1},
                              2,
                              {MG_SHAPE(1, 16, 32, 64), MG_SHAPE(3, 3, 64)},
                              .forward_only = false};
    const mg_device_plugin *plugin;
    mg_error err = {0};
    double loads[2] = {0};
    cr_assert_eq(mg_audit_counting(&plugin, &err), MG_OK);
    for (const mg_lab_level *const *l = plugin->lab; *l; l++) {
        mg_access_counts n;
        if ((*l)->op != MG_OP_depthwise_conv || (*l)->level > 2) continue;
        cr_assert_eq(
            mg_audit_count((*l)->op, &c, mg_staged_lab_kernels(*l, plugin), false, &n, &err), MG_OK,
            "%s", err.message);
        cr_expect_eq(n.launches, 1);
        cr_expect_eq(n.store_requests, 16 * 32 * 64 / 32);
        loads[(*l)->level - 1] = (double)n.load_sectors / (double)n.least_load_sectors;
    }
    cr_expect_gt(loads[0], 4, "level 1: %.2f", loads[0]);
    cr_expect_leq(loads[1], 1.001, "level 2: %.2f", loads[1]);
}
