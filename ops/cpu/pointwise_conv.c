/* pointwise_conv on the CPU: three matrix products (gemm.h).
 *
 *     y  = x w + b       rows of x in chunks, w packed once
 *     dx += dy w^T       the same with w packed transposed
 *     dw += x^T dy       the depth is the row count, so it is cut into fixed chunks, each summed
 *                        into a partial matrix of its own, and these are added in a fixed tree
 */
#include "ops/cpu/gemm.h"

typedef struct job {
    const mg_op_call *c;
    int64_t m, k, n; /* rows, depth and columns of the product at hand */
    float *packed;   /* B */
    float *partial;  /* weight gradient: chunks x (k+1) x n */
    gemm_split split;
} job;

static job job_of(const mg_op_call *c) {
    int64_t k = c->x_shape[1].dim[0], n = c->x_shape[1].dim[1];
    return (job){.c = c, .m = mg_shape_elements(&c->x_shape[0]) / k, .k = k, .n = n};
}

/* --- y and dx --------------------------------------------------------------------------------- */

static void pack_w(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    pack_panel(j->c->x[1], j->n, j->k, j->n, panel, j->packed + panel * j->k * PANEL);
}

static void pack_w_transposed(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg; /* here k and n are those of dy w^T: swapped */
    pack_panel_transposed(j->c->x[1], j->k, j->k, j->n, panel, j->packed + panel * j->k * PANEL);
}

static void forward_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    const mg_op_call *c = j->c;
    gemm_c out = {.data = c->y,
                  .row = j->n,
                  .bias = mg_has_input(c, 2) ? c->x[2] : NULL,
                  .silu = c->attr.activation == MG_ACTIVATION_SILU};
    gemm_piece(&j->split, piece, (gemm_a){c->x[0], j->k, 1}, j->m, j->packed, j->k, j->n, out);
}

static void dx_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_c out = {.data = j->c->dx[0], .row = j->n, .accumulate = true};
    gemm_piece(&j->split, piece, (gemm_a){j->c->dy, j->k, 1}, j->m, j->packed, j->k, j->n, out);
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    j.packed = c->scratch;
    j.split = gemm_split_of(j.m, j.n);
    mg_parallel_for(c->pool, panels_of(j.n), pack_w, &j);
    mg_parallel_for(c->pool, j.split.pieces, forward_piece, &j);
}

static void backward_x(const mg_op_call *c) {
    job j = job_of(c);
    int64_t k = j.k;
    j.k = j.n;
    j.n = k;
    j.packed = c->scratch;
    j.split = gemm_split_of(j.m, j.n);
    mg_parallel_for(c->pool, panels_of(j.n), pack_w_transposed, &j);
    mg_parallel_for(c->pool, j.split.pieces, dx_piece, &j);
}

/* --- dw and db -------------------------------------------------------------------------------- */

/* Rows that one tile of dw sums before the result is added to the partial matrix. Each row of x is
 * another cache line of the same tile, and with a power of two in K these fall into few sets of L1
 * (960 channels: 16 of 64): 64 rows still fit there, and in the first-level TLB. */
enum { ROW_BLOCK = 128 };

/* Chunks of rows, a function of the problem alone, because it decides the bits: about 64 pieces in
 * all, no partial matrix of fewer than 256 rows. */
static int64_t weight_chunks(const job *j) {
    return partial_count(ceil_div(j->n, 32), ceil_div(j->m, 256));
}

/* One panel of dw over one chunk of rows, ROW_BLOCK rows at a time: pack that slice of dy into the
 * thread's scratch (8 KiB), then run the tiles down the k axis of x. */
static void weight_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t panels = panels_of(j->n), chunk = piece / panels, panel = piece % panels;
    int64_t rows = ceil_div(j->m, weight_chunks(j)), begin = chunk * rows;
    int64_t end = min64(begin + rows, j->m), column = panel * PANEL;
    int columns = (int)min64(PANEL, j->n - column);
    float *packed = j->packed + (int64_t)thread * ROW_BLOCK * PANEL;
    float *partial = j->partial + chunk * (j->k + 1) * j->n + column;
    float *bias = partial + j->k * j->n;
    for (int i = 0; i < columns; i++) bias[i] = 0;
    for (int64_t r = begin; r < end; r += ROW_BLOCK) {
        int64_t count = min64(ROW_BLOCK, end - r);
        const float *x = (const float *)j->c->x[0] + r * j->k;
        const float *dy = (const float *)j->c->dy + r * j->n;
        pack_panel(dy, j->n, count, j->n, panel, packed);
        gemm_panel((gemm_a){x, 1, j->k}, j->k, packed, count,
                   (gemm_c){.data = partial, .row = j->n, .accumulate = r > begin}, columns, true,
                   true);
        add_panel_rows(packed, count, bias, columns);
    }
}

/* Adds one row of the partial matrices up and to dw; the last row is db. */
static void combine_row(void *arg, int64_t row, int thread) {
    (void)thread;
    const job *j = arg;
    float *db = mg_has_input(j->c, 2) ? j->c->dx[2] : NULL, *dw = j->c->dx[1];
    float *to = row == j->k ? db : dw ? dw + row * j->n : NULL;
    if (to) add_partials(j->partial + row * j->n, weight_chunks(j), (j->k + 1) * j->n, j->n, to);
}

static void backward_w(const mg_op_call *c) {
    job j = job_of(c);
    j.packed = c->scratch;
    j.partial = j.packed + (int64_t)mg_pool_threads(c->pool) * ROW_BLOCK * PANEL;
    mg_parallel_for(c->pool, weight_chunks(&j) * panels_of(j.n), weight_piece, &j);
    mg_parallel_for(c->pool, j.k + 1, combine_row, &j);
}

static void backward(const mg_op_call *c) {
    MG_ASSERT(c->attr.activation == MG_ACTIVATION_NONE);
    if (c->dx[0]) backward_x(c);
    if (c->dx[1] || (mg_has_input(c, 2) && c->dx[2])) backward_w(c);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    job j = job_of(c);
    if (!backward) return (size_t)packed_count(j.k, j.n) * sizeof(float);
    int64_t for_x = packed_count(j.n, j.k);
    int64_t for_w = threads * (int64_t)ROW_BLOCK * PANEL + weight_chunks(&j) * (j.k + 1) * j.n;
    return (size_t)(for_x > for_w ? for_x : for_w) * sizeof(float);
}

extern MG_CPU_KERNELS(pointwise_conv);
MG_CPU_KERNELS(pointwise_conv) = {forward, backward, scratch_bytes};
