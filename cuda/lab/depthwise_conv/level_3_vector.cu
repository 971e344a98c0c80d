/* Level 3: four channels a thread, 16 bytes an access.
 *
 * The bytes stay, the instructions fall: one load, one address and one bounds check now serve four
 * products. Load instructions per output drop from 2 k² to k² / 2. Channels that do not come in
 * fours take L = 1, which is level 2. */
#include "cuda/lab/depthwise_conv/common.h"

template <int L> __global__ void __launch_bounds__(LAB_THREADS)
    depthwise_vector_kernel(mg_depthwise g, int64_t count, const float *__restrict__ x,
                            const float *__restrict__ w, float *__restrict__ y) {
    const int64_t t = (int64_t)blockIdx.x * LAB_THREADS + threadIdx.x;
    if (t >= count) return;
    const int lanes = g.channels / L, c = (int)(t % lanes) * L, j = (int)(t / lanes % g.columns);
    const int64_t line = t / lanes / g.columns, n = line / g.rows;
    const int i = (int)(line % g.rows);
    mg_lanes<L> sum = mg_splat<L>(0);
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            const int p = i * g.stride + a - g.top, q = j * g.stride + b - g.left;
            if (p < 0 || p >= g.height || q < 0 || q >= g.width) continue;
            mg_fma(sum, mg_load<L>(x + ((n * g.height + p) * g.width + q) * g.channels + c),
                   mg_load<L>(w + (a * g.kernel + b) * g.channels + c));
        }
    mg_store(y + t * L, sum);
}

template <int L> static void launch(const mg_op_call *c) {
    const mg_depthwise g = mg_depthwise_of(c, c->x_shape[0].dim[3]);
    const int64_t count = mg_shape_elements(&c->y_shape) / L;
    lab_cost(c);
    MG_LAUNCH((depthwise_vector_kernel<L>), lab_blocks(count), LAB_THREADS, 0, g, count,
              (const float *)c->x[0], (const float *)c->x[1], (float *)c->y);
}

static void forward(const mg_op_call *c) { lab_wide(c) ? launch<4>(c) : launch<1>(c); }

MG_LAB_BORROW(depthwise_conv, 0)
MG_LAB_LEVEL(depthwise_conv, 3, "vector", "four channels a thread: 16-byte accesses");
