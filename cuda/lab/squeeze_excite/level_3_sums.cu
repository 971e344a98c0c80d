/* Level 3: means in two stages.
 *
 * Blocks sum chunks of at least 256 pixels of 32 channels each and leave partial sums
 * (cuda/sums.h); the block of an image then adds its chunks instead of its pixels. Now all traffic
 * that counts is spread over the GPU. What is left serial is small: one block per image multiplies
 * means by two weight matrices. */
#include "cuda/lab/squeeze_excite/common.h"

static __global__ void __launch_bounds__(LAB_THREADS) excite_add_gate_kernel(lab_excite e) {
    const int64_t n = blockIdx.x, channels = e.g.channels;
    for (int64_t c = threadIdx.x; c < channels; c += LAB_THREADS) {
        float sum = 0;
        for (int64_t k = 0; k < e.chunks; k++) sum += e.partial[(n * e.chunks + k) * channels + c];
        e.g.mean[n * channels + c] = sum / (float)e.pixels;
    }
    __syncthreads();
    lab_gate_of_image(e.g, n);
}

static void forward(const mg_op_call *c) {
    const lab_excite e = lab_excite_of(c);
    mg_pixel_sums_as<1, false>(e.x, NULL, e.g.images, e.pixels, e.g.channels, e.partial);
    MG_LAUNCH(excite_add_gate_kernel, (unsigned)e.g.images, LAB_THREADS, 0, e);
    lab_scale(&e);
}

MG_LAB_BORROW(squeeze_excite, lab_excite_floats(c))
MG_LAB_LEVEL(squeeze_excite, 3, "sums", "means in two stages over many blocks");
