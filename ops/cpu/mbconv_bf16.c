/* mbconv in bfloat16 on the CPU. The plan is that of mbconv.c; what differs:
 *
 *   - x, f32 in memory, is rounded once into cells (bf16.h); the ring and d hold cells too, half
 *     the bytes. y, the residual, means and gate stay f32.
 *   - both products take bfloat16 pairs and sum in f32 (gemm.h with MG_GEMM_CELLS); the weights are
 *     rounded while they are packed, those of the projection after the gate was multiplied in.
 *   - the depthwise filter, its sums and SiLU are f32 (depthwise_bf16.h).
 *   - expanded channels are padded to 32 with zero weights.
 * Rounded to bfloat16, then, are: x, e, d, expand_w, gate project_w; nothing else. */
#define MG_GEMM_CELLS
#include "ops/cpu/depthwise_bf16.h"
#include "ops/cpu/gate.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/pairs_bf16.h"

enum { X, EXPAND_W, EXPAND_B, DW_W, DW_B, SE_W1, SE_B1, SE_W2, SE_B2, PROJECT_W, PROJECT_B };
enum { GROUP = 64, RING_CELLS = GROUP / 2 };

typedef struct job {
    const mg_op_call *c;
    const float *x; /* the image at hand, and its result */
    float *y;
    int64_t height, width, in, rows, columns, wide, padded, squeezed, out;
    int64_t in_pairs, in_row; /* depth of the expansion; cells of a row of x */
    int64_t top, left, stride, burst, ring_rows, groups, bands;
    int kernel;
    bool expands;
    gemm_split split; /* of the projection */
    float *cells;     /* x in bfloat16 */
    float *packed_expand, *packed_project, *d, *row_sums, *mean, *gate, *u, *h, *rings;
    float *expand_bias, *taps, *tap_bias; /* padded; taps and tap_bias even channels first */
} job;

static int64_t ring_floats(const job *j) { return j->ring_rows * j->width * RING_CELLS; }

static job job_of(const mg_op_call *c, int threads) {
    const int64_t *x = c->x_shape[X].dim, *y = c->y_shape.dim;
    job j = {.c = c,
             .height = x[1],
             .width = x[2],
             .in = x[3],
             .rows = y[1],
             .columns = y[2],
             .wide = c->x_shape[DW_W].dim[2],
             .squeezed = c->x_shape[SE_W1].dim[1],
             .out = y[3],
             .top = mg_conv_output(&c->attr, 0, x[1]).before,
             .left = mg_conv_output(&c->attr, 1, x[2]).before,
             .stride = c->attr.stride,
             .kernel = c->attr.kernel,
             .expands = mg_has_input(c, EXPAND_W)};
    j.padded = ceil_div(j.wide, BLOCK_CHANNELS) * BLOCK_CHANNELS;
    j.in_pairs = pairs_of(j.in);
    j.in_row = pairs_row(j.in);
    j.burst = ceil_div(CHUNK_ROWS, j.width);
    j.ring_rows = ceil_div(j.kernel + j.burst, j.burst) * j.burst;
    j.groups = ceil_div(j.wide, GROUP);
    int64_t wanted = ceil_div(4 * threads, j.groups), most = ceil_div(j.rows, 16);
    j.bands = min64(wanted, most);
    j.split = gemm_split_of(j.rows * j.columns, j.out);
    return j;
}

/* Lays the parts out in scratch, each in whole cache lines; returns how many floats they are.
 * scratch NULL: only counts. */
static int64_t lay_out(job *j, int threads, float *scratch) {
    int64_t taps = (int64_t)j->kernel * j->kernel;
    int64_t counts[] = {j->expands ? packed_count(j->in_pairs, j->padded) : 0,
                        packed_count(j->padded / 2, j->out),
                        j->expands ? (j->height * j->width + ROWS_BEYOND) * j->in_row : 0,
                        (j->rows * j->columns + ROWS_BEYOND) * j->padded / 2,
                        j->rows * j->padded,
                        j->wide,
                        j->wide,
                        j->squeezed,
                        j->squeezed,
                        threads * ring_floats(j),
                        j->padded,
                        taps * j->padded,
                        j->padded};
    float **parts[] = {&j->packed_expand, &j->packed_project, &j->cells,   &j->d, &j->row_sums,
                       &j->mean,          &j->gate,           &j->u,       &j->h, &j->rings,
                       &j->expand_bias,   &j->taps,           &j->tap_bias};
    int64_t total = 0;
    for (int i = 0; i < MG_COUNT(counts); i++) {
        if (scratch) *parts[i] = scratch + total;
        total += ceil_div(counts[i], V16) * V16;
    }
    return total;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)backward;
    job j = job_of(c, threads);
    return (size_t)lay_out(&j, threads, NULL) * sizeof(float);
}

