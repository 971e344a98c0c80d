/* dispatch.h: which instruction set the CPU kernels use.
 *
 * Each ops/cpu/X.c is compiled once per instruction set (vec.h) and exports one mg_kernels per
 * build. CPUID and XGETBV are read once; the environment variable MG_CPU (scalar, avx2, avx512)
 * masks features so that tests can walk all variants. All variants give the same bits. */
#ifndef MG_OPS_CPU_DISPATCH_H
#define MG_OPS_CPU_DISPATCH_H

#include <stdbool.h>

#include "ops/op.h"

typedef enum mg_isa { MG_CPU_SCALAR, MG_CPU_AVX2, MG_CPU_AVX512, MG_CPU_ISA_COUNT } mg_isa;

const char *mg_isa_name(mg_isa isa);
/* Whether this machine and operating system can run it. */
bool mg_isa_available(mg_isa isa);
/* The set in use. */
mg_isa mg_cpu_isa(void);
/* Switches; false when this machine cannot. For tests and benchmarks, not thread-safe. */
bool mg_cpu_use(mg_isa isa);

/* Kernels of op number id (mg_op_id) for the set in use; NULL when the op has none. */
const mg_kernels *mg_cpu_kernels(int id);

/* The forms of kernels in less than f32, which an op's kernels hand over to: in bfloat16 for
 * inference (mg_attr.bf16) and in f32 by halves (mg_attr.relaxed, gemm_halves.h). Their products
 * are the work of one of these units; results differ by rounding between units. */
typedef enum mg_bf16_kernel {
    MG_BF16_MBCONV,
    MG_BF16_POINTWISE_CONV,
    MG_HALVES_MBCONV,
    MG_HALVES_POINTWISE_CONV,
    MG_HALVES_NORM_GATE_PROJECT,
    MG_BF16_COUNT
} mg_bf16_kernel;

typedef enum mg_bf16_unit {
    MG_BF16_F32,        /* f32 multiply-adds of the set in use */
    MG_BF16_AVX512,     /* AVX512-BF16's dot product of pairs */
    MG_BF16_AMX,        /* tiles.h */
    MG_BF16_TILES_IN_C, /* the same bits as AMX, slowly: for tests */
    MG_BF16_UNIT_COUNT
} mg_bf16_unit;

const char *mg_bf16_unit_name(mg_bf16_unit unit); /* f32, avx512bf16, amx, tiles-in-c */
/* The unit in use: AMX, else AVX512-BF16, where the machine has them and the set in use is AVX-512.
 * MG_CPU=avx512bf16 and MG_CPU=amx ask for AVX-512 with that unit, other values for f32. */
mg_bf16_unit mg_cpu_bf16_unit(void);
/* Switches; false when this machine (or the set in use) cannot. Not thread-safe, as mg_cpu_use. */
bool mg_cpu_use_bf16_unit(mg_bf16_unit unit);

/* NULL: the unit has no such form (halves want tiles). */
const mg_kernels *mg_cpu_bf16_kernels(mg_bf16_kernel kernel);

#endif
