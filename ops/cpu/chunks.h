/* chunks.h: cutting an elementwise loop into fixed chunks for the thread pool. */
#ifndef MG_OPS_CPU_CHUNKS_H
#define MG_OPS_CPU_CHUNKS_H

#include "ops/cpu/vec.h"

/* Elements per chunk: large against the cost of handing one out, small against L2. A multiple of
 * V16, so that only the last chunk has a ragged tail. */
enum { MG_CHUNK = 1 << 14 };

typedef struct mg_span {
    const mg_op_call *c;
    int64_t elements;
    void (*body)(const mg_op_call *c, int64_t begin, int64_t end);
} mg_span;

static void mg_span_chunk(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const mg_span *s = arg;
    int64_t begin = chunk * MG_CHUNK, end = begin + MG_CHUNK;
    s->body(s->c, begin, end < s->elements ? end : s->elements);
}

/* Calls body(c, begin, end) over [0, elements) in chunks, on the call's pool. */
static inline void mg_for_span(const mg_op_call *c, int64_t elements,
                               void (*body)(const mg_op_call *c, int64_t begin, int64_t end)) {
    mg_span s = {c, elements, body};
    mg_parallel_for(c->pool, (elements + MG_CHUNK - 1) / MG_CHUNK, mg_span_chunk, &s);
}

#endif
