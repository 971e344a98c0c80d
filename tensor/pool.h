/* pool.h: a thread pool for loops over fixed chunks.
 *
 * Results never depend on the thread count: a loop is cut into chunks whose bounds the caller
 * chooses from the problem alone, each chunk is computed by exactly one thread, and partial sums
 * are combined by the caller in chunk order. */
#ifndef MG_TENSOR_POOL_H
#define MG_TENSOR_POOL_H

#include <stdint.h>

typedef struct mg_pool mg_pool;

/* threads >= 1, the calling thread included; 0 means one per available core. NULL on failure. */
mg_pool *mg_pool_create(int threads);
void mg_pool_destroy(mg_pool *pool);

/* Number of threads; 1 for pool == NULL. */
int mg_pool_threads(const mg_pool *pool);

/* Calls body(arg, chunk, thread) for chunk = 0 … chunks-1, in any order, and returns when all are
 * done. `thread` < mg_pool_threads(pool) is the worker's number, for per-thread scratch only.
 * pool == NULL runs the loop in place. Not reentrant: a body must not call it on the same pool, and
 * two threads must not share a pool. */
void mg_parallel_for(mg_pool *pool, int64_t chunks,
                     void (*body)(void *arg, int64_t chunk, int thread), void *arg);

#endif
