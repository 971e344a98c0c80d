/* depthwise_conv on the CPU (row kernel: depthwise.h).
 *
 *     forward   one piece of work is one output row
 *     dx        gathered, so that no two pieces write one pixel: at stride 1 it is a convolution of
 *               dy with the flipped filter, the same row kernel; at larger strides each input pixel
 *               lists the taps that reach it
 *     dw        output rows in fixed chunks (chunks.h) times blocks of 32 channels; each output row
 *               is summed from zero in registers, then added to the chunk's partial filter */
#include "ops/cpu/depthwise.h"
#include "ops/cpu/readers.h"

typedef struct job {
    const mg_op_call *c;
    int64_t height, width, channels, rows, columns; /* input, output */
    int64_t top, left;
    int kernel, stride;
    float *flipped; /* filter turned by 180 degrees */
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
                       .kernel = j->kernel,
                       .stride = j->stride,
                       .w = j->c->x[1],
                       .y = (float *)j->c->y + piece * j->columns * j->channels};
    depthwise_row_run(&r);
}

static void forward(const mg_op_call *c) {
    job j = job_of(c);
    mg_parallel_for(c->pool, c->y_shape.dim[0] * j.rows, forward_row, &j);
}

/* --- dx --------------------------------------------------------------------------------------- */

/* dx[p,q] = sum over a', b' of dy[p + a' - (k-1-top), q + b' - (k-1-left)] flipped[a',b'] */
static void dx_row_dense(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t image = piece / j->height, p = piece % j->height, line = j->columns * j->channels;
    const float *rows[MG_MAX_KERNEL];
    depthwise_rows((const float *)j->c->dy + image * j->rows * line, j->rows, line,
                   p - (j->kernel - 1 - j->top), j->kernel, rows);
    depthwise_row r = {.rows = rows,
                       .width = j->columns,
                       .columns = j->width,
                       .channels = j->channels,
                       .x_step = j->channels,
                       .w_step = j->channels,
                       .y_step = j->channels,
                       .left = j->kernel - 1 - j->left,
                       .kernel = j->kernel,
                       .stride = 1,
                       .w = j->flipped,
                       .accumulate = true,
                       .y = (float *)j->c->dx[0] + piece * j->width * j->channels};
    depthwise_row_run(&r);
}

static void dx_pixel(const job *j, const float *dy, const readers *down, const readers *across,
                     float *dx) {
    const float *w = j->c->x[1];
    for (int64_t ch = 0; ch < j->channels; ch += V16) {
        int n = (int)min64(V16, j->channels - ch);
        v16 sum = v16_zero();
        for (int a = 0; a < down->count; a++)
            for (int b = 0; b < across->count; b++) {
                int64_t o = (down->output[a] * j->columns + across->output[b]) * j->channels;
                int64_t t = (down->tap[a] * j->kernel + across->tap[b]) * j->channels;
                sum = v16_fma(v16_load_some(dy + o + ch, n), v16_load_some(w + t + ch, n), sum);
            }
        v16_store_some(dx + ch, v16_add(v16_load_some(dx + ch, n), sum), n);
    }
}

static void dx_row_strided(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t image = piece / j->height, p = piece % j->height;
    const float *dy = (const float *)j->c->dy + image * j->rows * j->columns * j->channels;
    readers down = readers_of(p, j->top, j->kernel, j->stride, j->rows);
    for (int64_t q = 0; q < j->width; q++) {
        readers across = readers_of(q, j->left, j->kernel, j->stride, j->columns);
        float *dx = (float *)j->c->dx[0] + (piece * j->width + q) * j->channels;
        dx_pixel(j, dy, &down, &across, dx);
    }
}

