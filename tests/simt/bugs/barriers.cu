/* Barriers and warp collectives: who must arrive where. All are found without instrumentation. */
#include "planted.h"

template <bool bug> __global__ void returns_early(float *y, int n) {
    const int t = threadIdx.x;
    if (bug && t >= n) return;
    __syncthreads(); /* BUG: early_exit */
    if (t < n) y[t] = 0;
}
template <bool bug> static void early_exit() {
    Array y(100);
    SIMT_LAUNCH(returns_early<bug>, 1, 128, 0, 0, y.p, 100);
}
PLANT(early_exit, "synccheck", BOTH);

template <bool bug> __global__ void two_barriers(float *y) {
    const int t = threadIdx.x;
    if (bug && t < 32) {
        y[t] = 1;
        __syncthreads(); /* BUG: divergent_barrier */
    } else {
        y[t] = 2;
        __syncthreads(); /* BUG: divergent_barrier */
    }
}
template <bool bug> static void divergent_barrier() {
    Array y(64);
    SIMT_LAUNCH(two_barriers<bug>, 1, 64, 0, 0, y.p);
}
PLANT(divergent_barrier, "synccheck", BOTH);

template <bool bug> __global__ void some_wait(float *y) {
    const int t = threadIdx.x;
    if (!bug || t < 32) __syncthreads(); /* BUG: conditional_barrier */
    y[t] = 1;
}
template <bool bug> static void conditional_barrier() {
    Array y(64);
    SIMT_LAUNCH(some_wait<bug>, 1, 64, 0, 0, y.p);
}
PLANT(conditional_barrier, "synccheck", BOTH);

/* A loop whose number of turns differs among the threads, with a barrier inside. */
template <bool bug> __global__ void uneven(float *y, int n) {
    float sum = 0;
    const int turns = bug ? (n - (int)threadIdx.x + 63) / 64 : (n + 63) / 64;
    for (int k = 0; k < turns; k++) {
        __syncthreads(); /* BUG: barrier_in_uneven_loop */
        sum += 1;
    }
    y[threadIdx.x] = sum;
}
template <bool bug> static void barrier_in_uneven_loop() {
    Array y(64);
    SIMT_LAUNCH(uneven<bug>, 1, 64, 0, 0, y.p, 100);
}
PLANT(barrier_in_uneven_loop, "synccheck", BOTH);

/* Half of a warp waits for the whole warp, the other half for the whole block. */
template <bool bug> __global__ void each_other(float *y) {
    const int t = threadIdx.x;
    if (bug && t % 32 < 16) y[t] = __shfl_sync(0xffffffffu, 1.0f, 0); /* BUG: deadlock */
    __syncthreads();
    y[t] = 1;
}
template <bool bug> static void deadlock() {
    Array y(64);
    SIMT_LAUNCH(each_other<bug>, 1, 64, 0, 0, y.p);
}
PLANT(deadlock, "synccheck", BOTH);

template <bool bug> __global__ void own_lane(float *y) {
    const int t = threadIdx.x;
    const unsigned mask = bug ? 0x0000ffffu : 0xffffffffu;
    y[t] = __shfl_xor_sync(mask, (float)t, 1); /* BUG: lane_not_in_mask */
}
template <bool bug> static void lane_not_in_mask() {
    Array y(32);
    SIMT_LAUNCH(own_lane<bug>, 1, 32, 0, 0, y.p);
}
PLANT(lane_not_in_mask, "synccheck", BOTH);

template <bool bug> __global__ void outside(float *y) {
    const int t = threadIdx.x;
    if (t >= 16) return;
    y[t] = __shfl_xor_sync(0xffffu, (float)t, bug ? 16 : 8); /* BUG: shuffle_outside_mask */
}
template <bool bug> static void shuffle_outside_mask() {
    Array y(32);
    SIMT_LAUNCH(outside<bug>, 1, 32, 0, 0, y.p);
}
PLANT(shuffle_outside_mask, "synccheck", BOTH);

/* A full mask although half of the warp has left. */
template <bool bug> __global__ void left(float *y, int n) {
    const int t = threadIdx.x;
    if (t >= n) return;
    y[t] = __shfl_down_sync(bug ? 0xffffffffu : 0xffffu, (float)t, 4, 16); /* BUG: mask_too_wide */
}
template <bool bug> static void mask_too_wide() {
    Array y(32);
    SIMT_LAUNCH(left<bug>, 1, 32, 0, 0, y.p, 16);
}
PLANT(mask_too_wide, "synccheck", BOTH);

template <bool bug> __global__ void overlap(float *y) {
    const int t = threadIdx.x;
    const unsigned mask = t < 16 ? (bug ? 0x1ffffu : 0xffffu) : 0xffff0000u;
    y[t] = (float)__ballot_sync(mask, t & 1); /* BUG: overlapping_masks */
}
template <bool bug> static void overlapping_masks() {
    Array y(32);
    SIMT_LAUNCH(overlap<bug>, 1, 32, 0, 0, y.p);
}
PLANT(overlapping_masks, "synccheck", BOTH);

template <bool bug> __global__ void in_a_branch(float *y) {
    const int t = threadIdx.x;
    float v = (float)t;
    if (!bug || t < 16) v += __shfl_xor_sync(0xffffffffu, v, 8); /* BUG: shuffle_in_a_branch */
    y[t] = v;
}
template <bool bug> static void shuffle_in_a_branch() {
    Array y(32);
    SIMT_LAUNCH(in_a_branch<bug>, 1, 32, 0, 0, y.p);
}
PLANT(shuffle_in_a_branch, "synccheck", BOTH);
