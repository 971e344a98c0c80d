#include "tests/lib/vector_math.h"

#include <float.h>
#include <math.h>

#include "ops/cpu/vec.h" /* without MG_ISA_…: the scalar build, whose bits all others share */

static double exact_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double exact_silu(double x) { return x / (1 + exp(-x)); }
static double exact_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

/* Results below FLT_MIN may be flushed to zero, hence the domains of exp, sigmoid and softplus. */
static const struct {
    const char *name;
    v16 (*function)(v16);
    double (*exact)(double);
    float low, high;
    double limit;
} functions[VECTOR_FUNCTIONS] = {
    {"exp", v16_exp, exp, -87.33f, 88.02f, 2},
    {"sigmoid", v16_sigmoid, exact_sigmoid, -87.33f, FLT_MAX, 2.5},
    {"tanh", v16_tanh, tanh, -FLT_MAX, FLT_MAX, 2},
    {"log1p", v16_log1p_unit, log1p, 0, 1, 2},
    {"softplus", v16_softplus, exact_softplus, -87.33f, FLT_MAX, 4},
    {"silu", v16_silu, exact_silu, -86.6f, FLT_MAX, 3},
};

const char *vector_function_name(int f) { return functions[f].name; }
double vector_function_limit(int f) { return functions[f].limit; }

float vector_function(int f, float x) {
    float lanes[16];
    v16_store(lanes, functions[f].function(v16_set(x)));
    return lanes[0];
}

static double ulps(float got, double want) {
    int exponent;
    frexp(want, &exponent);
    if (exponent < -125) exponent = -125; /* denormal results have a fixed unit */
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

double vector_function_error(int f, uint32_t stride, float *at) {
    float x[16], y[16];
    double worst = 0;
    int filled = 0;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += stride) {
        uint32_t b = (uint32_t)bits;
        memcpy(x + filled, &b, sizeof b);
        if (x[filled] >= functions[f].low && x[filled] <= functions[f].high) filled++;
        if (filled < 16) continue;
        filled = 0;
        v16_store(y, functions[f].function(v16_load(x)));
        for (int i = 0; i < 16; i++) {
            double e = ulps(y[i], functions[f].exact((double)x[i]));
            if (e <= worst) continue;
            worst = isnan(e) ? INFINITY : e;
            *at = x[i];
        }
    }
    return worst;
}
