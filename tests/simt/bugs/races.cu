/* Races: two threads, the same bytes, at least one write, and nothing that orders them. */
#include "planted.h"

/* A value is read that another thread stores, without a barrier between. */
template <bool bug> __global__ void rotate(float *y) {
    SIMT_SHARED(float, s, [256]);
    const int t = threadIdx.x;
    s[t] = 0;
    __syncthreads();
    s[t] = (float)t; /* BUG: missing_barrier */
    if (!bug) __syncthreads();
    y[t] = s[(t + 1) % 256]; /* BUG: missing_barrier */
}
template <bool bug> static void missing_barrier() {
    Array y(256);
    SIMT_LAUNCH(rotate<bug>, 1, 256, 0, 0, y.p);
}
PLANT(missing_barrier, "racecheck", CHECKED);

/* Only threads that are far apart meet, so that no order of neighbours would show it. */
template <bool bug> __global__ void fold(float *y, int n) {
    SIMT_SHARED(float, s, [1024]);
    const int t = threadIdx.x;
    s[t] = (float)t;
    if (!bug) __syncthreads();
    if (t >= n / 2) y[t] = s[t - n / 2]; /* BUG: missing_barrier_far */
}
template <bool bug> static void missing_barrier_far() {
    Array y(1024);
    SIMT_LAUNCH(fold<bug>, 1, 1024, 0, 0, y.p, 1024);
}
PLANT(missing_barrier_far, "racecheck", CHECKED);

/* Scratch memory is written again while slow threads still read the last round's. */
template <bool bug> __global__ void rounds(float *y) {
    SIMT_SHARED(float, s, [8]);
    const int t = threadIdx.x;
    float sum = 0;
    for (int round = 0; round < 2; round++) {
        if (t % 32 == 0) s[t / 32] = (float)(t + round); /* BUG: scratch_reused */
        __syncthreads();
        for (int i = 0; i < 8; i++) sum += s[i]; /* BUG: scratch_reused */
        if (!bug) __syncthreads();
    }
    y[t] = sum;
}
template <bool bug> static void scratch_reused() {
    Array y(256);
    SIMT_LAUNCH(rounds<bug>, 1, 256, 0, 0, y.p);
}
PLANT(scratch_reused, "racecheck", CHECKED);

/* The last steps of a tree reduction without barriers, as if a warp ran in lockstep. */
template <bool bug> __global__ void tree(const float *x, float *y) {
    SIMT_SHARED(float, s, [64]);
    const int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
        if (t < half) s[t] += s[t + half]; /* BUG: lockstep_assumed */
        if (!bug || half > 16) __syncthreads();
    }
    if (t == 0) y[0] = s[0];
}
template <bool bug> static void lockstep_assumed() {
    Array x(64), y(1);
    SIMT_LAUNCH(tree<bug>, 1, 64, 0, 0, x.p, y.p);
    if (!bug && y.first() != 63 * 64 / 2) fprintf(stderr, "a wrong sum\n");
}
PLANT(lockstep_assumed, "racecheck", CHECKED);

/* Lanes of one warp exchange values through shared memory. */
template <bool bug> __global__ void pairs(float *y) {
    SIMT_SHARED(float, s, [64]);
    const int t = threadIdx.x;
    s[t] = (float)t;
    if (!bug) __syncwarp();
    y[t] = s[t - t % 2]; /* BUG: missing_syncwarp */
}
template <bool bug> static void missing_syncwarp() {
    Array y(64);
    SIMT_LAUNCH(pairs<bug>, 1, 64, 0, 0, y.p);
}
PLANT(missing_syncwarp, "racecheck", CHECKED);

/* A shuffle exchanges registers; it does not order memory. */
template <bool bug> __global__ void shuffled(float *y) {
    SIMT_SHARED(float, s, [32]);
    const int t = threadIdx.x;
    s[t] = (float)t;
    const float other = __shfl_xor_sync(0xffffffffu, (float)t, 1);
    if (!bug) __syncwarp();
    y[t] = other + s[31 - t]; /* BUG: shuffle_is_no_fence */
}
template <bool bug> static void shuffle_is_no_fence() {
    Array y(32);
    SIMT_LAUNCH(shuffled<bug>, 1, 32, 0, 0, y.p);
}
PLANT(shuffle_is_no_fence, "racecheck", CHECKED);

/* The block's number is missing from the index: all blocks write the same places. */
template <bool bug> __global__ void rows(float *y) {
    const int row = bug ? 0 : blockIdx.x;
    y[row * 64 + threadIdx.x] = (float)blockIdx.x; /* BUG: race_across_blocks */
}
template <bool bug> static void race_across_blocks() {
    Array y(3 * 64);
    SIMT_LAUNCH(rows<bug>, 3, 64, 0, 0, y.p);
}
PLANT(race_across_blocks, "racecheck", CHECKED);

/* Every block adds to one counter. */
template <bool bug> __global__ void count(int *total) {
    if (threadIdx.x != 0) return;
    if (!bug) atomicAdd(total, 1);
    else *total += 1; /* BUG: lost_update */
}
template <bool bug> static void lost_update() {
    int *total;
    cudaMalloc((void **)&total, sizeof *total);
    cudaMemset(total, 0, sizeof *total);
    SIMT_LAUNCH(count<bug>, 8, 32, 0, 0, total);
    cudaFree(total);
}
PLANT(lost_update, "racecheck", CHECKED);

/* Atomic additions, and a plain read beside them. */
template <bool bug> __global__ void tally(int *y) {
    SIMT_SHARED(int, sum, [1]);
    if (threadIdx.x == 0) sum[0] = 0;
    __syncthreads();
    atomicAdd(&sum[0], (int)threadIdx.x);
    if (!bug) __syncthreads();
    if (threadIdx.x == 63) y[0] = sum[0]; /* BUG: read_beside_atomics */
}
template <bool bug> static void read_beside_atomics() {
    int *y;
    cudaMalloc((void **)&y, sizeof *y);
    SIMT_LAUNCH(tally<bug>, 1, 64, 0, 0, y);
    cudaFree(y);
}
PLANT(read_beside_atomics, "racecheck", CHECKED);

/* A stencil in place: a neighbour's input may already be overwritten. */
template <bool bug> __global__ void smooth(const float *x, float *y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i + 1 < n) y[i] = (x[i] + x[i + 1]) / 2; /* BUG: in_place_stencil */
}
template <bool bug> static void in_place_stencil() {
    Array x(300), y(300);
    SIMT_LAUNCH(smooth<bug>, 3, 128, 0, 0, x.p, bug ? x.p : y.p, 300);
}
PLANT(in_place_stencil, "racecheck", CHECKED);
