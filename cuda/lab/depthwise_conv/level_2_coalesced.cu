/* Level 2: the same work in the order of memory.
 *
 * Channels innermost: thread t + 1 makes the next channel of the same pixel, 4 bytes further. A
 * warp's 32 loads are one line of 128 bytes, four full sectors. Only the three lines that turn t
 * into (n, i, j, c) differ from level 1. */
#include "cuda/lab/depthwise_conv/common.h"

static __global__ void __launch_bounds__(LAB_THREADS)
    depthwise_coalesced_kernel(mg_depthwise g, int64_t count, const float *__restrict__ x,
                               const float *__restrict__ w, float *__restrict__ y) {
    const int64_t t = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (t >= count) return;
    const int c = (int)(t % g.channels), j = (int)(t / g.channels % g.columns);
    const int64_t line = t / g.channels / g.columns, n = line / g.rows;
    const int i = (int)(line % g.rows);
    float sum = 0;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            const int p = i * g.stride + a - g.top, q = j * g.stride + b - g.left;
            if (p < 0 || p >= g.height || q < 0 || q >= g.width) continue;
            sum = fmaf(x[((n * g.height + p) * g.width + q) * g.channels + c],
                       w[(a * g.kernel + b) * g.channels + c], sum);
        }
    y[t] = sum;
}

static void forward(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    const int64_t count = mg_shape_elements(&c->y_shape);
    lab_cost(c);
    MG_LAUNCH(depthwise_coalesced_kernel, lab_blocks(count), LAB_THREADS, 0, g, count,
              (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
}

MG_LAB_BORROW(depthwise_conv, 0)
MG_LAB_LEVEL(depthwise_conv, 2, "coalesced", "channels fastest: a warp reads whole lines");
