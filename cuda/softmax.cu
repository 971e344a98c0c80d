/* softmax on the GPU: a row of the last axis to a group of threads.
 *
 *     y[i] = e^(x[i] - max) / sum_j e^(x[j] - max);   dx[i] += y[i] (dy[i] - sum_j dy[j] y[j])
 *
 * Rows up to 1024 elements belong to one warp, eight rows a block: the maximum and the sum are five
 * shuffles and no barrier. Longer rows take a block of 256 threads, whose eight warps meet in
 * shared memory (32 bytes). Lane k visits elements k, k + T, …, so that a warp reads 128 adjacent
 * bytes at any row length. A row is read three times but comes from memory once: it fits the L1
 * cache. Forward moves 8 bytes per element, backward 16. The sums are fixed trees.
 * Source: Bridle 1990; Goodfellow, Bengio & Courville 2016, section 6.2.2.3. */
#include "cuda/kernel.h"

enum { THREADS = 256, WARPS = THREADS / MG_WARP, LONG_ROW = 1024 };

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int offset = MG_WARP / 2; offset > 0; offset /= 2)
        v = fmaxf(v, __shfl_xor_sync(MG_FULL_WARP, v, offset));
    return v;
}

/* Maximum (MAX) or sum over the T threads of a row; all of them get it. */
template <int T, bool MAX> __device__ __forceinline__ float over_row(float v) {
    v = MAX ? warp_max(v) : mg_warp_sum(v);
    if constexpr (T > MG_WARP) {
        MG_SHARED(float, parts, [WARPS]);
        __syncthreads(); /* the last round may still be read */
        if (threadIdx.x % MG_WARP == 0) parts[threadIdx.x / MG_WARP] = v;
        __syncthreads();
        v = parts[0];
#pragma unroll
        for (int w = 1; w < WARPS; w++) v = MAX ? fmaxf(v, parts[w]) : v + parts[w];
    }
    return v;
}

/* The row of this thread's group. Past the last row there is nothing to visit, but whole warps stay
 * for the shuffles. */
template <int T> __device__ __forceinline__ int64_t row_of_thread() {
    return (int64_t)blockIdx.x * (THREADS / T) + threadIdx.x / T;
}

template <int T> static __global__ void __launch_bounds__(THREADS)
    softmax_forward_kernel(const float *__restrict__ x, float *__restrict__ y, int64_t rows,
                           int64_t width) {
    const int64_t row = row_of_thread<T>(), end = row < rows ? width : 0;
    const float *from = x + row * width;
    float largest = -INFINITY, sum = 0;
    for (int64_t i = threadIdx.x % T; i < end; i += T) largest = fmaxf(largest, from[i]);
    largest = over_row<T, true>(largest);
    for (int64_t i = threadIdx.x % T; i < end; i += T) sum += expf(from[i] - largest);
    sum = over_row<T, false>(sum);
    for (int64_t i = threadIdx.x % T; i < end; i += T)
        y[row * width + i] = expf(from[i] - largest) / sum;
}

template <int T> static __global__ void __launch_bounds__(THREADS)
    softmax_backward_kernel(const float *__restrict__ y, const float *__restrict__ dy,
                            float *__restrict__ dx, int64_t rows, int64_t width) {
    const int64_t row = row_of_thread<T>(), end = row < rows ? width : 0, start = row * width;
    float dot = 0;
    for (int64_t i = threadIdx.x % T; i < end; i += T) dot = fmaf(dy[start + i], y[start + i], dot);
    dot = over_row<T, false>(dot);
    for (int64_t i = threadIdx.x % T; i < end; i += T)
        dx[start + i] += y[start + i] * (dy[start + i] - dot);
}

static void forward(const mg_op_call *c) {
    const int64_t width = c->y_shape.dim[c->y_shape.rank - 1];
    const int64_t n = mg_shape_elements(&c->y_shape), rows = n / width;
    const float *x = (const float *)c->x[0];
    mg_cuda_cost(8.0 * (double)n, 5.0 * (double)n);
    if (width <= LONG_ROW)
        MG_LAUNCH((softmax_forward_kernel<MG_WARP>), (unsigned)mg_ceil_div(rows, WARPS), THREADS, 0,
                  x, (float *)c->y, rows, width);
    else
        MG_LAUNCH((softmax_forward_kernel<THREADS>), (unsigned)rows, THREADS, 0, x, (float *)c->y,
                  rows, width);
}

static void backward(const mg_op_call *c) {
    const int64_t width = c->y_shape.dim[c->y_shape.rank - 1];
    const int64_t n = mg_shape_elements(&c->y_shape), rows = n / width;
    const float *y = (const float *)c->y, *dy = (const float *)c->dy;
    if (!c->dx[0]) return;
    mg_cuda_cost(16.0 * (double)n, 4.0 * (double)n);
    if (width <= LONG_ROW)
        MG_LAUNCH((softmax_backward_kernel<MG_WARP>), (unsigned)mg_ceil_div(rows, WARPS), THREADS,
                  0, y, dy, (float *)c->dx[0], rows, width);
    else
        MG_LAUNCH((softmax_backward_kernel<THREADS>), (unsigned)rows, THREADS, 0, y, dy,
                  (float *)c->dx[0], rows, width);
}

MG_CUDA_OP(softmax, forward, backward, NULL);
