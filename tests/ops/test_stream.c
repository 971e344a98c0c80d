/* Streaming stores (ops/cpu/stream.h) begin with tensors of 8 MiB that lie on cache lines. The same
 * kernels with the same numbers, once on cache lines and once four bytes beside them, where nothing
 * can be streamed, must give the same bits, on every instruction set and with two threads. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/stream.h"
#include "ops/table.h"
#include "tensor/rng.h"

enum { SIDE = 128, WIDE = 128 }; /* SIDE x SIDE x WIDE floats are just 8 MiB */

typedef struct layer {
    const char *op;
    mg_attr attr;
    int inputs;
    mg_shape shape[MG_MAX_INPUTS];
} layer;

#define IMAGE MG_SHAPE(1, SIDE, SIDE, WIDE)
#define NORM  IMAGE, MG_SHAPE(WIDE), MG_SHAPE(WIDE), MG_SHAPE(WIDE), MG_SHAPE(WIDE)
#define MBCONV(in)                                                                                 \
    MG_SHAPE(1, SIDE, SIDE, in), MG_SHAPE(in, WIDE), MG_SHAPE(WIDE), MG_SHAPE(3, 3, WIDE),         \
        MG_SHAPE(WIDE), MG_SHAPE(WIDE, 4), MG_SHAPE(4), MG_SHAPE(4, WIDE), MG_SHAPE(WIDE),         \
        MG_SHAPE(WIDE, 8), MG_SHAPE(8)
#define TRAIN .training = true, .eps = 1e-5, .momentum = 0.1

static const layer layers[] = {
    {"conv2d",
     {.kernel = 3, .stride = 2},
     2,
     {MG_SHAPE(1, 2 * SIDE, 2 * SIDE, 1), MG_SHAPE(3, 3, 1, WIDE)}},
    {"pointwise_conv", {0}, 2, {MG_SHAPE(1, SIDE, SIDE, 16), MG_SHAPE(16, WIDE)}},
    {"pointwise_conv", {0}, 2, {IMAGE, MG_SHAPE(WIDE, 16)}}, /* dx is the large one */
    {"depthwise_conv", {.kernel = 3, .stride = 1}, 2, {IMAGE, MG_SHAPE(3, 3, WIDE)}},
    {"batch_norm", {TRAIN}, 5, {NORM}},
    {"norm_depthwise_conv", {.kernel = 5, .stride = 1, TRAIN}, 6, {NORM, MG_SHAPE(5, 5, WIDE)}},
    {"norm_gate_project",
     {TRAIN},
     10,
     {NORM, MG_SHAPE(WIDE, 4), MG_SHAPE(4), MG_SHAPE(4, WIDE), MG_SHAPE(WIDE), MG_SHAPE(WIDE, 8)}},
    {"mbconv", {.kernel = 3, .stride = 1}, 11, {MBCONV(8)}},
    /* On AMX d is taken apart before it is streamed. */
    {"mbconv", {.kernel = 3, .stride = 1, .relaxed = true}, 11, {MBCONV(32)}},
};

/* A call whose buffers all lie `beside` floats off a cache line. */
typedef struct run {
    mg_op_call call;
    const mg_op *op;
    float *base[3 * MG_MAX_INPUTS + 4];
    int buffers;
    int64_t save;
} run;

static float *buffer(run *r, int64_t floats, int beside, float value) {
    size_t bytes = ((size_t)(floats + 1) * sizeof(float) + 63) / 64 * 64;
    float *base = aligned_alloc(64, bytes);
    cr_assert_not_null(base);
    r->base[r->buffers++] = base;
    for (int64_t i = 0; i < floats; i++) base[beside + i] = value;
    return base + beside;
}

static float *filled(run *r, int64_t floats, int beside, uint32_t index, float from) {
    float *p = buffer(r, floats, beside, 0);
    mg_rng_key key = {.seed = 5, .purpose = MG_RNG_TEST, .sample = index};
    for (int64_t i = 0; i < floats; i++) p[i] = from + mg_rng_uniform(&key, (uint32_t)i);
    return p;
}

