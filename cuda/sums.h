/* sums.h: sums over the pixels of an image, channel by channel, and sums of partial results.
 *
 * Every reduction has two stages. Blocks write partial sums of fixed chunks into scratch; a second
 * launch adds the chunks. Chunks are a function of the shape alone and every tree is fixed, so each
 * run gives the same bits; float atomics would not.
 *
 * Stage 1, pixel_sums_kernel: a block owns 32 channels (lanes.h) of one chunk of pixels. Its 256
 * threads form rows of 8 (L = 4) or 32 (L = 1): thread row r adds pixels r, r + ROWS, … in
 * registers, then the rows are added in shared memory, halving their number at each of five (three)
 * barriers: 4 KiB (1 KiB), no bank conflicts, since a row of threads covers 128 adjacent bytes.
 * Bytes: the inputs once, and a partial sum per chunk and channel, at most 1/256 of that.
 *
 * Stage 2, combine_kernel: a block owns 32 sums; 8 rows of threads share the chunks, and again a
 * tree adds the rows. */
#ifndef MG_CUDA_SUMS_H
#define MG_CUDA_SUMS_H

#include "cuda/lanes.h"

enum { MG_SUM_THREADS = 256, MG_COMBINE_ROWS = 8 };

/* Pixels of a chunk: at least 256, at most 256 chunks per image. */
static inline int64_t mg_sum_chunk(int64_t pixels) {
    const int64_t even = mg_ceil_div(pixels, 256);
    return even > 256 ? even : 256;
}
static inline int64_t mg_sum_chunks(int64_t pixels) {
    return mg_ceil_div(pixels, mg_sum_chunk(pixels));
}

/* Adds the thread rows of a block up, in place; row 0 then holds the sums. ROWS is a power of 2.
 * Every thread of the block must call it. */
template <int L, int ROWS, int LANES>
__device__ __forceinline__ void mg_add_rows(mg_lanes<L> (&shared)[ROWS][LANES], int row, int lane) {
#pragma unroll
    for (int half = ROWS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (row < half) {
            /* Whole structs: one access of 16 bytes each, not four that meet in the same banks. */
            mg_lanes<L> sum = shared[row][lane];
            const mg_lanes<L> other = shared[row + half][lane];
            mg_add(sum, other);
            shared[row][lane] = sum;
        }
    }
}

