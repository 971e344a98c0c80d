/* The thread pool under ThreadSanitizer: every chunk writes its own slots, the caller reads all. */
#include <stdio.h>
#include <string.h>

#include "tensor/pool.h"

enum { SLOTS = 4096 };

typedef struct work {
    int value[SLOTS];
    int chunk;
} work;

static void fill(void *arg, int64_t chunk, int thread) {
    (void)thread;
    work *w = arg;
    for (int i = 0; i < w->chunk; i++) w->value[chunk * w->chunk + i] += (int)chunk + i;
}

int main(void) {
    static work w;
    int wrong = 0;
    for (int threads = 1; threads <= 6; threads++) {
        mg_pool *pool = mg_pool_create(threads);
        for (int repeat = 0; repeat < 200; repeat++) {
            memset(w.value, 0, sizeof w.value);
            w.chunk = 1 << repeat % 8;
            mg_parallel_for(pool, SLOTS / w.chunk, fill, &w);
            for (int i = 0; i < SLOTS; i++) wrong += w.value[i] != i / w.chunk + i % w.chunk;
        }
        mg_pool_destroy(pool);
    }
    printf("thread pool: %d wrong of %d\n", wrong, 6 * 200 * SLOTS);
    return wrong != 0;
}
