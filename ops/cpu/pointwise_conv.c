/* pointwise_conv on the CPU: three matrix products (gemm.h).
 *
 *     y  = x w + b       rows of x in chunks, w packed once
 *     dx += dy w^T       the same with w packed transposed
 *     dw += x^T dy       the depth is the row count, so it is cut into fixed chunks, each summed
 *                        into a partial matrix of its own, and these are added in a fixed tree
 *
 * Compiled with MG_GEMM_HALVES too, for calls that may be relaxed (mg_attr). */
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
    float *packed = j->packed + panel * panel_count(j->k);
    pack_panel(j->c->x[1], j->n, j->k, j->n, panel, packed);
    panel_ready(packed, j->k);
}

static void pack_w_transposed(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg; /* here k and n are those of dy w^T: swapped */
    float *packed = j->packed + panel * panel_count(j->k);
    pack_panel_transposed(j->c->x[1], j->k, j->k, j->n, panel, packed);
    panel_ready(packed, j->k);
}

static void forward_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    const mg_op_call *c = j->c;
    gemm_c out = {.data = c->y,
                  .row = j->n,
                  .bias = mg_has_input(c, 2) ? c->x[2] : NULL,
                  .silu = c->attr.activation == MG_ACTIVATION_SILU};
    out.stream = gemm_streams(&out, j->m, j->k);
    tiles_begin();
    gemm_piece(&j->split, piece, (gemm_a){c->x[0], j->k, 1, .ready = false}, j->m, j->packed, j->k,
               j->n, out);
    tiles_end();
}

static void dx_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_c out = {.data = j->c->dx[0], .row = j->n, .accumulate = !(j->c->overwrite & 1)};
    out.stream = gemm_streams(&out, j->m, j->k);
    tiles_begin();
    gemm_piece(&j->split, piece, (gemm_a){j->c->dy, j->k, 1, .ready = false}, j->m, j->packed, j->k,
               j->n, out);
    tiles_end();
}

/* The kernels that this call is for, if not these. */
static const mg_kernels *handed_to(const mg_op_call *c, bool backward) {
    if (c->attr.bf16 && !backward) return mg_cpu_bf16_kernels(MG_BF16_POINTWISE_CONV);
    return kernels_by_halves(c, MG_HALVES_POINTWISE_CONV);
}

static void forward(const mg_op_call *c) {
    const mg_kernels *other = handed_to(c, false);
    if (other) {
        other->forward(c);
        return;
    }
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

/* One step of dw: SLAB columns of x (four AVX-512 tiles) over ROW_BLOCK rows are copied together,
 * 28 KiB, and stay in L1 while all panels of dy pass by. Read in place, each row would be another
 * cache line, and with many channels they fall into few sets of L1 (960 channels: 16 of 64). Block
 * sums start from zero and are then added to the partial matrix, which also keeps the rounding
 * error of a sum over 100,000 rows small. */
#if defined(MG_GEMM_HALVES)
enum { ROW_BLOCK = 128, SLAB = 256 }; /* fewer slabs: panels of dy are taken apart for each */
#else
enum { ROW_BLOCK = 128, SLAB = 56 };
#endif

/* Chunks of rows, a function of the problem alone, because it decides the bits: about 64 pieces in
 * all, no partial matrix of fewer than 256 rows. */
static int64_t weight_chunks(const job *j) {
    return partial_count(ceil_div(j->k, SLAB), ceil_div(j->m, 256));
}

/* Floats of scratch a thread needs: a slab of x and a panel of dy. */
enum { THREAD_FLOATS = ROW_BLOCK * (SLAB + PANEL) };

/* Columns [column, column + width) of x over one block of rows, as A transposed. */
static gemm_a slab_of(const job *j, int64_t row, int64_t rows, int64_t column, int64_t width,
                      float *to) {
    const float *x = (const float *)j->c->x[0] + row * j->k + column;
    gemm_a in_place = {x, 1, j->k, .ready = false};
    if (DEPTH_STEP > 1) return gemm_ready(in_place, width, rows, to);
    if (j->k <= SLAB) return in_place;
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * SLAB, x + r * j->k, (size_t)width * sizeof *to);
    return (gemm_a){to, 1, SLAB, .ready = false};
}

/* SLAB rows of dw over one chunk of rows, and with the first slab db. */
static void weight_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t slabs = ceil_div(j->k, SLAB), chunk = piece / slabs, column = piece % slabs * SLAB;
    int64_t rows = ceil_div(j->m, weight_chunks(j)), begin = chunk * rows;
    int64_t end = min64(begin + rows, j->m), width = min64(SLAB, j->k - column);
    float *panel = j->packed + (int64_t)thread * THREAD_FLOATS, *slab = panel + ROW_BLOCK * PANEL;
    float *partial = j->partial + chunk * (j->k + 1) * j->n, *bias = partial + j->k * j->n;
    if (column == 0) memset(bias, 0, (size_t)j->n * sizeof *bias);
    tiles_begin();
    for (int64_t r = begin; r < end; r += ROW_BLOCK) {
        int64_t count = min64(ROW_BLOCK, end - r);
        gemm_a x = slab_of(j, r, count, column, width, slab);
        for (int64_t p = 0; p < panels_of(j->n); p++) {
            int columns = (int)min64(PANEL, j->n - p * PANEL);
            gemm_c to = {
                .data = partial + column * j->n + p * PANEL, .row = j->n, .accumulate = r > begin};
            pack_panel((const float *)j->c->dy + r * j->n, j->n, count, j->n, p, panel);
            if (column == 0) add_panel_rows(panel, count, bias + p * PANEL, columns);
            panel_ready(panel, count);
            gemm_panel(x, width, panel, count, to, columns, true, true);
        }
    }
    tiles_end();
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
    j.partial = j.packed + (int64_t)mg_pool_threads(c->pool) * THREAD_FLOATS;
    mg_parallel_for(c->pool, weight_chunks(&j) * ceil_div(j.k, SLAB), weight_piece, &j);
    mg_parallel_for(c->pool, j.k + 1, combine_row, &j);
}

static void backward(const mg_op_call *c) {
    MG_ASSERT(c->attr.activation == MG_ACTIVATION_NONE);
    const mg_kernels *other = handed_to(c, true);
    if (other) {
        other->backward(c);
        return;
    }
    if (c->dx[0]) backward_x(c);
    if (c->dx[1] || (mg_has_input(c, 2) && c->dx[2])) backward_w(c);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    const mg_kernels *other = handed_to(c, backward);
    if (other) return other->scratch_bytes(c, backward, threads);
    job j = job_of(c);
    if (!backward) return (size_t)packed_count(j.k, j.n) * sizeof(float);
    int64_t for_x = packed_count(j.n, j.k);
    int64_t for_w = threads * (int64_t)THREAD_FLOATS + weight_chunks(&j) * (j.k + 1) * j.n;
    return (size_t)(for_x > for_w ? for_x : for_w) * sizeof(float);
}

extern MG_CPU_KERNELS(pointwise_conv);
MG_CPU_KERNELS(pointwise_conv) = {forward, backward, scratch_bytes, 1};
