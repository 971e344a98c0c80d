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

static void fill_backwards(void *arg, int64_t chunk, int thread) {
    work *w = arg;
    fill(w, SLOTS / w->chunk - 1 - chunk, thread);
}

/* Loops follow each other at once, with other bodies, arguments and lengths: a worker that comes
 * late from one must not touch the next. More threads than cores makes latecomers. */
int main(void) {
    static work both[2];
    int wrong = 0;
    for (int threads = 1; threads <= 6; threads++) {
        mg_pool *pool = mg_pool_create(threads);
        for (int repeat = 0; repeat < 200; repeat++) {
            for (int i = 0; i < 2; i++) {
                memset(both[i].value, 0, sizeof both[i].value);
                both[i].chunk = 1 << (repeat + 3 * i) % 10;
            }
            for (int i = 0; i < 2; i++)
                mg_parallel_for(pool, SLOTS / both[i].chunk, i ? fill_backwards : fill, &both[i]);
            for (int s = 0; s < SLOTS; s++)
                for (int i = 0, c; i < 2; i++) {
                    c = both[i].chunk;
                    wrong += both[i].value[s] != s / c + s % c;
                }
        }
        mg_pool_destroy(pool);
    }
    printf("thread pool: %d wrong of %d\n", wrong, 6 * 200 * 2 * SLOTS);
    return wrong != 0;
}
