/* runtime.h: what the host side of every kernel file may ask of the device.
 *
 * One compute stream carries all kernels in order; a second one carries copies. Failures are
 * sticky: the first is kept with the kernel's name, its launch configuration, file and line and
 * CUDA's text, and everything after it is skipped until mg_memory.failure() has told it. With
 * MG_CUDA_SYNC=1 in the environment the device is waited for after every launch, so that an
 * asynchronous failure is told at the kernel that caused it. */
#ifndef MG_CUDA_RUNTIME_H
#define MG_CUDA_RUNTIME_H

#include <cublas_v2.h>

cudaStream_t mg_cuda_stream(void);      /* compute */
cudaStream_t mg_cuda_copy_stream(void); /* transfers beside it */
int mg_cuda_multiprocessors(void);

/* Bytes and flops that the next launch must at least move and do: for the audit's table. */
void mg_cuda_cost(double bytes, double flops);
/* false: skip the launch (an earlier failure, or launches are only recorded). */
bool mg_cuda_before_launch(const char *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                           const char *file, int line);
void mg_cuda_after_launch(void);
/* Notes a failed CUDA call ("what", e.g. "copying to the device"); true when it went well. */
bool mg_cuda_ok(cudaError_t status, const char *what);

/* Notes a failure in words; the first one counts. */
void mg_cuda_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Row-major C[m,n] = alpha·op(A)·op(B) + beta·C by cuBLAS, the only thing it is used for. op
 * transposes when asked; lda, ldb, ldc are row lengths in memory, in elements. */
typedef struct mg_gemm {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    float alpha, beta;
    /* batch > 1: strided batches */
    int64_t batch, stride_a, stride_b, stride_c;
} mg_gemm;
void mg_cuda_gemm(const mg_gemm *gemm);

#endif
