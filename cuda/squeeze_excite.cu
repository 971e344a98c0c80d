/* squeeze_excite on the GPU: sums over pixels, a small network, a pass that scales.
 *
 *     g = mean_{h,w} x;  u = g w1 + b1;  a = sigmoid(silu(u) w2 + b2);  y = x a
 *     dx += dy a + (du w1^T) / HW, and the gradients of gate_gradient.h
 *
 * Any N, H, W, C, S. Sums: sums.h; network: gate.h, gate_gradient.h; passes: channels.h. Saved: g,
 * u and a, as in ops/squeeze_excite.c.
 *
 * Bytes: no gate is known before every pixel of the image was seen, so forward reads x twice and
 * writes y: 12 per element, where 8 would be compulsory, and backward reads dy twice, x once, and
 * reads and writes dx: 20 of 16. The second visit starts as soon as the first ends; where the image
 * fits the L2 cache (50 MB on an H100), it is read from there. Source: Hu, Shen & Sun 2017; Tan &
 * Le 2019. */
#include "cuda/channels.h"
#include "cuda/gate_gradient.h"

enum { X, W1, B1, W2, B2 };

template <int L> struct excite_step {
    const float *x, *gate;
    float *y;
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        const mg_lanes<L> a = mg_load<L>(gate + s);
        mg_lanes<L> v = mg_load<L>(x + i);
#pragma unroll
        for (int l = 0; l < L; l++) v.v[l] *= a.v[l];
        mg_store(y + i, v);
    }
};

/* dx += dy a + dmean / pixels */
template <int L> struct excite_gradient_step {
    const float *dy, *gate, *dmean;
    float *dx;
    float share;
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        mg_lanes<L> to = mg_load<L>(dx + i);
        mg_fma(to, mg_load<L>(dy + i), mg_load<L>(gate + s));
        mg_fma(to, mg_load<L>(dmean + s), mg_splat<L>(share));
        mg_store(dx + i, to);
    }
};

typedef struct job {
    int64_t images, pixels, channels, squeezed, chunks;
    float *partial; /* in scratch, as are h and the slopes */
    mg_gate gate;
    mg_gate_slopes slopes;
} job;

static job job_of(const mg_op_call *c) {
    const int64_t *d = c->x_shape[X].dim;
    job j = {};
    j.images = d[0], j.pixels = d[1] * d[2], j.channels = d[3];
    j.squeezed = c->x_shape[W1].dim[1];
    j.chunks = mg_sum_chunks(j.pixels);
    float *save = (float *)c->save, *scratch = (float *)c->scratch;
    mg_gate *g = &j.gate;
    g->images = j.images, g->channels = (int)j.channels, g->squeezed = (int)j.squeezed;
    g->w1 = (const float *)c->x[W1], g->b1 = (const float *)c->x[B1];
    g->w2 = (const float *)c->x[W2], g->b2 = (const float *)c->x[B2];
    g->mean = save;
    g->u = g->mean + j.images * j.channels;
    g->gate = g->u + j.images * j.squeezed;
    j.partial = scratch;
    j.slopes.dt = j.partial + j.images * j.chunks * j.channels;
    j.slopes.dmean = j.slopes.dt + j.images * j.channels;
    g->copy = j.slopes.dmean + j.images * j.channels;
    j.slopes.du = g->copy + j.images * j.channels;
    g->h = j.slopes.du + j.images * j.squeezed;
    return j;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    const job j = job_of(c);
    const int64_t small = j.images * (3 * j.channels + 2 * j.squeezed);
    return (size_t)(j.images * j.chunks * j.channels + small) * sizeof(float);
}

static void forward(const mg_op_call *c) {
    const job j = job_of(c);
    const float *x = (const float *)c->x[X];
    float *y = (float *)c->y;
    mg_pixel_sums(x, NULL, j.images, j.pixels, j.channels, j.partial);
    mg_gate_forward(&j.gate, j.partial, j.chunks, j.pixels);
    const double elements = (double)mg_shape_elements(&c->y_shape);
    mg_cuda_cost(8 * elements, elements);
    if (mg_lane_width(j.channels, x, y, j.gate.copy, NULL) == 4)
        mg_each_channel<4>(excite_step<4>{x, j.gate.copy, y}, j.images, j.pixels, j.channels);
    else mg_each_channel<1>(excite_step<1>{x, j.gate.copy, y}, j.images, j.pixels, j.channels);
}

static void backward(const mg_op_call *c) {
    const job j = job_of(c);
    const float *dy = (const float *)c->dy, *gate = j.gate.copy, *dmean = j.slopes.dmean;
    float *dx = (float *)c->dx[X];
    mg_pixel_sums(dy, (const float *)c->x[X], j.images, j.pixels, j.channels, j.partial);
    mg_gate_backward(&j.gate, &j.slopes, j.partial, j.chunks, (float *)c->dx[W1],
                     (float *)c->dx[B1], (float *)c->dx[W2], (float *)c->dx[B2]);
    if (!dx) return;
    const double elements = (double)mg_shape_elements(&c->y_shape);
    const float share = 1.0f / (float)j.pixels;
    mg_cuda_cost(12 * elements, 4 * elements);
    if (mg_lane_width(j.channels, dy, dx, gate, dmean) == 4)
        mg_each_channel<4>(excite_gradient_step<4>{dy, gate, dmean, dx, share}, j.images, j.pixels,
                           j.channels);
    else
        mg_each_channel<1>(excite_gradient_step<1>{dy, gate, dmean, dx, share}, j.images, j.pixels,
                           j.channels);
}

MG_CUDA_OP(squeeze_excite, forward, backward, scratch_bytes);
