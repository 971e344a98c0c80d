/* norm_gate_project on the GPU, forward: the end of a block in as few trips of its wide tensor as
 * statistics and cuBLAS allow.
 *
 *     n = gamma (x - mean) / sqrt(var + eps) + beta,   s = silu(n)
 *     a = sigmoid(silu(mean_{h,w}(s) w1 + b1) w2 + b2),   y = (s a) w
 *
 * x [N,P,C] (P pixels) and s count, everything else is small. Neither n nor s a is ever written,
 * and s only for as long as a product takes to read it:
 *
 *     launch                         reads     writes
 *     statistics of all rows         x                  norm_statistics.h: 2 launches
 *     for each group of images:
 *     activate_kernel                x         s        and the sums of s per chunk of pixels
 *     squeeze, excite                the sums  a        gate.h: 2 launches
 *     w a                            w         w a      gated_product.h; or a into s, in place
 *     y = s (w a)                    s         y        cuBLAS
 *
 * Statistics come before the first n, and means of all of an image before its gate: x is read
 * twice. cuBLAS multiplies what lies in memory: s is written and read. A group's s has at most 16
 * MiB (or is one image's), each group uses the same place, so that the product finds it in the L2
 * cache; of memory x's 8 bytes per element and y's are left, and s would be 8 more. The scale a
 * goes into the weights of each image, not into s, because a is not known when s is written.
 *
 * Where batch_norm would let blocks own whole columns and one group holds the batch,
 * whole_activate_kernel does the statistics and, after a barrier, s and the sums in one launch, x
 * once; its block sums image by image.
 *
 * Any sizes; 16-byte accesses when channels are a multiple of 4. Walk: columns.h, a block of up to
 * 256 threads owns up to 64 channels of a chunk of one image's pixels; 4 KiB of shared memory
 * (whole columns: 512 threads, 18 KiB). Sums are fixed trees over fixed chunks: every run gives the
 * same bits. Groups of another size change them only where the batch then is or no longer is one
 * group that blocks own in whole columns, or where cuBLAS multiplies another number of images in
 * another way. Source: Hu, Shen & Sun 2017; Tan & Le 2019, section 4. */
#include "cuda/norm_gate_project.h"
#include "cuda/gated_product.h"
#include "cuda/norm_statistics.h"

/* --- chunks of pixels ------------------------------------------------------------------------- */

/* s = silu(n) and partial[image][chunk][channel] = sums of s. */
template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS, 4)
    activate_kernel(mg_columns g, mg_norm_arrays norm, float *__restrict__ s,
                    float *__restrict__ partial) {
    MG_SHARED(float, sums, [V][MG_COLUMN_THREADS]);
    mg_image_piece at;
    const mg_column_place p = mg_image_place<V>(g, &at);
    mg_lanes<V> sum = mg_splat<V>(0);
    if (p.begin < p.end) {
        const mg_norm_lanes<V> l = mg_norm_lanes_at<V>(norm, p.channel);
#pragma unroll 4
        for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
            const int64_t i = at.start + r * g.channels + p.channel;
            mg_lanes<V> v = mg_load<V>(norm.x + i);
#pragma unroll
            for (int k = 0; k < V; k++) v.v[k] = mg_silu(mg_norm_of<V>(l, k, v.v[k]));
            mg_add(sum, v);
            mg_store(s + i, v);
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) sums[k][threadIdx.x] = sum.v[k];
    mg_add_row_lanes(g, p, sums);
    if (p.row_lane > 0 || p.end == 0) return;
#pragma unroll
    for (int k = 0; k < V; k++) sum.v[k] = sums[k][p.lane];
    mg_store(partial + at.piece * g.channels + p.channel, sum);
}

/* --- whole columns ---------------------------------------------------------------------------- */

/* g walks all rows; images from the last to the first, whose rows were read longest ago. partial is
 * [image][channel]. */
