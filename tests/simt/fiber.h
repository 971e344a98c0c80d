/* fiber.h: stacks to switch between. A CUDA thread that waits keeps its own stack; the others share
 * one (block.cc). */
#ifndef SIMT_FIBER_H
#define SIMT_FIBER_H

#include "internal.h"
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace simt {

struct Fiber {
    void *stack_pointer; /* saved while another fiber runs */
    char *low, *high;    /* the stack; the page below low is a guard */
    void *asan_stack;
#ifndef __x86_64__
    ucontext_t context;
#endif
};

/* A fiber of the pool, ready to start in `entry`, which never returns. */
SIMT_HIDDEN Fiber *fiber_take(void (*entry)());
/* The first thing that an entry calls. */
SIMT_HIDDEN void fiber_entered();
/* Gives a fiber back; it may be the running one, which then switches away for good. */
SIMT_HIDDEN void fiber_release(Fiber *fiber);
/* All fibers are idle again, whatever they were in the middle of. */
SIMT_HIDDEN void fiber_release_all();
/* Runs another fiber until something switches back here. */
SIMT_HIDDEN void fiber_switch(Fiber *to);
SIMT_HIDDEN Fiber *fiber_current();
SIMT_HIDDEN Fiber *fiber_main(); /* the host program's own stack */

} // namespace simt
#endif
