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

/* The bfloat16 forms of inference kernels (mg_attr.bf16), which an op's kernels hand over to. On
 * machines with AVX512-BF16 they use it unless MG_CPU names a set or mg_cpu_use_native_bf16(false)
 * was called; their results differ by rounding between instruction sets. */
typedef enum mg_bf16_kernel {
    MG_BF16_MBCONV,
    MG_BF16_POINTWISE_CONV,
    MG_BF16_COUNT
} mg_bf16_kernel;
const mg_kernels *mg_cpu_bf16_kernels(mg_bf16_kernel kernel);
/* False when this machine cannot (or could not be asked to). */
bool mg_cpu_use_native_bf16(bool use);

#endif
