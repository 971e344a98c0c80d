/* conv2d_gradient.h: the gradients of a stem (3x3, stride 2, one or three channels).
 *
 *     dw[a,b,ch,o] += sum_{n,i,j} dy[n,i,j,o] x[n, 2 i + a - top, 2 j + b - left, ch]
 *     dx[n,p,q,ch] += sum over the taps that reach (p,q) and over o of dy[n,i,j,o] w[a,b,ch,o]
 *
 * dw: 9 Cin Cout sums over all output positions. Stage 1: a block owns 32 output channels and a
 * chunk of output rows, which its parts take in turn. For 16 columns at a time the block copies the
 * inputs under every part's row into shared memory, whole lines, and thread (lane, a, part)
 * multiplies each value of dy with the 3 Cin inputs under tap row a, which its lanes read as a
 * broadcast. The parts are added in shared memory by a tree. Stage 2 adds the chunks (sums.h).
 * Block: 8 x 3 x 8 threads (L = 4), 32 x 3 x 4 (L = 1). Shared memory, three channels: 13 KiB of
 * input + 27 KiB for the tree. Bytes: dy and x once, and a partial filter per chunk of 1024 or more
 * outputs.
 *
 * dx: a pixel is seen by at most four outputs, and all Cout channels of them are summed: eight (L =
 * 1: 32) neighbouring threads share a pixel, read dy and w along o, and add their sums by
 * shuffles. Blocks of 256 threads, no shared memory.
 *
 * Training asks for dw alone, a map of what the image contributes for dx alone. Where both are
 * wanted they share a launch: a block that has summed dw over its output rows makes dx of the
 * pixels under them, whose dy it has just read; the blocks of a chunk, one per 32 output channels,
 * take the rows in turn. dy, two thirds of all bytes, then comes from memory once. */
#ifndef MG_CUDA_CONV2D_GRADIENT_H
#define MG_CUDA_CONV2D_GRADIENT_H

#include "cuda/conv2d_any.h"
#include "cuda/sums.h"

template <int L> struct mg_stem_filter_block {
    enum {
        LANES = MG_TILE_CHANNELS / L,
        PARTS = L == 4 ? 8 : 4,
        THREADS = LANES * 3 * PARTS,
        COLUMNS = 16 /* at a time */
    };
    /* Floats under a row's columns, as whole warps copy them, and 8 more: the four lines that a
     * warp reads at once then lie in different banks. */
    template <int CIN> __host__ __device__ static constexpr int line() {
        return ((2 * COLUMNS + 1) * CIN + MG_WARP - 1) / MG_WARP * MG_WARP + 8;
    }
};

/* Rows of x under the parts' output rows `row`, row + 1, … (counted over all images), columns from
 * q on, into tile. A warp copies a line at a time. */
template <int CIN, int L, int LINE> __device__ __forceinline__ void
mg_stem_inputs(const mg_conv2d &g, const float *x, int64_t row, int64_t end, int q,
               float (&tile)[mg_stem_filter_block<L>::PARTS][3][LINE]) {
    using B = mg_stem_filter_block<L>;
    const int thread = (int)((threadIdx.z * 3 + threadIdx.y) * B::LANES + threadIdx.x);
    const int lane = thread % MG_WARP, width = g.width * CIN, begin = q * CIN;
    for (int line = thread / MG_WARP; line < B::PARTS * 3; line += B::THREADS / MG_WARP) {
        const int part = line / 3, a = line % 3;
        const int64_t r = row + part, image = r / g.rows;
        const int p = (int)(r - image * g.rows) * 2 + a - g.top;
        const bool inside = r < end && p >= 0 && p < g.height;
        const int64_t from = (image * g.height + p) * width + begin;
        for (int k = lane; k < LINE - 8; k += MG_WARP) {
            const int e = begin + k;
            const bool used = k < (2 * B::COLUMNS + 1) * CIN && e >= 0 && e < width;
            tile[part][a][k] = inside && used ? x[from + k] : 0.0f;
        }
    }
}

/* The output rows and channels of a block, counted over all images. */
typedef struct mg_stem_chunk {
    int64_t piece, begin, end;
    int tile, tiles;
} mg_stem_chunk;

__device__ __forceinline__ mg_stem_chunk mg_stem_chunk_of(const mg_conv2d &g, int chunk) {
    const int64_t all = g.images * g.rows;
    mg_stem_chunk k;
    k.tiles = (g.out + MG_TILE_CHANNELS - 1) / MG_TILE_CHANNELS;
    k.tile = (int)(blockIdx.x % k.tiles);
    k.piece = blockIdx.x / k.tiles;
    k.begin = k.piece * chunk;
    k.end = k.begin + chunk < all ? k.begin + chunk : all;
    return k;
}

