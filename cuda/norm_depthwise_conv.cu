/* norm_depthwise_conv on the GPU: no tensor between its three ops exists in memory.
 *
 *     n = batch_norm(x), s = silu(n), y = depthwise_conv(s, w)
 *
 * Forward: batch_norm's statistics (one launch for whole columns, two for chunks of rows), then
 * depthwise.h's tile kernel, which normalises and activates x on the way into shared memory: 3
 * tensors move, x twice and y, of which 2 are compulsory. Neighbouring tiles make the s of their
 * common halo twice (1.9 times the tile for 5x5, 1.4 for 3x3).
 * Backward: norm_depthwise_backward.h's two passes over x and dy, with one small launch between
 * them that adds the partial sums up in f64: 5 tensors, of which 3 are compulsory.
 * Other filters than 3x3 and 5x5 at strides 1 and 2: norm_depthwise_any.h.
 *
 * Any sizes. Scratch: partial sums alone. Every run gives the same bits: chunks are a function of
 * the shape, sums have fixed places and a fixed order.
 * Source: Ioffe & Szegedy 2015; Tan & Le 2019, section 4; Bulo et al. 2018 for recomputing. */
#include "cuda/batch_norm.h"
#include "cuda/compose.h"
#include "cuda/depthwise_weights.h"
#include "cuda/norm_depthwise_any.h"

enum { X, GAMMA, BETA, W = MG_NORM_RUNNING_VAR + 1 };
/* Tiles of 128 inputs that a block sums at least, and blocks aimed at in a grid of sums. */
static const int64_t SUM_TILES = 8, SUM_BLOCKS = 1024;

static const float *input(const mg_op_call *c, int i) { return (const float *)c->x[i]; }

static mg_norm norm_of(const mg_op_call *c) {
    const float *save = (const float *)c->save;
    return mg_norm{save, save + c->x_shape[GAMMA].dim[0], input(c, GAMMA), input(c, BETA)};
}

static double elements(const mg_shape *s) { return (double)mg_shape_elements(s); }

/* Everything that is read or written four channels at a time starts on 16 bytes. */
static bool wide_of(const mg_op_call *c) {
    const int64_t channels = c->x_shape[GAMMA].dim[0];
    return mg_lane_width(channels, c->x[X], c->y, c->dy, c->dx[X]) == 4 &&
           mg_lane_width(channels, c->x[W], c->x[GAMMA], c->x[BETA], c->save) == 4 &&
           mg_aligned16(c->scratch);
}

/* --- forward ---------------------------------------------------------------------------------- */

static void forward(const mg_op_call *c) {
    const mg_op_call norm = mg_norm_part(c);
    mg_depthwise g = mg_depthwise_of(c, c->x_shape[GAMMA].dim[0]);
    const double k = g.kernel, x = elements(&c->x_shape[X]), y = elements(&c->y_shape);
    mg_depthwise_fusion f = {};
    mg_batch_norm_statistics(&norm);
    f.norm = norm_of(c);
    g.reverse = true; /* statistics came to the last rows last */
    mg_cuda_cost(4 * (x + y + k * k * (double)g.channels), 2 * k * k * y + 6 * x);
    const mg_depthwise_tiles<MG_INPUT_NORM> tiles = {g, input(c, X), input(c, W), (float *)c->y, f};
    if (mg_depthwise_special(&g)) mg_depthwise_dispatch(&g, wide_of(c), tiles);
    else mg_depthwise_any_as<MG_INPUT_NORM>(&g, tiles.x, tiles.w, tiles.y, f);
}

/* --- backward: layout of scratch -------------------------------------------------------------- */

typedef struct job {
    const mg_op_call *c;
    mg_depthwise g; /* in tiles of inputs */
    mg_norm norm;
    int64_t chunk, chunks;               /* of sums: tiles, or rows of x */
    int64_t filter_chunk, filter_chunks; /* of dw by itself: rows of y */
    float *partial, *filter, *mean_dn, *mean_dn_h;
    int64_t taps; /* of partial, beside two sums */
    bool special, wide;
} job;

