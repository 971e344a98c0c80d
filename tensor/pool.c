#include "tensor/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "tensor/cores.h"

/* Threads spin for the next loop before they sleep: a network is hundreds of short loops, and a
 * futex wake-up costs more than the smallest of them. Worse, who is woken is often put on the
 * waker's own core when the others are not quite idle, and waits there until the loop is over:
 * measured, a second thread then gained a quarter instead of nine tenths. A few milliseconds bridge
 * the gaps between the loops of a network; with more threads than cores spinning only keeps others
 * from working. */
enum { SPIN = 200000, SPIN_CROWDED = 2000 };

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

typedef struct worker {
    struct mg_pool *pool;
    int number;
    pthread_t thread;
} worker;

/* A loop is over when its chunks are done, not when every worker has looked at it: on a machine
 * with other work a worker may be off its core for tens of milliseconds, and while it holds no
 * chunk nobody need wait for it. It may then come late and must not take a chunk of one loop for
 * one of another: the ticket holds the loop's number and its next chunk in one word, and a chunk is
 * claimed by compare-and-swap. Between two loops, while the caller writes the next one's
 * parameters, the chunk is CLOSED. */
#define CLOSED UINT32_MAX

typedef void loop_body(void *arg, int64_t chunk, int thread);

struct mg_pool {
    int threads, spin;
    worker *workers; /* threads - 1 of them; the caller is worker 0 */
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    _Atomic uint64_t ticket; /* loop << 32 | next chunk */
    _Atomic uint32_t left;   /* chunks of the loop that are not done */
    atomic_bool quit;
    loop_body *_Atomic body;
    void *_Atomic arg;
    _Atomic uint32_t chunks;
};

static uint32_t loop_of(uint64_t ticket) { return (uint32_t)(ticket >> 32); }

static uint64_t shown_ticket(mg_pool *p) {
    return atomic_load_explicit(&p->ticket, memory_order_acquire);
}

/* The last chunk's worker wakes the caller, which may have gone to sleep. */
static void finish_chunk(mg_pool *p, int thread) {
    if (atomic_fetch_sub_explicit(&p->left, 1, memory_order_acq_rel) != 1 || thread == 0) return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->mutex);
}

/* Claims and runs chunks of the loop that is open now until none is left to claim. */
static void run_chunks(mg_pool *p, int thread) {
    uint64_t ticket = shown_ticket(p);
    uint32_t loop = loop_of(ticket);
    while (loop_of(ticket) == loop && (uint32_t)ticket != CLOSED) {
        /* These may be the next loop's already: then the swap below fails. It cannot fail to fail:
         * who reads the next loop's `chunks` also sees that this loop is CLOSED, and body and arg
         * stay while a chunk is unclaimed. */
        if ((uint32_t)ticket >= atomic_load_explicit(&p->chunks, memory_order_acquire)) return;
        loop_body *body = atomic_load_explicit(&p->body, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(&p->ticket, &ticket, ticket + 1,
                                                    memory_order_acq_rel, memory_order_acquire)) {
            body(arg, (uint32_t)ticket, thread);
            finish_chunk(p, thread);
            ticket = shown_ticket(p);
        }
    }
}

/* Waits for a loop other than `seen` to open; returns its number. */
static uint32_t wait_for_work(mg_pool *p, uint32_t seen) {
    uint32_t now;
    for (int i = 0; i < p->spin; i++) {
        now = loop_of(shown_ticket(p));
        if (now != seen) return now;
        relax();
    }
    pthread_mutex_lock(&p->mutex);
    while ((now = loop_of(shown_ticket(p))) == seen) pthread_cond_wait(&p->start, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    return now;
}

static void *worker_main(void *arg) {
    worker *w = arg;
    mg_pool *p = w->pool;
    uint32_t seen = 0;
    for (;;) {
        seen = wait_for_work(p, seen);
        if (atomic_load(&p->quit)) return NULL;
        run_chunks(p, w->number);
    }
}

/* Opens the next loop; under the mutex so that a worker about to sleep cannot miss it. */
static void open_loop(mg_pool *p, uint32_t chunks, loop_body *body, void *arg) {
    uint64_t loop = (uint64_t)loop_of(shown_ticket(p)) << 32;
    atomic_store_explicit(&p->ticket, loop | CLOSED, memory_order_relaxed);
    atomic_store_explicit(&p->chunks, chunks, memory_order_release); /* after CLOSED */
    atomic_store_explicit(&p->body, body, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->left, chunks, memory_order_relaxed);
    pthread_mutex_lock(&p->mutex);
    atomic_store_explicit(&p->ticket, loop + (UINT64_C(1) << 32), memory_order_release);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
}

mg_pool *mg_pool_create(int threads) {
    int cores = mg_cores();
    if (threads <= 0) threads = cores > 256 ? 256 : cores;
    mg_pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->threads = 1;
    p->spin = threads <= cores ? SPIN : SPIN_CROWDED;
    for (int i = 1; i < threads; i++) {
        worker *w = &p->workers[i - 1];
        *w = (worker){.pool = p, .number = i};
        if (pthread_create(&w->thread, NULL, worker_main, w)) break; /* fewer threads also work */
        p->threads++;
    }
    return p;
}

void mg_pool_destroy(mg_pool *p) {
    if (!p) return;
    atomic_store(&p->quit, true);
    open_loop(p, 0, NULL, NULL);
    for (int i = 0; i < p->threads - 1; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->mutex);
    free(p->workers);
    free(p);
}

int mg_pool_threads(const mg_pool *p) { return p ? p->threads : 1; }

void mg_parallel_for(mg_pool *p, int64_t chunks, loop_body *body, void *arg) {
    if (!p || p->threads == 1 || chunks <= 1 || chunks >= CLOSED) {
        for (int64_t i = 0; i < chunks; i++) body(arg, i, 0);
        return;
    }
    open_loop(p, (uint32_t)chunks, body, arg);
    run_chunks(p, 0);
    for (int i = 0; i < p->spin; i++) {
        if (atomic_load_explicit(&p->left, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&p->mutex);
    while (atomic_load_explicit(&p->left, memory_order_acquire) != 0)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}
