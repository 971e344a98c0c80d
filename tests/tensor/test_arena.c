/* The arena: where blocks lie, what is merged, what a refusal leaves behind, what was largest. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tensor/arena.h"

enum { UNIT = 64 };

static char *take(mg_arena *a, int units, const char *label) {
    return mg_arena_alloc(a, (size_t)units * UNIT, label);
}

Test(arena, first_fit_splits_and_merges) {
    mg_arena *a = mg_arena_create("test", 0);
    char *p[6];
    for (int i = 0; i < 6; i++) {
        p[i] = take(a, i + 1, "block");
        cr_assert_eq((uintptr_t)p[i] % UNIT, 0);
        cr_assert_eq(p[i] - p[0], i * (i + 1) / 2 * UNIT);
    }
    mg_arena_free(a, p[1]); /* 2 units at 1 */
    mg_arena_free(a, p[3]); /* 4 units at 6 */
    cr_assert_eq(take(a, 3, "split") - p[0], 6 * UNIT, "the first that is large enough");
    cr_assert_eq(take(a, 1, "rest") - p[0], 1 * UNIT);
    cr_assert_eq(take(a, 1, "rest") - p[0], 2 * UNIT);
    mg_arena_free(a, p[2]); /* 3 units at 3, beside nothing free */
    mg_arena_free(a, p[4]); /* 5 units at 10, behind the unit that the split left at 9 */
    cr_assert_eq(take(a, 6, "merged") - p[0], 9 * UNIT);
    mg_arena_free(a, p[5]); /* the last: the next large block grows from here */
    cr_assert_eq(take(a, 100, "grown") - p[0], 15 * UNIT);
    cr_assert_eq(mg_arena_used(a), (size_t)(1 + 1 + 1 + 3 + 6 + 100) * UNIT);
    mg_arena_reset(a, true);
    cr_assert_eq(mg_arena_used(a), 0);
    cr_assert_eq(take(a, 1, "again"), p[0]);
    mg_arena_destroy(a);
}

/* A refused block must leave nothing: the next one lies where it would have. */
Test(arena, a_refusal_leaves_no_trace) {
    mg_arena *a = mg_arena_create("test", 1 << 20);
    char *first = take(a, 2, "first"), *second = take(a, 1, "second");
    mg_arena_reset(a, false); /* slots now hold stale numbers */
    cr_assert_eq(take(a, 2, "first"), first);
    cr_assert_null(take(a, (1 << 20) / UNIT - 1, "too large"));
    cr_assert_null(mg_arena_alloc(a, SIZE_MAX, "far too large"));
    cr_assert_eq(mg_arena_used(a), 2 * UNIT);
    cr_assert_eq(take(a, 1, "second"), second);
    mg_arena_set_limit(a, 4 * UNIT);
    cr_assert_null(take(a, 2, "over the limit"));
    cr_assert_eq(take(a, 1, "within"), second + UNIT);
    mg_arena_destroy(a);
}

Test(arena, the_peak_keeps_its_largest_blocks) {
    mg_arena *a = mg_arena_create("test", 0);
    mg_arena_block top[3];
    take(a, 5, "five");
    char *nine = take(a, 9, "nine");
    take(a, 2, "two");
    cr_assert_eq(mg_arena_largest(a, top, 3), 3);
    cr_assert_str_eq(top[0].label, "nine");
    cr_assert_str_eq(top[2].label, "two");
    take(a, 7, "seven"); /* a higher peak after the question */
    mg_arena_free(a, nine);
    take(a, 1, "one");
    mg_arena_reset(a, false);
    cr_assert_eq(mg_arena_peak(a), 23 * UNIT);
    cr_assert_eq(mg_arena_largest(a, top, 3), 3);
    cr_assert_str_eq(top[0].label, "nine");
    cr_assert_str_eq(top[1].label, "seven");
    cr_assert_eq(top[1].bytes, 7 * UNIT);
    mg_arena_forget_peak(a);
    cr_assert_eq(mg_arena_largest(a, top, 3), 0);
    mg_arena_destroy(a);
}

/* 200,000 live blocks: looking through them for every new one would take minutes. */
Test(arena, many_blocks_are_no_burden, .timeout = 20) {
    mg_arena *a = mg_arena_create("test", 0);
    for (int i = 0; i < 200000; i++) cr_assert_not_null(take(a, 1, "one of many"));
    mg_arena_destroy(a);
}

Test(arena, fits_a_small_address_space) {
    struct rlimit space = {(rlim_t)1 << 31, (rlim_t)1 << 31};
    cr_assert_eq(setrlimit(RLIMIT_AS, &space), 0);
    mg_arena *a = mg_arena_create("one", 0), *b = mg_arena_create("two", 0);
    mg_arena *c = mg_arena_create("three", (size_t)1 << 30);
    cr_assert(a && b && c);
    cr_assert_not_null(malloc(100 << 20), "and leaves some for others");
    cr_assert_not_null(mg_arena_alloc(a, 64 << 20, "block"));
}
