/* mbconv on the GPU: the inverted-residual block for inference, with as few trips of its wide
 * tensors as cuBLAS allows.
 *
 *     e = silu(x expand_w + expand_b)           d = silu(depthwise(e, dw_w) + dw_b)
 *     a = sigmoid(silu(mean(d) se_w1 + se_b1) se_w2 + se_b2)
 *     y = (d a) project_w + project_b (+ x)
 *
 * e and d are six times as wide as x and y; they alone count. Op by op, with batch norm, SiLU and
 * the gate as passes of their own, e and d would move 15 times. Here:
 *
 *     1  x expand_w                cuBLAS writes e, bare
 *     2  depthwise_tile_kernel     reads e, applies bias and SiLU while it fills its tile in
 *                                  shared memory; filters; bias and SiLU; writes d and, per
 *                                  tile, the sums of d that the means need (depthwise.h)
 *     3  gate.h                    sums to gates
 *     4  gated_product.h           project_w a, per image: 2 E Cout elements instead of the
 *                                  2 HW E that scaling d would move. Where Cout >= HW it is the
 *                                  reverse, and d is scaled in place
 *     5  d (project_w a)           cuBLAS reads d, one product per image
 *     6  + project_b (+ x)         a pass over the narrow y (activation.h)
 *
 * so e and d move four times: written and read once each. Images go in groups whose e and d fit in
 * 512 MiB, at least one image; nothing else grows with the batch.
 *
 * Any sizes; filters other than 3x3 and 5x5 at strides 1 and 2 take the plain kernels, with the
 * activations as passes. No backward: frozen stages and prediction only. Source: Sandler et al.
 * 2018; Tan & Le 2019. */
#include "cuda/depthwise.h"
#include "cuda/depthwise_any.h"
#include "cuda/gate.h"
#include "cuda/gated_product.h"
#include "cuda/image_groups.h"

enum { X, EXPAND_W, EXPAND_B, DW_W, DW_B, SE_W1, SE_B1, SE_W2, SE_B2, PROJECT_W, PROJECT_B };

enum { BUDGET_KIB = 512 << 10 }; /* e and d of a group together */

typedef struct job {
    const mg_op_call *c;
    const float *x; /* of the group at hand */
    float *y;
    int64_t group; /* images at once */
    int64_t in_pixels, out_pixels, in, wide, squeezed, out, chunks;
    bool expands, special;
    mg_depthwise g;
    float *e, *d, *partial, *weights;
    mg_gate gate;
} job;

static const float *input(const job *j, int i) { return (const float *)j->c->x[i]; }

static job job_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[X].dim, *y = c->y_shape.dim;
    job j = {};
    j.c = c;
    j.in_pixels = x[1] * x[2], j.out_pixels = y[1] * y[2];
    j.in = x[3], j.out = y[3];
    j.wide = c->x_shape[DW_W].dim[2], j.squeezed = c->x_shape[SE_W1].dim[1];
    j.expands = mg_has_input(c, EXPAND_W);
    j.g = mg_depthwise_of(c, j.wide);
    j.special = mg_depthwise_special(&j.g);
    /* Partial sums of d: a tile of the depthwise kernel each, or a chunk of pixels. */
    if (j.special && j.g.stride == 1) {
        using B = mg_depthwise_block<1, 4>;
        mg_depthwise_blocks(&j.g, j.g.rows, j.g.columns, B::ROWS, B::COLUMNS);
    } else if (j.special) {
        using B = mg_depthwise_block<2, 4>;
        mg_depthwise_blocks(&j.g, j.g.rows, j.g.columns, B::ROWS, B::COLUMNS);
    }
    j.chunks = j.special ? (int64_t)j.g.down * j.g.across : mg_sum_chunks(j.out_pixels);
    const int64_t image = 4 * j.wide * (j.out_pixels + (j.expands ? j.in_pixels : 0));
    j.group = mg_images_at_once(x[0], image, BUDGET_KIB);
    return j;
}

/* Lays out scratch, each part on a 16-byte boundary; returns its floats. */
static int64_t lay_out(job *j, float *scratch) {
    const int64_t n = j->group;
    const int64_t counts[] = {j->expands ? n * j->in_pixels * j->wide : 0,
                              n * j->out_pixels * j->wide,
                              n * j->chunks * j->wide,
                              mg_gated_weights_floats(n, j->out_pixels, j->wide, j->out),
                              n * j->wide,
                              n * j->squeezed,
                              n * j->wide};
    float **parts[] = {&j->e,         &j->d,      &j->partial,  &j->weights,
                       &j->gate.mean, &j->gate.h, &j->gate.gate};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (scratch) *parts[i] = scratch + total;
        total += mg_ceil_div(counts[i], 4) * 4;
    }
    return total;
}

