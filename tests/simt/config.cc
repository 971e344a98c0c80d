/* The environment variables of the emulator and its random numbers. */
#include "internal.h"

#include <cstdlib>

namespace simt {

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, nullptr, 10) : otherwise;
}

static Config read_environment() {
    Config c{};
    const char *order = getenv("SIMT_ORDER");
    c.order = !order || order[0] == 'a' ? Order::ascending
              : order[0] == 'd'         ? Order::descending
                                        : Order::random;
    c.seed = (unsigned)number("SIMT_SEED", 1);
    c.lazy = number("SIMT_ASYNC", 0) != 0;
    c.stop_at_error = number("SIMT_ABORT", 1) != 0;
    c.early_exit = number("SIMT_EXITED_OK", 0) != 0;
    c.asan = __asan_init != nullptr;
    c.guard = number("SIMT_GUARD", 1) != 0 && !c.asan;
    c.check_init = number("SIMT_NOINIT", 0) == 0;
    c.profile = number("SIMT_PROFILE", 0) != 0;
    c.memory_bytes = (size_t)number("SIMT_MEMORY", 16 << 10) << 20;
    c.stack_bytes = (size_t)number("SIMT_STACK", c.asan ? 256 : 64) << 10;
    return c;
}

const Config &config() {
    static const Config c = read_environment();
    return c;
}

unsigned random_below(unsigned n) {
    static uint64_t state = config().seed * 0x9E3779B97F4A7C15ull + 1; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 32) * n >> 32);
}

} // namespace simt
