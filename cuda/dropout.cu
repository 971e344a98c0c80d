/* dropout on the GPU: elementwise, bound by memory.
 *
 *     y[i] = x[i] f[i];   dx[i] += dy[i] f[i];   f[i] = 0 or 1/(1-p) by draw i of the key's stream
 *
 * Grid: one thread per four elements, 256 threads a block. Draws come in blocks of four words, and
 * thread i takes exactly block i (cuda/philox.h): the mask costs some forty integer instructions
 * per 16 bytes moved and no memory; backward draws it again. Forward moves 8 bytes per element,
 * backward 12, 8 where dx holds nothing yet. Outside training every draw is kept with factor 1.
 * Source: Srivastava et al. 2014. */
#include "cuda/philox.h"

enum { THREADS = 256 };

/* ADD false: to = from f; true: to += from f. The last thread may own fewer than four elements, and
 * unaligned arrays are walked one element at a time. */
template <bool ADD> static __global__ void __launch_bounds__(THREADS)
    dropout_kernel(mg_mask mask, const float *__restrict__ from, float *__restrict__ to, int64_t n,
                   bool aligned) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (4 * i >= n) return;
    const float4 f = mg_mask_factors(mask, (uint32_t)i);
    if (aligned && 4 * i + 4 <= n) {
        const float4 a = reinterpret_cast<const float4 *>(from)[i];
        float4 out = make_float4(a.x * f.x, a.y * f.y, a.z * f.z, a.w * f.w);
        if (ADD) {
            const float4 b = reinterpret_cast<const float4 *>(to)[i];
            out = make_float4(b.x + out.x, b.y + out.y, b.z + out.z, b.w + out.w);
        }
        reinterpret_cast<float4 *>(to)[i] = out;
        return;
    }
    const float factor[4] = {f.x, f.y, f.z, f.w};
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (4 * i + k < n) {
            const float out = from[4 * i + k] * factor[k];
            to[4 * i + k] = ADD ? to[4 * i + k] + out : out;
        }
}

template <bool ADD> static void run(const mg_op_call *c, const void *from, void *to) {
    const int64_t n = mg_shape_elements(&c->y_shape);
    mg_cuda_cost((ADD ? 12.0 : 8.0) * (double)n, (ADD ? 2.0 : 1.0) * (double)n);
    MG_LAUNCH((dropout_kernel<ADD>), (unsigned)mg_ceil_div(n, 4 * THREADS), THREADS, 0,
              mg_mask_of(&c->attr), (const float *)from, (float *)to, n,
              mg_aligned16(from) && mg_aligned16(to));
}

static void forward(const mg_op_call *c) { run<false>(c, c->x[0], c->y); }
static void backward(const mg_op_call *c) {
    if (!c->dx[0]) return;
    if (c->overwrite & 1) run<false>(c, c->dy, c->dx[0]);
    else run<true>(c, c->dy, c->dx[0]);
}

MG_CUDA_OP(dropout, forward, backward, NULL, 1);
