/* kernel.h: the one header of every cuda/X.cu, for both of its compilers.
 *
 * nvcc makes the real device. Any C++17 compiler makes the same source into the emulated device
 * "simt" (tests/simt), on which races, overruns and missing barriers are found without a GPU. What
 * differs between the two worlds is spelled by macros:
 *
 *     MG_SHARED(float, tile, [16][17]);       __shared__ float tile[16][17];
 *     MG_DYNAMIC_SHARED(float, row);          extern __shared__ float row[];
 *     MG_LAUNCH(kernel, grid, block, shared_bytes, arguments…);
 *     MG_LAUNCH((kernel<5, 2>), …);           template arguments want parentheses
 *
 * MG_LAUNCH queues the kernel on the compute stream and notes a failure with the kernel's name and
 * launch configuration (runtime.h). Everything else is plain CUDA C.
 *
 * Rules: no float atomics and no order that depends on the schedule (every run gives the same
 * bits); accesses of 16 bytes wherever the addresses allow, with tails for any size; no thread
 * returns before a barrier; indices that can pass 2^31 are int64_t. */
#ifndef MG_CUDA_KERNEL_H
#define MG_CUDA_KERNEL_H

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define MG_SHARED(T, name, dims) __shared__ T name dims
#define MG_DYNAMIC_SHARED(T, name)                                                                 \
    extern __shared__ __align__(16) unsigned char mg_dynamic_shared_[];                            \
    T *name = reinterpret_cast<T *>(mg_dynamic_shared_)
#define MG_LAUNCH_ON(stream, kernel, grid, block, shared_bytes, ...)                               \
    (kernel)<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
#else
#include "simt.h"
#define MG_SHARED(T, name, dims)   SIMT_SHARED(T, name, dims)
#define MG_DYNAMIC_SHARED(T, name) SIMT_DYNAMIC_SHARED(T, name)
#define MG_LAUNCH_ON(stream, kernel, grid, block, shared_bytes, ...)                               \
    SIMT_LAUNCH(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#endif

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
extern "C" {
#include "ops/op.h"
}
#include "cuda/runtime.h"

#define MG_LAUNCH(kernel, grid, block, shared_bytes, ...)                                          \
    do {                                                                                           \
        const dim3 mg_grid_(grid), mg_block_(block);                                               \
        const size_t mg_shared_ = (shared_bytes);                                                  \
        if (mg_cuda_before_launch(#kernel, mg_grid_, mg_block_, mg_shared_, __FILE__, __LINE__)) { \
            MG_LAUNCH_ON(mg_cuda_stream(), kernel, mg_grid_, mg_block_, mg_shared_, __VA_ARGS__);  \
            mg_cuda_after_launch();                                                                \
        }                                                                                          \
    } while (0)

/* What an op's file exports: mg_cuda_silu and so on, listed by plugin.cu. */
#define MG_CUDA_OP(name, ...)                                                                      \
    extern "C" const mg_kernels mg_cuda_##name;                                                    \
    const mg_kernels mg_cuda_##name = {__VA_ARGS__}

#define MG_WARP      32
#define MG_FULL_WARP 0xFFFFFFFFu

static inline int64_t mg_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline bool mg_aligned16(const void *p) { return ((uintptr_t)p & 15) == 0; }

/* Sum over a warp; every lane gets it. A fixed tree: the same bits on every run. */
__device__ __forceinline__ float mg_warp_sum(float v) {
#pragma unroll
    for (int offset = MG_WARP / 2; offset > 0; offset /= 2)
        v += __shfl_xor_sync(MG_FULL_WARP, v, offset);
    return v;
}

#endif
