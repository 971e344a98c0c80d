/* global_average_pool on the GPU: a sum over pixels in two stages, and a broadcast back.
 *
 *     y[n,c] = (1 / HW) sum_{h,w} x[n,h,w,c];   dx[n,h,w,c] += dy[n,c] / HW
 *
 * Any N, H, W, C; grids and blocks of sums.h and channels.h. Forward reads x once and writes one
 * partial sum per 256 or more pixels; backward reads and writes dx once, or writes alone where it
 * holds nothing yet. Both are bound by memory. Order: a fixed chunk's pixels by thread row, a tree
 * over rows, a tree over chunks. Source: Lin, Chen & Yan 2013, section 3.2. */
#include "cuda/channels.h"
#include "cuda/sums.h"

/* dx += dy / HW: the gradient of one channel is the same for all of its pixels. */
template <int L> struct pool_spread {
    const float *dy;
    float *dx;
    float share;
    bool fresh; /* dx holds nothing yet */
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        mg_lanes<L> to = mg_load_if<L>(!fresh, dx + i);
        mg_fma(to, mg_load<L>(dy + s), mg_splat<L>(share));
        mg_store(dx + i, to);
    }
};

static void forward(const mg_op_call *c) {
    const int64_t *d = c->x_shape[0].dim, pixels = d[1] * d[2];
    float *partial = (float *)c->scratch;
    mg_pixel_sums((const float *)c->x[0], NULL, d[0], pixels, d[3], partial);
    mg_combine(partial, d[0], mg_sum_chunks(pixels), d[3], 1.0f / (float)pixels, false,
               (float *)c->y);
}

static void backward(const mg_op_call *c) {
    const int64_t *d = c->x_shape[0].dim, pixels = d[1] * d[2];
    const float *dy = (const float *)c->dy, share = 1.0f / (float)pixels;
    float *dx = (float *)c->dx[0];
    if (!dx) return;
    const bool fresh = c->overwrite & 1;
    const double elements = (double)mg_shape_elements(&c->x_shape[0]);
    mg_cuda_cost((fresh ? 4 : 8) * elements, 2 * elements);
    if (mg_lane_width(d[3], dy, dx, NULL, NULL) == 4)
        mg_each_channel<4>(pool_spread<4>{dy, dx, share, fresh}, d[0], pixels, d[3]);
    else mg_each_channel<1>(pool_spread<1>{dy, dx, share, fresh}, d[0], pixels, d[3]);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const int64_t *d = c->x_shape[0].dim;
    return backward ? 0 : mg_pixel_sums_bytes(d[0], d[1] * d[2], d[3]);
}

MG_CUDA_OP(global_average_pool, forward, backward, scratch_bytes, 1);