/* --- 1 and 2: to the wide tensor -------------------------------------------------------------- */

static void expand(const job *j, int64_t images) {
    mg_gemm g = {};
    g.m = images * j->in_pixels, g.k = j->in, g.n = j->wide;
    g.a = j->x, g.lda = j->in;
    g.b = input(j, EXPAND_W), g.ldb = j->wide;
    g.c = j->e, g.ldc = j->wide;
    g.alpha = 1;
    mg_cuda_gemm(&g);
}

struct depthwise_fused {
    const job *j;
    int64_t images;
    template <int K, int S, int L> void run() const {
        using B = mg_depthwise_block<S, L>;
        const float *from = j->expands ? j->e : j->x;
        mg_depthwise at = j->g;
        at.images = images;
        const unsigned blocks = mg_depthwise_blocks(
            &at, at.rows, at.columns, j->g.stride == 1 ? 16 : 8, j->g.stride == 1 ? 8 : 4);
        const mg_depthwise_fusion f = {j->expands ? input(j, EXPAND_B) : NULL, input(j, DW_B),
                                       j->partial};
        const dim3 block(B::LANES, B::GROUPS_ACROSS, B::GROUPS_DOWN);
        if (j->expands)
            MG_LAUNCH((depthwise_tile_kernel<K, S, L, MG_INPUT_SILU, true>), blocks, block, 0, at,
                      from, input(j, DW_W), j->d, f);
        else
            MG_LAUNCH((depthwise_tile_kernel<K, S, L, MG_INPUT_AS_IS, true>), blocks, block, 0, at,
                      from, input(j, DW_W), j->d, f);
    }
};

/* The same in passes, for filters without a tile kernel. */
static void depthwise_in_passes(const job *j, int64_t images) {
    if (j->expands)
        mg_epilogue(j->e, input(j, EXPAND_B), NULL, true, images * j->in_pixels, j->wide);
    mg_depthwise at = j->g;
    at.images = images;
    const double n = (double)images * (double)j->wide, k = j->g.kernel;
    mg_cuda_cost(4 * n * (double)(j->in_pixels + j->out_pixels),
                 2 * k * k * n * (double)j->out_pixels);
    mg_depthwise_any_run(&at, j->expands ? j->e : j->x, input(j, DW_W), j->d);
    mg_epilogue(j->d, input(j, DW_B), NULL, true, images * j->out_pixels, j->wide);
    mg_pixel_sums(j->d, NULL, images, j->out_pixels, j->wide, j->partial);
}

static void depthwise(const job *j, int64_t images) {
    if (!j->special) {
        depthwise_in_passes(j, images);
        return;
    }
    const float *from = j->expands ? j->e : j->x;
    const double n = (double)images * (double)j->wide, k = j->g.kernel;
    mg_cuda_cost(4 * (n * (double)(j->in_pixels + j->out_pixels + j->chunks) +
                      (k * k + 2) * (double)j->wide),
                 n * (2 * k * k + 6) * (double)j->out_pixels);
    const bool wide = mg_lane_width(j->wide, from, input(j, DW_W), input(j, DW_B),
                                    j->expands ? input(j, EXPAND_B) : NULL) == 4;
    mg_depthwise_dispatch(&j->g, wide, depthwise_fused{j, images});
}

/* --- 4 to 6: projection ----------------------------------------------------------------------- */

static void project(const job *j, int64_t images) {
    const mg_gated_product p = {images, j->out_pixels, j->wide,
                                j->out, j->gate.gate,  input(j, PROJECT_W),
                                j->d,   j->weights,    j->y};
    mg_multiply_gated(&p);
    mg_epilogue(j->y, input(j, PROJECT_B), j->c->attr.residual ? j->x : NULL, false,
                images * j->out_pixels, j->out);
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    lay_out(&j, (float *)c->scratch);
    const int64_t images = c->x_shape[X].dim[0];
    for (int64_t first = 0; first < images; first += j.group) {
        const int64_t n = first + j.group < images ? j.group : images - first;
        j.x = input(&j, X) + first * j.in_pixels * j.in;
        j.y = (float *)c->y + first * j.out_pixels * j.out;
        if (j.expands) expand(&j, n);
        depthwise(&j, n);
        mg_gate g = j.gate;
        g.images = n, g.channels = (int)j.wide, g.squeezed = (int)j.squeezed;
        g.w1 = input(&j, SE_W1), g.b1 = input(&j, SE_B1);
        g.w2 = input(&j, SE_W2), g.b2 = input(&j, SE_B2);
        mg_gate_forward(&g, j.partial, j.chunks, j.out_pixels);
        project(&j, n);
    }
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    job j = job_of(c);
    return (size_t)lay_out(&j, NULL) * sizeof(float);
}

MG_CUDA_OP(mbconv, forward, NULL, scratch_bytes);
