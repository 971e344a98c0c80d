/* Matrix products by cuBLAS, the one thing it is used for.
 *
 *     C = alpha op(A) op(B) + beta C,   row-major
 *
 * cuBLAS is column-major: a row-major matrix is its transpose there, so C is asked for as
 * C^T = op(B)^T op(A)^T, which only swaps the operands and their sizes.
 *
 * Arithmetic (gemm_precision): 0, f32 throughout; 1, TF32 on the tensor cores (10 bits of
 * mantissa); 2, both operands rounded to bf16 (7 bits) by convert_kernel, sums in f32. C is f32
 * always. The rounded copies live in stream-ordered memory for the length of the product. */
#include "cuda/kernel.h"
#include "cuda/plugin.h"

#include <cuda_bf16.h> /* after kernel.h: the emulator spells __shared__ first */

enum { F32, TF32, BF16, THREADS = 256 };

static cublasHandle_t blas;
static int mode;

static bool ok(cublasStatus_t status, const char *what) {
    if (status == CUBLAS_STATUS_SUCCESS) return true;
    mg_cuda_fail("%s failed: cuBLAS status %d", what, (int)status);
    return false;
}

void mg_cuda_gemm_precision(int chosen) {
    mode = chosen;
    if (blas)
        ok(cublasSetMathMode(blas,
                             mode == TF32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH),
           "setting cuBLAS's arithmetic");
}

bool mg_cuda_gemm_open(void) {
    if (!ok(cublasCreate(&blas), "starting cuBLAS") ||
        !ok(cublasSetStream(blas, mg_cuda_stream()), "giving cuBLAS its stream"))
        return false;
    mg_cuda_gemm_precision(mode);
    return true;
}

void mg_cuda_gemm_close(void) {
    if (blas) cublasDestroy(blas);
    blas = NULL;
}

/* --- bf16 ------------------------------------------------------------------------------------- */

/* A thread rounds four elements, the last thread the tail: 16 bytes in, 8 out. */
__global__ void __launch_bounds__(THREADS)
    convert_kernel(const float *__restrict__ x, __nv_bfloat16 *__restrict__ y, int64_t n,
                   bool aligned) {
    const int64_t i = 4 * ((int64_t)blockIdx.x * THREADS + threadIdx.x);
    if (aligned && i + 4 <= n) {
        const float4 v = *reinterpret_cast<const float4 *>(x + i);
        const __nv_bfloat162 pair[2] = {__floats2bfloat162_rn(v.x, v.y),
                                        __floats2bfloat162_rn(v.z, v.w)};
        reinterpret_cast<__nv_bfloat162 *>(y + i)[0] = pair[0];
        reinterpret_cast<__nv_bfloat162 *>(y + i)[1] = pair[1];
    } else {
        for (int64_t k = i; k < i + 4 && k < n; k++) y[k] = __float2bfloat16_rn(x[k]);
    }
}

/* NULL when the device is full: the failure is noted. */
static __nv_bfloat16 *rounded(const float *x, int64_t n) {
    __nv_bfloat16 *y = (__nv_bfloat16 *)mg_cuda_memory.alloc((size_t)n * sizeof *y, "bf16 operand");
    if (!y) return NULL;
    mg_cuda_cost(6.0 * (double)n, 0);
    MG_LAUNCH(convert_kernel, (unsigned)mg_ceil_div(n, 4 * THREADS), THREADS, 0, x, y, n,
              mg_aligned16(x));
    return y;
}

/* Elements from the first to the last of a strided batch of row-major matrices. */
static int64_t extent(int64_t rows, int64_t columns, int64_t row_length, int64_t batch,
                      int64_t stride) {
    return (batch - 1) * stride + (rows - 1) * row_length + columns;
}

static bool multiply_bf16(const mg_gemm *g, cublasOperation_t a, cublasOperation_t b,
                          int64_t batch) {
    const int64_t rows_a = g->transpose_a ? g->k : g->m, columns_a = g->transpose_a ? g->m : g->k;
    const int64_t rows_b = g->transpose_b ? g->n : g->k, columns_b = g->transpose_b ? g->k : g->n;
    __nv_bfloat16 *x = rounded(g->a, extent(rows_a, columns_a, g->lda, batch, g->stride_a));
    __nv_bfloat16 *w = rounded(g->b, extent(rows_b, columns_b, g->ldb, batch, g->stride_b));
    bool done = x && w;
    for (int64_t i = 0; i < batch && done; i++)
        done = ok(cublasGemmEx(blas, b, a, (int)g->n, (int)g->m, (int)g->k, &g->alpha,
                               w + i * g->stride_b, CUDA_R_16BF, (int)g->ldb, x + i * g->stride_a,
                               CUDA_R_16BF, (int)g->lda, &g->beta, g->c + i * g->stride_c,
                               CUDA_R_32F, (int)g->ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                  "cublasGemmEx");
    mg_cuda_memory.free(x);
    mg_cuda_memory.free(w);
    return done;
}

/* --- the product ------------------------------------------------------------------------------ */

static bool multiply_f32(const mg_gemm *g, cublasOperation_t a, cublasOperation_t b,
                         int64_t batch) {
    const int m = (int)g->m, n = (int)g->n, k = (int)g->k;
    if (batch > 1)
        return ok(cublasSgemmStridedBatched(blas, b, a, n, m, k, &g->alpha, g->b, (int)g->ldb,
                                            g->stride_b, g->a, (int)g->lda, g->stride_a, &g->beta,
                                            g->c, (int)g->ldc, g->stride_c, (int)batch),
                  "cublasSgemmStridedBatched");
    return ok(cublasSgemm(blas, b, a, n, m, k, &g->alpha, g->b, (int)g->ldb, g->a, (int)g->lda,
                          &g->beta, g->c, (int)g->ldc),
              "cublasSgemm");
}

void mg_cuda_gemm(const mg_gemm *g) {
    const int64_t batch = g->batch > 1 ? g->batch : 1;
    const double elements =
        (double)batch * ((double)g->m * (double)g->k + (double)g->k * (double)g->n +
                         (double)g->m * (double)g->n * (g->beta != 0 ? 2 : 1));
    mg_cuda_cost(4 * elements, 2.0 * (double)batch * (double)g->m * (double)g->n * (double)g->k);
    const char *name = mode == BF16 ? "cublasGemmEx" : "cublasSgemm";
    if (!mg_cuda_before_launch(name, dim3(1), dim3(1), 0, __FILE__, __LINE__)) return;
    const cublasOperation_t a = g->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t b = g->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const bool done = mode == BF16 ? multiply_bf16(g, a, b, batch) : multiply_f32(g, a, b, batch);
    if (done) mg_cuda_after_launch();
}
