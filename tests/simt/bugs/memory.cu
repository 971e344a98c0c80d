/* Memory: bounds, lifetime, initialisation, alignment. */
#include "planted.h"

template <bool bug> __global__ void copy_n(const float *x, float *y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (bug ? i <= n : i < n) y[i < n ? i : 0] = x[i]; /* BUG: read_past_end */
}
template <bool bug> static void read_past_end() {
    Array x(1000), y(1000);
    SIMT_LAUNCH(copy_n<bug>, 4, 256, 0, 0, x.p, y.p, 1000);
}
PLANT(read_past_end, "memcheck", CHECKED);

/* The grid is rounded up, and the tail is not cut off. */
template <bool bug> __global__ void fill_n(float *y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (!bug && i >= n) return;
    y[i] = 1; /* BUG: write_past_end */
}
template <bool bug> static void write_past_end() {
    Array y(1000);
    SIMT_LAUNCH(fill_n<bug>, 4, 256, 0, 0, y.p, 1000);
}
PLANT(write_past_end, "memcheck", CHECKED);

/* A structure stored straight from the call that returns it, not by an assignment. */
struct Half {
    short bits;
};
static Half half_of(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    const unsigned above = bits >> 16, below = bits & 0xffff;
    if ((bits & 0x7fffffff) > 0x7f800000) return {(short)(above | 64)};
    return {(short)(above + (below > 0x8000 || (below == 0x8000 && (above & 1))))};
}
template <bool bug> __global__ void round_n(const float *x, Half *y, int n) {
    const int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (!bug && i >= n) return;
    y[i] = half_of(x[i < n ? i : 0]); /* BUG: write_result_past_end */
    if (i + 1 < n) y[i + 1] = half_of(x[i + 1]);
}
template <bool bug> static void write_result_past_end() {
    Array x(1000), y(500);
    SIMT_LAUNCH(round_n<bug>, 2, 256, 0, 0, x.p, (Half *)y.p, 1000);
}
PLANT(write_result_past_end, "memcheck", CHECKED);

template <bool bug> __global__ void difference(const float *x, float *y) {
    const int t = threadIdx.x;
    const float left = bug || t > 0 ? x[t - 1] : 0; /* BUG: read_before_start */
    y[t] = x[t] - left;
}
template <bool bug> static void read_before_start() {
    Array x(64), y(64);
    SIMT_LAUNCH(difference<bug>, 1, 64, 0, 0, x.p, y.p);
}
PLANT(read_before_start, "memcheck", CHECKED);

template <bool bug> __global__ void static_row(float *y) {
    SIMT_SHARED(float, s, [16][16]);
    const int t = threadIdx.x;
    (&s[0][0])[t + bug] = (float)t; /* BUG: static_shared_overflow */
    __syncthreads();
    if (!bug) y[t] = s[t / 16][t % 16];
}
template <bool bug> static void static_shared_overflow() {
    Array y(256);
    SIMT_LAUNCH(static_row<bug>, 1, 256, 0, 0, y.p);
}
PLANT(static_shared_overflow, "memcheck", CHECKED);

template <bool bug> __global__ void dynamic_row(float *y) {
    SIMT_DYNAMIC_SHARED(float, s);
    const int t = threadIdx.x;
    s[t] = (float)t; /* BUG: dynamic_shared_overflow */
    __syncthreads();
    y[t] = s[t];
}
template <bool bug> static void dynamic_shared_overflow() {
    Array y(256);
    SIMT_LAUNCH(dynamic_row<bug>, 1, 256, (bug ? 255 : 256) * sizeof(float), 0, y.p);
}
PLANT(dynamic_shared_overflow, "memcheck", CHECKED);

