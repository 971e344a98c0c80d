/* channels.h: elementwise passes whose operands differ from channel to channel.
 *
 * The array [images, pixels, channels] is walked as it lies in memory, so that every warp moves
 * whole contiguous lines whatever the channel count. A block owns MG_CHANNEL_STEPS * 256 pieces of
 * L channels of one image; a thread visits every 256th and tracks which channel it is at by adding
 * and wrapping, since a division per element would cost more than the element itself. */
#ifndef MG_CUDA_CHANNELS_H
#define MG_CUDA_CHANNELS_H

#include "cuda/lanes.h"

enum { MG_CHANNEL_THREADS = 256, MG_CHANNEL_STEPS = 8 };

/* f(i, s): i is the element index, s the index [image, channel] of the first of L elements. */
template <int L, class F> __global__ void __launch_bounds__(MG_CHANNEL_THREADS)
    channels_kernel(F f, int64_t pieces, int lanes, int64_t blocks) {
    const int64_t image = blockIdx.x / blocks;
    int64_t i = blockIdx.x % blocks * (MG_CHANNEL_THREADS * MG_CHANNEL_STEPS) + threadIdx.x;
    int lane = (int)(i % lanes);
    const int step = MG_CHANNEL_THREADS % lanes;
#pragma unroll
    for (int k = 0; k < MG_CHANNEL_STEPS; k++) {
        if (i < pieces) f((image * pieces + i) * L, (image * lanes + lane) * L);
        i += MG_CHANNEL_THREADS;
        lane += step;
        if (lane >= lanes) lane -= lanes;
    }
}

/* Launches f over [images, pixels, channels] with L channels a thread. The caller has told the
 * cost. */
template <int L, class F>
static void mg_each_channel(F f, int64_t images, int64_t pixels, int64_t channels) {
    const int64_t lanes = channels / L, pieces = pixels * lanes;
    const int64_t blocks = mg_ceil_div(pieces, MG_CHANNEL_THREADS * MG_CHANNEL_STEPS);
    MG_LAUNCH((channels_kernel<L, F>), (unsigned)(images * blocks), MG_CHANNEL_THREADS, 0, f,
              pieces, (int)lanes, blocks);
}

#endif