static void run_layer(run *r, const layer *l, mg_pool *pool, int beside) {
    mg_op_id id = mg_op_find(l->op);
    const mg_kernels *k = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    mg_op_call *c = &r->call;
    *r = (run){.op = mg_op_get(id, MG_F32)};
    *c = (mg_op_call){.attr = l->attr, .inputs = l->inputs, .pool = pool};
    memcpy(c->x_shape, l->shape, sizeof c->x_shape);
    cr_assert_eq(r->op->shape(c, &(mg_error){0}), MG_OK);
    for (int i = 0; i < c->inputs; i++) {
        int64_t n = mg_shape_elements(&c->x_shape[i]);
        c->x[i] = filled(r, n, beside, (uint32_t)i, i == 4 ? 0.5f : -0.5f); /* 4: a variance */
    }
    c->y = buffer(r, mg_shape_elements(&c->y_shape), beside, NAN);
    r->save = r->op->save_count ? r->op->save_count(c) : 0;
    c->save = buffer(r, r->save, beside, NAN);
    size_t scratch = k->scratch_bytes ? k->scratch_bytes(c, false, 2) : 0;
    c->scratch = buffer(r, (int64_t)(scratch / sizeof(float)), beside, NAN);
    k->forward(c);
    if (r->op->flags & MG_OP_NO_BACKWARD) return;
    c->dy = filled(r, mg_shape_elements(&c->y_shape), beside, 99, -0.5f);
    c->overwrite = k->overwrites;
    for (int i = 0; i < c->inputs; i++)
        if (r->op->differentiable >> i & 1)
            c->dx[i] = buffer(r, mg_shape_elements(&c->x_shape[i]), beside, 0);
    scratch = k->scratch_bytes ? k->scratch_bytes(c, true, 2) : 0;
    /* doubles among the scratch want eight bytes: it stays on a line, the results do not */
    c->scratch = buffer(r, (int64_t)(scratch / sizeof(float)), 0, NAN);
    k->backward(c);
}

static void free_run(run *r) {
    for (int i = 0; i < r->buffers; i++) free(r->base[i]);
}

static void same(const char *op, const char *what, const float *a, const float *b, int64_t n) {
    if (!a) return;
    cr_expect_eq(memcmp(a, b, (size_t)n * sizeof *a), 0, "%s: %s differs when streamed", op, what);
}

static bool large(const void *p, const mg_shape *s) {
    return p && stream_wanted(p, s->dim[s->rank - 1], mg_shape_elements(s));
}

Test(stream, same_bits_on_and_off_cache_lines) {
    mg_pool *pool = mg_pool_create(2);
    for (int isa = 0; isa < MG_CPU_ISA_COUNT; isa++) {
        if (isa == MG_CPU_SCALAR || !mg_cpu_use((mg_isa)isa)) continue;
        for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
            run on, off;
            run_layer(&on, &layers[l], pool, 0);
            run_layer(&off, &layers[l], pool, 1);
            const mg_op_call *a = &on.call, *b = &off.call;
            cr_expect(large(a->y, &a->y_shape) || large(a->dx[0], &a->x_shape[0]) ||
                          on.op->flags & MG_OP_NO_BACKWARD, /* mbconv's large one is in scratch */
                      "%s: nothing here is streamed", layers[l].op);
            cr_expect_not(large(b->y, &b->y_shape));
            same(layers[l].op, "y", a->y, b->y, mg_shape_elements(&a->y_shape));
            same(layers[l].op, "save", a->save, b->save, on.save);
            for (int i = 0; i < a->inputs; i++)
                same(layers[l].op, on.op->input_names[i], a->dx[i], b->dx[i],
                     mg_shape_elements(&a->x_shape[i]));
            free_run(&on);
            free_run(&off);
        }
    }
    mg_pool_destroy(pool);
}