/* --- 1: expand, depthwise, row sums ----------------------------------------------------------- */

/* The ring of one piece: input rows [base, next) so far, row r in slot (r - base) % ring_rows. */
typedef struct ring {
    const job *j;
    float *data;
    int64_t base, next, limit;
    int64_t channel, channels; /* the group; channels is a multiple of 32 */
} ring;

static float *ring_row(const ring *r, int64_t row) {
    return r->data + (row - r->base) % r->j->ring_rows * r->j->width * RING_CELLS;
}

/* Without expansion the row itself is rounded. */
static void ring_copy(const ring *r, float *to, int64_t row, int64_t rows) {
    const job *j = r->j;
    const float *x = j->x + row * j->width * j->in + r->channel;
    for (int64_t p = 0; p < rows * j->width; p++)
        pairs_from(x + p * j->in, min64(r->channels, j->in - r->channel), r->channels,
                   to + p * RING_CELLS);
}

/* Expands bursts of rows until `last` is there. */
static void ring_fill(ring *r, int64_t last) {
    const job *j = r->j;
    while (r->next <= last) {
        int64_t rows = min64(j->burst, r->limit - r->next);
        float *to = ring_row(r, r->next);
        if (j->expands) {
            gemm_c e = {
                .half = (uint16_t *)(void *)to, .row = GROUP, .bias = j->expand_bias + r->channel};
            gemm_rows(
                (gemm_a){j->cells + r->next * j->width * j->in_row, j->in_row, 1, .ready = false},
                rows * j->width, j->packed_expand + r->channel * j->in_pairs, j->in_pairs,
                r->channels, 0, panels_of(r->channels), e);
        } else {
            ring_copy(r, to, r->next, rows);
        }
        r->next += rows;
    }
}

static void depthwise_rows_of(const job *j, ring *r, int64_t i) {
    const float *rows[MG_MAX_KERNEL];
    int64_t first = i * j->stride - j->top;
    ring_fill(r, min64(first + j->kernel, r->limit) - 1);
    for (int a = 0; a < j->kernel; a++) {
        int64_t p = first + a;
        rows[a] = p < 0 || p >= j->height ? NULL : ring_row(r, p);
    }
    depthwise_cells row = {.rows = rows,
                           .width = j->width,
                           .columns = j->columns,
                           .channels = r->channels,
                           .x_step = RING_CELLS,
                           .w_step = j->padded,
                           .y_step = j->padded / 2,
                           .left = j->left,
                           .kernel = j->kernel,
                           .stride = (int)j->stride,
                           .w = j->taps + r->channel,
                           .bias = j->tap_bias + r->channel,
                           .y = j->d + (i * j->columns * j->padded + r->channel) / 2,
                           .sums = j->row_sums + i * j->padded + r->channel};
    memset(row.sums, 0, (size_t)r->channels * sizeof *row.sums);
    depthwise_cells_run(&row);
}

static void expand_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t band_rows = ceil_div(j->rows, j->bands), begin = piece % j->bands * band_rows;
    int64_t end = min64(begin + band_rows, j->rows), channel = piece / j->bands * GROUP;
    if (begin >= end) return;
    int64_t first = begin * j->stride - j->top;
    ring r = {.j = j,
              .data = j->rings + thread * ring_floats(j),
              .base = first > 0 ? first : 0,
              .limit = min64((end - 1) * j->stride - j->top + j->kernel, j->height),
              .channel = channel,
              .channels = min64(GROUP, j->padded - channel)};
    r.next = r.base;
    tiles_begin();
    for (int64_t i = begin; i < end; i++) depthwise_rows_of(j, &r, i);
    tiles_end();
}

/* --- 2: the gate ------------------------------------------------------------------------------ */

