/* softmax on the CPU: one row at a time. A row is summed in sixteen partial sums and one fixed tree
 * (v16_sum), because the reduced axis is the contiguous one. */
#include "ops/cpu/chunks.h"

enum { ROWS = 64 };

static int64_t width_of(const mg_op_call *c) { return c->y_shape.dim[c->y_shape.rank - 1]; }
static int64_t rows_of(const mg_op_call *c) { return mg_shape_elements(&c->y_shape) / width_of(c); }

static float largest_of(const float *x, int64_t width) {
    float largest = x[0];
    for (int64_t i = 1; i < width; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static void forward_row(const float *x, float *y, int64_t width) {
    v16 largest = v16_set(largest_of(x, width)), sum = v16_zero();
    for (int64_t i = 0; i < width; i += V16) {
        int n = (int)min64(V16, width - i);
        v16 e = v16_exp(v16_sub(v16_load_n(x + i, n), largest));
        v16_store_n(y + i, e, n);
        sum = v16_add(sum, v16_load_n(y + i, n)); /* lanes beyond the row as zero */
    }
    v16 inverse = v16_div(v16_set(1), v16_set(v16_sum(sum)));
    for (int64_t i = 0; i < width; i += V16) {
        int n = (int)min64(V16, width - i);
        v16_store_n(y + i, v16_mul(v16_load_n(y + i, n), inverse), n);
    }
}

static void backward_row(const float *y, const float *dy, float *dx, int64_t width) {
    v16 sum = v16_zero();
    for (int64_t i = 0; i < width; i += V16) {
        int n = (int)min64(V16, width - i);
        sum = v16_fma(v16_load_n(dy + i, n), v16_load_n(y + i, n), sum);
    }
    v16 dot = v16_set(v16_sum(sum));
    for (int64_t i = 0; i < width; i += V16) {
        int n = (int)min64(V16, width - i);
        v16 g = v16_sub(v16_load_n(dy + i, n), dot);
        v16_store_n(dx + i, v16_fma(v16_load_n(y + i, n), g, v16_load_n(dx + i, n)), n);
    }
}

static void forward_rows(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    int64_t width = width_of(c), end = min64((chunk + 1) * ROWS, rows_of(c));
    for (int64_t r = chunk * ROWS; r < end; r++)
        forward_row((const float *)c->x[0] + r * width, (float *)c->y + r * width, width);
}

static void backward_rows(void *arg, int64_t chunk, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    int64_t width = width_of(c), end = min64((chunk + 1) * ROWS, rows_of(c));
    for (int64_t r = chunk * ROWS; r < end; r++)
        backward_row((const float *)c->y + r * width, (const float *)c->dy + r * width,
                     (float *)c->dx[0] + r * width, width);
}

static void forward(const mg_op_call *c) {
    mg_parallel_for(c->pool, ceil_div(rows_of(c), ROWS), forward_rows, (void *)c);
}

static void backward(const mg_op_call *c) {
    mg_parallel_for(c->pool, ceil_div(rows_of(c), ROWS), backward_rows, (void *)c);
}

extern MG_CPU_KERNELS(softmax);
MG_CPU_KERNELS(softmax) = {forward, backward, NULL, 0};
