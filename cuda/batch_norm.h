/* batch_norm.h: what batch_norm.cu (forward) and batch_norm_backward.cu share: which of two walks a
 * call takes.
 *
 * Whole columns: a block owns 8 channels, one sector of each row, and all rows. It can sum, meet at
 * a barrier and use the sums at once: one launch, and what the second look at x finds in the L2
 * cache does not come from memory again. But there are only channels / 8 blocks.
 *
 * Chunks: blocks share the rows. Then sums need a launch to be added up in and another to be used
 * in, since blocks of a grid cannot wait for one another (a barrier across the grid would bind the
 * grid to the size of the GPU), and each of those launches reads its tensors anew: forward moves x
 * twice and y, 3 tensors of which 2 are compulsory, backward x and dy twice and dx, 5 of 3. Forward
 * cannot fall below 1.5 and backward not below 1.67 of what must move; partial sums, two floats per
 * channel and chunk of 256 rows or more, add less than 0.01.
 *
 * The rule, an estimate from data sheets that no GPU has confirmed:
 * - up to 4096 rows, whole columns, however few the blocks. Forward moves at most 3 sectors x 4096
 *   = 384 KiB a block, 6 µs at some 40 bytes per cycle for one multiprocessor, about what two more
 *   launches and the gaps between them cost.
 * - from 40 slices on, whole columns while x has at most 16 MiB. A multiprocessor can take 64 bytes
 *   per cycle from the L2 cache, memory gives an A100 some 1100 and an H100 1900 per cycle: 30
 *   blocks could use it up, 40 allow for what they lose. x and dy, which are read again, stay in
 *   the L2 cache (40, 50 MB). Of larger tensors the second look comes from memory in either walk,
 *   and chunks spread better.
 * - else chunks: the stem and the first stages of EfficientNet, and large batches. */
#ifndef MG_CUDA_BATCH_NORM_H
#define MG_CUDA_BATCH_NORM_H

#include "cuda/columns.h"

enum { MG_FINISH_WARPS = 8, MG_FINISH_THREADS = MG_FINISH_WARPS * MG_WARP };
enum { MG_WHOLE_ROWS = 4096, MG_WHOLE_SLICES = 40, MG_WHOLE_BYTES = 16 << 20 };

static inline bool mg_batch_norm_whole(const mg_op_call *c) {
    const int64_t channels = c->x_shape[1].dim[0], elements = mg_shape_elements(&c->x_shape[0]);
    if (elements / channels <= MG_WHOLE_ROWS) return true;
    return mg_whole_slices(channels) >= MG_WHOLE_SLICES && elements <= MG_WHOLE_BYTES / 4;
}

/* 4 or 1 channels per access. Vectors of channels (gamma, save) are aligned as their arrays. */
static inline int mg_batch_norm_vector(const mg_op_call *c) {
    const void *const arrays[] = {c->x[0], c->x[1], c->x[2],    c->y,
                                  c->save, c->dy,   c->scratch, c->dx[0]};
    if (c->x_shape[1].dim[0] % 4 != 0) return 1;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!mg_aligned16(arrays[i])) return 1; /* NULL counts as aligned */
    return 4;
}

static inline mg_columns mg_batch_norm_columns(const mg_op_call *c, bool whole) {
    const int64_t channels = c->x_shape[1].dim[0];
    const int64_t rows = mg_shape_elements(&c->x_shape[0]) / channels;
    const int vector = mg_batch_norm_vector(c);
    return whole ? mg_columns_whole(rows, channels, vector) : mg_columns_of(rows, channels, vector);
}

/* Two partial sums per chunk and channel, then mean(dy) and mean(dy h). Enough for either vector
 * width: addresses are not known yet when scratch is asked for. */
static inline size_t mg_batch_norm_scratch(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    if (mg_batch_norm_whole(c)) return 0;
    const int64_t channels = c->x_shape[1].dim[0];
    const int64_t rows = mg_shape_elements(&c->x_shape[0]) / channels;
    const int64_t narrow = mg_columns_of(rows, channels, 1).chunks;
    const int64_t wide = channels % 4 ? 0 : mg_columns_of(rows, channels, 4).chunks;
    return (size_t)((2 * (narrow > wide ? narrow : wide) + 2) * channels) * sizeof(float);
}

/* Forward without y, for ops that normalise while they do something else: fills save. */
void mg_batch_norm_statistics(const mg_op_call *c);
void mg_batch_norm_backward(const mg_op_call *c);

#ifdef __cplusplus
__device__ __forceinline__ double mg_chunk_rows(const mg_columns &g, int64_t chunk) {
    const int64_t left = g.rows - chunk * g.chunk;
    return (double)(left < g.chunk ? left : g.chunk);
}

/* Sum over the warps of a finishing block, lane by lane, in a fixed tree; every thread gets its
 * lane's sum. Starts and ends with a barrier, so that `sums` can be used again. */
__device__ __forceinline__ double mg_across_warps(double *sums, double mine) {
    const int t = (int)threadIdx.x;
    sums[t] = mine;
    for (int half = MG_FINISH_THREADS / 2; half >= MG_WARP; half /= 2) {
        __syncthreads();
        if (t < half) sums[t] += sums[t + half];
    }
    __syncthreads();
    const double sum = sums[t % MG_WARP];
    __syncthreads();
    return sum;
}
#endif

#endif
