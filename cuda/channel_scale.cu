/* channel_scale on the GPU: a pass that multiplies, and a sum of products over pixels.
 *
 *     y[n,h,w,c] = x[n,h,w,c] s[n,c]
 *     dx[n,h,w,c] += dy[n,h,w,c] s[n,c];   ds[n,c] += sum_{h,w} dy[n,h,w,c] x[n,h,w,c]
 *
 * Any N, H, W, C; grids and blocks of channels.h and sums.h. Bound by memory: forward moves 8 bytes
 * per element; backward 12 for dx and 8 for ds, where dy is read by both. A fused pass would save
 * those 4 of 20 bytes but tie the tree of the sums to the walk of the elements; this op stands in
 * no hot path (squeeze_excite and mbconv have their own), so the plain parts are reused.
 * Source: Hu, Shen & Sun 2017, section 3. */
#include "cuda/channels.h"
#include "cuda/sums.h"

/* y = or += x s */
template <int L, bool ADD> struct channel_scale_step {
    const float *x, *s;
    float *y;
    __device__ __forceinline__ void operator()(int64_t i, int64_t at) const {
        mg_lanes<L> to = ADD ? mg_load<L>(y + i) : mg_splat<L>(0);
        mg_fma(to, mg_load<L>(x + i), mg_load<L>(s + at));
        mg_store(y + i, to);
    }
};

template <bool ADD> static void scale_all(const mg_op_call *c, const float *x, float *y) {
    const int64_t *d = c->y_shape.dim, pixels = d[1] * d[2];
    const float *s = (const float *)c->x[1];
    const double elements = (double)mg_shape_elements(&c->y_shape);
    mg_cuda_cost(elements * (ADD ? 12 : 8), elements * (ADD ? 2 : 1));
    if (mg_lane_width(d[3], x, s, y, NULL) == 4)
        mg_each_channel<4>(channel_scale_step<4, ADD>{x, s, y}, d[0], pixels, d[3]);
    else mg_each_channel<1>(channel_scale_step<1, ADD>{x, s, y}, d[0], pixels, d[3]);
}

static void forward(const mg_op_call *c) {
    scale_all<false>(c, (const float *)c->x[0], (float *)c->y);
}

static void backward(const mg_op_call *c) {
    const int64_t *d = c->y_shape.dim, pixels = d[1] * d[2];
    const float *dy = (const float *)c->dy;
    if (c->dx[0]) scale_all<true>(c, dy, (float *)c->dx[0]);
    if (!c->dx[1]) return;
    float *partial = (float *)c->scratch;
    mg_pixel_sums(dy, (const float *)c->x[0], d[0], pixels, d[3], partial);
    mg_combine(partial, d[0], mg_sum_chunks(pixels), d[3], 1, true, (float *)c->dx[1]);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const int64_t *d = c->y_shape.dim;
    return backward ? mg_pixel_sums_bytes(d[0], d[1] * d[2], d[3]) : 0;
}

MG_CUDA_OP(channel_scale, forward, backward, scratch_bytes);
