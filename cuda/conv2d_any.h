/* conv2d_any.h: dense convolution of any size, one thread per element, and the sizes of a call.
 *
 * Neighbouring threads stand on neighbouring channels, so loads of w and dy are contiguous and
 * those of x broadcasts; reuse is left to the caches. Only the stem's own sizes are used by the
 * networks here (conv2d.cu); dx of a stem, the gradient of the image, is asked for by tests and by
 * saliency maps. */
#ifndef MG_CUDA_CONV2D_ANY_H
#define MG_CUDA_CONV2D_ANY_H

#include "cuda/activation.h"

typedef struct mg_conv2d {
    int64_t images;
    int height, width, in;  /* x */
    int rows, columns, out; /* y */
    int top, left, kernel, stride;
} mg_conv2d;

static inline mg_conv2d mg_conv2d_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    mg_conv2d g = {};
    g.images = x[0], g.height = (int)x[1], g.width = (int)x[2], g.in = (int)x[3];
    g.rows = (int)y[1], g.columns = (int)y[2], g.out = (int)y[3];
    g.top = (int)mg_conv_output(&c->attr, 0, x[1]).before;
    g.left = (int)mg_conv_output(&c->attr, 1, x[2]).before;
    g.kernel = c->attr.kernel, g.stride = c->attr.stride;
    return g;
}

/* What the kernels of conv2d.cu and conv2d_gradient.h are made for. */
static inline bool mg_conv2d_stem(const mg_conv2d *g) {
    return g->kernel == 3 && g->stride == 2 && (g->in == 1 || g->in == 3);
}

static inline double mg_conv2d_bytes(const mg_op_call *c, bool twice_x) {
    const double x = (double)mg_shape_elements(&c->x_shape[0]);
    return 4 * (x * (twice_x ? 2 : 1) + (double)mg_shape_elements(&c->x_shape[1]) +
                (double)mg_shape_elements(&c->y_shape));
}
static inline double mg_conv2d_flops(const mg_op_call *c) {
    const int64_t *w = c->x_shape[1].dim;
    return 2.0 * (double)(w[0] * w[1] * w[2]) * (double)mg_shape_elements(&c->y_shape);
}

enum { MG_CONV_THREADS = 256 };

static __global__ void __launch_bounds__(MG_CONV_THREADS)
    conv2d_any_kernel(mg_conv2d g, int64_t count, const float *__restrict__ x,
                      const float *__restrict__ w, const float *__restrict__ bias, bool silu,
                      float *__restrict__ y) {
    const int64_t at = (int64_t)blockIdx.x * MG_CONV_THREADS + threadIdx.x;
    if (at >= count) return;
    const int o = (int)(at % g.out), j = (int)(at / g.out % g.columns);
    const int64_t line = at / g.out / g.columns, image = line / g.rows;
    const int i = (int)(line % g.rows);
    float sum = bias ? bias[o] : 0.0f;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            const int p = i * g.stride + a - g.top, q = j * g.stride + b - g.left;
            if (p < 0 || p >= g.height || q < 0 || q >= g.width) continue;
            const float *pixel = x + ((image * g.height + p) * g.width + q) * g.in;
            const float *tap = w + (int64_t)(a * g.kernel + b) * g.in * g.out + o;
            for (int ch = 0; ch < g.in; ch++) sum = fmaf(pixel[ch], tap[(int64_t)ch * g.out], sum);
        }
    y[at] = silu ? mg_silu(sum) : sum;
}

static __global__ void __launch_bounds__(MG_CONV_THREADS)
    conv2d_any_dx_kernel(mg_conv2d g, int64_t count, const float *__restrict__ dy,
                         const float *__restrict__ w, float *__restrict__ dx) {
    const int64_t at = (int64_t)blockIdx.x * MG_CONV_THREADS + threadIdx.x;
    if (at >= count) return;
    const int ch = (int)(at % g.in), q = (int)(at / g.in % g.width);
    const int64_t line = at / g.in / g.width, image = line / g.height;
    const int p = (int)(line % g.height);
    float sum = 0;
    for (int a = 0; a < g.kernel; a++)
        for (int b = 0; b < g.kernel; b++) {
            /* output (u / s, v / s) sees this pixel through tap (a, b) where s divides both */
            const int u = p + g.top - a, v = q + g.left - b;
            if (u < 0 || v < 0 || u % g.stride || v % g.stride) continue;
            const int i = u / g.stride, j = v / g.stride;
            if (i >= g.rows || j >= g.columns) continue;
            const float *slope = dy + ((image * g.rows + i) * g.columns + j) * g.out;
            const float *tap = w + ((int64_t)(a * g.kernel + b) * g.in + ch) * g.out;
            for (int o = 0; o < g.out; o++) sum = fmaf(slope[o], tap[o], sum);
        }
    dx[at] += sum;
}

/* Thread t of block (chunk, group) sums weight t over the output rows of its chunk. */
static __global__ void __launch_bounds__(MG_CONV_THREADS, 4)
    conv2d_any_filter_kernel(mg_conv2d g, int chunk, int groups, int weights,
                             const float *__restrict__ x, const float *__restrict__ dy,
                             float *__restrict__ partial) {
    const int t = (int)(blockIdx.x % groups) * MG_CONV_THREADS + (int)threadIdx.x;
    if (t >= weights) return;
    const int o = t % g.out, ch = t / g.out % g.in, tap = t / g.out / g.in;
    const int a = tap / g.kernel, b = tap % g.kernel;
    const int64_t piece = blockIdx.x / groups, all = g.images * g.rows;
    const int64_t end = (piece + 1) * chunk < all ? (piece + 1) * chunk : all;
    float sum = 0;
    for (int64_t r = piece * chunk; r < end; r++) {
        const int p = (int)(r % g.rows) * g.stride + a - g.top;
        if (p < 0 || p >= g.height) continue;
        const float *line = x + (r / g.rows * g.height + p) * g.width * g.in + ch;
        const float *slope = dy + r * g.columns * g.out + o;
        for (int j = 0; j < g.columns; j++) {
            const int q = j * g.stride + b - g.left;
            if (q < 0 || q >= g.width) continue;
            sum = fmaf(slope[(int64_t)j * g.out], line[(int64_t)q * g.in], sum);
        }
    }
    partial[piece * weights + t] = sum;
}

static inline void mg_conv2d_any_forward(const mg_op_call *c, const mg_conv2d *g) {
    const int64_t count = mg_shape_elements(&c->y_shape);
    const float *bias = mg_has_input(c, 2) ? (const float *)c->x[2] : NULL;
    MG_LAUNCH(conv2d_any_kernel, (unsigned)mg_ceil_div(count, MG_CONV_THREADS), MG_CONV_THREADS, 0,
              *g, count, (const float *)c->x[0], (const float *)c->x[1], bias,
              c->attr.activation == MG_ACTIVATION_SILU, (float *)c->y);
}

static inline void mg_conv2d_any_dx(const mg_op_call *c, const mg_conv2d *g) {
    const int64_t count = mg_shape_elements(&c->x_shape[0]);
    mg_cuda_cost(mg_conv2d_bytes(c, true), mg_conv2d_flops(c));
    MG_LAUNCH(conv2d_any_dx_kernel, (unsigned)mg_ceil_div(count, MG_CONV_THREADS), MG_CONV_THREADS,
              0, *g, count, (const float *)c->dy, (const float *)c->x[1], (float *)c->dx[0]);
}

#endif
