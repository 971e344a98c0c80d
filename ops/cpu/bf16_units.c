/* Which unit multiplies in bfloat16 (dispatch.h). */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ops/cpu/dispatch.h"

#if defined(MG_HAVE_AMX) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tiles are 8 KiB of state more for every thread that uses them, so Linux wants to be asked first
 * (since 5.16); the answer holds for the process and all threads to come. It is no where processor,
 * kernel, hypervisor or sandbox cannot. */
static bool amx_available(void) {
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, ARCH_REQUEST_STATE = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQUEST_STATE, TILE_DATA) == 0;
}
#else
static bool amx_available(void) { return false; }
#endif

/* Rows in the order of mg_bf16_kernel. */
#define DECLARE(set)                                                                               \
    extern const mg_kernels mg_cpu_mbconv_bf16_##set, mg_cpu_pointwise_conv_bf16_##set;
#define PAIRS(set) &mg_cpu_mbconv_bf16_##set, &mg_cpu_pointwise_conv_bf16_##set
#define HALVES_DECLARE(set)                                                                        \
    extern const mg_kernels mg_cpu_mbconv_##set, mg_cpu_pointwise_conv_##set,                      \
        mg_cpu_norm_gate_project_##set;
#define HALVES(set)                                                                                \
    &mg_cpu_mbconv_##set, &mg_cpu_pointwise_conv_##set, &mg_cpu_norm_gate_project_##set

DECLARE(scalar)
DECLARE(tiles)
HALVES_DECLARE(halves_in_c)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
DECLARE(avx512bf16)
#endif
#if defined(MG_HAVE_AMX)
DECLARE(amx)
HALVES_DECLARE(halves)
#endif

static const mg_kernels *const by_set[MG_CPU_ISA_COUNT][MG_BF16_COUNT] = {
    [MG_CPU_SCALAR] = {PAIRS(scalar)},
#if defined(__x86_64__)
    [MG_CPU_AVX2] = {PAIRS(avx2)},
    [MG_CPU_AVX512] = {PAIRS(avx512)},
#endif
};
static const mg_kernels *const by_unit[MG_BF16_UNIT_COUNT][MG_BF16_COUNT] = {
#if defined(__x86_64__)
    [MG_BF16_AVX512] = {PAIRS(avx512bf16)},
#endif
#if defined(MG_HAVE_AMX)
    [MG_BF16_AMX] = {PAIRS(amx), HALVES(halves)},
#endif
    [MG_BF16_TILES_IN_C] = {PAIRS(tiles), HALVES(halves_in_c)},
};

const char *mg_bf16_unit_name(mg_bf16_unit unit) {
    static const char *const names[MG_BF16_UNIT_COUNT] = {"f32", "avx512bf16", "amx", "tiles-in-c"};
    return names[unit];
}

static bool available(mg_bf16_unit unit) {
    if (unit == MG_BF16_F32 || unit == MG_BF16_TILES_IN_C) return true;
    if (mg_cpu_isa() != MG_CPU_AVX512) return false;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512bf16")) return false;
#endif
    return unit == MG_BF16_AVX512 || amx_available();
}

static _Atomic int current = -1; /* an mg_bf16_unit once chosen; any thread finds the same */

bool mg_cpu_use_bf16_unit(mg_bf16_unit unit) {
    if (!available(unit)) return false;
    atomic_store_explicit(&current, (int)unit, memory_order_relaxed);
    return true;
}

static mg_bf16_unit choose(void) {
    const char *asked = getenv("MG_CPU");
    int unit = MG_BF16_AMX;
    while (asked && unit > 0 && strcmp(asked, mg_bf16_unit_name((mg_bf16_unit)unit)) != 0) unit--;
    while (!available((mg_bf16_unit)unit)) unit--;
    return (mg_bf16_unit)unit;
}

mg_bf16_unit mg_cpu_bf16_unit(void) {
    int unit = atomic_load_explicit(&current, memory_order_relaxed);
    if (unit < 0) mg_cpu_use_bf16_unit((mg_bf16_unit)(unit = (int)choose()));
    bool wants_avx512 = unit == MG_BF16_AVX512 || unit == MG_BF16_AMX;
    return wants_avx512 && mg_cpu_isa() != MG_CPU_AVX512 ? MG_BF16_F32 : (mg_bf16_unit)unit;
}

const mg_kernels *mg_cpu_bf16_kernels(mg_bf16_kernel kernel) {
    mg_bf16_unit unit = mg_cpu_bf16_unit();
    return unit == MG_BF16_F32 ? by_set[mg_cpu_isa()][kernel] : by_unit[unit][kernel];
}
