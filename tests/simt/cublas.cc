/* cuBLAS, as far as the project uses it: GEMM on the emulated device, queued like a kernel.
 * Matrices are column-major: element (i, j) of A lies at a[i + j * lda]. */
#include "internal.h"

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cstdlib>
#include <vector>

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
};

namespace {

struct Matrix {
    const void *data;
    cudaDataType type;
    int leading; /* distance of columns, in elements */
    long long stride;
    bool transposed;
};

struct Gemm {
    int m, n, k, batch;
    float alpha, beta;
    Matrix a, b, c;
    uintptr_t caller;
};

size_t element(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

const char *at(const Matrix &x, int batch) {
    return (const char *)x.data + (long long)element(x.type) * x.stride * batch;
}

/* A stored matrix of rows x columns is read or written: only its rows count, not the gaps. */
void touch_columns(const Matrix &x, int batch, int rows, int columns, bool write,
                   uintptr_t caller) {
    for (int j = 0; j < columns; j++)
        simt::touch(at(x, batch) + element(x.type) * (size_t)j * x.leading,
                    element(x.type) * (size_t)rows, write, "cuBLAS", caller);
}

/* op(X) as a dense row-major float matrix: rows x columns, or its transpose when `turn`. */
void gather(const Matrix &x, int batch, int rows, int columns, bool turn, float *out) {
    const char *data = at(x, batch);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            const size_t from =
                x.transposed ? (size_t)i * x.leading + j : (size_t)j * x.leading + i;
            float v;
            if (x.type == CUDA_R_32F) v = ((const float *)data)[from];
            else v = __bfloat162float(((const __nv_bfloat16 *)data)[from]);
            out[turn ? (size_t)j * rows + i : (size_t)i * columns + j] = v;
        }
}

/* sum[j][i] = sum over l of A[i][l] B[l][j]: for a fixed j, four columns of A at a time are scaled
 * and added, so that the inner loop runs over contiguous i. */
void multiply(const Gemm &g, const float *a, const float *b, float *sum) {
    constexpr int block = 64;
    const int m = g.m, k = g.k;
    memset(sum, 0, sizeof(float) * (size_t)m * g.n);
    for (int l0 = 0; l0 < k; l0 += block)
        for (int j = 0; j < g.n; j++) {
            const int l1 = l0 + block < k ? l0 + block : k;
            float *s = sum + (size_t)j * m;
            for (int l = l0; l < l1; l++) {
                const float *column = a + (size_t)l * m;
                const float factor = b[(size_t)j * k + l];
                for (int i = 0; i < m; i++) s[i] += column[i] * factor;
            }
        }
}

void run(const Gemm &g) {
    if (simt::checker) simt::checker->begin("cuBLAS");
    std::vector<float> a((size_t)g.m * g.k), b((size_t)g.k * g.n), sum((size_t)g.m * g.n);
    for (int q = 0; q < g.batch; q++) {
        touch_columns(g.a, q, g.a.transposed ? g.k : g.m, g.a.transposed ? g.m : g.k, false,
                      g.caller);
        touch_columns(g.b, q, g.b.transposed ? g.n : g.k, g.b.transposed ? g.k : g.n, false,
                      g.caller);
        if (g.beta != 0) touch_columns(g.c, q, g.m, g.n, false, g.caller);
        gather(g.a, q, g.m, g.k, true, a.data());
        gather(g.b, q, g.k, g.n, true, b.data());
        multiply(g, a.data(), b.data(), sum.data());
        touch_columns(g.c, q, g.m, g.n, true, g.caller);
        char *c = (char *)at(g.c, q);
        for (int j = 0; j < g.n; j++)
            for (int i = 0; i < g.m; i++) {
                const size_t to = (size_t)j * g.c.leading + i;
                const float v = g.alpha * sum[(size_t)j * g.m + i];
                if (g.c.type == CUDA_R_32F) {
                    float *out = (float *)c + to;
                    *out = g.beta != 0 ? v + g.beta * *out : v;
                } else {
                    __nv_bfloat16 *out = (__nv_bfloat16 *)c + to;
                    *out = __float2bfloat16(g.beta != 0 ? v + g.beta * __bfloat162float(*out) : v);
                }
            }
    }
}

bool known(cudaDataType type) { return type == CUDA_R_32F || type == CUDA_R_16BF; }

cublasStatus_t submit_gemm(cublasHandle_t handle, const Gemm &g) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!known(g.a.type) || g.a.type != g.b.type || !known(g.c.type))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const int rows_a = g.a.transposed ? g.k : g.m, rows_b = g.b.transposed ? g.n : g.k;
    const auto low = [](int leading, int rows) { return leading < (rows > 1 ? rows : 1); };
    if (g.m < 0 || g.n < 0 || g.k < 0 || g.batch < 0 || low(g.a.leading, rows_a) ||
        low(g.b.leading, rows_b) || low(g.c.leading, g.m)) {
        simt::finding("memcheck", simt::source_line(g.caller),
                      "cuBLAS: m %d, n %d, k %d do not fit leading dimensions %d, %d, %d", g.m, g.n,
                      g.k, g.a.leading, g.b.leading, g.c.leading);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (!g.m || !g.n) return CUBLAS_STATUS_SUCCESS;
    for (const void *p : {g.a.data, g.b.data, (const void *)g.c.data})
        if (!simt::is_device(p)) {
            simt::finding("memcheck", simt::source_line(g.caller),
                          "cuBLAS is given host memory, %p", p);
            return CUBLAS_STATUS_INVALID_VALUE;
        }
    simt::submit(handle->stream, [g] { run(g); });
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    *handle = new cublasContext{};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void *, size_t) {
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                              int m, int n, int k, const float *alpha, const float *a, int lda,
                              const float *b, int ldb, const float *beta, float *c, int ldc) {
    return submit_gemm(handle, {m,
                                n,
                                k,
                                1,
                                *alpha,
                                *beta,
                                {a, CUDA_R_32F, lda, 0, ta != CUBLAS_OP_N},
                                {b, CUDA_R_32F, ldb, 0, tb != CUBLAS_OP_N},
                                {c, CUDA_R_32F, ldc, 0, false},
                                SIMT_CALLER});
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t ta,
                                         cublasOperation_t tb, int m, int n, int k,
                                         const float *alpha, const float *a, int lda,
                                         long long stride_a, const float *b, int ldb,
                                         long long stride_b, const float *beta, float *c, int ldc,
                                         long long stride_c, int batch) {
    return submit_gemm(handle, {m,
                                n,
                                k,
                                batch,
                                *alpha,
                                *beta,
                                {a, CUDA_R_32F, lda, stride_a, ta != CUBLAS_OP_N},
                                {b, CUDA_R_32F, ldb, stride_b, tb != CUBLAS_OP_N},
                                {c, CUDA_R_32F, ldc, stride_c, false},
                                SIMT_CALLER});
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                            int m, int n, int k, const void *alpha, const void *a,
                            cudaDataType type_a, int lda, const void *b, cudaDataType type_b,
                            int ldb, const void *beta, void *c, cudaDataType type_c, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t) {
    if (compute == CUBLAS_COMPUTE_16F || compute == CUBLAS_COMPUTE_64F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return submit_gemm(handle, {m,
                                n,
                                k,
                                1,
                                *(const float *)alpha,
                                *(const float *)beta,
                                {a, type_a, lda, 0, ta != CUBLAS_OP_N},
                                {b, type_b, ldb, 0, tb != CUBLAS_OP_N},
                                {c, type_c, ldc, 0, false},
                                SIMT_CALLER});
}
const char *cublasGetStatusString(cublasStatus_t status) {
    return status == CUBLAS_STATUS_SUCCESS         ? "success"
           : status == CUBLAS_STATUS_INVALID_VALUE ? "invalid value"
                                                   : "not supported";
}
}
