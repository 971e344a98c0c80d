/* pointwise_conv in bfloat16 on the CPU, for inference (the head): x and w are rounded, sums, bias,
 * SiLU and y are f32. Rounding x into scratch costs one pass; the product then reads half the
 * bytes and multiplies two pairs at a time (bf16.h). */
#define MG_GEMM_CELLS
#include "ops/cpu/gemm.h"
#include "ops/cpu/pairs_bf16.h"

typedef struct job {
    const mg_op_call *c;
    int64_t m, k, n, pairs, x_row; /* of k: cells of a column of w and of a row of x */
    float *packed, *cells;
    gemm_split split;
} job;

static job job_of(const mg_op_call *c) {
    int64_t k = c->x_shape[1].dim[0], n = c->x_shape[1].dim[1];
    job j = {.c = c, .m = mg_shape_elements(&c->x_shape[0]) / k, .k = k, .n = n};
    j.pairs = pairs_of(k);
    j.x_row = pairs_row(k);
    j.split = gemm_split_of(j.m, n);
    return j;
}

enum { ROUND_ROWS = 64 };

static void round_rows(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const job *j = arg;
    const float *x = j->c->x[0];
    for (int64_t m = chunk * ROUND_ROWS; m < min64((chunk + 1) * ROUND_ROWS, j->m); m++)
        pairs_from(x + m * j->k, j->k, 2 * j->x_row, j->cells + m * j->x_row);
}

static void pack_w(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    pack_pairs(j->c->x[1], NULL, j->n, j->k, j->n, panel, j->pairs,
               j->packed + panel * j->pairs * PANEL);
}

static void forward_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_c out = {.data = j->c->y,
                  .row = j->n,
                  .bias = mg_has_input(j->c, 2) ? j->c->x[2] : NULL,
                  .silu = j->c->attr.activation == MG_ACTIVATION_SILU};
    tiles_begin();
    gemm_piece(&j->split, piece, (gemm_a){j->cells, j->x_row, 1, .ready = false}, j->m, j->packed,
               j->pairs, j->n, out);
    tiles_end();
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward, (void)threads;
    job j = job_of(c);
    return (size_t)(packed_count(j.pairs, j.n) + (j.m + ROWS_BEYOND) * j.x_row) * sizeof(float);
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    j.packed = c->scratch;
    j.cells = j.packed + packed_count(j.pairs, j.n);
    mg_parallel_for(c->pool, ceil_div(j.m, ROUND_ROWS), round_rows, &j);
    mg_parallel_for(c->pool, panels_of(j.n), pack_w, &j);
    mg_parallel_for(c->pool, j.split.pieces, forward_piece, &j);
}

extern MG_CPU_KERNELS(pointwise_conv_bf16);
MG_CPU_KERNELS(pointwise_conv_bf16) = {forward, NULL, scratch_bytes, 0};
