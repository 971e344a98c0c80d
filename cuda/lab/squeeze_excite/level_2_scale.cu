/* Level 2: scaling in a launch of its own.
 *
 * Once the gates are known, every element can be scaled by anybody. A second kernel gives 8
 * elements to each of as many threads as the tensor needs, and replaces the remainder that level 1
 * took per element by a channel index that is counted up (cuda/channels.h). Two thirds of the
 * traffic now run at the speed of the whole GPU; the means still do not. */
#include "cuda/lab/squeeze_excite/common.h"

static __global__ void __launch_bounds__(LAB_THREADS) excite_gate_kernel(lab_excite e) {
    const int64_t n = blockIdx.x, channels = e.g.channels;
    const float *x = e.x + n * e.pixels * channels;
    for (int64_t c = threadIdx.x; c < channels; c += LAB_THREADS) {
        double sum = 0;
        for (int64_t p = 0; p < e.pixels; p++) sum += (double)x[p * channels + c];
        e.g.mean[n * channels + c] = (float)(sum / (double)e.pixels);
    }
    __syncthreads();
    lab_gate_of_image(e.g, n);
}

static void forward(const mg_op_call *c) {
    const lab_excite e = lab_excite_of(c);
    lab_excite_cost(&e, 1);
    MG_LAUNCH(excite_gate_kernel, (unsigned)e.g.images, LAB_THREADS, 0, e);
    lab_scale(&e);
}

MG_LAB_BORROW(squeeze_excite, lab_excite_floats(c))
MG_LAB_LEVEL(squeeze_excite, 2, "scale", "scaling by all blocks in a launch of its own");