/* dw of a block's output rows; ends without a barrier. */
template <int CIN, int L> __device__ __forceinline__ void mg_stem_filter_rows(
    const mg_conv2d &g, const mg_stem_chunk &chunk, const float *__restrict__ x,
    const float *__restrict__ dy, float *__restrict__ partial,
    mg_lanes<L> (&parts)[mg_stem_filter_block<L>::PARTS][9 * CIN][mg_stem_filter_block<L>::LANES],
    float (
        &tile)[mg_stem_filter_block<L>::PARTS][3][mg_stem_filter_block<L>::template line<CIN>()]) {
    using B = mg_stem_filter_block<L>;
    enum { TAPS = 3 * CIN, LINE = B::template line<CIN>() };
    const int lane = (int)threadIdx.x, a = (int)threadIdx.y, part = (int)threadIdx.z;
    const int channel = chunk.tile * MG_TILE_CHANNELS + lane * L;
    const int64_t end = chunk.end;
    mg_lanes<L> sum[TAPS];
#pragma unroll
    for (int k = 0; k < TAPS; k++) sum[k] = mg_splat<L>(0);
    for (int64_t row = chunk.begin; row < end; row += B::PARTS)
        for (int first = 0; first < g.columns; first += B::COLUMNS) {
            __syncthreads(); /* nobody reads the last tile any more */
            mg_stem_inputs<CIN, L, LINE>(g, x, row, end, first * 2 - g.left, tile);
            __syncthreads();
            const bool used = row + part < end && channel < g.out;
            const float *slope = dy + ((row + part) * g.columns + first) * g.out + channel;
#pragma unroll 4
            for (int j = 0; j < B::COLUMNS; j++) {
                const mg_lanes<L> s =
                    mg_load_if<L>(used && first + j < g.columns, slope + (int64_t)j * g.out);
#pragma unroll
                for (int k = 0; k < TAPS; k++)
                    mg_fma(sum[k], s, mg_splat<L>(tile[part][a][j * 2 * CIN + k]));
            }
        }
#pragma unroll
    for (int k = 0; k < TAPS; k++) parts[part][a * TAPS + k][lane] = sum[k];
#pragma unroll
    for (int half = B::PARTS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (part >= half) continue; /* to the next barrier */
#pragma unroll
        for (int k = 0; k < TAPS; k++) {
            const mg_lanes<L> other = parts[part + half][a * TAPS + k][lane];
            mg_add(sum[k], other);
            parts[part][a * TAPS + k][lane] = sum[k];
        }
    }
    if (part != 0 || channel >= g.out) return;
#pragma unroll
    for (int k = 0; k < TAPS; k++)
        mg_store(partial + (chunk.piece * 3 * TAPS + a * TAPS + k) * g.out + channel, sum[k]);
}

template <int CIN, int L>
__global__ void __launch_bounds__((mg_stem_filter_block<L>::THREADS), L == 4 ? 3 : 1)
    stem_filter_kernel(mg_conv2d g, int chunk, const float *__restrict__ x,
                       const float *__restrict__ dy, float *__restrict__ partial) {
    using B = mg_stem_filter_block<L>;
    MG_SHARED(mg_lanes<L>, parts, [B::PARTS][9 * CIN][B::LANES]);
    MG_SHARED(float, tile, [B::PARTS][3][B::template line<CIN>()]);
    mg_stem_filter_rows<CIN, L>(g, mg_stem_chunk_of(g, chunk), x, dy, partial, parts, tile);
}

/* --- dx --------------------------------------------------------------------------------------- */

enum { MG_STEM_DX_THREADS = 256 };

/* dx += … of pixel (p, q), by the threads that share it; all lanes of a warp call it, those without
 * a pixel with `inside` false. AHEAD: fours of channels under way at once. */
template <int CIN, int L, int AHEAD> __device__ __forceinline__ void
mg_stem_dx_pixel(const mg_conv2d &g, int64_t image, int p, int q, bool inside, int lane,
                 const float *__restrict__ dy, const float *__restrict__ w,
                 float *__restrict__ dx) {
    enum { LANES = MG_TILE_CHANNELS / L };
    float sum[CIN] = {};
#pragma unroll 1
    for (int tap = 0; tap < 9; tap++) {
        /* output (u / 2, v / 2) sees this pixel through the tap where 2 divides both */
        const int u = p + g.top - tap / 3, v = q + g.left - tap % 3;
        if (!inside || u < 0 || v < 0 || u % 2 || v % 2) continue;
        if (u / 2 >= g.rows || v / 2 >= g.columns) continue;
        const float *slope = dy + ((image * g.rows + u / 2) * g.columns + v / 2) * g.out;
#pragma unroll AHEAD
        for (int o = lane * L; o < g.out; o += MG_TILE_CHANNELS) {
            const mg_lanes<L> s = mg_load<L>(slope + o);
#pragma unroll
            for (int ch = 0; ch < CIN; ch++) {
                const mg_lanes<L> t = mg_load<L>(w + (int64_t)(tap * CIN + ch) * g.out + o);
#pragma unroll
                for (int l = 0; l < L; l++) sum[ch] = fmaf(s.v[l], t.v[l], sum[ch]);
            }
        }
    }
#pragma unroll
    for (int ch = 0; ch < CIN; ch++) { /* every lane of the warp is here */
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset /= 2)
            sum[ch] += __shfl_xor_sync(MG_FULL_WARP, sum[ch], offset);
    }
    /* One thread a channel writes, so that a warp's pixels make one contiguous store. */
    float mine = sum[0];