static void backward_x(job *j) {
    int64_t pieces = j->c->y_shape.dim[0] * j->height, taps = (int64_t)j->kernel * j->kernel;
    const float *w = j->c->x[1];
    if (j->stride > 1) {
        mg_parallel_for(j->c->pool, pieces, dx_row_strided, j);
        return;
    }
    for (int64_t t = 0; t < taps; t++)
        memcpy(j->flipped + t * j->channels, w + (taps - 1 - t) * j->channels,
               (size_t)j->channels * sizeof *w);
    mg_parallel_for(j->c->pool, pieces, dx_row_dense, j);
}

/* --- dw --------------------------------------------------------------------------------------- */

enum { BLOCK = 2 * V16 }; /* channels: ten independent sums for a 5-tap row hide the latency */

static int64_t weight_chunks(const job *j) {
    int64_t rows = j->c->y_shape.dim[0] * j->rows;
    return partial_count(ceil_div(j->channels, BLOCK), ceil_div(rows, 4));
}

/* Taps [first, end) of one column added to the sums. */
MG_INLINE void dw_column(const float *x, const float *dy, int64_t channels, int first, int end,
                         const int vectors, int n, v16 (*sum)[MG_MAX_KERNEL]) {
    for (int v = 0; v < vectors; v++) {
        v16 g = v16_load_some(dy + v * V16, n);
#pragma GCC unroll 5
        for (int b = first; b < end; b++)
            sum[v][b] = v16_fma(g, v16_load_some(x + b * channels + v * V16, n), sum[v][b]);
    }
}

/* One output row against kernel row a, for vectors x n channels: partial[b] += sum over columns. */
MG_INLINE void dw_row(const job *j, const float *x, const float *dy, float *partial,
                      const int kernel, const int vectors, int n) {
    v16 sum[2][MG_MAX_KERNEL];
    for (int v = 0; v < vectors; v++)
#pragma GCC unroll 5
        for (int b = 0; b < kernel; b++) sum[v][b] = v16_zero();
    int64_t begin = min64(ceil_div(j->left, j->stride), j->columns);
    int64_t room = j->width + j->left - kernel;
    int64_t end = room < 0 ? begin : min64(room / j->stride + 1, j->columns);
    for (int64_t o = 0; o < j->columns; o++) {
        int64_t q = o * j->stride - j->left;
        const float *g = dy + o * j->channels;
        if (o >= begin && o < end) {
            dw_column(x + q * j->channels, g, j->channels, 0, kernel, vectors, n, sum);
        } else {
            int first = q < 0 ? (int)-q : 0;
            int last = q + kernel > j->width ? (int)(j->width - q) : kernel;
            dw_column(x + q * j->channels, g, j->channels, first, last, vectors, n, sum);
        }
    }
    for (int v = 0; v < vectors; v++)
#pragma GCC unroll 5
        for (int b = 0; b < kernel; b++) {
            float *to = partial + b * j->channels + v * V16;
            v16_store_some(to, v16_add(v16_load_some(to, n), sum[v][b]), n);
        }
}

static void dw_row_any(const job *j, const float *x, const float *dy, float *partial, int64_t ch) {
    int64_t left = j->channels - ch;
    if (left >= BLOCK && j->kernel == 3) dw_row(j, x, dy, partial, 3, 2, V16);
    else if (left >= BLOCK && j->kernel == 5) dw_row(j, x, dy, partial, 5, 2, V16);
    else {
        dw_row(j, x, dy, partial, j->kernel, 1, (int)min64(V16, left));
        if (left > V16)
            dw_row(j, x + V16, dy + V16, partial + V16, j->kernel, 1, (int)min64(V16, left - V16));
    }
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
        const float *dy = (const float *)j->c->dy + r * j->columns * j->channels + ch;
        for (int a = 0; a < j->kernel; a++)
            if (first + a >= 0 && first + a < j->height)
                dw_row_any(j, x + (first + a) * j->width * j->channels + ch, dy,
                           partial + a * j->kernel * j->channels, ch);
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
    j.flipped = j.partial = c->scratch;
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
MG_CPU_KERNELS(depthwise_conv) = {forward, backward, scratch_bytes};
