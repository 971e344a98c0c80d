/* Fibers: a switch pushes the six registers that calls preserve and swaps the stack pointer. The
 * standard ucontext functions do the same with a system call each; they serve other processors. */
#include "fiber.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

#ifdef __x86_64__
extern "C" {
SIMT_HIDDEN void simt_switch(void **save, void *to);
SIMT_HIDDEN void simt_boot();
}
/* simt_boot is where a new fiber's first switch "returns" to: it calls the entry, which was left in
 * rbx. Its undefined return address ends backtraces. */
asm(R"(
    .text
    .globl simt_switch
    .hidden simt_switch
    .type simt_switch,@function
simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp,(%rdi)
    movq %rsi,%rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size simt_switch,.-simt_switch
    .globl simt_boot
    .hidden simt_boot
    .type simt_boot,@function
simt_boot:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp,%ebp
    callq *%rbx
    ud2
    .cfi_endproc
    .size simt_boot,.-simt_boot
)");
#endif

namespace simt {
namespace {

constexpr int max_fibers = 2048;
constexpr size_t page = 4096;

Fiber pool[max_fibers], host_fiber, *running = &host_fiber;
Fiber *idle[max_fibers];
int created, idle_count;

Fiber *create() {
    if (created == max_fibers) abort(); /* a block has at most 1024 threads */
    Fiber *f = &pool[created++];
    const size_t bytes = config().stack_bytes + page;
    void *base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        perror("simt: no memory for a thread's stack");
        abort();
    }
    mprotect(base, page, PROT_NONE);
    f->low = (char *)base + page;
    f->high = (char *)base + bytes;
    return f;
}

#ifdef __x86_64__
void prime(Fiber *f, void (*entry)()) {
    /* Tops of stacks that share all address bits below a page would share cache lines. */
    const size_t colour = ((uintptr_t)f->low / page * 7) % 61 * 64;
    void **top = (void **)(((uintptr_t)f->high - colour) & ~(uintptr_t)15);
    *--top = nullptr;
    *--top = nullptr;
    *--top = (void *)simt_boot;
    *--top = nullptr;       /* rbp */
    *--top = (void *)entry; /* rbx */
    for (int i = 0; i < 4; i++) *--top = nullptr;
    f->stack_pointer = top;
}
#else
void prime(Fiber *f, void (*entry)()) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->low;
    f->context.uc_stack.ss_size = (size_t)(f->high - f->low);
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
}
#endif

} // namespace

Fiber *fiber_take(void (*entry)()) {
    Fiber *f = idle_count ? idle[--idle_count] : create();
    prime(f, entry);
    return f;
}

void fiber_entered() {
    if (!config().asan) return;
    const void *bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (host_fiber.low) return; /* the first to enter learns where the host's stack is */
    host_fiber.low = (char *)bottom;
    host_fiber.high = (char *)bottom + bytes;
}

void fiber_release(Fiber *fiber) { idle[idle_count++] = fiber; }

void fiber_release_all() {
    for (idle_count = 0; idle_count < created; idle_count++) idle[idle_count] = &pool[idle_count];
}

Fiber *fiber_current() { return running; }
Fiber *fiber_main() { return &host_fiber; }

void fiber_switch(Fiber *to) {
    Fiber *from = running;
    running = to;
    current.stack_low = (uintptr_t)to->low;
    current.stack_high = (uintptr_t)to->high;
    if (config().asan)
        __sanitizer_start_switch_fiber(&from->asan_stack, to->low, (size_t)(to->high - to->low));
#ifdef __x86_64__
    simt_switch(&from->stack_pointer, to->stack_pointer);
#else
    swapcontext(&from->context, &to->context);
#endif
    if (config().asan) __sanitizer_finish_switch_fiber(from->asan_stack, nullptr, nullptr);
}

} // namespace simt
