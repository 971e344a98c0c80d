/* mbconv on the CPU: the expanded tensor never exists as a whole.
 *
 * Image by image:
 *   1. A piece of work is a group of 64 expanded channels times a band of output rows. It expands
 *      input rows, a burst at a time, into a ring that holds the k rows the filter needs: at most 4
 *      x 250 x 64 floats, 250 KiB, in L2, for the widest stage. The depthwise row kernel reads the
 *      ring and writes a row of d, with bias and SiLU, and sums it up for the means. Groups need
 *      no halo; only where they are few (early stages) are rows split into bands, which repeat
 *      k - stride input rows each.
 *   2. The gate (gate.h) from the row sums, which are added in double, row by row: the bits depend
 *      neither on bands nor on threads.
 *   3. y = d (gate project_w) + project_b (+ x): the gate scales the weights while they are packed,
 *      instead of d, which is 60 times larger.
 * A burst is as many rows as make CHUNK_ROWS pixels for the product: rows are adjacent in memory.
 * Compiled with MG_GEMM_HALVES too, for calls that may be relaxed (mg_attr) on a machine with AMX.
 * x is then taken apart beforehand, and d, most of the bytes of a block, is kept in bfloat16,
 * rounded row by row where it is made, when its means have been taken. What that does to logits is
 * in docs/speed.md.
 * Bytes moved per image: x, d written and read once, y; unfused, e and d would move six times. */
#include "ops/cpu/depthwise.h"
#include "ops/cpu/gate.h"
#include "ops/cpu/gemm.h"

enum { X, EXPAND_W, EXPAND_B, DW_W, DW_B, SE_W1, SE_B1, SE_W2, SE_B2, PROJECT_W, PROJECT_B };
enum { GROUP = 64, READY = DEPTH_STEP > 1 };

typedef struct job {
    const mg_op_call *c;
    const float *x; /* the image at hand, and its result */
    float *y;
    int64_t height, width, in, rows, columns, wide, squeezed, out;
    int64_t top, left, stride, burst, ring_rows, groups, bands;
    int kernel;
    bool expands;
    gemm_split split; /* of the projection */
    bool streams;     /* d */
    int64_t d_row;    /* floats of a pixel of it */
    float *packed_expand, *packed_project, *d, *row_sums, *mean, *gate, *u, *h, *rings;
    float *ready; /* x made ready, or of no size */
    float *lines; /* per thread: one row of one group of d before it is rounded, or of no size */
} job;

static int64_t line_floats(const job *j) { return READY ? j->columns * GROUP : 0; }
static int64_t ring_floats(const job *j) {
    return j->expands ? j->ring_rows * j->width * GROUP : 0;
}

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
    j.burst = ceil_div(CHUNK_ROWS, j.width);
    j.ring_rows = ceil_div(j.kernel + j.burst, j.burst) * j.burst;
    j.groups = ceil_div(j.wide, GROUP);
    int64_t wanted = ceil_div(4 * threads, j.groups), most = ceil_div(j.rows, 16);
    j.bands = min64(wanted, most);
    j.d_row = READY ? padded_depth(j.wide) / 2 : j.wide;
    j.split = gemm_split_of(j.rows * j.columns, j.out);
    return j;
}

/* Lays the parts out in scratch, each in whole cache lines; returns how many floats they are.
 * scratch NULL: only counts. */
static int64_t lay_out(job *j, int threads, float *scratch) {
    int64_t counts[] = {
        j->expands ? packed_count(j->in, j->wide) : 0,
        packed_count(j->wide, j->out),
        (j->rows * j->columns + ROWS_BEYOND) * j->d_row,
        j->rows * j->wide,
        j->wide,
        j->wide,
        j->squeezed,
        j->squeezed,
        threads * ring_floats(j),
        READY && j->expands ? (j->height * j->width + ROWS_BEYOND) * padded_depth(j->in) : 0,
        threads * line_floats(j)};
    float **parts[] = {&j->packed_expand, &j->packed_project, &j->d,    &j->row_sums,
                       &j->mean,          &j->gate,           &j->u,    &j->h,
                       &j->rings,         &j->ready,          &j->lines};
    int64_t total = 0;
    for (int i = 0; i < MG_COUNT(counts); i++) {
        if (scratch) *parts[i] = scratch + total;
        total += ceil_div(counts[i], V16) * V16;
    }
    return total;
}

