/* Shared memory of the running block: variables are given places in one arena when the first
 * thread reaches their declaration, with a forbidden gap behind each; the arena is emptied after
 * the block. Fresh shared memory holds NaN, as it must not look like zeros. */
#include "internal.h"

#include <cstdlib>

namespace simt {
namespace {

constexpr size_t arena_bytes = 512 << 10, gap = 128;
constexpr size_t static_limit = 48 << 10, block_limit = 227 << 10;
constexpr int max_variables = 64;

alignas(256) char arena[arena_bytes];
size_t used, static_bytes, dynamic_bytes;
void *dynamic;
struct Variable {
    void **slot, *place;
    size_t bytes;
} variables[max_variables];
int variable_count;

void *place(size_t bytes, size_t align, const char *name) {
    used = (used + align - 1) & ~(align - 1);
    void *p = arena + used;
    used = (used + bytes + gap + 3) & ~(size_t)3;
    if (used > arena_bytes) {
        finding("launchcheck", nullptr, "the shared memory of a block does not fit at all: `%s`",
                name);
        abort();
    }
    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(p, bytes);
    memset(p, 0xff, bytes);
    if (checker) checker->set((uintptr_t)p, bytes, Bytes::uninitialised);
    name_shared(p, bytes, name);
    return p;
}

void release(void *p, size_t bytes) {
    if (checker) checker->set((uintptr_t)p, bytes, Bytes::forbidden);
    if (__asan_poison_memory_region) __asan_poison_memory_region(p, bytes);
}

} // namespace

void shared_begin_block(const Launch &launch) {
    static bool prepared;
    if (!prepared) {
        prepared = true;
        if (checker) checker->region(arena, arena_bytes, true);
        if (checker) checker->set((uintptr_t)arena, arena_bytes, Bytes::forbidden);
        if (__asan_poison_memory_region) __asan_poison_memory_region(arena, arena_bytes);
    }
    used = static_bytes = 0;
    dynamic_bytes = launch.shared_bytes;
    dynamic = dynamic_bytes ? place(dynamic_bytes, 128, "dynamic shared memory") : nullptr;
}

void shared_end_block() {
    for (int i = 0; i < variable_count; i++) {
        *variables[i].slot = nullptr;
        release(variables[i].place, variables[i].bytes);
    }
    variable_count = 0;
    if (dynamic) release(dynamic, dynamic_bytes);
    dynamic = nullptr;
    name_shared(nullptr, 0, nullptr);
}

void *shared_variable(void **slot, size_t bytes, size_t align, const char *name, Site site) {
    if (*slot) return *slot;
    if (variable_count == max_variables) {
        finding("launchcheck", site_line(site), "more than %d shared variables in one kernel",
                max_variables);
        abort();
    }
    void *p = place(bytes, align, name);
    variables[variable_count++] = {slot, p, bytes};
    *slot = p;
    static_bytes += bytes;
    if (static_bytes > static_limit)
        finding("launchcheck", site_line(site),
                "%zu bytes of static shared memory with `%s`, the limit is %zu", static_bytes, name,
                static_limit);
    else if (static_bytes + dynamic_bytes > block_limit)
        finding("launchcheck", site_line(site),
                "%zu bytes of static and %zu of dynamic shared memory, the limit "
                "is %zu together",
                static_bytes, dynamic_bytes, block_limit);
    return p;
}

void *shared_dynamic(Site site) {
    if (!dynamic)
        finding("launchcheck", site_line(site),
                "the kernel uses dynamic shared memory, but was launched with none");
    return dynamic;
}

} // namespace simt
