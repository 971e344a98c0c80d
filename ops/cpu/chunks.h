/* chunks.h: cutting an elementwise loop into fixed chunks for the thread pool. */
#ifndef MG_OPS_CPU_CHUNKS_H
#define MG_OPS_CPU_CHUNKS_H

#include "ops/cpu/vec.h"

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

/* --- sums over rows --------------------------------------------------------------------------
 * Weight gradients and statistics are sums over many rows. The rows are cut into at most
 * MAX_PARTIALS chunks, a number that depends on the problem alone because it decides the bits; each
 * chunk sums into an array of its own, and the arrays are added in one fixed tree. */
enum { MAX_PARTIALS = 16 };

/* How many chunks: about 64 pieces of work, given `columns` independent pieces for each chunk, and
 * at most `most` chunks, as there are that many worthwhile runs of rows. */
static inline int64_t partial_count(int64_t columns, int64_t most) {
    int64_t chunks = columns >= 64 ? 1 : 64 / columns;
    chunks = chunks > MAX_PARTIALS ? MAX_PARTIALS : chunks;
    return chunks < most ? chunks : most < 1 ? 1 : most;
}

/* to[i] += sum over chunks of partial[chunk * size + i], i < count: neighbours first, then
 * pairs. */
static inline void add_partials(const float *partial, int64_t chunks, int64_t size, int64_t count,
                                float *to) {
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        v16 sum[MAX_PARTIALS];
        for (int64_t p = 0; p < chunks; p++) sum[p] = v16_load_n(partial + p * size + i, n);
        for (int64_t step = 1; step < chunks; step *= 2)
            for (int64_t p = 0; p + step < chunks; p += 2 * step)
                sum[p] = v16_add(sum[p], sum[p + step]);
        v16_store_n(to + i, v16_add(v16_load_n(to + i, n), sum[0]), n);
    }
}

#endif
