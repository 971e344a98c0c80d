/* audit_machine.c: the FMA peak and the copy bandwidth (audit_machine.h). */
#include "apps/lib/audit_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/cpu/dispatch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

double mg_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- multiply-adds ---------------------------------------------------------------------------- */

enum { ROUNDS = 200000, CHAINS = 12 }; /* chains: latency of 4 times 2 units, and some to spare */

typedef struct fma_job {
    float *result; /* one per thread, so that the compiler keeps the work */
    mg_isa isa;
} fma_job;

#if defined(__x86_64__)
/* Twelve sums in registers, each waiting for nobody but itself. */
#define MG_FMA_LOOP(vector, set1, fma, add, store, lanes)                                          \
    vector a = set1(0.999f), b = set1(1e-3f), s[CHAINS];                                           \
    for (int i = 0; i < CHAINS; i++) s[i] = set1((float)i);                                        \
    for (int round = 0; round < ROUNDS; round++) {                                                 \
        s[0] = fma(s[0], a, b), s[1] = fma(s[1], a, b), s[2] = fma(s[2], a, b);                    \
        s[3] = fma(s[3], a, b), s[4] = fma(s[4], a, b), s[5] = fma(s[5], a, b);                    \
        s[6] = fma(s[6], a, b), s[7] = fma(s[7], a, b), s[8] = fma(s[8], a, b);                    \
        s[9] = fma(s[9], a, b), s[10] = fma(s[10], a, b), s[11] = fma(s[11], a, b);                \
    }                                                                                              \
    for (int i = 1; i < CHAINS; i++) s[0] = add(s[0], s[i]);                                       \
    float out[lanes];                                                                              \
    store(out, s[0]);                                                                              \
    return out[0];

__attribute__((target("avx512f"))) static float fma_avx512(void) {
    MG_FMA_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_storeu_ps, 16)
}
__attribute__((target("avx2,fma"))) static float fma_avx2(void) {
    MG_FMA_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_storeu_ps, 8)
}
#endif

/* Without vector instructions: a product and a sum, four at a time at best. */
static float fma_plain(void) {
    float s[CHAINS];
    for (int i = 0; i < CHAINS; i++) s[i] = (float)i;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CHAINS; i++) s[i] = s[i] * 0.999f + 1e-3f;
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += s[i];
    return sum;
}

static void fma_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    fma_job *j = arg;
#if defined(__x86_64__)
    if (j->isa == MG_CPU_AVX512) j->result[piece] = fma_avx512();
    else if (j->isa == MG_CPU_AVX2) j->result[piece] = fma_avx2();
    else j->result[piece] = fma_plain();
#else
    j->result[piece] = fma_plain();
#endif
}

static double measure_flops(mg_pool *pool, float *result) {
    fma_job job = {result, mg_cpu_isa()};
    int threads = mg_pool_threads(pool);
    double lanes = job.isa == MG_CPU_AVX512 ? 16 : job.isa == MG_CPU_AVX2 ? 8 : 1, best = 0;
    double work = 2.0 * lanes * CHAINS * ROUNDS * threads, begin = mg_seconds();
    for (int trial = 0; trial < 5 || mg_seconds() - begin < 0.12; trial++) {
        double t = mg_seconds();
        mg_parallel_for(pool, threads, fma_piece, &job);
        t = mg_seconds() - t;
        if (work / t > best) best = work / t;
    }
    return best;
}

/* --- memory ----------------------------------------------------------------------------------- */

enum { COPY_BYTES = 32 << 20 };

typedef struct copy_job {
    char *to;
    const char *from;
    size_t piece;
} copy_job;

static void copy_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const copy_job *j = arg;
    memcpy(j->to + (size_t)piece * j->piece, j->from + (size_t)piece * j->piece, j->piece);
}

static double measure_bytes(mg_pool *pool, char *memory) {
    int threads = mg_pool_threads(pool);
    copy_job job = {memory, memory + COPY_BYTES, (size_t)COPY_BYTES / (size_t)threads};
    memset(memory, 1, 2 * (size_t)COPY_BYTES);
    double work = 2.0 * (double)job.piece * threads, best = 0, begin = mg_seconds();
    for (int trial = 0; trial < 5 || mg_seconds() - begin < 0.12; trial++) {
        double t = mg_seconds();
        mg_parallel_for(pool, threads, copy_piece, &job);
        t = mg_seconds() - t;
        if (work / t > best) best = work / t;
    }
    return best;
}

/* --- together --------------------------------------------------------------------------------- */

static void name_processor(char *out, size_t size) {
    snprintf(out, size, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !name) continue;
        name[strcspn(name, "\n")] = 0;
        snprintf(out, size, "%.*s", (int)size - 1, name + 2);
        break;
    }
    if (f) fclose(f);
}

mg_status mg_machine_measure(mg_pool *pool, mg_machine *out, mg_error *err) {
    *out = (mg_machine){.isa = mg_isa_name(mg_cpu_isa()), .threads = mg_pool_threads(pool)};
    name_processor(out->processor, sizeof out->processor);
    char *memory = malloc(2 * (size_t)COPY_BYTES);
    float *result = calloc((size_t)out->threads, sizeof *result);
    mg_status s = MG_OK;
    if (memory && result) {
        out->flops = measure_flops(pool, result);
        out->bytes = measure_bytes(pool, memory);
    } else {
        s = mg_fail(err, MG_ERR_MEMORY, "measuring the machine: no 64 MiB of memory");
    }
    free(memory);
    free(result);
    return s;
}

double mg_machine_floor(const mg_machine *m, double flops, double bytes) {
    double computing = flops / m->flops, moving = bytes / m->bytes;
    return computing > moving ? computing : moving;
}

double mg_machine_share(const mg_machine *m, double flops, double bytes, double seconds) {
    return seconds > 0 ? mg_machine_floor(m, flops, bytes) / seconds : 0;
}
