/* Launches that hardware refuses. */
#include "planted.h"

__global__ void nothing(float *y) {
    if (blockIdx.x + threadIdx.x + threadIdx.z == 0 && y) y[0] = 0;
}

template <bool bug> static void too_many_threads() {
    Array y(1);
    SIMT_LAUNCH(nothing, 1, bug ? 1025 : 1024, 0, 0, y.p); /* BUG: too_many_threads */
}
PLANT(too_many_threads, "launchcheck", BOTH);

template <bool bug> static void deep_block() {
    Array y(1);
    SIMT_LAUNCH(nothing, 1, dim3(1, 1, bug ? 65 : 64), 0, 0, y.p); /* BUG: deep_block */
}
PLANT(deep_block, "launchcheck", BOTH);

template <bool bug> static void empty_grid() {
    Array y(1);
    const int n = bug ? 0 : 100;
    SIMT_LAUNCH(nothing, (n + 31) / 32, 1, 0, 0, y.p); /* BUG: empty_grid */
}
PLANT(empty_grid, "launchcheck", BOTH);

template <bool bug> static void high_grid() {
    Array y(1);
    SIMT_LAUNCH(nothing, dim3(1, bug ? 65536 : 65535), 32, 0, 0, nullptr); /* BUG: high_grid */
}
PLANT(high_grid, "launchcheck", BOTH);

template <bool bug> static void shared_not_allowed() {
    const int bytes = 64 << 10;
    if (!bug) {
        const auto what = cudaFuncAttributeMaxDynamicSharedMemorySize;
        cudaFuncSetAttribute((const void *)nothing, what, bytes);
    }
    SIMT_LAUNCH(nothing, 1, 32, bytes, 0, nullptr); /* BUG: shared_not_allowed */
}
PLANT(shared_not_allowed, "launchcheck", BOTH);

template <bool bug> __global__ void large_static(float *y) {
    /* BUG: static_shared_too_large */
    SIMT_SHARED(float, s, [bug ? 12 * 1024 + 1 : 12 * 1024]);
    s[threadIdx.x] = 0;
    y[threadIdx.x] = s[threadIdx.x];
}
template <bool bug> static void static_shared_too_large() {
    Array y(32);
    SIMT_LAUNCH(large_static<bug>, 1, 32, 0, 0, y.p);
}
PLANT(static_shared_too_large, "launchcheck", BOTH);

__global__ void dynamic_user(float *y) {
    SIMT_DYNAMIC_SHARED(float, s); /* BUG: shared_forgotten */
    s[threadIdx.x] = 0;
    y[threadIdx.x] = s[threadIdx.x];
}
template <bool bug> static void shared_forgotten() {
    Array y(32);
    SIMT_LAUNCH(dynamic_user, 1, 32, bug ? 0 : 128, 0, y.p);
}
PLANT(shared_forgotten, "launchcheck", BOTH);