/* Lays out scratch in parts on 16-byte boundaries; returns its floats. */
static int64_t lay_out(job *j, float *scratch) {
    const int64_t channels = j->g.channels, taps = (int64_t)j->g.kernel * j->g.kernel;
    const int64_t counts[] = {j->chunks * (j->taps + 2) * channels,
                              j->special ? 0 : j->filter_chunks * taps * channels, channels,
                              channels};
    float **parts[] = {&j->partial, &j->filter, &j->mean_dn, &j->mean_dn_h};
    int64_t total = 0;
    for (int i = 0; i < MG_COUNT(counts); i++) {
        if (scratch) *parts[i] = scratch + total;
        total += mg_whole_fours(counts[i]);
    }
    return total;
}

static job job_of(const mg_op_call *c) {
    job j = {};
    j.c = c;
    j.g = mg_depthwise_of(c, c->x_shape[GAMMA].dim[0]);
    j.norm = norm_of(c);
    j.special = mg_depthwise_special(&j.g);
    j.wide = wide_of(c);
    if (j.special) {
        using B = mg_inputs_block<3, 1, 1>; /* 16 x 8 inputs in all of them */
        mg_depthwise_blocks(&j.g, j.g.height + j.g.top % j.g.stride,
                            j.g.width + j.g.left % j.g.stride, B::ROWS, B::COLUMNS);
        const int64_t pieces = j.g.images * j.g.down * j.g.across;
        const int64_t even = mg_ceil_div(pieces * j.g.tiles, SUM_BLOCKS);
        j.taps = (int64_t)j.g.kernel * j.g.kernel;
        j.chunk = even > SUM_TILES ? even : SUM_TILES;
        j.chunks = mg_ceil_div(pieces, j.chunk);
    } else {
        mg_depthwise inputs = j.g; /* the rule of filters, for the rows of x */
        inputs.rows = j.g.height, inputs.columns = j.g.width;
        j.chunk = mg_filter_chunk(&inputs), j.chunks = mg_filter_chunks(&inputs);
        j.filter_chunk = mg_filter_chunk(&j.g), j.filter_chunks = mg_filter_chunks(&j.g);
    }
    return j;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    const mg_op_call norm = mg_norm_part(c);
    job j = job_of(c);
    return backward ? (size_t)lay_out(&j, NULL) * sizeof(float)
                    : mg_batch_norm_scratch(&norm, false, threads);
}

/* --- backward: sums --------------------------------------------------------------------------- */

