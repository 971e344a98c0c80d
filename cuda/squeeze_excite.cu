/* squeeze_excite on the GPU: sums over pixels, a small network, a pass that scales.
 *
 *     g = mean_{h,w} x;  u = g w1 + b1;  a = sigmoid(silu(u) w2 + b2);  y = x a
 *     dx += dy a + (du w1^T) / HW, and the gradients of gate_gradient.h
 *
 * Any N, H, W, C, S. Saved: g, u and a, as in ops/squeeze_excite.c.
 *
 * Forward, three launches: sums of x (sums.h); means, u and silu(u) (gate.h); scaling. Backward,
 * five, and two products: sums of dy x (sums.h); dt; du; the bias gradients (gate_gradient.h); dx.
 *
 * The scaling passes walk columns (columns.h): a block of 256 threads owns up to 64 channels of a
 * chunk of one image's pixels, and first makes what its channels need of the network: forward the
 * gates, S products each, whose terms rows of threads share (4 KiB of shared memory, a tree adds
 * the rows); backward dmean = du w1^T, eight threads per channel, added by shuffles. Each block of
 * an image repeats this for its chunk of 256 pixels or more: 2 S flops per channel beside 256 and
 * more of the pass, in place of a launch. The first chunk's blocks keep the gates.
 *
 * Bytes: no gate is known before every pixel of the image was seen, and blocks cannot wait for one
 * another across a grid, so forward reads x twice and writes y: 12 per element, where 8 would be
 * compulsory, and backward reads dy twice, x once, and reads and writes dx: 20 of 16 (16 of 12
 * where dx holds nothing yet). Partial sums add at most 1/256 of x. The second visit takes the
 * images in reverse: what the sums read last is still in the L2 cache (50 MB on an H100). Source:
 * Hu, Shen & Sun 2017; Tan & Le 2019. */
#include "cuda/columns.h"
#include "cuda/gate_gradient.h"

enum { X, W1, B1, W2, B2 };

/* Which part of which image a block owns; the grid is one-dimensional, images in reverse. */
typedef struct piece {
    int64_t image, chunk;
    int slice;
} piece;

static __device__ __forceinline__ piece piece_of(const mg_columns &g) {
    const int64_t block = gridDim.x - 1 - blockIdx.x, chunk = block / g.slices;
    piece p;
    p.slice = (int)(block - chunk * g.slices);
    p.image = chunk / g.chunks;
    p.chunk = chunk - p.image * g.chunks;
    return p;
}

/* 256 threads are launched, so that all warps are whole; those past the last row lane own no
 * pixels. */
template <int V>
__device__ __forceinline__ mg_column_place place_of(const mg_columns &g, const piece &at) {
    mg_column_place p = mg_column_place_at<V>(g, at.chunk, at.slice);
    if (p.row_lane >= g.row_lanes) p.end = 0;
    return p;
}

/* --- forward ---------------------------------------------------------------------------------- */

template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    excite_scale_kernel(mg_columns g, mg_gate gate, const float *__restrict__ x,
                        float *__restrict__ y) {
    enum { LANES = MG_COLUMN_BYTES / 4 / V, ROWS = MG_COLUMN_THREADS / LANES };
    MG_SHARED(mg_lanes<V>, rows, [ROWS][LANES]);
    MG_SHARED(float, gates, [V][LANES]);
    const piece at = piece_of(g);
    const int row = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int64_t channel = ((int64_t)at.slice * g.lanes + lane) * V;
    const bool used = lane < g.lanes && channel < g.channels;
    const float *h = gate.h + at.image * gate.squeezed;
    mg_lanes<V> sum = mg_splat<V>(0);
    if (used)
#pragma unroll 4
        for (int s = row; s < gate.squeezed; s += ROWS)
            mg_fma(sum, mg_splat<V>(h[s]), mg_load<V>(gate.w2 + s * g.channels + channel));
    rows[row][lane] = sum;
    mg_add_rows(rows, row, lane);
    if (row == 0 && used) { /* it added row 0 itself */
        sum = rows[0][lane];
#pragma unroll
        for (int k = 0; k < V; k++) {
            gates[k][lane] = mg_sigmoid(gate.b2[channel + k] + sum.v[k]);
            if (at.chunk == 0) gate.gate[at.image * g.channels + channel + k] = gates[k][lane];
        }
    }
    __syncthreads();
    const mg_column_place p = place_of<V>(g, at);
    if (p.begin >= p.end) return;
    mg_lanes<V> a;
#pragma unroll
    for (int k = 0; k < V; k++) a.v[k] = gates[k][p.lane];
    const int64_t image = at.image * g.rows;
#pragma unroll 4
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const int64_t i = (image + r) * g.channels + p.channel;
        mg_lanes<V> v = mg_load<V>(x + i);
#pragma unroll
        for (int k = 0; k < V; k++) v.v[k] *= a.v[k];
        mg_store(y + i, v);
    }
}

/* --- backward --------------------------------------------------------------------------------- */

