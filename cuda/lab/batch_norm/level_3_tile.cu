/* Level 3: one block per 32 channels.
 *
 * The block's 256 threads stand as 8 rows of 32: a warp reads 32 neighbouring channels, one line,
 * and the warps take the rows in turn. The tree now adds 8 rows of 32 sums in three steps. Traffic
 * is back to what level 1 had, with eight times its threads; level 2's many threads are gone again:
 * C / 32 blocks are two for 48 channels. */
#include "cuda/lab/batch_norm/common.h"

enum { LANES = 32, ROWS = LAB_THREADS / LANES };

static __global__ void __launch_bounds__(LAB_THREADS) norm_tile_kernel(lab_norm n) {
    MG_SHARED(double, shared, [ROWS][LANES]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    const int64_t c = (int64_t)blockIdx.x * LANES + lane;
    const bool used = c < n.channels;
    double sum = 0, squares = 0;
    for (int64_t r = row; used && r < n.rows; r += ROWS) sum += (double)n.x[r * n.channels + c];
    shared[row][lane] = sum;
    lab_add_rows(shared, row, lane);
    const double mean = shared[0][lane] / (double)n.rows;
    for (int64_t r = row; used && r < n.rows; r += ROWS) {
        const double d = (double)n.x[r * n.channels + c] - mean;
        squares += d * d;
    }
    __syncthreads(); /* every thread has its mean: the sums may be overwritten */
    shared[row][lane] = squares;
    lab_add_rows(shared, row, lane);
    if (row != 0 || !used) return;
    n.mean[c] = mean;
    n.variance[c] = shared[0][lane] / (double)n.rows;
}

MG_LAB_BORROW(batch_norm, lab_norm_floats(c))

static void forward(const mg_op_call *c) {
    const lab_norm n = lab_norm_of(c);
    if (!c->attr.training) {
        mg_cuda_batch_norm.forward(c);
        return;
    }
    lab_norm_cost(&n, 2);
    MG_LAUNCH(norm_tile_kernel, (unsigned)mg_ceil_div(n.channels, LANES), dim3(LANES, ROWS), 0, n);
    lab_norm_apply(c, &n);
}

MG_LAB_LEVEL(batch_norm, 3, "tile", "32 channels a block: whole lines and a tree");
