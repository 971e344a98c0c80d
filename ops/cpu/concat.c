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

/* Runs of one or a few floats (a grey image repeated to three channels) are no work to hand out one
 * by one, nor to call memcpy for: pieces are this many blocks. */
static int64_t piece_blocks(const runs *r) {
    return ceil_div(MG_CHUNK, r->length[0] + r->length[1]);
}

static void copy_run(const float *from, int64_t length, float *to) {
    if (length >= V16) memcpy(to, from, (size_t)length * sizeof *to);
    else
        for (int64_t i = 0; i < length; i++) to[i] = from[i];
}

static void copy_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    runs r = runs_of(c);
    int64_t each = piece_blocks(&r), end = min64((piece + 1) * each, r.blocks);
    for (int64_t block = piece * each; block < end; block++) {
        float *y = (float *)c->y + block * (r.length[0] + r.length[1]);
        for (int k = 0; k < 2; k++) {
            copy_run((const float *)c->x[k] + block * r.length[k], r.length[k], y);
            y += r.length[k];
        }
    }
}

static void add_piece(void *arg, int64_t piece, int thread) {
    (void)thread;
    const mg_op_call *c = arg;
    runs r = runs_of(c);
    int64_t each = piece_blocks(&r), end = min64((piece + 1) * each, r.blocks);
    for (int64_t block = piece * each; block < end; block++) {
        const float *dy = (const float *)c->dy + block * (r.length[0] + r.length[1]);
        for (int k = 0; k < 2; k++) {
            float *dx = c->dx[k] ? (float *)c->dx[k] + block * r.length[k] : NULL;
            for (int64_t i = 0; dx && i < r.length[k]; i++) dx[i] += dy[i];
            dy += r.length[k];
        }
    }
}

static int64_t pieces(const mg_op_call *c) {
    runs r = runs_of(c);
    return ceil_div(r.blocks, piece_blocks(&r));
}

static void forward(const mg_op_call *c) {
    mg_parallel_for(c->pool, pieces(c), copy_piece, (void *)c);
}

static void backward(const mg_op_call *c) {
    mg_parallel_for(c->pool, pieces(c), add_piece, (void *)c);
}

extern MG_CPU_KERNELS(concat);
MG_CPU_KERNELS(concat) = {forward, backward, NULL, 0};
