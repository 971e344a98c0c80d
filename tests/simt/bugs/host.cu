/* The host's side: copies, streams, library calls. */
#include "planted.h"

#include <cublas_v2.h>

__global__ void twice(const float *x, float *y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2 * x[i];
}

static __attribute__((noinline)) void expect(float value, float right) {
    if (value != right) fprintf(stderr, "%g instead of %g\n", value, right);
}

template <bool bug> static void host_dereference() {
    Array x(32);
    volatile float value;
    if (bug) value = x.p[3]; /* BUG: host_dereference */
    else value = x.first();
    (void)value;
}
PLANT(host_dereference, "memcheck", BOTH);

template <bool bug> static void wrong_direction() {
    Array x(32);
    float host[32] = {0};
    const cudaMemcpyKind kind = bug ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
    cudaMemcpy(x.p, host, sizeof host, kind); /* BUG: wrong_direction */
}
PLANT(wrong_direction, "memcheck", BOTH);

template <bool bug> static void copy_overrun() {
    Array x(32);
    float host[33] = {0};
    const size_t n = bug ? 33 : 32;
    cudaMemcpy(x.p, host, n * sizeof(float), cudaMemcpyHostToDevice); /* BUG: copy_overrun */
}
PLANT(copy_overrun, "memcheck", BOTH);

template <bool bug> static void memset_in_elements() {
    Array x(32);
    const size_t bytes = 32 * sizeof(float);
    cudaMemset(x.p, 0, bug ? 32 * bytes : bytes); /* BUG: memset_in_elements */
}
PLANT(memset_in_elements, "memcheck", BOTH);

/* --- streams ---------------------------------------------------------------------------------- */

constexpr int many = 2048; /* floats: whole pages */

struct Streams {
    cudaStream_t compute, copies;
    cudaEvent_t event;
    float *pinned;
    Streams() {
        cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking);
        cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking);
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        cudaMallocHost((void **)&pinned, many * sizeof(float));
        for (int i = 0; i < many; i++) pinned[i] = (float)i;
    }
    ~Streams() {
        cudaStreamDestroy(compute);
        cudaStreamDestroy(copies);
        cudaEventDestroy(event);
        cudaFreeHost(pinned);
    }
};

template <bool bug> static void forgotten_synchronisation() {
    Array x(many), y(many);
    Streams s;
    SIMT_LAUNCH(twice, many / 256, 256, 0, s.compute, x.p, y.p, many);
    cudaMemcpyAsync(s.pinned, y.p, many * sizeof(float), cudaMemcpyDeviceToHost, s.compute);
    if (!bug) cudaStreamSynchronize(s.compute);
    expect(s.pinned[7], 14); /* BUG: forgotten_synchronisation */
}
PLANT(forgotten_synchronisation, "synccheck", BOTH);

/* The wrong stream is waited for. */
template <bool bug> static void wrong_stream_waited_for() {
    Array x(many), y(many);
    Streams s;
    SIMT_LAUNCH(twice, many / 256, 256, 0, s.compute, x.p, y.p, many);
    cudaMemcpyAsync(s.pinned, y.p, many * sizeof(float), cudaMemcpyDeviceToHost, s.compute);
    cudaStreamSynchronize(bug ? s.copies : s.compute);
    expect(s.pinned[many - 1], 2 * (many - 1)); /* BUG: wrong_stream_waited_for */
}
PLANT(wrong_stream_waited_for, "synccheck", BOTH);

/* The next batch is written into the buffer from which the last is still being copied. */
template <bool bug> static void buffer_refilled_early() {
    Array x(many);
    Streams s;
    cudaMemcpyAsync(x.p, s.pinned, many * sizeof(float), cudaMemcpyHostToDevice, s.copies);
    cudaEventRecord(s.event, s.copies);
    if (!bug) cudaEventSynchronize(s.event);
    s.pinned[0] = 5; /* BUG: buffer_refilled_early */
}
PLANT(buffer_refilled_early, "synccheck", BOTH);

/* A kernel on one stream uses what a copy on another brings. */
__global__ void uses(const float *x, float *y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const float value = x[i]; /* BUG: streams_unordered */
    y[i] = 2 * value;
}
template <bool bug> static void streams_unordered() {
    Array x(many), y(many);
    Streams s;
    cudaMemcpyAsync(x.p, s.pinned, many * sizeof(float), cudaMemcpyHostToDevice, s.copies);
    cudaEventRecord(s.event, s.copies);
    if (!bug) cudaStreamWaitEvent(s.compute, s.event, 0);
    SIMT_LAUNCH(uses, many / 256, 256, 0, s.compute, x.p, y.p);
    cudaDeviceSynchronize();
}
PLANT(streams_unordered, "racecheck", CHECKED);

/* The other way round: the copy overwrites what a kernel may still be reading. */
template <bool bug> static void overwritten_while_read() {
    Array x(many), y(many);
    Streams s;
    const size_t bytes = many * sizeof(float);
    if (bug) cudaEventRecord(s.event, s.compute); /* too early: before the kernel */
    SIMT_LAUNCH(twice, many / 256, 256, 0, s.compute, x.p, y.p, many);
    if (!bug) cudaEventRecord(s.event, s.compute);
    cudaStreamWaitEvent(s.copies, s.event, 0);
    /* BUG: overwritten_while_read */
    cudaMemcpyAsync(x.p, s.pinned, bytes, cudaMemcpyHostToDevice, s.copies);
    cudaDeviceSynchronize();
}
PLANT(overwritten_while_read, "racecheck", CHECKED);

/* --- cuBLAS ----------------------------------------------------------------------------------- */

/* C[m,n] = A[m,k] B[k,n], column-major. */
struct Gemm {
    cublasHandle_t handle;
    float one = 1, zero = 0;
    Gemm() { cublasCreate(&handle); }
    ~Gemm() { cublasDestroy(handle); }
};

template <bool bug> static void leading_dimension() {
    Gemm g;
    Array a(6), b(12), c(8);
    const int m = 2, n = 4, k = 3, ldb = bug ? n - 2 : k;
    /* BUG: leading_dimension */
    cublasSgemm(g.handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &g.one, a.p, m, b.p, ldb, &g.zero, c.p,
                m);
}
PLANT(leading_dimension, "memcheck", BOTH);

template <bool bug> static void gemm_out_of_bounds() {
    Gemm g;
    Array a(6), b(bug ? 11 : 12), c(8);
    /* BUG: gemm_out_of_bounds */
    cublasSgemm(g.handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 3, &g.one, a.p, 2, b.p, 3, &g.zero, c.p,
                2);
}
PLANT(gemm_out_of_bounds, "memcheck", BOTH);

template <bool bug> static void gemm_adds_to_nothing() {
    Gemm g;
    Array a(6), b(12), c(8, false);
    /* BUG: gemm_adds_to_nothing */
    cublasSgemm(g.handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 3, &g.one, a.p, 2, b.p, 3,
                bug ? &g.one : &g.zero, c.p, 2);
}
PLANT(gemm_adds_to_nothing, "initcheck", CHECKED);