/* Adds the chunks of partial[chunk, taps + 2, C] up, in f64 and in order: dw, dbeta and dgamma as
 * far as they are wanted, and the means of dn and dn h. A block owns 32 of the sums; its eight
 * warps take the chunks in turn. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS)
    finish_sums_kernel(const float *__restrict__ partial, int64_t chunks, int64_t taps,
                       int64_t channels, double rows, float *__restrict__ dw,
                       float *__restrict__ dgamma, float *__restrict__ dbeta,
                       float *__restrict__ mean_dn, float *__restrict__ mean_dn_h) {
    MG_SHARED(double, sums, [MG_FINISH_THREADS]);
    const int warp = (int)threadIdx.x / MG_WARP;
    const int64_t count = (taps + 2) * channels;
    const int64_t i = (int64_t)blockIdx.x * MG_WARP + threadIdx.x % MG_WARP;
    double sum = 0;
    for (int64_t k = warp; i < count && k < chunks; k += MG_FINISH_WARPS)
        sum += (double)partial[k * count + i];
    sum = mg_across_warps(sums, sum);
    if (i >= count || warp > 0) return;
    const int64_t value = i / channels, channel = i % channels;
    float *to = value < taps ? dw : value == taps ? dbeta : dgamma;
    if (to) to[value < taps ? i : channel] += (float)sum;
    if (value == taps) mean_dn[channel] = (float)(sum / rows);
    if (value > taps) mean_dn_h[channel] = (float)(sum / rows);
}

struct tile_sums {
    const job *j;
    template <int K, int S, int L> void run() const {
        using B = mg_inputs_block<K, S, (L == 1 ? 1 : 2)>;
        MG_LAUNCH((norm_depthwise_sums_kernel<K, S, (L == 1 ? 1 : 2)>),
                  (unsigned)(j->chunks * j->g.tiles),
                  dim3(B::LANES, B::GROUPS_ACROSS, B::GROUPS_DOWN), 0, j->g, (int)j->chunk, j->norm,
                  input(j->c, X), (const float *)j->c->dy, input(j->c, W), j->partial);
    }
};

static void any_sums(const job *j) {
    const float *x = input(j->c, X), *dy = (const float *)j->c->dy;
    MG_LAUNCH(norm_depthwise_any_sums_kernel, (unsigned)(j->chunks * j->g.tiles),
              dim3(MG_TILE_CHANNELS, MG_SUM_THREADS / MG_TILE_CHANNELS), 0, j->g, (int)j->chunk,
              j->norm, x, dy, input(j->c, W), j->partial);
    if (!j->c->dx[W]) return;
    mg_depthwise_fusion f = {};
    f.norm = j->norm;
    mg_depthwise_any_weights_as<MG_INPUT_NORM>(&j->g, x, dy, j->filter_chunk, j->filter_chunks,
                                               j->filter, f);
    mg_combine(j->filter, 1, j->filter_chunks, mg_shape_elements(&j->c->x_shape[W]), 1, true,
               (float *)j->c->dx[W]);
}

static void sums(const job *j) {
    const mg_op_call *c = j->c;
    const double x = elements(&c->x_shape[X]), y = elements(&c->y_shape), k = j->g.kernel;
    const int64_t channels = j->g.channels, count = (j->taps + 2) * channels;
    mg_cuda_cost(4 * (x + y + (double)(j->chunks * count)), 4 * k * k * y + 12 * x);
    if (j->special) mg_depthwise_dispatch(&j->g, j->wide, tile_sums{j});
    else any_sums(j);
    mg_cuda_cost(4 * (double)(j->chunks * count), (double)(j->chunks * count));
    MG_LAUNCH(finish_sums_kernel, (unsigned)mg_ceil_div(count, MG_WARP), MG_FINISH_THREADS, 0,
              (const float *)j->partial, j->chunks, j->taps, channels, x / (double)channels,
              (float *)c->dx[W], (float *)c->dx[GAMMA], (float *)c->dx[BETA], j->mean_dn,
              j->mean_dn_h);
}

/* --- backward: slopes ------------------------------------------------------------------------- */

struct tile_slopes {
    const job *j;
    mg_norm_means means;
    template <int K, int S, int L> void run() const {
        using B = mg_inputs_block<K, S, L>;
        mg_depthwise g = j->g;
        g.reverse = true;
        MG_LAUNCH((norm_depthwise_slopes_kernel<K, S, L>),
                  (unsigned)(g.images * g.down * g.across * g.tiles),
                  dim3(B::LANES, B::GROUPS_ACROSS, B::GROUPS_DOWN), 0, g, j->norm, means,
                  input(j->c, X), (const float *)j->c->dy, input(j->c, W), (float *)j->c->dx[X]);
    }
};

static void slopes(const job *j) {
    const mg_op_call *c = j->c;
    const double x = elements(&c->x_shape[X]), y = elements(&c->y_shape), k = j->g.kernel;
    const bool training = c->attr.training, fresh = c->overwrite & 1;
    const mg_norm_means means = {training ? j->mean_dn : NULL, training ? j->mean_dn_h : NULL,
                                 fresh};
    mg_cuda_cost(4 * (x * (fresh ? 2 : 3) + y), 2 * k * k * y + 16 * x);
    if (j->special) {
        mg_depthwise_dispatch(&j->g, j->wide, tile_slopes{j, means});
    } else {
        const int64_t count = mg_shape_elements(&c->x_shape[X]);
        MG_LAUNCH(norm_depthwise_any_slopes_kernel, (unsigned)mg_ceil_div(count, MG_ANY_THREADS),
                  MG_ANY_THREADS, 0, j->g, count, j->norm, means, input(c, X), (const float *)c->dy,
                  input(c, W), (float *)c->dx[X]);
    }
}

/* Where statistics are constants and no parameter's gradient is wanted, dx needs no sums. */
static void backward(const mg_op_call *c) {
    job j = job_of(c);
    lay_out(&j, (float *)c->scratch);
    if (c->attr.training || c->dx[GAMMA] || c->dx[BETA] || c->dx[W]) sums(&j);
    if (c->dx[X]) slopes(&j);
}

MG_CUDA_OP(norm_depthwise_conv, forward, backward, scratch_bytes, 1);
