/* norm_depthwise_any.h: norm_depthwise_conv's gradients for filters and strides without kernels of
 * their own, in the way of depthwise_any.h: one thread per element, dy and w from the caches k²
 * times. No network of the project uses these sizes; no tensor is kept between the kernels here,
 * either.
 *
 * sums: a block owns 32 channels of one chunk of rows of x, whose pixels 8 rows of threads share; a
 * tree adds them (2 KiB of shared memory). dw: depthwise_any_filter_kernel, whose inputs pass
 * through batch norm and SiLU. dx: one thread an element. */
#ifndef MG_CUDA_NORM_DEPTHWISE_ANY_H
#define MG_CUDA_NORM_DEPTHWISE_ANY_H

#include "cuda/depthwise_any.h"
#include "cuda/norm_depthwise_backward.h"

/* partial[chunk, 2, C]: sums of dn and of dn h over `chunk` rows of x, of all images. */
static __global__ void __launch_bounds__(MG_SUM_THREADS)
    norm_depthwise_any_sums_kernel(mg_depthwise g, int chunk, mg_norm norm,
                                   const float *__restrict__ x, const float *__restrict__ dy,
                                   const float *__restrict__ w, float *__restrict__ partial) {
    enum { LANES = MG_TILE_CHANNELS, ROWS = MG_SUM_THREADS / LANES };
    MG_SHARED(mg_lanes<1>, rows, [ROWS][LANES]);
    MG_SHARED(mg_lanes<1>, rows_h, [ROWS][LANES]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    const int channel = (int)(blockIdx.x % g.tiles) * LANES + lane;
    const bool used = channel < g.channels;
    const int64_t part = blockIdx.x / g.tiles, all = g.images * g.height;
    const int64_t end = (part + 1) * chunk < all ? (part + 1) * chunk : all;
    const mg_norm_lanes<1> n = mg_norm_at<1>(norm, channel, used);
    mg_lanes<1> sum = mg_splat<1>(0), sum_h = mg_splat<1>(0);
    for (int64_t r = part * chunk; r < end && used; r++) {
        mg_any_place at = {(uint32_t)r / (uint32_t)g.height,
                           (int)((uint32_t)r % (uint32_t)g.height), 0, channel};
        for (at.column = row; at.column < g.width; at.column += ROWS) {
            const mg_lanes<1> a = mg_load<1>(x + (r * g.width + at.column) * g.channels + channel);
            const mg_lanes<1> z = mg_norm_apply(n, a);
            const float dn = mg_any_gather(g, at, dy, w) * mg_norm_silu_slope(z.v[0]);
            sum.v[0] += dn;
            sum_h.v[0] = fmaf(dn, (a.v[0] - n.mean.v[0]) * n.inverse.v[0], sum_h.v[0]);
        }
    }
    rows[row][lane] = sum;
    rows_h[row][lane] = sum_h;
    mg_add_rows(rows, row, lane);
    mg_add_rows(rows_h, row, lane);
    if (row > 0 || !used) return;
    partial[2 * part * g.channels + channel] = rows[0][lane].v[0];
    partial[(2 * part + 1) * g.channels + channel] = rows_h[0][lane].v[0];
}

static __global__ void __launch_bounds__(MG_ANY_THREADS)
    norm_depthwise_any_slopes_kernel(mg_depthwise g, int64_t count, mg_norm norm,
                                     mg_norm_means means, const float *__restrict__ x,
                                     const float *__restrict__ dy, const float *__restrict__ w,
                                     float *__restrict__ dx) {
    const int64_t i = (int64_t)blockIdx.x * MG_ANY_THREADS + threadIdx.x;
    if (i >= count) return;
    const mg_any_place at = mg_any_at(i, g.height, g.width, g.channels);
    const bool training = means.dn != NULL;
    const mg_lanes<1> mean_dn = mg_load_if<1>(training, means.dn + at.channel);
    const mg_lanes<1> mean_dn_h = mg_load_if<1>(training, means.dn_h + at.channel);
    mg_lanes<1> ds;
    ds.v[0] = mg_any_gather(g, at, dy, w);
    mg_store(dx + i, mg_norm_slope<1>(mg_norm_at<1>(norm, at.channel, true), mean_dn, mean_dn_h,
                                      mg_load<1>(x + i), ds, mg_load_if<1>(!means.fresh, dx + i)));
}

#endif
