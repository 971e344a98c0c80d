#include "ops/cpu/dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ops/table.h"

#if defined(__x86_64__)
#define MG_CPU_DECLARE(name)                                                                       \
    extern const mg_kernels mg_cpu_##name##_scalar, mg_cpu_##name##_avx2, mg_cpu_##name##_avx512;
#define MG_CPU_ROW(name) {&mg_cpu_##name##_scalar, &mg_cpu_##name##_avx2, &mg_cpu_##name##_avx512},
#else
#define MG_CPU_DECLARE(name) extern const mg_kernels mg_cpu_##name##_scalar;
#define MG_CPU_ROW(name)     {&mg_cpu_##name##_scalar, NULL, NULL},
#endif
MG_OP_LIST(MG_CPU_DECLARE)
static const mg_kernels *const kernels[MG_OP_COUNT][MG_CPU_ISA_COUNT] = {MG_OP_LIST(MG_CPU_ROW)};

static _Atomic int current = -1; /* an mg_isa once chosen; any thread finds the same */

const char *mg_isa_name(mg_isa isa) {
    static const char *const names[MG_CPU_ISA_COUNT] = {"scalar", "avx2", "avx512"};
    return names[isa];
}

bool mg_isa_available(mg_isa isa) {
    if (isa == MG_CPU_SCALAR) return true;
#if defined(__x86_64__)
    /* The builtins check XGETBV too: a kernel that does not save zmm state says no. */
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == MG_CPU_AVX2) return avx2;
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
}

mg_isa mg_cpu_isa(void) {
    int chosen = atomic_load_explicit(&current, memory_order_relaxed);
    if (chosen >= 0) return (mg_isa)chosen;
    int best = MG_CPU_AVX512;
    const char *mask = getenv("MG_CPU");
    for (int i = 0; mask && i < MG_CPU_ISA_COUNT; i++)
        if (strcmp(mask, mg_isa_name((mg_isa)i)) == 0) best = i;
    while (!mg_isa_available((mg_isa)best)) best--;
    atomic_store_explicit(&current, best, memory_order_relaxed);
    return (mg_isa)best;
}

bool mg_cpu_use(mg_isa isa) {
    if (!mg_isa_available(isa)) return false;
    atomic_store_explicit(&current, (int)isa, memory_order_relaxed);
    return true;
}

const mg_kernels *mg_cpu_kernels(int id) { return kernels[id][mg_cpu_isa()]; }
