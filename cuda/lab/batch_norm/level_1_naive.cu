/* Level 1: one thread per channel.
 *
 * The formula as it stands: a thread sums its channel over all rows, divides, and walks the rows
 * again for the squared deviations. Neighbouring threads read neighbouring channels, so lines are
 * read whole; but C threads are all there are: 48 channels make two warps on one multiprocessor of
 * 132, with one load in flight each. */
#include "cuda/lab/batch_norm/common.h"

static __global__ void __launch_bounds__(LAB_THREADS) norm_naive_kernel(lab_norm n) {
    const int64_t c = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (c >= n.channels) return;
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < n.rows; r++) sum += (double)n.x[r * n.channels + c];
    const double mean = sum / (double)n.rows;
    for (int64_t r = 0; r < n.rows; r++) {
        const double d = (double)n.x[r * n.channels + c] - mean;
        squares += d * d;
    }
    n.mean[c] = mean;
    n.variance[c] = squares / (double)n.rows;
}

MG_LAB_BORROW(batch_norm, lab_norm_floats(c))

static void forward(const mg_op_call *c) {
    const lab_norm n = lab_norm_of(c);
    if (!c->attr.training) {
        mg_cuda_batch_norm.forward(c);
        return;
    }
    lab_norm_cost(&n, 2);
    MG_LAUNCH(norm_naive_kernel, (unsigned)mg_ceil_div(n.channels, LAB_THREADS), LAB_THREADS, 0, n);
    lab_norm_apply(c, &n);
}

MG_LAB_LEVEL(batch_norm, 1, "naive", "one thread per channel walks all rows");