static void mean_block(void *arg, int64_t block, int thread) {
    (void)thread;
    const job *j = arg;
    double sum[BLOCK_CHANNELS] = {0};
    int64_t first = block * BLOCK_CHANNELS;
    for (int64_t i = 0; i < j->rows; i++)
        for (int ch = 0; ch < BLOCK_CHANNELS; ch++)
            sum[ch] += (double)j->row_sums[i * j->padded + first + even_odd_place(ch)];
    for (int64_t ch = 0; ch < min64(BLOCK_CHANNELS, j->wide - first); ch++)
        j->mean[first + ch] = (float)(sum[ch] / (double)(j->rows * j->columns));
}

/* --- 3: projection ---------------------------------------------------------------------------- */

static void pack_project(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    pack_pairs(j->c->x[PROJECT_W], j->gate, j->out, j->wide, j->out, panel, j->padded / 2,
               j->packed_project + panel * j->padded / 2 * PANEL);
}

static void project_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_c out = {.data = j->y,
                  .row = j->out,
                  .bias = j->c->x[PROJECT_B],
                  .residual = j->c->attr.residual ? j->x : NULL};
    tiles_begin();
    gemm_piece(&j->split, piece, (gemm_a){j->d, j->padded / 2, 1, .ready = false},
               j->rows * j->columns, j->packed_project, j->padded / 2, j->out, out);
    tiles_end();
}

/* --- weights and input ------------------------------------------------------------------------ */

static void pack_expand(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    pack_pairs(j->c->x[EXPAND_W], NULL, j->wide, j->in, j->wide, panel, j->in_pairs,
               j->packed_expand + panel * j->in_pairs * PANEL);
}

/* Row t of the padded parameters: the depthwise taps, then both biases. */
static void pad_row(void *arg, int64_t t, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t taps = (int64_t)j->kernel * j->kernel;
    if (t == taps && !j->expands) return;
    const float *from = t < taps    ? (const float *)j->c->x[DW_W] + t * j->wide
                        : t == taps ? j->c->x[EXPAND_B]
                                    : j->c->x[DW_B];
    float *to = t < taps ? j->taps + t * j->padded : t == taps ? j->expand_bias : j->tap_bias;
    for (int64_t ch = 0; ch < j->padded; ch++) {
        int64_t at = t == taps ? ch
                               : ch / BLOCK_CHANNELS * BLOCK_CHANNELS +
                                     even_odd_place((int)(ch % BLOCK_CHANNELS));
        to[at] = ch < j->wide ? from[ch] : 0;
    }
}

static void round_row(void *arg, int64_t row, int thread) {
    (void)thread;
    const job *j = arg;
    for (int64_t p = row * j->width; p < (row + 1) * j->width; p++)
        pairs_from(j->x + p * j->in, j->in, 2 * j->in_row, j->cells + p * j->in_row);
}

static void forward(const mg_op_call *c) {
    job j = job_of(c, mg_pool_threads(c->pool));
    lay_out(&j, mg_pool_threads(c->pool), c->scratch);
    gate_weights w = {c->x[SE_W1], c->x[SE_B1], c->x[SE_W2], c->x[SE_B2], j.wide, j.squeezed};
    if (j.expands) mg_parallel_for(c->pool, panels_of(j.padded), pack_expand, &j);
    mg_parallel_for(c->pool, (int64_t)j.kernel * j.kernel + 2, pad_row, &j);
    for (int64_t n = 0; n < c->x_shape[X].dim[0]; n++) {
        j.x = (const float *)c->x[X] + n * j.height * j.width * j.in;
        j.y = (float *)c->y + n * j.rows * j.columns * j.out;
        if (j.expands) mg_parallel_for(c->pool, j.height, round_row, &j);
        mg_parallel_for(c->pool, j.groups * j.bands, expand_piece, &j);
        mg_parallel_for(c->pool, j.padded / BLOCK_CHANNELS, mean_block, &j);
        gate_forward(&w, j.mean, j.u, j.h, j.gate);
        mg_parallel_for(c->pool, panels_of(j.out), pack_project, &j);
        mg_parallel_for(c->pool, j.split.pieces, project_piece, &j);
    }
}

extern MG_CPU_KERNELS(mbconv_bf16);
MG_CPU_KERNELS(mbconv_bf16) = {forward, NULL, scratch_bytes, 0};