#pragma unroll
    for (int ch = 1; ch < CIN; ch++)
        if (lane == ch) mine = sum[ch];
    if (lane < CIN && inside) dx[((image * g.height + p) * g.width + q) * CIN + lane] += mine;
}

template <int CIN, int L> __global__ void __launch_bounds__(MG_STEM_DX_THREADS)
    stem_dx_kernel(mg_conv2d g, int64_t pixels, const float *__restrict__ dy,
                   const float *__restrict__ w, float *__restrict__ dx) {
    enum { LANES = MG_TILE_CHANNELS / L };
    const int lane = (int)threadIdx.x % LANES;
    const int64_t pixel = (int64_t)blockIdx.x * (MG_STEM_DX_THREADS / LANES) + threadIdx.x / LANES;
    const int64_t line = pixel / g.width, image = line / g.height;
    mg_stem_dx_pixel<CIN, L, 2>(g, image, (int)(line % g.height), (int)(pixel % g.width),
                                pixel < pixels, lane, dy, w, dx);
}

/* --- both ------------------------------------------------------------------------------------- */

/* Pixel row p belongs to output row (p + top) / 2, to the last one where there is none. */
template <int CIN, int L>
__global__ void __launch_bounds__((mg_stem_filter_block<L>::THREADS), L == 4 ? 3 : 1)
    stem_both_kernel(mg_conv2d g, int chunk, const float *__restrict__ x,
                     const float *__restrict__ dy, const float *__restrict__ w,
                     float *__restrict__ partial, float *__restrict__ dx) {
    using B = mg_stem_filter_block<L>;
    MG_SHARED(mg_lanes<L>, parts, [B::PARTS][9 * CIN][B::LANES]);
    MG_SHARED(float, tile, [B::PARTS][3][B::template line<CIN>()]);
    const mg_stem_chunk k = mg_stem_chunk_of(g, chunk);
    mg_stem_filter_rows<CIN, L>(g, k, x, dy, partial, parts, tile);
    const int lane = (int)threadIdx.x, group = (int)(threadIdx.z * 3 + threadIdx.y);
    for (int64_t row = k.begin + k.tile; row < k.end; row += k.tiles) {
        const int64_t image = row / g.rows;
        const int i = (int)(row - image * g.rows);
        const int begin = 2 * i > g.top ? 2 * i - g.top : 0;
        const int next = 2 * i + 2 - g.top;
        const int end = i == g.rows - 1 || next > g.height ? g.height : next;
        const int64_t pixels = (int64_t)(end - begin) * g.width; /* may be negative: none */
        for (int64_t first = 0; first < pixels; first += B::THREADS / B::LANES) {
            const int64_t pixel = first + group;
            mg_stem_dx_pixel<CIN, L, 1>(g, image, begin + (int)(pixel / g.width),
                                        (int)(pixel % g.width), pixel < pixels, lane, dy, w, dx);
        }
    }
}

template <int CIN, int L> static void mg_stem_dx(const mg_op_call *c, const mg_conv2d *g) {
    const int64_t pixels = g->images * g->height * g->width;
    const int64_t blocks = mg_ceil_div(pixels * (MG_TILE_CHANNELS / L), MG_STEM_DX_THREADS);
    mg_cuda_cost(mg_conv2d_bytes(c, true), mg_conv2d_flops(c));
    MG_LAUNCH((stem_dx_kernel<CIN, L>), (unsigned)blocks, MG_STEM_DX_THREADS, 0, *g, pixels,
              (const float *)c->dy, (const float *)c->x[1], (float *)c->dx[0]);
}

/* dx += … for any size. */
static inline void mg_conv2d_dx(const mg_op_call *c, const mg_conv2d *g) {
    const bool wide = mg_lane_width(g->out, c->dy, c->x[1], NULL, NULL) == 4;
    if (!mg_conv2d_stem(g)) mg_conv2d_any_dx(c, g);
    else if (g->in == 1) wide ? mg_stem_dx<1, 4>(c, g) : mg_stem_dx<1, 1>(c, g);
    else wide ? mg_stem_dx<3, 4>(c, g) : mg_stem_dx<3, 1>(c, g);
}

