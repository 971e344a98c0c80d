/* Level 4: rows in chunks, a block for each.
 *
 * A block sums 256 rows of 32 channels and stores its sums; a second launch adds the chunks. Blocks
 * cannot wait for each other, the end of a launch is their barrier: mean and variance become four
 * launches. In return the number of blocks grows with the image, and the whole GPU works. The
 * chunks are a function of the shape, and added in order: the same bits on every run, which float
 * atomics into one sum per channel would not give. x is still read twice, once per statistic. */
#include "cuda/lab/batch_norm/common.h"

enum { LANES = 32, ROWS = LAB_THREADS / LANES, CHUNK = 256 };

/* partial[chunk][c] = sum over the chunk of x, or of (x - mean)² when DEVIATION. */
template <bool DEVIATION> __global__ void __launch_bounds__(LAB_THREADS)
    norm_chunk_kernel(lab_norm n, int tiles) {
    MG_SHARED(double, shared, [ROWS][LANES]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    const int64_t c = (int64_t)(blockIdx.x % tiles) * LANES + lane, chunk = blockIdx.x / tiles;
    const int64_t end = (chunk + 1) * CHUNK < n.rows ? (chunk + 1) * CHUNK : n.rows;
    double sum = 0;
    if (c < n.channels) {
        const double mean = DEVIATION ? n.mean[c] : 0;
        for (int64_t r = chunk * CHUNK + row; r < end; r += ROWS) {
            const double v = (double)n.x[r * n.channels + c] - mean;
            sum += DEVIATION ? v * v : v;
        }
    }
    shared[row][lane] = sum;
    lab_add_rows(shared, row, lane);
    if (row == 0 && c < n.channels) n.partial[chunk * n.channels + c] = shared[0][lane];
}

static __global__ void __launch_bounds__(LAB_THREADS)
    norm_add_chunks_kernel(lab_norm n, int64_t chunks, double *to) {
    const int64_t c = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (c >= n.channels) return;
    double sum = 0;
    for (int64_t k = 0; k < chunks; k++) sum += n.partial[k * n.channels + c];
    to[c] = sum / (double)n.rows;
}

static int64_t chunks_of(const mg_op_call *c) {
    return mg_ceil_div(mg_shape_elements(&c->x_shape[0]) / c->x_shape[1].dim[0], CHUNK);
}

MG_LAB_BORROW(batch_norm, lab_norm_floats(c) + 2 * chunks_of(c) * c->x_shape[1].dim[0])

static void forward(const mg_op_call *c) {
    const lab_norm n = lab_norm_of(c);
    if (!c->attr.training) {
        mg_cuda_batch_norm.forward(c);
        return;
    }
    const int64_t chunks = chunks_of(c);
    const int tiles = (int)mg_ceil_div(n.channels, LANES);
    const unsigned add = (unsigned)mg_ceil_div(n.channels, LAB_THREADS);
    lab_norm_cost(&n, 1);
    MG_LAUNCH((norm_chunk_kernel<false>), (unsigned)(chunks * tiles), dim3(LANES, ROWS), 0, n,
              tiles);
    MG_LAUNCH(norm_add_chunks_kernel, add, LAB_THREADS, 0, n, chunks, n.mean);
    lab_norm_cost(&n, 1);
    MG_LAUNCH((norm_chunk_kernel<true>), (unsigned)(chunks * tiles), dim3(LANES, ROWS), 0, n,
              tiles);
    MG_LAUNCH(norm_add_chunks_kernel, add, LAB_THREADS, 0, n, chunks, n.variance);
    lab_norm_apply(c, &n);
}

MG_LAB_LEVEL(batch_norm, 4, "chunks", "many blocks, partial sums, a second launch adds them");
