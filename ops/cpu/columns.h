/* columns.h: sums down the columns of a rows x channels matrix (an NHWC image is one): pooling,
 * gates, statistics.
 *
 * Rows are cut into chunks of ROW_CHUNK; a chunk sums in f32, 64 channels (four registers) at a
 * time; the chunk sums are added in double, in order. */
#ifndef MG_OPS_CPU_COLUMNS_H
#define MG_OPS_CPU_COLUMNS_H

#include "ops/cpu/chunks.h"

enum { ROW_CHUNK = 256, COLUMN_VECTORS = 4 };

/* sum over rows of x, or of x z when z is not NULL, for n channels per vector. */
MG_INLINE void sum_rows_block(const float *x, const float *z, int64_t rows, int64_t step,
                              const int vectors, int n, float *out) {
    v16 sum[COLUMN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sum[v] = v16_zero();
    for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t i = r * step + v * V16;
            v16 a = v16_load_some(x + i, n);
            sum[v] = z ? v16_fma(a, v16_load_some(z + i, n), sum[v]) : v16_add(a, sum[v]);
        }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) v16_store_some(out + v * V16, sum[v], n);
}

/* `step` floats from one row to the next. */
static inline void sum_rows(const float *x, const float *z, int64_t rows, int64_t step,
                            int64_t channels, float *out) {
    int64_t ch = 0;
    for (; ch + COLUMN_VECTORS * V16 <= channels; ch += COLUMN_VECTORS * V16)
        sum_rows_block(x + ch, z ? z + ch : NULL, rows, step, COLUMN_VECTORS, V16, out + ch);
    for (; ch < channels; ch += V16)
        sum_rows_block(x + ch, z ? z + ch : NULL, rows, step, 1, (int)min64(V16, channels - ch),
                       out + ch);
}

/* Column sums of every image of a batch. */
typedef struct image_sums {
    const float *x, *z; /* [images, pixels, channels]; z may be NULL */
    int64_t images, pixels, channels;
    float *partial; /* image_sums_floats() */
} image_sums;

static inline int64_t image_sums_floats(int64_t images, int64_t pixels, int64_t channels) {
    return images * ceil_div(pixels, ROW_CHUNK) * channels;
}

static inline void image_sums_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const image_sums *s = arg;
    int64_t chunks = ceil_div(s->pixels, ROW_CHUNK), first = piece % chunks * ROW_CHUNK;
    int64_t at = (piece / chunks * s->pixels + first) * s->channels;
    sum_rows(s->x + at, s->z ? s->z + at : NULL, min64(ROW_CHUNK, s->pixels - first), s->channels,
             s->channels, s->partial + piece * s->channels);
}

static inline void image_sums_run(const mg_op_call *c, image_sums *s) {
    mg_parallel_for(c->pool, s->images * ceil_div(s->pixels, ROW_CHUNK), image_sums_chunk, s);
}

/* The sum of one channel of one image, after image_sums_run. */
static inline double image_sum(const image_sums *s, int64_t image, int64_t ch) {
    int64_t chunks = ceil_div(s->pixels, ROW_CHUNK);
    double sum = 0;
    for (int64_t k = 0; k < chunks; k++)
        sum += (double)s->partial[(image * chunks + k) * s->channels + ch];
    return sum;
}

#endif
