/* internal.h: what the emulator's own files share. None of them is compiled with instrumentation,
 * and code that runs on fibers (block.cc, warp.cc, checker.cc) uses no C++ containers and no
 * malloc: their merged inline functions could come from an instrumented kernel object. */
#ifndef SIMT_INTERNAL_H
#define SIMT_INTERNAL_H

#include "clock.h"
#include "simt.h"

namespace simt {

/* --- config.cc: the environment, read once ---------------------------------------------------- */

enum class Order { ascending, descending, random };

struct Config {
    Order order;         /* SIMT_ORDER=asc|desc|rand: of threads in a block and blocks in a grid */
    unsigned seed;       /* SIMT_SEED: of the random order */
    bool lazy;           /* SIMT_ASYNC=1: stream operations wait for a synchronisation */
    bool stop_at_error;  /* SIMT_ABORT=0: count findings and go on where possible */
    bool early_exit;     /* SIMT_EXITED_OK=1: threads may return before others' barriers */
    bool guard;          /* SIMT_GUARD=0: leave device memory readable for the host */
    bool check_init;     /* SIMT_NOINIT=1: no reports about memory that was never written */
    bool profile;        /* SIMT_PROFILE=1: access profile on standard error at exit */
    size_t memory_bytes; /* SIMT_MEMORY: device memory in MiB */
    size_t stack_bytes;  /* SIMT_STACK: of a thread that waits, in KiB */
    bool asan;           /* the process runs under AddressSanitizer */
};
SIMT_HIDDEN const Config &config();
/* Next number of the seeded generator; below(n) is in [0, n). */
SIMT_HIDDEN unsigned random_below(unsigned n);

/* --- report.cc: findings ---------------------------------------------------------------------- */

/* Prints one finding with the running thread's identity, counts it, stops the process if asked.
 * `at` is the source line, NULL where the running thread's position says nothing. */
SIMT_HIDDEN void finding(const char *kind, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
SIMT_HIDDEN int finding_count();
SIMT_HIDDEN const char *site_line(Site site);
/* "cuda/silu.cu:31" of a return address, frames of simt*.h passed over. Runs addr2line: slow. */
SIMT_HIDDEN const char *source_line(uintptr_t code_address);
/* "(1,0,0)" of a thread number within the current block shape, in one of a few static buffers. */
SIMT_HIDDEN const char *thread_name(unsigned thread);

/* --- block.cc: who is running ----------------------------------------------------------------- */

/* The running CUDA thread, for the checker. Valid while in_kernel. */
struct Current {
    int in_kernel;
    uint32_t block, thread, threads;
    uint32_t barrier_epoch, warp_epoch; /* memory is ordered across a change of either */
    uint64_t launch;                    /* number of the launch */
    const Launch *what;
    uintptr_t stack_low, stack_high, closure_low, closure_high;
};
extern SIMT_HIDDEN Current current;

/* Runs a whole grid now. */
SIMT_HIDDEN void run_grid(const Launch &launch, Body body, void *closure);
SIMT_HIDDEN void set_last_error(cudaError_t error);

/* --- shared_memory.cc ------------------------------------------------------------------------- */

SIMT_HIDDEN void shared_begin_block(const Launch &launch);
SIMT_HIDDEN void shared_end_block();

/* --- memory.cc: device memory ----------------------------------------------------------------- */

/* Device memory is readable while one of these lives; otherwise the host faults on it. */
struct SIMT_HIDDEN OpenMemory {
    OpenMemory();
    ~OpenMemory();
};
SIMT_HIDDEN bool is_device(const void *pointer);
/* A copy or a library call ("the copy"), made where `caller` returns to, reads or writes
 * [pointer, pointer + bytes): bounds, initialisation. */
SIMT_HIDDEN void touch(const void *pointer, size_t bytes, bool write, const char *what,
                       uintptr_t caller);
#define SIMT_CALLER ((uintptr_t)__builtin_return_address(0))
/* "byte 12 of `weights` (400 bytes)" for an address, in a static buffer; "" where nothing is. */
SIMT_HIDDEN const char *describe_address(uintptr_t address);
SIMT_HIDDEN void name_shared(void *pointer, size_t bytes, const char *name);

enum class Bytes : uint8_t { untouched, uninitialised, initialised, forbidden };
/* What a device byte that the checker has not seen yet is: uninitialised or forbidden. */
SIMT_HIDDEN Bytes state_of(uintptr_t address);

/* --- stream.cc: operations in stream order ---------------------------------------------------- */

/* Queues an operation on a stream: run(argument) at its turn, once, at the latest when the stream
 * is waited for. The argument is run's to free. */
SIMT_HIDDEN void submit(cudaStream_t stream, void (*run)(void *), void *argument);
template <class F> void submit(cudaStream_t stream, F &&f) {
    using Function = std::decay_t<F>;
    submit(
        stream,
        [](void *p) {
            auto *function = static_cast<Function *>(p);
            (*function)();
            delete function;
        },
        new Function(std::forward<F>(f)));
}
/* The same for bookkeeping: after everything submitted before it, before everything after it. */
SIMT_HIDDEN void submit_fence(void (*run)(void *), void *argument);
SIMT_HIDDEN void wait_stream(cudaStream_t stream);
SIMT_HIDDEN void wait_all();
/* The operation that is running, NULL outside. */
SIMT_HIDDEN const Moment *running_moment();
SIMT_HIDDEN const Moment &last_moment(cudaStream_t stream);
SIMT_HIDDEN bool host_knows(const Moment &moment); /* the host has waited for it */
SIMT_HIDDEN bool streams_in_use();                 /* others than the default stream */

/* --- checker.cc: present only in checked builds ----------------------------------------------- */

struct Checker {
    void (*region)(void *base, size_t bytes, bool shared);
    void (*set)(uintptr_t address, size_t bytes, Bytes state);
    Bytes (*find)(uintptr_t address, size_t bytes, Bytes wanted, uintptr_t *where);
    /* The running operation (running_moment) begins; `what` names it in reports. */
    void (*begin)(const char *what);
    /* It reads or writes a range of device memory as a whole: a copy, a library call. */
    void (*range)(uintptr_t address, size_t bytes, bool write, uintptr_t caller);
    /* A block starts anew: what happened at its addresses before is no race. */
    void (*forget)(uintptr_t address, size_t bytes);
};
SIMT_HIDDEN extern const Checker *checker; /* NULL without instrumentation */

} // namespace simt

extern "C" {
/* Present only where the process is built with AddressSanitizer. */
void __asan_init(void) __attribute__((weak));
void __asan_poison_memory_region(const volatile void *, size_t) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *, size_t) __attribute__((weak));
void __sanitizer_start_switch_fiber(void **, const void *, size_t) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) __attribute__((weak));
}
#endif
