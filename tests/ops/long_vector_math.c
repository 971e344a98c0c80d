/* Every float there is through our own exp, sigmoid, tanh and log1p (minutes). */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/lib/vector_math.h"

Test(vector_math, every_float, .timeout = 7200) {
    for (int f = 0; f < VECTOR_FUNCTIONS; f++) {
        float at = 0;
        double worst = vector_function_error(f, 1, &at);
        printf("%-10s worst %.3f ulp at %a\n", vector_function_name(f), worst, (double)at);
        cr_expect_leq(worst, vector_function_limit(f), "%s: %.3f ulp at %a",
                      vector_function_name(f), worst, (double)at);
    }
}
