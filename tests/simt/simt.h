/* simt.h: compiles a .cu file with an ordinary C++17 compiler, for the SIMT emulator.
 *
 * A kernel file includes one header; under nvcc that header wraps CUDA, elsewhere it includes this
 * one. The real <cuda_runtime.h> supplies types and prototypes, so that they cannot drift; the
 * emulator (the .cc files of this folder) supplies the bodies. What a kernel may use: threadIdx and
 * its kin, __syncthreads*, __syncwarp, __shfl_*_sync, the votes, integer and float atomics, the
 * usual arithmetic intrinsics. Three things are spelled by macros, because C++ has no syntax for
 * them:
 *
 *     SIMT_SHARED(float, tile, [16][17]);     a __shared__ array
 *     SIMT_DYNAMIC_SHARED(float, row);        the block's dynamic shared memory
 *     SIMT_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments…);
 *
 * How it works and what it finds: docs/simt.md. */
#ifndef SIMT_H
#define SIMT_H

/* Before the CUDA headers, which define these only where they are not yet defined. A plain
 * __shared__ works too (one operating-system thread runs all), but its bounds are not checked. */
#define __shared__   static
#define __constant__ static
#define __launch_bounds__(...)
#include <cuda_runtime.h>
#undef __noinline__ /* the C++ library uses this word */
#ifdef __SANITIZE_THREAD__
/* The compiler instruments assignments, but not the store of a structure that a call returns:
 * `y[k] = f(x)` would be invisible to the checker. Inlined, it is an assignment. */
#undef __global__
#define __global__ __attribute__((flatten))
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#define SIMT_HIDDEN __attribute__((visibility("hidden")))

extern "C" {
/* Plain globals, rewritten whenever another thread runs: `print threadIdx` works in gdb. */
extern SIMT_HIDDEN uint3 threadIdx, blockIdx;
extern SIMT_HIDDEN dim3 blockDim, gridDim;

/* For allocators that hand out parts of one cudaMalloc: the checker then knows each part's bounds,
 * reports what was never written or was freed, and names it by its label (copied; may be NULL).
 * The first mark inside an allocation turns it into an arena: what is not marked may not be
 * touched. Weak, so that the same source links where no emulator is. */
void simt_mark_alloc(void *pointer, size_t bytes, const char *label) __attribute__((weak));
void simt_mark_free(void *pointer) __attribute__((weak));
}
static constexpr int warpSize = 32;

namespace simt {

/* A source position, taken by default arguments at the call. */
struct Site {
    const char *file;
    int line;
};
#define SIMT_SITE ::simt::Site site = {__builtin_FILE(), __builtin_LINE()}

struct Launch {
    const char *kernel;
    const void *function;
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
    Site site;
    size_t parameter_bytes, closure_bytes;
};
using Body = void (*)(void *closure);

enum class Barrier { plain, any, all, count };
enum class Collective { sync, shuffle, ballot };

/* Queues one kernel; calls body(closure) once per thread and destroy(closure) at the end. */
SIMT_HIDDEN void launch(const Launch &launch, Body body, void *closure, Body destroy);
SIMT_HIDDEN void *shared_variable(void **slot, size_t bytes, size_t align, const char *name,
                                  Site site);
SIMT_HIDDEN void *shared_dynamic(Site site);
SIMT_HIDDEN int barrier(Barrier kind, int predicate, Site site);
SIMT_HIDDEN uint64_t collective(Collective kind, unsigned mask, uint64_t value, int source,
                                Site site);
SIMT_HIDDEN unsigned lane();
SIMT_HIDDEN unsigned active_mask();

/* The arguments of a launch, converted once to the kernel's parameter types, as the driver does. */
template <class... P> struct Closure {
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> arguments;
    static void run(void *self) {
        auto *c = static_cast<Closure *>(self);
        std::apply(c->kernel, c->arguments);
    }
    static void destroy(void *self) { delete static_cast<Closure *>(self); }
};

template <class... P, class... A>
inline void launch_kernel(Launch l, void (*kernel)(P...), A &&...arguments) {
    using C = Closure<P...>;
    l.function = reinterpret_cast<const void *>(kernel);
    l.parameter_bytes = (sizeof(P) + ... + 0);
    l.closure_bytes = sizeof(C);
    launch(l, C::run, new C{kernel, {std::forward<A>(arguments)...}}, C::destroy);
}

/* One slot per expansion of SIMT_SHARED: Tag is the type of that expansion's lambda. */
template <class T, class Tag> inline T &shared(Tag, const char *name, Site site) {
    static void *slot;
    const size_t align = alignof(T) < 16 ? 16 : alignof(T);
    return *static_cast<T *>(shared_variable(&slot, sizeof(T), align, name, site));
}

template <class To, class From> inline To bit_copy(From from) {
    static_assert(sizeof(From) <= 8 && sizeof(To) <= 8, "at most 8 bytes travel between lanes");
    To to{};
    std::memcpy(&to, &from, sizeof(From) < sizeof(To) ? sizeof(From) : sizeof(To));
    return to;
}

/* The value that lane `source` holds. Outside its segment a lane keeps its own value. */
template <class T> inline T shuffle(unsigned mask, T value, int source, bool inside, Site site) {
    if (!inside) source = (int)lane();
    return bit_copy<T>(
        collective(Collective::shuffle, mask, bit_copy<uint64_t>(value), source, site));
}

} // namespace simt

#define SIMT_LAUNCH(name, grid_, block_, shared_, stream_, ...)                                    \
    ::simt::launch_kernel(::simt::Launch{#name,                                                    \
                                         nullptr,                                                  \
                                         dim3(grid_),                                              \
                                         dim3(block_),                                             \
                                         (size_t)(shared_),                                        \
                                         (stream_),                                                \
                                         {__FILE__, __LINE__},                                     \
                                         0,                                                        \
                                         0},                                                       \
                          (name)__VA_OPT__(, ) __VA_ARGS__)
#define SIMT_SHARED(T, name, dims)                                                                 \
    auto &name = ::simt::shared<T dims>([] {}, #name, ::simt::Site{__FILE__, __LINE__})
#define SIMT_DYNAMIC_SHARED(T, name)                                                               \
    T *name = static_cast<T *>(::simt::shared_dynamic(::simt::Site{__FILE__, __LINE__}))

#include "simt_device.h"
#endif
