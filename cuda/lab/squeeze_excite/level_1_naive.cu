/* Level 1: one block per image does everything.
 *
 * Means, network and scaling in one kernel, with barriers between the steps: easy to read, nothing
 * leaves the block, one launch. But a batch of 16 images occupies 16 of 132 multiprocessors, and
 * the one thread of a channel walks all of its pixels alone. */
#include "cuda/lab/squeeze_excite/common.h"

static __global__ void __launch_bounds__(LAB_THREADS) excite_naive_kernel(lab_excite e) {
    const int64_t n = blockIdx.x, channels = e.g.channels;
    const float *x = e.x + n * e.pixels * channels;
    float *y = e.y + n * e.pixels * channels;
    for (int64_t c = threadIdx.x; c < channels; c += LAB_THREADS) {
        double sum = 0;
        for (int64_t p = 0; p < e.pixels; p++) sum += (double)x[p * channels + c];
        e.g.mean[n * channels + c] = (float)(sum / (double)e.pixels);
    }
    __syncthreads();
    lab_gate_of_image(e.g, n);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < e.pixels * channels; i += LAB_THREADS)
        y[i] = x[i] * e.g.gate[n * channels + i % channels];
}

static void forward(const mg_op_call *c) {
    const lab_excite e = lab_excite_of(c);
    lab_excite_cost(&e, 3);
    MG_LAUNCH(excite_naive_kernel, (unsigned)e.g.images, LAB_THREADS, 0, e);
}

MG_LAB_BORROW(squeeze_excite, lab_excite_floats(c))
MG_LAB_LEVEL(squeeze_excite, 1, "naive", "one block per image does everything");
