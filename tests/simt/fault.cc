/* Segmentation faults that are findings: the host dereferences a device pointer, or touches pinned
 * memory while a copy may still be using it; a kernel without instrumentation leaves its memory, or
 * overflows its stack. Other faults go to whoever handled them before. */
#include "memory.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>

namespace simt {
namespace {

struct sigaction before;

uintptr_t code_address(const void *context) {
    const auto *c = static_cast<const ucontext_t *>(context);
#if defined __x86_64__
    return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined __aarch64__
    return (uintptr_t)c->uc_mcontext.pc;
#else
    return 0;
#endif
}

void handle(int, siginfo_t *info, void *context) {
    const uintptr_t address = (uintptr_t)info->si_addr;
    const uintptr_t code = code_address(context) + 1; /* source_line expects a return address */
    sigaction(SIGSEGV, &before, nullptr);             /* the access is made again on return */
    if (current.in_kernel) {
        const bool overflow = address < current.stack_low && current.stack_low - address < 8192;
        finding("memcheck", source_line(code), "a kernel %s: %p, %s",
                overflow ? "overflows a thread's stack (SIMT_STACK, in KiB, sets its size)"
                         : "accesses memory that is not there",
                info->si_addr, describe_address(address));
    } else if (is_device(info->si_addr)) {
        finding("memcheck", source_line(code), "the host touches device memory: %s",
                describe_address(address));
    } else if (const uintptr_t caller = pinned_borrower(address)) {
        const std::string copy = source_line(caller);
        finding("synccheck", source_line(code),
                "the host touches pinned memory that a copy may still be using: nothing has waited "
                "for the copy at %s",
                copy.c_str());
    }
}

} // namespace

void fault_handler_install() {
    static bool installed;
    if (installed || !config().guard) return;
    installed = true;
    constexpr size_t bytes = 256 << 10;
    stack_t old, stack{};
    /* Handlers on a stack of their own, as the faulting one may be full. */
    if (sigaltstack(nullptr, &old) == 0 && (old.ss_flags & SS_DISABLE)) {
        stack.ss_sp =
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        stack.ss_size = bytes;
        if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, nullptr);
    }
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &before);
}

} // namespace simt
