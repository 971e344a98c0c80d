/* The scheduler: runs the threads of one block, and its barriers.
 *
 * Threads run as plain calls in a loop on one fiber for as long as they do not wait. A thread that
 * waits keeps that fiber, and the loop goes on on another: kernels without barriers never switch.
 * The order of threads is a choice (SIMT_ORDER), because correct kernels do not depend on it. */
#include "block.h"

#include <cstdio>
#include <cstdlib>

extern "C" {
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
}

namespace simt {

Block block;
Thread *running_thread;
Current current;

namespace {

Body thread_body;
void *thread_closure;
cudaError_t last_error;

void make_running(Thread *thread) {
    running_thread = thread;
    thread->state = State::running;
    threadIdx = thread->index;
    current.thread = (uint32_t)number_of(thread);
    current.warp_epoch = block.warps[number_of(thread) / 32].epoch;
}

/* --- barriers --------------------------------------------------------------------------------- */

/* Shuffles the last `count` runnable threads. */
void shuffle_runnable(unsigned count) {
    if (config().order != Order::random) return;
    const unsigned end = block.runnable.size(), begin = end - count;
    for (unsigned i = end; i > begin + 1; i--) {
        int &a = block.runnable.at(i - 1), &b = block.runnable.at(begin + random_below(i - begin));
        const int kept = a;
        a = b;
        b = kept;
    }
}

void release_barrier() {
    const int predicates = block.predicates, arrived = block.arrived;
    switch (block.kind) {
    case Barrier::any: block.predicate_result = predicates != 0; break;
    case Barrier::all: block.predicate_result = predicates == arrived; break;
    default: block.predicate_result = predicates;
    }
    block.arrived = block.predicates = 0;
    current.barrier_epoch = ++block.epoch;
    unsigned released = 0;
    for (int k = 0; k < block.count; k++) {
        if (block.threads[block.order[k]].state != State::at_barrier) continue;
        block.runnable.push(block.order[k]);
        released++;
    }
    shuffle_runnable(released);
}

bool same_site(Site a, Site b) { return a.line == b.line && !strcmp(a.file, b.file); }

} // namespace

int barrier(Barrier kind, int predicate, Site site) {
    Thread *self = running_thread;
    self->state = State::at_barrier;
    self->site = site;
    if (block.arrived && !same_site(block.first_site, site))
        synchronisation_error("threads of one block wait at different __syncthreads", site);
    if (block.exited && !config().early_exit)
        synchronisation_error("__syncthreads reached after another thread of the block returned",
                              site);
    if (!block.arrived++) {
        block.first_site = site;
        block.kind = kind;
    }
    block.predicates += predicate != 0;
    if (block.arrived == block.live) release_barrier();
    wait_here();
    return block.predicate_result;
}

/* --- threads ---------------------------------------------------------------------------------- */

namespace {

void thread_main();

/* The fiber to run next: that of a released thread, else a new one that starts more threads. */
Fiber *next_fiber() {
    if (!block.runnable.empty()) {
        Thread *thread = &block.threads[block.runnable.pop()];
        make_running(thread);
        return thread->fiber;
    }
    return block.started < block.count ? fiber_take(thread_main) : nullptr;
}

/* Where the first of the waiting threads waits. */
Site some_wait() {
    for (int i = 0; i < block.count; i++)
        if (block.threads[i].state == State::at_barrier ||
            block.threads[i].state == State::at_collective)
            return block.threads[i].site;
    return block.first_site;
}

constexpr const char *deadlock =
    "deadlock: no thread can run, and a barrier or warp collective can never complete";

void thread_returned() {
    Thread *self = running_thread;
    const int number = number_of(self);
    self->state = State::exited;
    block.live--;
    block.exited++;
    block.warps[number / 32].exited |= 1u << number % 32;
    if (!block.arrived) return;
    if (!config().early_exit)
        synchronisation_error("a thread returned while others wait at __syncthreads",
                              block.first_site);
    if (block.arrived == block.live) release_barrier();
}

/* What every fiber runs: threads that have not started, one after another. */
void thread_main() {
    fiber_entered();
    for (;;) {
        if (block.started < block.count) {
            Thread *thread = &block.threads[block.order[block.started++]];
            thread->fiber = fiber_current();
            make_running(thread);
            thread_body(thread_closure);
            thread_returned();
        }
        if (!block.runnable.empty()) {
            Fiber *next = next_fiber();
            fiber_release(fiber_current());
            fiber_switch(next);
        }
        if (block.started < block.count) continue;
        if (block.live) synchronisation_error(deadlock, some_wait());
        fiber_release(fiber_current());
        fiber_switch(fiber_main());
    }
}

void describe(const Thread &thread, char *out, size_t size) {
    const char *what = thread.state == State::at_barrier ? "__syncthreads" : "a warp collective";
    switch (thread.state) {
    case State::fresh: snprintf(out, size, "not started"); break;
    case State::running: snprintf(out, size, "running"); break;
    case State::exited: snprintf(out, size, "returned"); break;
    default: snprintf(out, size, "waiting at %s, %s:%d", what, thread.site.file, thread.site.line);
    }
}

} // namespace

void wait_here() {
    Thread *self = running_thread;
    Fiber *next = next_fiber();
    if (!next) synchronisation_error(deadlock, some_wait());
    if (next != fiber_current()) fiber_switch(next);
    make_running(self);
}

void synchronisation_error(const char *message, Site at) {
    char text[2048], state[200], other[200];
    size_t used = 0;
    text[0] = 0;
    /* Runs of threads that do the same, a dozen lines at most. */
    for (int i = 0, j, lines = 0; i < block.count && lines < 12; i = j, lines++) {
        describe(block.threads[i], state, sizeof state);
        for (j = i + 1; j < block.count; j++) {
            describe(block.threads[j], other, sizeof other);
            if (strcmp(state, other) != 0) break;
        }
        if (used >= sizeof text) continue;
        char *end = text + used;
        const size_t left = sizeof text - used;
        if (j == i + 1) used += (size_t)snprintf(end, left, "\n    thread %d: %s", i, state);
        else used += (size_t)snprintf(end, left, "\n    threads %d to %d: %s", i, j - 1, state);
    }
    finding("synccheck", site_line(at), "%s%s", message, text);
    block.killed = true;
    fiber_switch(fiber_main());
    abort(); /* the fiber is never resumed */
}

/* --- grids ------------------------------------------------------------------------------------ */

namespace {

void start_block(size_t number, const Launch &launch) {
    const dim3 grid = launch.grid;
    const size_t plane = (size_t)grid.x * grid.y;
    blockIdx = {(unsigned)(number % grid.x), (unsigned)(number / grid.x % grid.y),
                (unsigned)(number / plane)};
    for (int i = 0; i < block.count; i++) block.threads[i].state = State::fresh;
    memset(block.warps, 0, sizeof block.warps);
    if (config().order == Order::random)
        for (unsigned i = (unsigned)block.count; i > 1; i--)
            std::swap(block.order[i - 1], block.order[random_below(i)]);
    block.live = block.count;
    block.started = block.exited = block.arrived = block.predicates = 0;
    block.epoch = 0;
    block.killed = false;
    block.runnable.clear();
    current.block = (uint32_t)number;
    current.barrier_epoch = 0;
}

void start_grid(const Launch &launch, Body body, void *closure) {
    current.launch++;
    current.what = &launch;
    current.closure_low = (uintptr_t)closure;
    current.closure_high = (uintptr_t)closure + launch.closure_bytes;
    thread_body = body;
    thread_closure = closure;
    gridDim = launch.grid;
    const dim3 b = blockDim = launch.block;
    block.count = (int)(b.x * b.y * b.z);
    current.threads = (uint32_t)block.count;
    for (int i = 0; i < block.count; i++) {
        const unsigned u = (unsigned)i;
        block.threads[i].index = {u % b.x, u / b.x % b.y, u / (b.x * b.y)};
        block.order[i] = config().order == Order::descending ? block.count - 1 - i : i;
    }
}

} // namespace

void run_grid(const Launch &launch, Body body, void *closure) {
    start_grid(launch, body, closure);
    if (checker) checker->begin(launch.kernel);
    const size_t blocks = (size_t)launch.grid.x * launch.grid.y * launch.grid.z;
    /* A random walk over the blocks without a list of them: a stride prime to their number. */
    size_t first = 0, stride = 1;
    if (config().order == Order::random && blocks > 2) {
        first = random_below((unsigned)blocks);
        const auto common = [](size_t a, size_t b) {
            while (b) {
                const size_t rest = a % b;
                a = b;
                b = rest;
            }
            return a;
        };
        do stride = 1 + random_below((unsigned)blocks - 1);
        while (common(stride, blocks) != 1);
    }
    for (size_t i = 0; i < blocks && !block.killed; i++) {
        const size_t walk = (first + i * stride) % blocks;
        start_block(config().order == Order::descending ? blocks - 1 - i : walk, launch);
        shared_begin_block(launch);
        current.in_kernel = 1;
        fiber_switch(fiber_take(thread_main));
        current.in_kernel = 0;
        shared_end_block();
    }
    if (block.killed) {
        fiber_release_all();
        set_last_error(cudaErrorLaunchFailure);
        block.killed = false;
    }
    current.what = nullptr;
}

void set_last_error(cudaError_t error) { last_error = error; }

unsigned lane() { return (unsigned)number_of(running_thread) % 32; }

} // namespace simt

extern "C" cudaError_t cudaGetLastError(void) {
    const cudaError_t error = simt::last_error;
    simt::last_error = cudaSuccess;
    return error;
}
extern "C" cudaError_t cudaPeekAtLastError(void) { return simt::last_error; }
