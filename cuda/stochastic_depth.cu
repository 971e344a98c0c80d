/* stochastic_depth on the GPU: one factor per image, bound by memory.
 *
 *     y[n,...] = x[n,...] f[n];   dx[n,...] += dy[n,...] f[n];   f[n] = 0 or 1/(1-p) by draw n
 *
 * Grid: x covers one image, four elements a thread; y counts images, so that the factor is the same
 * in the whole block and no index is divided. Every thread draws it for itself (cuda/philox.h):
 * forty integer instructions are cheaper than a barrier. Images whose size is no multiple of four
 * start unaligned and take the path of one element a thread. Forward moves 8 bytes per element,
 * backward 12, 8 where dx holds nothing yet. Outside training the factor is 1. Source: Huang et al.
 * 2016. */
#include "cuda/philox.h"

enum { THREADS = 256 };
static const int64_t most_images = 65535; /* limit of the grid's y */

/* to = from f, or to += from f. V: elements a thread, 4 or 1; `each` counts in units of V. */
template <int V, bool ADD> static __global__ void __launch_bounds__(THREADS)
    stochastic_depth_kernel(mg_mask mask, const float *__restrict__ from, float *__restrict__ to,
                            int64_t images, int64_t each) {
    const int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= each) return;
    for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
        const float f = mg_mask_one(mask, (uint32_t)image);
        const int64_t i = image * each + at;
        if (V == 4) {
            const float4 a = reinterpret_cast<const float4 *>(from)[i];
            float4 out = make_float4(a.x * f, a.y * f, a.z * f, a.w * f);
            if (ADD) {
                const float4 b = reinterpret_cast<const float4 *>(to)[i];
                out = make_float4(b.x + out.x, b.y + out.y, b.z + out.z, b.w + out.w);
            }
            reinterpret_cast<float4 *>(to)[i] = out;
        } else {
            to[i] = ADD ? to[i] + from[i] * f : from[i] * f;
        }
    }
}

template <bool ADD> static void run(const mg_op_call *c, const void *from, void *to) {
    const int64_t images = c->y_shape.dim[0];
    const int64_t each = mg_shape_elements(&c->y_shape) / images;
    const bool quads = each % 4 == 0 && mg_aligned16(from) && mg_aligned16(to);
    const int64_t units = quads ? each / 4 : each;
    const dim3 grid((unsigned)mg_ceil_div(units, THREADS),
                    (unsigned)(images < most_images ? images : most_images));
    mg_cuda_cost((ADD ? 12.0 : 8.0) * (double)(images * each), (double)(images * each));
    if (quads)
        MG_LAUNCH((stochastic_depth_kernel<4, ADD>), grid, THREADS, 0, mg_mask_of(&c->attr),
                  (const float *)from, (float *)to, images, units);
    else
        MG_LAUNCH((stochastic_depth_kernel<1, ADD>), grid, THREADS, 0, mg_mask_of(&c->attr),
                  (const float *)from, (float *)to, images, units);
}

static void forward(const mg_op_call *c) { run<false>(c, c->x[0], c->y); }
static void backward(const mg_op_call *c) {
    if (!c->dx[0]) return;
    if (c->overwrite & 1) run<false>(c, c->dy, c->dx[0]);
    else run<true>(c, c->dy, c->dx[0]);
}

MG_CUDA_OP(stochastic_depth, forward, backward, NULL, 1);
