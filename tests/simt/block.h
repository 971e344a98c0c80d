/* block.h: the state of the running block. Blocks run one after another, so there is one. */
#ifndef SIMT_BLOCK_H
#define SIMT_BLOCK_H

#include "fiber.h"

namespace simt {

constexpr int max_threads = 1024;

enum class State : uint8_t { fresh, running, at_barrier, at_collective, exited };

struct Thread {
    uint3 index;
    State state;
    Fiber *fiber;
    Site site; /* where it waits */
    uint64_t value, result;
    int source; /* the lane that a shuffle reads */
};

/* Lanes that have arrived at one warp collective; a warp may have several with disjoint masks. */
struct Arrivals {
    unsigned mask, arrived;
    Collective kind;
    Site site;
};

struct Warp {
    Arrivals pending[4];
    unsigned epoch; /* changed by __syncwarp */
    unsigned exited;
};

/* First in, first out. */
struct Queue {
    int items[2 * max_threads];
    unsigned head, tail;
    bool empty() const { return head == tail; }
    unsigned size() const { return tail - head; }
    void clear() { head = tail = 0; }
    int &at(unsigned i) { return items[(head + i) % (2 * max_threads)]; }
    void push(int item) { items[tail++ % (2 * max_threads)] = item; }
    int pop() { return items[head++ % (2 * max_threads)]; }
};

struct Block {
    Thread threads[max_threads];
    Warp warps[max_threads / 32];
    int order[max_threads]; /* in which the threads start */
    Queue runnable;         /* threads released from a wait */
    int count, started, live, exited;
    /* the barrier that threads are gathering at */
    int arrived, predicates, predicate_result;
    Site first_site;
    Barrier kind;
    unsigned epoch;
    bool killed; /* a finding made going on pointless */
};
extern SIMT_HIDDEN Block block;
extern SIMT_HIDDEN Thread *running_thread;

inline int number_of(const Thread *thread) { return (int)(thread - block.threads); }

/* The running thread, put into a waiting state by the caller, lets others run until it is released
 * (made runnable). */
SIMT_HIDDEN void wait_here();
/* Reports a misuse of barriers or collectives with what all threads are doing, ends the block. */
[[noreturn]] SIMT_HIDDEN void synchronisation_error(const char *message, Site at);

} // namespace simt
#endif
