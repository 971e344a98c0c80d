/* Level 2: one block per channel.
 *
 * 256 threads share a channel's rows and add their sums in shared memory, halving the number of
 * sums at each of eight barriers: the classic tree. There are now 256 C threads, enough to keep
 * loads in flight. But neighbouring threads read neighbouring rows, C floats apart: every load of a
 * warp touches 32 sectors and uses 4 bytes of each. Parallelism bought with bandwidth. */
#include "cuda/lab/batch_norm/common.h"

/* The sum of v over the block, in every thread. */
static __device__ double block_sum(double (&shared)[LAB_THREADS][1], double v) {
    __syncthreads(); /* the last sum has been read */
    shared[threadIdx.x][0] = v;
    lab_add_rows(shared, (int)threadIdx.x, 0);
    return shared[0][0];
}

static __global__ void __launch_bounds__(LAB_THREADS) norm_block_kernel(lab_norm n) {
    MG_SHARED(double, shared, [LAB_THREADS][1]);
    const int64_t c = blockIdx.x;
    double sum = 0, squares = 0;
    for (int64_t r = threadIdx.x; r < n.rows; r += LAB_THREADS)
        sum += (double)n.x[r * n.channels + c];
    const double mean = block_sum(shared, sum) / (double)n.rows;
    for (int64_t r = threadIdx.x; r < n.rows; r += LAB_THREADS) {
        const double d = (double)n.x[r * n.channels + c] - mean;
        squares += d * d;
    }
    squares = block_sum(shared, squares);
    if (threadIdx.x != 0) return;
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
    MG_LAUNCH(norm_block_kernel, (unsigned)n.channels, LAB_THREADS, 0, n);
    lab_norm_apply(c, &n);
}

MG_LAB_LEVEL(batch_norm, 2, "block", "256 threads per channel, a tree in shared memory");
