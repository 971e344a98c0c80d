/* The lowest layer: errors, random numbers, the thread pool. */
#include <criterion/criterion.h>
#include <math.h>
#include <sched.h>
#include <string.h>

#include "tensor/cores.h"
#include "tensor/error.h"
#include "tensor/pool.h"
#include "tensor/rng.h"
#include "tests/lib/scratch.h"

Test(error, first_failure_wins) {
    mg_error err = {0};
    cr_assert_eq(mg_fail(&err, MG_ERR_IO, "cannot read %s", "a"), MG_ERR_IO);
    cr_assert_eq(mg_fail(&err, MG_ERR_ARG, "later"), MG_ERR_ARG);
    cr_assert_eq(err.code, MG_ERR_IO);
    mg_error_prefix(&err, "file %d", 7);
    cr_assert_str_eq(err.message, "file 7: cannot read a");
    mg_error_clear(&err);
    cr_assert_eq(err.code, MG_OK);
    cr_assert_eq(mg_fail(NULL, MG_ERR_IO, "nobody listens"), MG_ERR_IO);
}

/* Known answers of Random123's kat_vectors for philox4x32-10. */
Test(rng, philox_known_answers) {
    uint32_t w[4];
    mg_rng_words(&(mg_rng_key){0}, 0, w);
    cr_assert(w[0] == 0x6627e8d5 && w[1] == 0xe169c58d && w[2] == 0xbc57ac4c && w[3] == 0x9b00dbd8);
    mg_rng_key ones = {.seed = UINT64_MAX, .purpose = ~0u, .epoch = ~0u, .sample = ~0u};
    mg_rng_words(&ones, ~0u, w);
    cr_assert(w[0] == 0x408f276d && w[1] == 0x41c83b0e && w[2] == 0xa20bc7c6 && w[3] == 0x6d5451fd);
}

Test(rng, moments) {
    mg_rng_key key = {.seed = 5, .purpose = MG_RNG_TEST};
    double mean = 0, square = 0, uniform = 0;
    enum { N = 200000 };
    int counts[7] = {0};
    for (uint32_t i = 0; i < N; i++) {
        double z = mg_rng_normal(&key, i);
        mean += z / N;
        square += z * z / N;
        uniform += (double)mg_rng_uniform(&key, i) / N;
        counts[mg_rng_below(&key, i, 7)]++;
    }
    cr_assert_float_eq(mean, 0, 0.01);
    cr_assert_float_eq(square, 1, 0.02);
    cr_assert_float_eq(uniform, 0.5, 0.005);
    for (int i = 0; i < 7; i++) cr_assert(abs(counts[i] - N / 7) < 800);
}

typedef struct sums {
    int64_t chunk_sum[1000];
    int hits[1000];
} sums;

static void add_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    sums *s = arg;
    s->hits[chunk]++;
    for (int64_t i = 0; i <= chunk; i++) s->chunk_sum[chunk] += i;
}

Test(pool, every_chunk_once_at_any_thread_count) {
    for (int threads = 1; threads <= 5; threads++) {
        mg_pool *pool = mg_pool_create(threads);
        cr_assert_eq(mg_pool_threads(pool), threads);
        for (int repeat = 0; repeat < 300; repeat++) {
            sums s = {0};
            int64_t n = repeat % 7 == 0 ? 1000 : repeat % 5;
            mg_parallel_for(pool, n, add_chunk, &s);
            for (int64_t i = 0; i < 1000; i++) {
                cr_assert_eq(s.hits[i], i < n);
                cr_assert_eq(s.chunk_sum[i], i < n ? i * (i + 1) / 2 : 0);
            }
        }
        mg_pool_destroy(pool);
    }
}

/* Confined to one processor (taskset, a container's cpuset) a pool is one thread: two would spin in
 * each other's way. */
Test(pool, as_many_threads_as_processors_allowed) {
    cpu_set_t all, one;
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    cr_expect_eq(mg_cores(), mg_cores_within("/sys/fs/cgroup", CPU_COUNT(&all)));
    int first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    mg_pool *pool = mg_pool_create(0);
    cr_expect_eq(mg_cores(), 1);
    cr_expect_eq(mg_pool_threads(pool), 1);
    mg_pool_destroy(pool);
}

/* A container's quota counts as well as its processors do. */
Test(pool, as_many_threads_as_the_quota_allows) {
    scratch_make();
    const char *folder = scratch_path("v2");
    scratch_text("v2/cpu.max", "150000 100000\n");
    cr_assert_eq(mg_cores_within(folder, 64), 2);
    cr_assert_eq(mg_cores_within(folder, 1), 1);
    scratch_text("v2/cpu.max", "max 100000\n");
    cr_assert_eq(mg_cores_within(folder, 64), 64);
    scratch_text("v1/cpu/cpu.cfs_quota_us", "400000\n");
    scratch_text("v1/cpu/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(mg_cores_within(scratch_path("v1"), 64), 4);
    scratch_text("v1/cpu/cpu.cfs_quota_us", "-1\n");
    cr_assert_eq(mg_cores_within(scratch_path("v1"), 64), 64);
    cr_assert_eq(mg_cores_within(scratch_path("nothing"), 64), 64);
    scratch_remove();
}
