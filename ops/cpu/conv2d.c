/* conv2d on the CPU: each output row becomes a matrix of patches [W', k k Cin], in scratch and
 * small enough for L1 or L2 (the stem: 250 x 9 floats), and goes through the matrix product of
 * gemm.h.
 *
 *     y   = patches w + bias (+ SiLU)         one piece of work is one output row
 *     dw += patches^T dy, dbias += sum dy      output rows in fixed chunks (chunks.h) times panels
 *     dx      gathered: each input pixel lists the taps that read it; a dot product over Cout
 *
 * The stem is the only user and its input is an image: dx is for completeness, not tuned. */
#include "ops/cpu/chunks.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/readers.h"

enum { X, W, BIAS };

typedef struct job {
    const mg_op_call *c;
    int64_t height, width, in, rows, columns, out, depth; /* depth = k k Cin */
    int64_t top, left;
    int kernel, stride;
    bool streams;   /* y */
    float *packed;  /* w, or per thread one panel of dy */
    float *patches; /* per thread: columns x depth */
    float *partial; /* chunks x (depth + 1) x out */
} job;

static job job_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[X].dim, *y = c->y_shape.dim;
    return (job){.c = c,
                 .height = x[1],
                 .width = x[2],
                 .in = x[3],
                 .rows = y[1],
                 .columns = y[2],
                 .out = y[3],
                 .depth = (int64_t)c->attr.kernel * c->attr.kernel * x[3],
                 .top = mg_conv_output(&c->attr, 0, x[1]).before,
                 .left = mg_conv_output(&c->attr, 1, x[2]).before,
                 .kernel = c->attr.kernel,
                 .stride = c->attr.stride};
}

/* The k Cin inputs under kernel row a of one output column; zero outside. `row` NULL: outside. */
static void copy_taps(const job *j, const float *row, int64_t column, float *to) {
    int64_t q = column * j->stride - j->left, count = j->kernel * j->in;
    if (row && q >= 0 && q + j->kernel <= j->width) {
        const float *from = row + q * j->in;
        for (int64_t i = 0; i < count; i++) to[i] = from[i];
        return;
    }
    for (int b = 0; b < j->kernel; b++)
        for (int64_t ch = 0; ch < j->in; ch++)
            to[b * j->in + ch] =
                row && q + b >= 0 && q + b < j->width ? row[(q + b) * j->in + ch] : 0;
}

static float *patches_of_row(const job *j, int64_t piece, int thread) {
    float *patches = j->patches + (int64_t)thread * j->columns * j->depth;
    int64_t image = piece / j->rows, first = piece % j->rows * j->stride - j->top;
    const float *x = (const float *)j->c->x[X] + image * j->height * j->width * j->in;
    for (int a = 0; a < j->kernel; a++) {
        int64_t p = first + a;
        const float *row = p >= 0 && p < j->height ? x + p * j->width * j->in : NULL;
        for (int64_t o = 0; o < j->columns; o++)
            copy_taps(j, row, o, patches + o * j->depth + a * j->kernel * j->in);
    }
    return patches;
}

static void forward_row(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    gemm_c out = {.data = (float *)j->c->y + piece * j->columns * j->out,
                  .row = j->out,
                  .bias = mg_has_input(j->c, BIAS) ? j->c->x[BIAS] : NULL,
                  .silu = j->c->attr.activation == MG_ACTIVATION_SILU,
                  .silu_half = j->c->attr.relaxed,
                  .stream = j->streams};
    gemm_rows((gemm_a){patches_of_row(j, piece, thread), j->depth, 1, .ready = false}, j->columns,
              j->packed, j->depth, j->out, 0, panels_of(j->out), out);
    if (j->streams) stream_end();
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    j.packed = c->scratch;
    j.patches = j.packed + packed_count(j.depth, j.out);
    gemm_c all = {.data = c->y, .row = j.out};
    j.streams = gemm_streams(&all, c->y_shape.dim[0] * j.rows * j.columns, j.depth);
    for (int64_t p = 0; p < panels_of(j.out); p++)
        pack_panel(c->x[W], j.out, j.depth, j.out, p, j.packed + p * j.depth * PANEL);
    mg_parallel_for(c->pool, c->y_shape.dim[0] * j.rows, forward_row, &j);
}

/* --- dw and dbias ----------------------------------------------------------------------------- */

