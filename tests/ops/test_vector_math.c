/* Our own exp, sigmoid, tanh, log1p: distance from the C library's double result over floats of
 * every magnitude, and the same bits on every instruction set. (long_vector_math.c takes every
 * float.) */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"
#include "ops/cpu/dispatch.h"
#include "tests/lib/vector_math.h"

enum { STRIDE = 4099 }; /* a prime: all exponents, about a million floats */

Test(vector_math, within_its_ulp) {
    for (int f = 0; f < VECTOR_FUNCTIONS; f++) {
        float at = 0;
        double worst = vector_function_error(f, STRIDE, &at);
        printf("%-10s worst %.2f ulp at %g\n", vector_function_name(f), worst, (double)at);
        cr_expect_leq(worst, vector_function_limit(f), "%s: %.2f ulp at %a",
                      vector_function_name(f), worst, (double)at);
    }
}

Test(vector_math, special_values) {
    cr_expect_eq(vector_function(0, 0.0f), 1.0f); /* exp */
    cr_expect_eq(vector_function(0, -INFINITY), 0.0f);
    cr_expect_gt(vector_function(0, INFINITY), 1e38f);
    cr_expect_eq(vector_function(1, 0.0f), 0.5f); /* sigmoid */
    cr_expect_eq(vector_function(1, INFINITY), 1.0f);
    cr_expect_eq(vector_function(1, -INFINITY), 0.0f);
    cr_expect_eq(vector_function(2, INFINITY), 1.0f); /* tanh */
    cr_expect_eq(vector_function(2, -INFINITY), -1.0f);
    for (int f = 0; f < 3; f++) cr_expect(isnan(vector_function(f, NAN)));
}

static bool same_but_nan(const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* The ops that are these functions, over a million floats of all kinds, NaN and infinity
 * included. */
Test(vector_math, same_bits_on_every_isa) {
    static const char *const ops[] = {"sigmoid", "silu", "tanh"};
    int64_t n = (1LL << 32) / STRIDE;
    float *x = malloc((size_t)n * sizeof *x), *want = malloc((size_t)n * sizeof *x);
    float *got = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)(i * STRIDE);
        memcpy(x + i, &bits, sizeof bits);
    }
    for (int o = 0; o < 3; o++) {
        mg_op_id id = mg_op_find(ops[o]);
        mg_op_call c = {.inputs = 1, .x = {x}, .x_shape = {MG_SHAPE(n)}, .y_shape = MG_SHAPE(n)};
        for (int isa = 0; isa < MG_CPU_ISA_COUNT; isa++) {
            if (!mg_cpu_use((mg_isa)isa)) continue;
            c.y = isa ? got : want;
            mg_op_kernels(id, MG_DEVICE_CPU, MG_F32)->forward(&c);
            cr_expect(!isa || same_but_nan(want, got, n), "%s differs on %s", ops[o],
                      mg_isa_name((mg_isa)isa));
        }
    }
    free(x), free(want), free(got);
}