/* --- dw, host side ---------------------------------------------------------------------------- */

static inline int64_t mg_conv2d_chunk(const mg_conv2d *g) {
    const int64_t least = mg_ceil_div(1024, g->columns);
    const int64_t even = mg_ceil_div(g->images * g->rows, 512);
    return even > least ? even : least;
}
static inline int64_t mg_conv2d_chunks(const mg_conv2d *g) {
    return mg_ceil_div(g->images * g->rows, mg_conv2d_chunk(g));
}
static inline int64_t mg_conv2d_weight_count(const mg_conv2d *g) {
    return (int64_t)g->kernel * g->kernel * g->in * g->out;
}
static inline size_t mg_conv2d_weights_bytes(const mg_conv2d *g) {
    return (size_t)(mg_conv2d_chunks(g) * mg_conv2d_weight_count(g)) * sizeof(float);
}

template <int CIN, int L>
static void mg_stem_filter(const mg_op_call *c, const mg_conv2d *g, float *partial) {
    using B = mg_stem_filter_block<L>;
    MG_LAUNCH((stem_filter_kernel<CIN, L>),
              (unsigned)(mg_conv2d_chunks(g) * mg_channel_tiles(g->out)),
              dim3(B::LANES, 3, B::PARTS), 0, *g, (int)mg_conv2d_chunk(g), (const float *)c->x[0],
              (const float *)c->dy, partial);
}

template <int CIN, int L>
static void mg_stem_both(const mg_op_call *c, const mg_conv2d *g, float *partial) {
    using B = mg_stem_filter_block<L>;
    MG_LAUNCH((stem_both_kernel<CIN, L>),
              (unsigned)(mg_conv2d_chunks(g) * mg_channel_tiles(g->out)),
              dim3(B::LANES, 3, B::PARTS), 0, *g, (int)mg_conv2d_chunk(g), (const float *)c->x[0],
              (const float *)c->dy, (const float *)c->x[1], partial, (float *)c->dx[0]);
}

/* dw += … and dx += … of a stem; partial has mg_conv2d_weights_bytes(). */
static inline void mg_conv2d_stem_gradients(const mg_op_call *c, const mg_conv2d *g,
                                            float *partial) {
    const int64_t weights = mg_conv2d_weight_count(g), chunks = mg_conv2d_chunks(g);
    const bool wide = mg_lane_width(g->out, c->dy, c->x[1], partial, NULL) == 4;
    const double x = 4.0 * (double)mg_shape_elements(&c->x_shape[0]);
    mg_cuda_cost(mg_conv2d_bytes(c, false) + 2 * x + 4.0 * (double)(weights * chunks),
                 2 * mg_conv2d_flops(c));
    if (g->in == 1) wide ? mg_stem_both<1, 4>(c, g, partial) : mg_stem_both<1, 1>(c, g, partial);
    else wide ? mg_stem_both<3, 4>(c, g, partial) : mg_stem_both<3, 1>(c, g, partial);
    mg_combine(partial, 1, chunks, weights, 1, true, (float *)c->dx[1]);
}

/* dw += …; partial has mg_conv2d_weights_bytes(). */
static inline void mg_conv2d_weights(const mg_op_call *c, const mg_conv2d *g, float *partial) {
    const int64_t weights = mg_conv2d_weight_count(g), chunks = mg_conv2d_chunks(g);
    const bool wide = mg_lane_width(g->out, c->dy, partial, NULL, NULL) == 4;
    mg_cuda_cost(mg_conv2d_bytes(c, false) + 4.0 * (double)(weights * (chunks - 1)),
                 mg_conv2d_flops(c));
    if (mg_conv2d_stem(g) && g->in == 1)
        wide ? mg_stem_filter<1, 4>(c, g, partial) : mg_stem_filter<1, 1>(c, g, partial);
    else if (mg_conv2d_stem(g))
        wide ? mg_stem_filter<3, 4>(c, g, partial) : mg_stem_filter<3, 1>(c, g, partial);
    else {
        const int64_t groups = mg_ceil_div(weights, MG_CONV_THREADS);
        MG_LAUNCH(conv2d_any_filter_kernel, (unsigned)(chunks * groups), MG_CONV_THREADS, 0, *g,
                  (int)mg_conv2d_chunk(g), (int)groups, (int)weights, (const float *)c->x[0],
                  (const float *)c->dy, partial);
    }
    mg_combine(partial, 1, chunks, weights, 1, true, (float *)c->dx[1]);
}

#endif
