/* Level 1: one thread per output, in the order in which one would write the loops.
 *
 * Channels outermost, then rows, then columns: thread t + 1 makes the pixel to the right of thread
 * t's. That is natural in NCHW; here, in NHWC, neighbouring pixels lie C floats apart, so each of
 * the 32 loads of a warp falls into another 32-byte sector, of which it uses 4 bytes. Eight times
 * the traffic between L2 and the multiprocessor for the same numbers.
 * Grid: one thread per output. Nothing is shared, nothing is reused on purpose. */
#include "cuda/lab/depthwise_conv/common.h"

static __global__ void __launch_bounds__(LAB_THREADS)
    depthwise_naive_kernel(mg_depthwise g, int64_t count, const float *__restrict__ x,
                           const float *__restrict__ w, float *__restrict__ y) {
    const int64_t t = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (t >= count) return;
    const int j = (int)(t % g.columns), i = (int)(t / g.columns % g.rows);
    const int64_t plane = t / g.columns / g.rows, n = plane / g.channels;
    const int c = (int)(plane % g.channels);
    float sum = 0;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            const int p = i * g.stride + a - g.top, q = j * g.stride + b - g.left;
            if (p < 0 || p >= g.height || q < 0 || q >= g.width) continue;
            sum = fmaf(x[((n * g.height + p) * g.width + q) * g.channels + c],
                       w[(a * g.kernel + b) * g.channels + c], sum);
        }
    y[((n * g.rows + i) * g.columns + j) * g.channels + c] = sum;
}

static void forward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    const int64_t count = mg_shape_elements(&c->y_shape);
    lab_cost(c);
    MG_LAUNCH(depthwise_naive_kernel, lab_blocks(count), LAB_THREADS, 0, g, count,
              (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
}

MG_LAB_BORROW(depthwise_conv, 0)
MG_LAB_LEVEL(depthwise_conv, 1, "naive", "one thread per output, columns fastest");
