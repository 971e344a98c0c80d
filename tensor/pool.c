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

struct mg_pool {
    int threads, spin;
    worker *workers; /* threads - 1 of them; the caller is worker 0 */
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    atomic_uint generation; /* odd/even does not matter: each increment is one loop */
    atomic_int running;     /* workers that have not finished the current loop */
    atomic_bool quit;
    void (*body)(void *, int64_t, int);
    void *arg;
    int64_t chunks;
    _Atomic int64_t next;
};

static void run_chunks(mg_pool *p, int thread) {
    for (;;) {
        int64_t chunk = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (chunk >= p->chunks) return;
        p->body(p->arg, chunk, thread);
    }
}

static unsigned wait_for_work(mg_pool *p, unsigned seen) {
    unsigned now = seen;
    for (int i = 0; i < p->spin; i++) {
        now = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (now != seen) return now;
        relax();
    }
    pthread_mutex_lock(&p->mutex);
    while ((now = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen)
        pthread_cond_wait(&p->start, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    return now;
}

static void *worker_main(void *arg) {
    worker *w = arg;
    mg_pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_work(p, seen);
        if (atomic_load(&p->quit)) return NULL;
        run_chunks(p, w->number);
        if (atomic_fetch_sub_explicit(&p->running, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->mutex);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->mutex);
        }
    }
}

/* Publishes a new generation; under the mutex so that a worker about to sleep cannot miss it. */
static void wake_workers(mg_pool *p) {
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
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
    wake_workers(p);
    for (int i = 0; i < p->threads - 1; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->mutex);
    free(p->workers);
    free(p);
}

int mg_pool_threads(const mg_pool *p) { return p ? p->threads : 1; }

void mg_parallel_for(mg_pool *p, int64_t chunks, void (*body)(void *, int64_t, int), void *arg) {
    if (!p || p->threads == 1 || chunks <= 1) {
        for (int64_t i = 0; i < chunks; i++) body(arg, i, 0);
        return;
    }
    p->body = body;
    p->arg = arg;
    p->chunks = chunks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->running, p->threads - 1, memory_order_relaxed);
    wake_workers(p);
    run_chunks(p, 0);
    for (int i = 0; i < p->spin; i++) {
        if (atomic_load_explicit(&p->running, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&p->mutex);
    while (atomic_load_explicit(&p->running, memory_order_acquire) != 0)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}
