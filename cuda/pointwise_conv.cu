/* pointwise_conv on the GPU: three matrix products by cuBLAS, and what cuBLAS has no word for.
 *
 *     y  = act(x w + b)      NHWC is the matrix [M = N H W, K] as it lies in memory
 *     dx += dy w^T           beta = 1 adds, 0 writes what holds nothing yet
 *     dw += x^T dy           the same
 *     db += sum_m dy[m,:]    two-stage sum (sums.h)
 *
 * Any M, K, N. Bias and SiLU are a pass over y (activation.h) where they are asked for; a plain
 * convolution, which batch norm follows, has none. Bytes: x, w and y once per product, 8 per
 * element of y for the pass, dy once for db. With K = 24 … 448 and N six times as many the
 * forward does about 2 K N / 4 (K + N) = 10 to 190 flops per byte: early layers are bound by
 * memory, late ones by arithmetic. Source: Lin, Chen & Yan 2013. */
#include "cuda/activation.h"
#include "cuda/sums.h"

typedef struct sizes {
    int64_t m, k, n;
} sizes;

static sizes sizes_of(const mg_op_call *c) {
    const int64_t k = c->x_shape[1].dim[0], n = c->x_shape[1].dim[1];
    return sizes{mg_shape_elements(&c->x_shape[0]) / k, k, n};
}

static void forward(const mg_op_call *c) {
    const sizes s = sizes_of(c);
    const float *bias = mg_has_input(c, 2) ? (const float *)c->x[2] : NULL;
    mg_gemm g = {};
    g.m = s.m, g.k = s.k, g.n = s.n;
    g.a = (const float *)c->x[0], g.lda = s.k;
    g.b = (const float *)c->x[1], g.ldb = s.n;
    g.c = (float *)c->y, g.ldc = s.n;
    g.alpha = 1;
    mg_cuda_gemm(&g);
    mg_epilogue((float *)c->y, bias, NULL, c->attr.activation == MG_ACTIVATION_SILU, s.m, s.n);
}

static void backward_x(const mg_op_call *c, sizes s) {
    mg_gemm g = {};
    g.m = s.m, g.k = s.n, g.n = s.k;
    g.a = (const float *)c->dy, g.lda = s.n;
    g.b = (const float *)c->x[1], g.ldb = s.n, g.transpose_b = true;
    g.c = (float *)c->dx[0], g.ldc = s.k;
    g.alpha = 1, g.beta = c->overwrite & 1 ? 0 : 1;
    mg_cuda_gemm(&g);
}

static void backward_w(const mg_op_call *c, sizes s) {
    mg_gemm g = {};
    g.m = s.k, g.k = s.m, g.n = s.n;
    g.a = (const float *)c->x[0], g.lda = s.k, g.transpose_a = true;
    g.b = (const float *)c->dy, g.ldb = s.n;
    g.c = (float *)c->dx[1], g.ldc = s.n;
    g.alpha = 1, g.beta = c->overwrite & 2 ? 0 : 1;
    mg_cuda_gemm(&g);
}

static void backward(const mg_op_call *c) {
    const sizes s = sizes_of(c);
    if (c->dx[0]) backward_x(c, s);
    if (c->dx[1]) backward_w(c, s);
    if (!mg_has_input(c, 2) || !c->dx[2]) return;
    float *partial = (float *)c->scratch;
    mg_pixel_sums((const float *)c->dy, NULL, 1, s.m, s.n, partial);
    mg_combine(partial, 1, mg_sum_chunks(s.m), s.n, 1, true, (float *)c->dx[2]);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const sizes s = sizes_of(c);
    return backward && mg_has_input(c, 2) ? mg_pixel_sums_bytes(1, s.m, s.n) : 0;
}

MG_CUDA_OP(pointwise_conv, forward, backward, scratch_bytes, 3);
