/* depthwise_conv on the CPU (row kernels: depthwise.h, depthwise_gradient.h).
 *
 *     forward   one piece of work is one output row
 *     dx        one piece is one input row, gathered from the rows of dy that touch it
 *     dw        output rows in fixed chunks (chunks.h) times blocks of 32 channels; each output row
 *               is summed from zero in registers, then added to the chunk's partial filter */
#include "ops/cpu/depthwise_gradient.h"

typedef struct job {
    const mg_op_call *c;
    int64_t height, width, channels, rows, columns; /* input, output */
    int64_t top, left;
    int kernel, stride;
    bool streams; /* y */
    depthwise_gradient gradient;
    float *partial; /* chunks x [k,k,C] */
} job;

static job job_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    return (job){.c = c,
                 .height = x[1],
                 .width = x[2],
                 .channels = x[3],
                 .rows = y[1],
                 .columns = y[2],
                 .top = mg_conv_output(&c->attr, 0, x[1]).before,
                 .left = mg_conv_output(&c->attr, 1, x[2]).before,
                 .kernel = c->attr.kernel,
                 .stride = c->attr.stride};
}

static void forward_row(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t image = piece / j->rows, i = piece % j->rows, line = j->width * j->channels;
    const float *rows[MG_MAX_KERNEL];
    depthwise_rows((const float *)j->c->x[0] + image * j->height * line, j->height, line,
                   i * j->stride - j->top, j->kernel, rows);
    depthwise_row r = {.rows = rows,
                       .width = j->width,
                       .columns = j->columns,
                       .channels = j->channels,
                       .x_step = j->channels,
                       .w_step = j->channels,
                       .y_step = j->channels,
                       .left = j->left,
                       .kernel_rows = j->kernel,
                       .kernel = j->kernel,
                       .stride = j->stride,
                       .w = j->c->x[1],
                       .stream = j->streams,
                       .y = (float *)j->c->y + piece * j->columns * j->channels};
    depthwise_row_run(&r);
    if (j->streams) stream_end();
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    j.streams = stream_wanted(c->y, j.channels, mg_shape_elements(&c->y_shape));
    mg_parallel_for(c->pool, c->y_shape.dim[0] * j.rows, forward_row, &j);
}

/* --- dx --------------------------------------------------------------------------------------- */

static void dx_row(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    depthwise_gradient g = j->gradient;
    g.dy = (const float *)j->c->dy + piece / j->height * j->rows * j->columns * j->channels;
    depthwise_gradient_row(&g, piece % j->height, 0, j->channels,
                           (float *)j->c->dx[0] + piece * j->width * j->channels, j->channels,
                           !(j->c->overwrite & 1));
}

static void backward_x(job *j) {
    j->gradient = (depthwise_gradient){.taps = j->c->scratch,
                                       .width = j->width,
                                       .rows = j->rows,
                                       .columns = j->columns,
                                       .channels = j->channels,
                                       .top = j->top,
                                       .left = j->left,
                                       .kernel = j->kernel,
                                       .stride = j->stride};
    depthwise_sort_taps(&j->gradient, j->c->x[1]);
    mg_parallel_for(j->c->pool, j->c->y_shape.dim[0] * j->height, dx_row, j);
}

/* --- dw --------------------------------------------------------------------------------------- */

enum { BLOCK = 2 * V16 }; /* channels of a piece */

static int64_t weight_chunks(const job *j) {
    int64_t rows = j->c->y_shape.dim[0] * j->rows;
    return partial_count(ceil_div(j->channels, BLOCK), ceil_div(rows, 4));
}

static void dw_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t blocks = ceil_div(j->channels, BLOCK), chunk = piece / blocks;
    int64_t ch = piece % blocks * BLOCK, all = j->c->y_shape.dim[0] * j->rows;
    int64_t count = ceil_div(all, weight_chunks(j)), taps = (int64_t)j->kernel * j->kernel;
    float *partial = j->partial + chunk * taps * j->channels + ch;
    for (int64_t t = 0; t < taps; t++)
        memset(partial + t * j->channels, 0,
               (size_t)min64(BLOCK, j->channels - ch) * sizeof *partial);
    for (int64_t r = chunk * count; r < min64((chunk + 1) * count, all); r++) {
        int64_t image = r / j->rows, first = r % j->rows * j->stride - j->top;
        const float *x = (const float *)j->c->x[0] + image * j->height * j->width * j->channels;
        depthwise_taps t = {.dy = (const float *)j->c->dy + r * j->columns * j->channels + ch,
                            .x_step = j->channels,
                            .dy_step = j->channels,
                            .w_step = j->channels,
                            .width = j->width,
                            .columns = j->columns,
                            .channels = min64(BLOCK, j->channels - ch),
                            .left = j->left,
                            .kernel = j->kernel,
                            .stride = j->stride};
        for (int a = 0; a < j->kernel; a++) {
            if (first + a < 0 || first + a >= j->height) continue;
            t.x = x + (first + a) * j->width * j->channels + ch;
            t.dw = partial + a * j->kernel * j->channels;
            depthwise_taps_run(&t);
        }
    }
}

static void combine_tap(void *arg, int64_t tap, int thread) {
    (void)thread;
    const job *j = arg;
    add_partials(j->partial + tap * j->channels, weight_chunks(j),
                 (int64_t)j->kernel * j->kernel * j->channels, j->channels,
                 (float *)j->c->dx[1] + tap * j->channels);
}

static void backward(const mg_op_call *c) {
    job j = job_of(c);
    j.partial = c->scratch;
    if (c->dx[0]) backward_x(&j);
    if (!c->dx[1]) return;
    mg_parallel_for(c->pool, weight_chunks(&j) * ceil_div(j.channels, BLOCK), dw_piece, &j);
    mg_parallel_for(c->pool, (int64_t)j.kernel * j.kernel, combine_tap, &j);
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    job j = job_of(c);
    int64_t filter = (int64_t)j.kernel * j.kernel * j.channels;
    return backward ? (size_t)(weight_chunks(&j) * filter) * sizeof(float) : 0;
}

extern MG_CPU_KERNELS(depthwise_conv);
MG_CPU_KERNELS(depthwise_conv) = {forward, backward, scratch_bytes, 1};