/* Two shared arrays: what runs over the first must not silently land in the second. */
template <bool bug> __global__ void two_arrays(float *y) {
    SIMT_SHARED(float, a, [32]);
    SIMT_SHARED(float, b, [32]);
    const int t = threadIdx.x;
    b[t] = 0;
    a[bug ? 2 * t : t] = 1; /* BUG: into_the_next_array */
    __syncthreads();
    y[t] = a[t] + b[t];
}
template <bool bug> static void into_the_next_array() {
    Array y(32);
    SIMT_LAUNCH(two_arrays<bug>, 1, 32, 0, 0, y.p);
}
PLANT(into_the_next_array, "memcheck", CHECKED);

template <bool bug> __global__ void partly(float *y) {
    SIMT_SHARED(float, s, [64]);
    const int t = threadIdx.x;
    if (t < (bug ? 60 : 64)) s[t] = (float)t;
    __syncthreads();
    y[t] = s[t]; /* BUG: uninitialised_shared */
}
template <bool bug> static void uninitialised_shared() {
    Array y(64);
    SIMT_LAUNCH(partly<bug>, 1, 64, 0, 0, y.p);
}
PLANT(uninitialised_shared, "initcheck", CHECKED);

__global__ void accumulate(float *sum, const float *x) {
    sum[threadIdx.x] += x[threadIdx.x]; /* BUG: uninitialised_global */
}
template <bool bug> static void uninitialised_global() {
    Array sum(32, false), x(32);
    if (!bug) cudaMemset(sum.p, 0, 32 * sizeof(float));
    SIMT_LAUNCH(accumulate, 1, 32, 0, 0, sum.p, x.p);
}
PLANT(uninitialised_global, "initcheck", CHECKED);

/* The grid is one block short: the end of the output is never written, which shows at its use. */
__global__ void increase(const float *x, float *y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + 1;
}
template <bool bug> static void wrong_grid() {
    const int n = 300;
    Array x(n), y(n, false);
    std::vector<float> result(n);
    const int blocks = bug ? n / 128 : (n + 127) / 128;
    SIMT_LAUNCH(increase, blocks, 128, 0, 0, x.p, y.p, n);
    cudaMemcpy(result.data(), y.p, n * 4, cudaMemcpyDeviceToHost); /* BUG: wrong_grid */
}
PLANT(wrong_grid, "initcheck", CHECKED);

__global__ void by_fours(const float *x, float *y) {
    /* BUG: misaligned_float4 */
    reinterpret_cast<float4 *>(y)[threadIdx.x] = reinterpret_cast<const float4 *>(x)[threadIdx.x];
}
template <bool bug> static void misaligned_float4() {
    Array x(132), y(128);
    SIMT_LAUNCH(by_fours, 1, 32, 0, 0, x.p + (bug ? 1 : 4), y.p);
}
PLANT(misaligned_float4, "memcheck", CHECKED);

template <bool bug> __global__ void doubles(const float *x, float *y) {
    SIMT_SHARED(float, s, [66]);
    const int t = threadIdx.x;
    s[2 * t] = s[2 * t + 1] = x[t];
    if (t == 0) s[64] = s[65] = 0;
    __syncthreads();
    const double *d = reinterpret_cast<const double *>(s + (bug ? 1 : 2));
    y[t] = (float)d[t]; /* BUG: misaligned_double */
}
template <bool bug> static void misaligned_double() {
    Array x(32), y(32);
    SIMT_LAUNCH(doubles<bug>, 1, 32, 0, 0, x.p, y.p);
}
PLANT(misaligned_double, "memcheck", CHECKED);

__global__ void plus_one(const float *x, float *y) {
    const float value = x[threadIdx.x]; /* BUG: host_pointer_in_kernel */
    y[threadIdx.x] = value + 1;
}
template <bool bug> static void host_pointer_in_kernel() {
    static std::vector<float> host(32);
    Array x(32), y(32);
    SIMT_LAUNCH(plus_one, 1, 32, 0, 0, bug ? host.data() : x.p, y.p);
}
PLANT(host_pointer_in_kernel, "memcheck", CHECKED);

