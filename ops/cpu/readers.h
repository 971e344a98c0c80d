/* readers.h: which outputs of a convolution read one input position, along one axis. Backward
 * gathers over them, so that every element of dx is written by one piece of work. */
#ifndef MG_OPS_CPU_READERS_H
#define MG_OPS_CPU_READERS_H

#include "ops/op.h"

typedef struct readers {
    int count, tap[MG_MAX_KERNEL]; /* output[t] reads the position through its tap[t] */
    int64_t output[MG_MAX_KERNEL]; /* ascending */
} readers;

static inline readers readers_of(int64_t position, int64_t before, int kernel, int stride,
                                 int64_t outputs) {
    readers r = {.count = 0};
    for (int a = kernel - 1; a >= 0; a--) {
        int64_t at = position + before - a;
        if (at < 0 || at % stride || at / stride >= outputs) continue;
        r.tap[r.count] = a;
        r.output[r.count++] = at / stride;
    }
    return r;
}

#endif
