/* bce_with_logits on the GPU: one small launch each way; what counts is that nothing cancels.
 *
 *     l[n] = w[n] (q t[n] softplus(-z[n]) + (1 - t[n]) softplus(z[n])),   y = (1/N) sum_n l[n]
 *     dz[n] += dy w[n] ((1 - t[n]) s(z[n]) - q t[n] s(-z[n])) / N
 *
 * softplus(z) = max(z, 0) + log1p(e^-|z|) never overflows. A batch has tens of elements, so forward
 * is one block of 256 threads: thread k adds elements k, k + 256, … in f64, then a fixed tree in
 * shared memory (2 KiB) adds the 256 sums; no atomics, the same bits on every run. Backward has one
 * thread per element. Source: Good 1952; Mächler 2012 (log1p(exp)). */
#include "cuda/elementwise.h"

enum { Z, TARGET, WEIGHT, THREADS = 256 };

__device__ __forceinline__ float softplus(float z) {
    return fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z)));
}

static __global__ void __launch_bounds__(THREADS)
    bce_forward_kernel(const float *__restrict__ z, const float *__restrict__ target,
                       const float *__restrict__ weight, float q, int64_t count,
                       float *__restrict__ y) {
    MG_SHARED(double, sums, [THREADS]);
    double sum = 0;
    for (int64_t n = threadIdx.x; n < count; n += THREADS) {
        const float t = target[n];
        const float loss = q * t * softplus(-z[n]) + (1 - t) * softplus(z[n]);
        sum += (double)(weight ? weight[n] * loss : loss);
    }
    sums[threadIdx.x] = sum;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) y[0] = (float)(sums[0] / (double)count);
}

static __global__ void __launch_bounds__(THREADS)
    bce_backward_kernel(const float *__restrict__ z, const float *__restrict__ target,
                        const float *__restrict__ weight, float q, int64_t count,
                        const float *__restrict__ dy, float *__restrict__ dz) {
    const int64_t n = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const float t = target[n];
    const float slope = (1 - t) * mg_sigmoid(z[n]) - q * t * mg_sigmoid(-z[n]);
    dz[n] += dy[0] * (weight ? weight[n] * slope : slope) / (float)count;
}

static float positive_weight(const mg_op_call *c) {
    return c->attr.positive_weight > 0 ? (float)c->attr.positive_weight : 1.0f;
}

static const float *weight_of(const mg_op_call *c) {
    return mg_has_input(c, WEIGHT) ? (const float *)c->x[WEIGHT] : NULL;
}

static void forward(const mg_op_call *c) {
    const int64_t count = c->x_shape[Z].dim[0];
    mg_cuda_cost((weight_of(c) ? 12.0 : 8.0) * (double)count + 4, 12.0 * (double)count);
    MG_LAUNCH(bce_forward_kernel, 1, THREADS, 0, (const float *)c->x[Z],
              (const float *)c->x[TARGET], weight_of(c), positive_weight(c), count, (float *)c->y);
}

static void backward(const mg_op_call *c) {
    const int64_t count = c->x_shape[Z].dim[0];
    if (!c->dx[Z]) return;
    mg_cuda_cost((weight_of(c) ? 20.0 : 16.0) * (double)count + 4, 12.0 * (double)count);
    MG_LAUNCH(bce_backward_kernel, (unsigned)mg_ceil_div(count, THREADS), THREADS, 0,
              (const float *)c->x[Z], (const float *)c->x[TARGET], weight_of(c), positive_weight(c),
              count, (const float *)c->dy, (float *)c->dx[Z]);
}

MG_CUDA_OP(bce_with_logits, forward, backward, NULL);
