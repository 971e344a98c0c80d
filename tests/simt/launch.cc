/* Kernel launches: the limits that hardware has, then a place on the stream. */
#include "internal.h"

#include <map>

namespace simt {
namespace {

constexpr size_t shared_default = 48 << 10, shared_limit = 227 << 10, parameter_limit = 4096;

/* What cudaFuncSetAttribute allowed. */
auto &shared_allowed = *new std::map<const void *, size_t>;

/* Why hardware would refuse a launch, or NULL. */
const char *refusal(const Launch &l) {
    const size_t threads = (size_t)l.block.x * l.block.y * l.block.z;
    auto allowed = shared_allowed.find(l.function);
    if (!threads) return "a block without threads";
    if (threads > 1024) return "more than 1024 threads in a block";
    if (l.block.x > 1024 || l.block.y > 1024 || l.block.z > 64)
        return "a block larger than 1024 x 1024 x 64";
    if (!l.grid.x || !l.grid.y || !l.grid.z) return "a grid without blocks";
    if (l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
        return "a grid larger than 2147483647 x 65535 x 65535";
    if (l.parameter_bytes > parameter_limit) return "more than 4096 bytes of parameters";
    if (l.shared_bytes > shared_limit) return "more than 227 KiB of dynamic shared memory";
    if (l.shared_bytes > (allowed == shared_allowed.end() ? shared_default : allowed->second))
        return "more dynamic shared memory than 48 KiB, or than cudaFuncSetAttribute allowed";
    return nullptr;
}

} // namespace

void launch(const Launch &l, Body body, void *closure, Body destroy) {
    if (const char *why = refusal(l)) {
        finding("launchcheck", site_line(l.site),
                "%s: kernel %s, grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of dynamic shared "
                "memory",
                why, l.kernel, l.grid.x, l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z,
                l.shared_bytes);
        set_last_error(cudaErrorInvalidConfiguration);
        destroy(closure);
        return;
    }
    submit(l.stream, [=] {
        run_grid(l, body, closure);
        destroy(closure);
    });
}

} // namespace simt

extern "C" cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute,
                                            int value) {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || (size_t)value > simt::shared_limit) return cudaErrorInvalidValue;
    simt::shared_allowed[function] = (size_t)value;
    return cudaSuccess;
}