static int64_t weight_chunks(const job *j) {
    return partial_count(ceil_div(j->out, 32), ceil_div(j->c->y_shape.dim[0] * j->rows, 4));
}

static void weight_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t panels = panels_of(j->out), chunk = piece / panels, panel = piece % panels;
    int64_t all = j->c->y_shape.dim[0] * j->rows, count = ceil_div(all, weight_chunks(j));
    int columns = (int)min64(PANEL, j->out - panel * PANEL);
    float *packed = j->packed + (int64_t)thread * j->columns * PANEL;
    float *partial = j->partial + chunk * (j->depth + 1) * j->out + panel * PANEL;
    for (int64_t k = 0; k <= j->depth; k++)
        memset(partial + k * j->out, 0, (size_t)columns * sizeof *partial);
    for (int64_t r = chunk * count; r < min64((chunk + 1) * count, all); r++) {
        const float *dy = (const float *)j->c->dy + r * j->columns * j->out;
        pack_panel(dy, j->out, j->columns, j->out, panel, packed);
        gemm_panel((gemm_a){patches_of_row(j, r, thread), 1, j->depth, .ready = false}, j->depth,
                   packed, j->columns, (gemm_c){.data = partial, .row = j->out, .accumulate = true},
                   columns, true, true);
        add_panel_rows(packed, j->columns, partial + j->depth * j->out, columns);
    }
}

static void backward_w(job *j) {
    float *dw = j->c->dx[W], *dbias = mg_has_input(j->c, BIAS) ? j->c->dx[BIAS] : NULL;
    int64_t chunks = weight_chunks(j), size = (j->depth + 1) * j->out;
    mg_parallel_for(j->c->pool, chunks * panels_of(j->out), weight_piece, j);
    if (dw) add_partials(j->partial, chunks, size, j->depth * j->out, dw);
    if (dbias) add_partials(j->partial + j->depth * j->out, chunks, size, j->out, dbias);
}

/* --- dx --------------------------------------------------------------------------------------- */

static void dx_pixel(const job *j, const float *dy, const readers *down, const readers *across,
                     float *dx) {
    const float *w = j->c->x[W];
    for (int64_t ch = 0; ch < j->in; ch++) {
        v16 sum = v16_zero();
        for (int a = 0; a < down->count; a++)
            for (int b = 0; b < across->count; b++) {
                const float *g = dy + (down->output[a] * j->columns + across->output[b]) * j->out;
                const float *tap =
                    w + ((down->tap[a] * j->kernel + across->tap[b]) * j->in + ch) * j->out;
                for (int64_t o = 0; o < j->out; o += V16) {
                    int n = (int)min64(V16, j->out - o);
                    sum = v16_fma(v16_load_n(g + o, n), v16_load_n(tap + o, n), sum);
                }
            }
        dx[ch] += v16_sum(sum);
    }
}

static void dx_row(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t image = piece / j->height;
    const float *dy = (const float *)j->c->dy + image * j->rows * j->columns * j->out;
    readers down = readers_of(piece % j->height, j->top, j->kernel, j->stride, j->rows);
    for (int64_t q = 0; q < j->width; q++) {
        readers across = readers_of(q, j->left, j->kernel, j->stride, j->columns);
        dx_pixel(j, dy, &down, &across, (float *)j->c->dx[X] + (piece * j->width + q) * j->in);
    }
}

static void backward(const mg_op_call *c) {
    MG_ASSERT(c->attr.activation == MG_ACTIVATION_NONE);
    job j = job_of(c);
    int64_t threads = mg_pool_threads(c->pool);
    j.packed = c->scratch;
    j.patches = j.packed + threads * j.columns * PANEL;
    j.partial = j.patches + threads * j.columns * j.depth;
    if (c->dx[W] || (mg_has_input(c, BIAS) && c->dx[BIAS])) backward_w(&j);
    if (c->dx[X]) mg_parallel_for(c->pool, c->y_shape.dim[0] * j.height, dx_row, &j);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    job j = job_of(c);
    int64_t floats = threads * j.columns * j.depth;
    if (back) floats += threads * j.columns * PANEL + weight_chunks(&j) * (j.depth + 1) * j.out;
    else floats += packed_count(j.depth, j.out);
    return (size_t)floats * sizeof(float);
}

extern MG_CPU_KERNELS(conv2d);
MG_CPU_KERNELS(conv2d) = {forward, backward, scratch_bytes, 0};
