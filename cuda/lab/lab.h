/* lab.h: teaching ladders, one op in four to six levels from naive to production.
 *
 * Each level adds one idea to the level before and says in its first lines what the idea buys. A
 * level is a whole forward of its op with the same contract as the real kernels, so that it is
 * checked by the same tests (tests/cuda/test_simt_lab.c) and counted by the same tools; its
 * backward is the production one. docs/lab.md walks through the ladders with counted figures. */
#ifndef MG_CUDA_LAB_H
#define MG_CUDA_LAB_H

#include "cuda/kernel.h"
extern "C" {
#include "ops/device.h"
}

/* Backward and its scratch memory from the production kernels, forward's scratch from the level. */
#define MG_LAB_BORROW(op, forward_floats)                                                          \
    extern "C" const mg_kernels mg_cuda_##op;                                                      \
    static void backward(const mg_op_call *c) { mg_cuda_##op.backward(c); }                        \
    static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {                     \
        const size_t production =                                                                  \
            mg_cuda_##op.scratch_bytes ? mg_cuda_##op.scratch_bytes(c, back, threads) : 0;         \
        const size_t own = back ? 0 : (size_t)(forward_floats) * sizeof(float);                    \
        return own > production ? own : production;                                                \
    }

/* What a level's file exports; cuda/lab/lab.cu lists them. */
#define MG_LAB_LEVEL(op, number, name, idea)                                                       \
    extern "C" const mg_lab_level mg_lab_##op##_##number;                                          \
    const mg_lab_level mg_lab_##op##_##number = {                                                  \
        MG_OP_##op, number, name, idea, __FILE__, {forward, backward, scratch_bytes}}

#endif