/* The kernels that this call is for, if not these. By halves only where channels are expanded, and
 * to no fewer than two groups: with few of them tiles multiply padding (24 channels expanded to 24
 * took 1.2 times as long as in f32), and the rounding of d averages out over few terms. */
static const mg_kernels *handed_to(const mg_op_call *c) {
    bool wide = mg_has_input(c, EXPAND_W) && c->x_shape[DW_W].dim[2] >= 2 * GROUP;
    if (c->attr.bf16) return mg_cpu_bf16_kernels(MG_BF16_MBCONV);
    return wide ? kernels_by_halves(c, MG_HALVES_MBCONV) : NULL;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    const mg_kernels *other = handed_to(c);
    if (other) return other->scratch_bytes(c, backward, threads);
    job j = job_of(c, threads);
    return (size_t)lay_out(&j, threads, NULL) * sizeof(float);
}

/* --- 1: expand, depthwise, row sums ----------------------------------------------------------- */

/* The ring of one piece: input rows [base, next) so far, row r in slot (r - base) % ring_rows. */
typedef struct ring {
    const job *j;
    float *data;
    int64_t base, next, limit; /* limit: rows that exist or will be asked for */
    int64_t channel, channels; /* the group */
} ring;

static float *ring_row(const ring *r, int64_t row) {
    return r->data + (row - r->base) % r->j->ring_rows * r->j->width * GROUP;
}

/* Expands bursts of rows until `last` is there. */
static void ring_fill(ring *r, int64_t last) {
    const job *j = r->j;
    while (r->next <= last) {
        int64_t rows = min64(j->burst, r->limit - r->next);
        gemm_c e = {.data = ring_row(r, r->next),
                    .row = GROUP,
                    .bias = (const float *)j->c->x[EXPAND_B] + r->channel,
                    .silu = true,
                    .silu_half = j->c->attr.relaxed};
        gemm_a x = {j->x + r->next * j->width * j->in, j->in, 1, .ready = false};
        if (READY)
            x = (gemm_a){j->ready + r->next * j->width * padded_depth(j->in), padded_depth(j->in),
                         1, .ready = true};
        gemm_rows(x, rows * j->width, j->packed_expand + r->channel / PANEL * panel_count(j->in),
                  j->in, r->channels, 0, panels_of(r->channels), e);
        r->next += rows;
    }
}

/* Row i of d, one group; line: room for it before it is rounded. */
static void depthwise_rows_of(const job *j, ring *r, int64_t i, float *line) {
    const float *rows[MG_MAX_KERNEL];
    float *d = j->d + i * j->columns * j->d_row + (READY ? r->channel / 2 : r->channel);
    int64_t first = i * j->stride - j->top;
    if (j->expands) ring_fill(r, min64(first + j->kernel, r->limit) - 1);
    for (int a = 0; a < j->kernel; a++) {
        int64_t p = first + a;
        const float *from = j->x + p * j->width * j->in + r->channel;
        rows[a] = p < 0 || p >= j->height ? NULL : j->expands ? ring_row(r, p) : from;
    }
    depthwise_row row = {.rows = rows,
                         .width = j->width,
                         .columns = j->columns,
                         .channels = r->channels,
                         .x_step = j->expands ? GROUP : j->in,
                         .w_step = j->wide,
                         .y_step = READY ? GROUP : j->d_row,
                         .left = j->left,
                         .kernel_rows = j->kernel,
                         .kernel = j->kernel,
                         .stride = (int)j->stride,
                         .w = (const float *)j->c->x[DW_W] + r->channel,
                         .bias = (const float *)j->c->x[DW_B] + r->channel,
                         .silu = true,
                         .silu_half = j->c->attr.relaxed,
                         .stream = j->streams && !READY,
                         .y = READY ? line : d,
                         .sums = j->row_sums + i * j->wide + r->channel};
    memset(row.sums, 0, (size_t)r->channels * sizeof *row.sums);
    depthwise_row_run(&row);
    for (int64_t pixel = 0; READY && pixel < j->columns; pixel++)
        round_line(line + pixel * GROUP, r->channels, d + pixel * j->d_row, j->streams);
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
              .channels = min64(GROUP, j->wide - channel)};
    r.next = r.base;
    tiles_begin();
    for (int64_t i = begin; i < end; i++)
        depthwise_rows_of(j, &r, i, j->lines + thread * line_floats(j));
    tiles_end();
    if (j->streams) stream_end();
}