/* dx += dy a + du w1^T / pixels; fresh: = */
template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    excite_gradient_kernel(mg_columns g, mg_gate gate, const float *__restrict__ du,
                           const float *__restrict__ dy, float *__restrict__ dx, bool fresh) {
    enum { ABREAST = 8, AT_ONCE = MG_COLUMN_THREADS / ABREAST };
    MG_SHARED(float, dmean, [V][MG_COLUMN_BYTES / 4 / V + 1]); /* + 1: four writers, four banks */
    const piece at = piece_of(g);
    const int lane = (int)threadIdx.x % ABREAST;
    const int64_t first = (int64_t)at.slice * g.lanes * V;
    const float *slopes = du + at.image * gate.squeezed;
    for (int k = (int)threadIdx.x / ABREAST; k < MG_COLUMN_BYTES / 4; k += AT_ONCE) {
        float sum = 0;
        if (k < g.lanes * V && first + k < g.channels)
#pragma unroll 2
            for (int s = lane; s < gate.squeezed; s += ABREAST)
                sum = fmaf(slopes[s], gate.w1[(first + k) * gate.squeezed + s], sum);
#pragma unroll
        for (int offset = ABREAST / 2; offset > 0; offset /= 2)
            sum += __shfl_xor_sync(MG_FULL_WARP, sum, offset);
        if (lane == 0) dmean[k % V][k / V] = sum / (float)g.rows;
    }
    __syncthreads();
    const mg_column_place p = place_of<V>(g, at);
    if (p.begin >= p.end) return;
    mg_lanes<V> a, share;
#pragma unroll
    for (int k = 0; k < V; k++) {
        a.v[k] = gate.gate[at.image * g.channels + p.channel + k];
        share.v[k] = dmean[k][p.lane];
    }
    const int64_t image = at.image * g.rows;
#pragma unroll 4
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const int64_t i = (image + r) * g.channels + p.channel;
        mg_lanes<V> to = mg_load_if<V>(!fresh, dx + i);
        mg_fma(to, mg_load<V>(dy + i), a);
        mg_add(to, share);
        mg_store(dx + i, to);
    }
}

/* --- host side -------------------------------------------------------------------------------- */

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
    j.slopes.du = j.slopes.dt + j.images * j.channels;
    g->h = j.slopes.du + j.images * j.squeezed;
    return j;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    const job j = job_of(c);
    const int64_t small = j.images * (j.channels + 2 * j.squeezed);
    return (size_t)(j.images * j.chunks * j.channels + small) * sizeof(float);
}

static unsigned blocks_of(const job *j, const mg_columns *g) {
    return (unsigned)(j->images * g->chunks * g->slices);
}

template <int V> static void scale(const job *j, const float *x, float *y) {
    const mg_columns g = mg_columns_of(j->pixels, j->channels, V);
    MG_LAUNCH((excite_scale_kernel<V>), blocks_of(j, &g), MG_COLUMN_THREADS, 0, g, j->gate, x, y);
}

static void forward(const mg_op_call *c) {
    const job j = job_of(c);
    const float *x = (const float *)c->x[X];
    float *y = (float *)c->y;
    mg_pixel_sums(x, NULL, j.images, j.pixels, j.channels, j.partial);
    mg_gate_squeeze(&j.gate, j.partial, j.chunks, j.pixels);
    const double elements = (double)mg_shape_elements(&c->y_shape);
    const double weights = (double)(j.channels * j.squeezed);
    mg_cuda_cost(8 * elements + 4 * weights, elements + 2 * weights * (double)j.images);
    if (mg_lane_width(j.channels, x, y, j.gate.w2, NULL) == 4) scale<4>(&j, x, y);
    else scale<1>(&j, x, y);
}

template <int V> static void add_gradient(const job *j, const float *dy, float *dx, bool fresh) {
    const mg_columns g = mg_columns_of(j->pixels, j->channels, V);
    MG_LAUNCH((excite_gradient_kernel<V>), blocks_of(j, &g), MG_COLUMN_THREADS, 0, g, j->gate,
              (const float *)j->slopes.du, dy, dx, fresh);
}

static void backward(const mg_op_call *c) {
    const job j = job_of(c);
    const float *dy = (const float *)c->dy;
    float *dx = (float *)c->dx[X];
    mg_pixel_sums(dy, (const float *)c->x[X], j.images, j.pixels, j.channels, j.partial);
    mg_gate_backward(&j.gate, &j.slopes, j.partial, j.chunks, (float *)c->dx[W1],
                     (float *)c->dx[B1], (float *)c->dx[W2], (float *)c->dx[B2]);
    if (!dx) return;
    const double elements = (double)mg_shape_elements(&c->y_shape);
    const double weights = (double)(j.channels * j.squeezed);
    const bool fresh = c->overwrite & 1;
    mg_cuda_cost((fresh ? 8 : 12) * elements + 4 * weights,
                 3 * elements + 2 * weights * (double)j.images);
    if (mg_lane_width(j.channels, dy, dx, NULL, NULL) == 4) add_gradient<4>(&j, dy, dx, fresh);
    else add_gradient<1>(&j, dy, dx, fresh);
}

MG_CUDA_OP(squeeze_excite, forward, backward, scratch_bytes, 1);
