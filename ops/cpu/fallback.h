/* fallback.h: an op whose CPU kernel is its f32 reference, for ops too small to matter. */
#ifndef MG_OPS_CPU_FALLBACK_H
#define MG_OPS_CPU_FALLBACK_H

#include "ops/cpu/vec.h"

#define MG_CPU_FALLBACK(op)                                                                        \
    extern const mg_op mg_op_##op##_f32;                                                           \
    static void forward(const mg_op_call *c) { mg_op_##op##_f32.reference.forward(c); }            \
    static void backward(const mg_op_call *c) { mg_op_##op##_f32.reference.backward(c); }          \
    static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {                     \
        size_t (*f)(const mg_op_call *, bool, int) = mg_op_##op##_f32.reference.scratch_bytes;     \
        return f ? f(c, back, threads) : 0;                                                        \
    }                                                                                              \
    extern const mg_kernels MG_CPU_EXTERN(mg_cpu_##op);                                            \
    MG_CPU_KERNELS(op) = {forward, backward, scratch_bytes};

#endif