/* --- 2: the gate ------------------------------------------------------------------------------ */

static void mean_group(void *arg, int64_t group, int thread) {
    (void)thread;
    const job *j = arg;
    double sum[GROUP] = {0};
    int64_t first = group * GROUP, count = min64(GROUP, j->wide - first);
    for (int64_t i = 0; i < j->rows; i++)
        for (int64_t ch = 0; ch < count; ch++)
            sum[ch] += (double)j->row_sums[i * j->wide + first + ch];
    for (int64_t ch = 0; ch < count; ch++)
        j->mean[first + ch] = (float)(sum[ch] / (double)(j->rows * j->columns));
}

/* --- 3: projection ---------------------------------------------------------------------------- */

static void pack_project(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    float *packed = j->packed_project + panel * panel_count(j->wide);
    pack_panel(j->c->x[PROJECT_W], j->out, j->wide, j->out, panel, packed);
    for (int64_t k = 0; k < j->wide; k++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *p = packed + k * PANEL + v * V16;
            v16_store(p, v16_mul(v16_load(p), v16_set(j->gate[k])));
        }
    panel_ready(packed, j->wide);
}

static void project_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_c out = {.data = j->y,
                  .row = j->out,
                  .bias = j->c->x[PROJECT_B],
                  .residual = j->c->attr.residual ? j->x : NULL};
    tiles_begin();
    gemm_a d = {j->d, j->d_row, 1, .ahead = READY, .ready = READY, .rounded = READY};
    gemm_piece(&j->split, piece, d, j->rows * j->columns, j->packed_project, j->wide, j->out, out);
    tiles_end();
}

static void pack_expand(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    float *packed = j->packed_expand + panel * panel_count(j->in);
    pack_panel(j->c->x[EXPAND_W], j->wide, j->in, j->wide, panel, packed);
    panel_ready(packed, j->in);
}

static void ready_x(void *arg, int64_t row, int thread) {
    (void)thread;
    const job *j = arg;
    gemm_ready((gemm_a){j->x + row * j->width * j->in, j->in, 1, .ready = false}, j->width, j->in,
               j->ready + row * j->width * padded_depth(j->in));
}

static void forward(const mg_op_call *c) {
    const mg_kernels *other = handed_to(c);
    if (other) {
        other->forward(c);
        return;
    }
    job j = job_of(c, mg_pool_threads(c->pool));
    lay_out(&j, mg_pool_threads(c->pool), c->scratch);
    j.streams = stream_wanted(j.d, j.d_row, j.rows * j.columns * j.d_row);
    gate_weights w = {c->x[SE_W1], c->x[SE_B1], c->x[SE_W2], c->x[SE_B2], j.wide, j.squeezed};
    if (j.expands) mg_parallel_for(c->pool, panels_of(j.wide), pack_expand, &j);
    for (int64_t n = 0; n < c->x_shape[X].dim[0]; n++) {
        j.x = (const float *)c->x[X] + n * j.height * j.width * j.in;
        j.y = (float *)c->y + n * j.rows * j.columns * j.out;
        if (READY && j.expands) mg_parallel_for(c->pool, j.height, ready_x, &j);
        mg_parallel_for(c->pool, j.groups * j.bands, expand_piece, &j);
        mg_parallel_for(c->pool, j.groups, mean_group, &j);
        gate_forward(&w, j.mean, j.u, j.h, j.gate);
        mg_parallel_for(c->pool, panels_of(j.out), pack_project, &j);
        mg_parallel_for(c->pool, j.split.pieces, project_piece, &j);
    }
}

extern MG_CPU_KERNELS(mbconv);
MG_CPU_KERNELS(mbconv) = {forward, NULL, scratch_bytes, 0};