template <int V> static __global__ void __launch_bounds__(MG_WHOLE_THREADS, 1)
    whole_activate_kernel(mg_columns g, int64_t pixels, mg_norm_arrays norm, mg_statistics keep,
                          float *__restrict__ s, float *__restrict__ partial) {
    MG_SHARED(float, means, [V][MG_WHOLE_THREADS]);
    MG_SHARED(float, squares, [V][MG_WHOLE_THREADS]);
    MG_SHARED(int, counts, [MG_WHOLE_THREADS]);
    const mg_column_place p = mg_column_place_of<V>(g, 0);
    const bool used = p.end > 0; /* not past the last column */
    mg_welford_rows<V>(g, p, norm.x, means, squares, counts);
    mg_merge_row_lanes<V>(g, p, means, squares, counts);
    if (p.row_lane == 0 && used) /* its place is its lane */
#pragma unroll
        for (int k = 0; k < V; k++)
            squares[k][p.lane] =
                mg_keep_statistics(keep, g.rows, g.channels, p.channel + k, means[k][p.lane],
                                   (double)squares[k][p.lane] / (double)g.rows);
    __syncthreads();
    mg_norm_lanes<V> l;
    l.scale = mg_load_if<V>(used, norm.gamma + p.channel);
    l.shift = mg_load_if<V>(used, norm.beta + p.channel);
#pragma unroll
    for (int k = 0; k < V; k++) {
        l.mean.v[k] = means[k][p.lane];
        l.scale.v[k] *= squares[k][p.lane];
    }
    for (int64_t image = g.rows / pixels - 1; image >= 0; image--) {
        const int64_t end = used ? (image + 1) * pixels : 0;
        mg_lanes<V> sum = mg_splat<V>(0);
#pragma unroll 4
        for (int64_t r = image * pixels + p.row_lane; r < end; r += g.row_lanes) {
            const int64_t i = r * g.channels + p.channel;
            mg_lanes<V> v = mg_load<V>(norm.x + i);
#pragma unroll
            for (int k = 0; k < V; k++) v.v[k] = mg_silu(mg_norm_of<V>(l, k, v.v[k]));
            mg_add(sum, v);
            mg_store(s + i, v);
        }
        __syncthreads(); /* nobody reads what lay here any more */
#pragma unroll
        for (int k = 0; k < V; k++) means[k][threadIdx.x] = sum.v[k];
        mg_add_row_lanes(g, p, means);
        if (p.row_lane > 0 || !used) continue;
#pragma unroll
        for (int k = 0; k < V; k++) sum.v[k] = means[k][p.lane];
        mg_store(partial + image * g.channels + p.channel, sum);
    }
}

/* --- host side -------------------------------------------------------------------------------- */

typedef struct memory {
    float *s, *partial, *weights, *statistics;
} memory;

static int64_t lay_out(mg_norm_gate *j, memory *m, float *scratch) {
    const int64_t rows = j->images * j->pixels, n = j->group;
    const mg_part parts[] = {
        {&m->s, n * j->pixels * j->channels},
        {&m->partial, n * mg_norm_gate_most_chunks(j) * j->channels},
        {&m->weights, mg_gated_weights_floats(n, j->pixels, j->channels, j->out)},
        {&m->statistics, mg_norm_statistics_floats(rows, j->channels)},
        {&j->gate.h, n * j->squeezed}};
    return mg_lay_out(parts, MG_COUNT(parts), scratch);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    if (backward) return mg_norm_gate_project_scratch(c);
    mg_norm_gate j = mg_norm_gate_of(c);
    memory m;
    return (size_t)lay_out(&j, &m, NULL) * sizeof(float);
}

template <int V>
static void activate(const mg_norm_gate *j, const memory *m, int64_t first, int64_t n) {
    const double elements = (double)(n * j->pixels * j->channels);
    mg_norm_arrays norm = j->norm;
    norm.x += first * j->pixels * j->channels;
    mg_cuda_cost(8 * elements, 8 * elements);
    MG_LAUNCH((activate_kernel<V>), mg_norm_gate_blocks(j, n), mg_columns_threads(&j->walk), 0,
              j->walk, norm, m->s, m->partial);
}

/* Statistics too. */
template <int V>
static void activate_whole(const mg_op_call *c, const mg_norm_gate *j, const memory *m) {
    const mg_columns g = mg_columns_whole(j->images * j->pixels, j->channels, V);
    const double elements = (double)g.rows * (double)g.channels;
    mg_cuda_cost(8 * elements, 14 * elements);
    MG_LAUNCH((whole_activate_kernel<V>), mg_columns_grid(&g), mg_columns_threads(&g), 0, g,
              j->pixels, j->norm, mg_statistics_of(c), m->s, m->partial);
}

/* The gate's arrays from image `first` on. */
static mg_gate gate_at(const mg_norm_gate *j, int64_t first, int64_t n) {
    mg_gate g = j->gate;
    g.images = n;
    g.mean += first * j->channels;
    g.u += first * j->squeezed;
    g.gate += first * j->channels;
    return g;
}

template <int V>
static void forward_of(const mg_op_call *c, const mg_norm_gate *j, const memory *m) {
    const bool whole = c->attr.training && j->group == j->images && mg_batch_norm_whole(c);
    if (!whole) mg_norm_statistics<V>(c, m->statistics);
    for (int64_t first = 0; first < j->images; first += j->group) {
        const int64_t n = first + j->group < j->images ? j->group : j->images - first;
        if (whole) activate_whole<V>(c, j, m);
        else activate<V>(j, m, first, n);
        const mg_gate gate = gate_at(j, first, n);
        mg_gate_forward(&gate, m->partial, whole ? 1 : j->walk.chunks, j->pixels);
        mg_gated_product p = {n, j->pixels, j->channels, j->out, gate.gate, NULL, m->s, m->weights};
        p.w = (const float *)c->x[MG_NGP_W];
        p.y = (float *)c->y + first * j->pixels * j->out;
        mg_multiply_gated(&p);
    }
}

static void forward(const mg_op_call *c) {
    mg_norm_gate j = mg_norm_gate_of(c);
    memory m;
    lay_out(&j, &m, (float *)c->scratch);
    if (j.vector == 4) forward_of<4>(c, &j, &m);
    else forward_of<1>(c, &j, &m);
}

MG_CUDA_OP(norm_gate_project, forward, mg_norm_gate_project_backward, scratch_bytes, 1);
