/* What the levels of the batch-norm ladder share: everything but the statistics.
 *
 * A level fills mean[c] and variance[c], in double: sums of many floats around 1000 lose digits
 * that the variance needs, and the first levels have nothing smarter than a wider type. Then come
 * the running statistics and one pass y = (x - mean) gamma / sqrt(variance + eps) + beta, the same
 * in all levels. Inference has no statistics to compute and is the production path. */
#ifndef MG_LAB_BATCH_NORM_COMMON_H
#define MG_LAB_BATCH_NORM_COMMON_H

#include "cuda/channels.h"
#include "cuda/lab/lab.h"

enum { LAB_X, LAB_GAMMA, LAB_BETA, LAB_RUNNING_MEAN, LAB_RUNNING_VAR };
enum { LAB_THREADS = 256 };

typedef struct lab_norm {
    const float *x;
    int64_t rows, channels;
    double *mean, *variance; /* scratch: [C] each */
    double *partial;         /* scratch of level 4 */
} lab_norm;

/* Floats of scratch for mean and variance. */
static inline int64_t lab_norm_floats(const mg_op_call *c) { return 4 * c->x_shape[1].dim[0]; }

static inline lab_norm lab_norm_of(const mg_op_call *c) {
    lab_norm n = {};
    n.x = (const float *)c->x[LAB_X];
    n.channels = c->x_shape[LAB_GAMMA].dim[0];
    n.rows = mg_shape_elements(&c->x_shape[LAB_X]) / n.channels;
    n.mean = (double *)c->scratch;
    n.variance = n.mean + n.channels;
    n.partial = n.variance + n.channels;
    return n;
}

/* Adds the thread rows of a block; shared[0][lane] then holds the sums. Every thread calls it. */
template <int ROWS, int LANES>
__device__ __forceinline__ void lab_add_rows(double (&shared)[ROWS][LANES], int row, int lane) {
#pragma unroll
    for (int half = ROWS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (row < half) shared[row][lane] += shared[row + half][lane];
    }
    __syncthreads();
}

static __global__ void __launch_bounds__(LAB_THREADS)
    lab_finish_kernel(lab_norm n, double eps, float momentum, float *running_mean,
                      float *running_var, float *save) {
    const int64_t c = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (c >= n.channels) return;
    const double rows = (double)n.rows, variance = n.variance[c];
    save[c] = (float)n.mean[c];
    save[n.channels + c] = (float)(1.0 / sqrt(variance + eps));
    if (!(momentum > 0)) return;
    const float unbiased = (float)(rows > 1 ? variance * rows / (rows - 1) : variance);
    running_mean[c] = (1 - momentum) * running_mean[c] + momentum * (float)n.mean[c];
    running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased;
}

struct lab_normalise {
    const float *x, *gamma, *beta, *mean, *inverse;
    float *y;
    __device__ __forceinline__ void operator()(int64_t i, int64_t c) const {
        y[i] = fmaf(x[i] - mean[c], gamma[c] * inverse[c], beta[c]);
    }
};

/* The rest of a level's forward. */
static inline void lab_norm_apply(const mg_op_call *c, const lab_norm *n) {
    float *save = (float *)c->save;
    MG_LAUNCH(lab_finish_kernel, (unsigned)mg_ceil_div(n->channels, LAB_THREADS), LAB_THREADS, 0,
              *n, c->attr.eps, (float)c->attr.momentum, (float *)c->x[LAB_RUNNING_MEAN],
              (float *)c->x[LAB_RUNNING_VAR], save);
    const lab_normalise f = {n->x,
                             (const float *)c->x[LAB_GAMMA],
                             (const float *)c->x[LAB_BETA],
                             save,
                             save + n->channels,
                             (float *)c->y};
    mg_cuda_cost(8.0 * (double)n->rows * (double)n->channels, 0);
    mg_each_channel<1>(f, 1, n->rows, n->channels);
}

/* Bytes of one reading of x. */
static inline void lab_norm_cost(const lab_norm *n, int times) {
    mg_cuda_cost(4.0 * times * (double)n->rows * (double)n->channels, 0);
}

#endif
