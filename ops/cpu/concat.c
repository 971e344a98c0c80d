/* concat on the CPU: runs of memory copied, or added on the way back. */
#include "ops/cpu/chunks.h"

/* y is `blocks` times a run of a followed by a run of b. */
typedef struct runs {
    int64_t blocks, length[2];
} runs;

static runs runs_of(const mg_op_call *c) {
    runs r = {1, {1, 1}};
    for (int i = 0; i < c->attr.axis; i++) r.blocks *= c->y_shape.dim[i];
    for (int k = 0; k < 2; k++) r.length[k] = mg_shape_elements(&c->x_shape[k]) / r.blocks;
    return r;
}

static void copy_block(void *arg, int64_t block, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    runs r = runs_of(c);
    float *y = (float *)c->y + block * (r.length[0] + r.length[1]);
    for (int k = 0; k < 2; k++) {
        memcpy(y, (const float *)c->x[k] + block * r.length[k], (size_t)r.length[k] * sizeof *y);
        y += r.length[k];
    }
}

static void add_block(void *arg, int64_t block, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    runs r = runs_of(c);
    const float *dy = (const float *)c->dy + block * (r.length[0] + r.length[1]);
    for (int k = 0; k < 2; k++) {
        float *dx = c->dx[k] ? (float *)c->dx[k] + block * r.length[k] : NULL;
        for (int64_t i = 0; dx && i < r.length[k]; i++) dx[i] += dy[i];
        dy += r.length[k];
    }
}

static void forward(const mg_op_call *c) {
    mg_parallel_for(c->pool, runs_of(c).blocks, copy_block, (void *)c);
}

static void backward(const mg_op_call *c) {
    mg_parallel_for(c->pool, runs_of(c).blocks, add_block, (void *)c);
}

extern MG_CPU_KERNELS(concat);
MG_CPU_KERNELS(concat) = {forward, backward, NULL, 0};
