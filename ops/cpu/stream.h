/* stream.h: stores that go to memory past the caches.
 *
 * An ordinary store first fetches the cache line it is about to overwrite: a tensor too large to
 * stay in cache costs two transfers where it is written, one of them for nothing. A streaming store
 * does without; but what it wrote is not in cache afterwards, so it is for large tensors only,
 * whose beginning would be gone before anybody reads it. Results are the same bits.
 *
 * Streaming stores are not ordered with others: a piece of work that may have made some ends with
 * stream_end(), before another thread is told that the piece is done. */
#ifndef MG_OPS_CPU_STREAM_H
#define MG_OPS_CPU_STREAM_H

#include <stdbool.h>

#include "ops/cpu/vec.h"

/* 8 MiB: more than a core can hope for of a last-level cache that others use too. Measured on Zen
 * 4: blocks of B4 that write 10 to 23 MB gain 3 to 17%; with 7 MB nothing is lost or gained. */
enum { STREAM_FLOATS = 2 << 20 };

/* Whether a matrix of `floats` in all, `row` floats from row to row, is to be streamed. Whole
 * vectors must then begin on a cache line. */
static inline bool stream_wanted(const float *to, int64_t row, int64_t floats) {
    return floats >= STREAM_FLOATS && row % V16 == 0 && (uintptr_t)to % 64 == 0;
}

/* `to` begins a cache line. */
#if defined(MG_ISA_AVX512)
static inline void v16_stream(float *to, v16 a) { _mm512_stream_ps(to, a.r); }
static inline void stream_end(void) { _mm_sfence(); }
#elif defined(MG_ISA_AVX2)
static inline void v16_stream(float *to, v16 a) {
    _mm256_stream_ps(to, a.a);
    _mm256_stream_ps(to + 8, a.b);
}
static inline void stream_end(void) { _mm_sfence(); }
#else
static inline void v16_stream(float *to, v16 a) { v16_store(to, a); }
static inline void stream_end(void) {}
#endif

/* n of 16 lanes, streamed where wanted and whole. */
MG_INLINE void v16_put(bool stream, float *to, v16 a, int n) {
    if (stream && n == V16) v16_stream(to, a);
    else v16_store_some(to, a, n);
}

#endif