__global__ void plus_two(const float *x, float *y) {
    y[threadIdx.x] = x[threadIdx.x] + 2; /* BUG: null_pointer */
}
template <bool bug> static void null_pointer() {
    Array x(32), y(32);
    SIMT_LAUNCH(plus_two, 1, 32, 0, 0, bug ? nullptr : x.p, y.p);
}
PLANT(null_pointer, "memcheck", BOTH);

__global__ void plus_three(const float *x, float *y) {
    const float value = x[threadIdx.x]; /* BUG: use_after_free */
    y[threadIdx.x] = value + 3;
}
template <bool bug> static void use_after_free() {
    float *x;
    Array y(32);
    cudaMalloc((void **)&x, 32 * sizeof(float));
    cudaMemset(x, 0, 32 * sizeof(float));
    if (bug) cudaFree(x);
    SIMT_LAUNCH(plus_three, 1, 32, 0, 0, x, y.p);
    if (!bug) cudaFree(x);
}
PLANT(use_after_free, "memcheck", CHECKED);

/* The same with the stream-ordered allocator: the free is queued before the use. */
__global__ void plus_four(const float *x, float *y) {
    const float value = x[threadIdx.x]; /* BUG: freed_on_the_stream */
    y[threadIdx.x] = value + 4;
}
template <bool bug> static void freed_on_the_stream() {
    float *x;
    Array y(32);
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    cudaMallocAsync((void **)&x, 32 * sizeof(float), stream);
    cudaMemsetAsync(x, 0, 32 * sizeof(float), stream);
    if (bug) cudaFreeAsync(x, stream);
    SIMT_LAUNCH(plus_four, 1, 32, 0, stream, x, y.p);
    if (!bug) cudaFreeAsync(x, stream);
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
}
PLANT(freed_on_the_stream, "memcheck", CHECKED);

template <bool bug> static void double_free() {
    float *x;
    cudaMalloc((void **)&x, 32);
    cudaFree(x);
    if (bug) cudaFree(x); /* BUG: double_free */
}
PLANT(double_free, "memcheck", BOTH);

template <bool bug> static void free_of_the_middle() {
    float *x;
    cudaMalloc((void **)&x, 32);
    cudaFree(bug ? x + 1 : x); /* BUG: free_of_the_middle */
}
PLANT(free_of_the_middle, "memcheck", BOTH);

/* --- parts of one allocation, as an arena hands them out -------------------------------------- */

struct Arena {
    Array all{1024, false};
    float *weights = all.p, *bias = all.p + 256; /* 100 and 10 elements, right behind each other */
    Arena() {
        simt_mark_alloc(weights, 256 * sizeof(float), "weights");
        simt_mark_alloc(bias, 10 * sizeof(float), "bias");
    }
};

__global__ void clear(float *x, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = 0; /* BUG: arena_overrun */
}
template <bool bug> static void arena_overrun() {
    Arena arena;
    SIMT_LAUNCH(clear, 1, 32, 0, 0, arena.bias, bug ? 11 : 10);
}
PLANT(arena_overrun, "memcheck", CHECKED);

__global__ void double_it(float *x) { x[threadIdx.x] *= 2; /* BUG: arena_never_written */ }
template <bool bug> static void arena_never_written() {
    Arena arena;
    if (!bug) cudaMemset(arena.bias, 0, 10 * sizeof(float));
    SIMT_LAUNCH(double_it, 1, 10, 0, 0, arena.bias);
}
PLANT(arena_never_written, "initcheck", CHECKED);

__global__ void triple_it(float *x) { x[threadIdx.x] *= 3; /* BUG: arena_freed */ }
template <bool bug> static void arena_freed() {
    Arena arena;
    cudaMemset(arena.bias, 0, 10 * sizeof(float));
    if (bug) simt_mark_free(arena.bias);
    SIMT_LAUNCH(triple_it, 1, 10, 0, 0, arena.bias);
    if (!bug) simt_mark_free(arena.bias);
}
PLANT(arena_freed, "memcheck", CHECKED);