/* partial[image][chunk][c] = sum over the chunk's pixels of x, or of x z when PRODUCT. */
template <int L, bool PRODUCT> __global__ void __launch_bounds__(MG_SUM_THREADS)
    pixel_sums_kernel(const float *__restrict__ x, const float *__restrict__ z, int64_t pixels,
                      int channels, int64_t chunk, int chunks, int tiles, float *partial) {
    enum { LANES = MG_TILE_CHANNELS / L, ROWS = MG_SUM_THREADS / LANES };
    MG_SHARED(mg_lanes<L>, rows, [ROWS][LANES]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    /* Tiles of one chunk are neighbours in the grid: they read the same DRAM pages. */
    const int64_t piece = blockIdx.x / tiles, image = piece / chunks;
    const int channel = ((int)(blockIdx.x % tiles) * LANES + lane) * L;
    const int64_t first = piece % chunks * chunk;
    const int64_t end = first + chunk < pixels ? first + chunk : pixels;
    mg_lanes<L> sum = mg_splat<L>(0);
    if (channel < channels) {
        const int64_t start = image * pixels * channels + channel;
#pragma unroll 4
        for (int64_t p = first + row; p < end; p += ROWS) {
            const mg_lanes<L> a = mg_load<L>(x + start + p * channels);
            if constexpr (PRODUCT) mg_fma(sum, a, mg_load<L>(z + start + p * channels));
            else mg_add(sum, a);
        }
    }
    rows[row][lane] = sum;
    mg_add_rows(rows, row, lane);
    if (row == 0 && channel < channels)
        mg_store(partial + piece * channels + channel, rows[0][lane]);
}

/* finish(i, sum over chunks of partial[outer][chunk][inner]), i = outer * count + inner. */
template <class F> __global__ void __launch_bounds__(32 * MG_COMBINE_ROWS)
    combine_kernel(const float *__restrict__ partial, int chunks, int64_t count, int64_t outputs,
                   F finish) {
    MG_SHARED(mg_lanes<1>, rows, [MG_COMBINE_ROWS][32]);
    const int lane = (int)threadIdx.x, row = (int)threadIdx.y;
    const int64_t i = (int64_t)blockIdx.x * 32 + lane;
    mg_lanes<1> sum = mg_splat<1>(0);
    if (i < outputs) {
        const float *p = partial + i / count * count * chunks + i % count;
#pragma unroll 4
        for (int k = row; k < chunks; k += MG_COMBINE_ROWS) sum.v[0] += p[k * count];
    }
    rows[row][lane] = sum;
    mg_add_rows(rows, row, lane);
    if (row == 0 && i < outputs) finish(i, rows[0][lane].v[0]);
}

/* to = or += factor * sum */
template <bool ADD> struct mg_combine_step {
    float *to, factor;
    __device__ __forceinline__ void operator()(int64_t i, float sum) const {
        to[i] = ADD ? to[i] + factor * sum : factor * sum;
    }
};

/* --- host side -------------------------------------------------------------------------------- */

static inline size_t mg_pixel_sums_bytes(int64_t images, int64_t pixels, int64_t channels) {
    return (size_t)(images * mg_sum_chunks(pixels) * channels) * sizeof(float);
}

template <int L, bool PRODUCT> static void mg_pixel_sums_as(const float *x, const float *z,
                                                            int64_t images, int64_t pixels,
                                                            int64_t channels, float *partial) {
    const int64_t chunks = mg_sum_chunks(pixels), tiles = mg_channel_tiles(channels);
    const int lanes = MG_TILE_CHANNELS / L;
    const double elements = (double)images * (double)channels;
    mg_cuda_cost(4 * elements * ((PRODUCT ? 2.0 : 1.0) * (double)pixels + (double)chunks),
                 (PRODUCT ? 2.0 : 1.0) * elements * (double)pixels);
    MG_LAUNCH((pixel_sums_kernel<L, PRODUCT>), (unsigned)(images * chunks * tiles),
              dim3(lanes, MG_SUM_THREADS / lanes), 0, x, z, pixels, (int)channels,
              mg_sum_chunk(pixels), (int)chunks, (int)tiles, partial);
}

/* Sums of x, or of x z when z is not NULL, of [images, pixels, channels] into partial, which has
 * mg_pixel_sums_bytes() and holds [images, mg_sum_chunks(pixels), channels]. */
static inline void mg_pixel_sums(const float *x, const float *z, int64_t images, int64_t pixels,
                                 int64_t channels, float *partial) {
    const bool wide = mg_lane_width(channels, x, z, partial, NULL) == 4;
    if (z && wide) mg_pixel_sums_as<4, true>(x, z, images, pixels, channels, partial);
    else if (z) mg_pixel_sums_as<1, true>(x, z, images, pixels, channels, partial);
    else if (wide) mg_pixel_sums_as<4, false>(x, z, images, pixels, channels, partial);
    else mg_pixel_sums_as<1, false>(x, z, images, pixels, channels, partial);
}

/* Adds the chunks of partial[outer][chunks][count] up and gives each sum to `finish`, which moves
 * `others` floats more. */
template <class F> static void mg_combine_to(const float *partial, int64_t outer, int64_t chunks,
                                             int64_t count, F finish, int others) {
    const int64_t outputs = outer * count;
    mg_cuda_cost(4.0 * (double)outputs * (double)(chunks + others),
                 (double)outputs * (double)chunks);
    MG_LAUNCH((combine_kernel<F>), (unsigned)mg_ceil_div(outputs, 32), dim3(32, MG_COMBINE_ROWS), 0,
              partial, (int)chunks, count, outputs, finish);
}

/* to[outer][count] = factor * (sum over chunks of partial[outer][chunks][count]), or += it. */
static inline void mg_combine(const float *partial, int64_t outer, int64_t chunks, int64_t count,
                              float factor, bool add, float *to) {
    if (add) mg_combine_to(partial, outer, chunks, count, mg_combine_step<true>{to, factor}, 2);
    else mg_combine_to(partial, outer, chunks, count, mg_combine_step<false>{to, factor}, 1);
}

#endif
