/* Time of every op's CPU kernels on layer shapes of EfficientNet-B4 at 955x500, one image.
 *
 *     bench_ops [--threads N] [--seconds S] [--backward] [--relaxed | --bf16] [NAME…]
 *
 * NAME is an op or a layer ("block 2.0"); --relaxed and --bf16 ask for less than f32 (mg_attr in
 * ops/op.h). Prints GFLOP/s and GB/s of compulsory work (the op's own cost model) for one and for N
 * (2) threads, best of the repeats that fit S (0.2) seconds. MG_CPU chooses the instruction set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/cpu/dispatch.h"
#include "ops/table.h"

#define ROWS(name, op, m, k, n)                                                                    \
    {                                                                                              \
        name, op, {0}, 3, { MG_SHAPE(1, 1, m, k), MG_SHAPE(k, n), MG_SHAPE(n) }                    \
    }
#define DEPTHWISE(name, k, s, h, w, c)                                                             \
    {                                                                                              \
        name, "depthwise_conv", {.kernel = k, .stride = s}, 2, {                                   \
            MG_SHAPE(1, h, w, c), MG_SHAPE(k, k, c)                                                \
        }                                                                                          \
    }
#define NORM(name, h, w, c)                                                                        \
    {                                                                                              \
        name, "batch_norm", {.training = true, .eps = 1e-5}, 5, {                                  \
            MG_SHAPE(1, h, w, c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c)               \
        }                                                                                          \
    }
#define EXCITE(name, h, w, c, s)                                                                   \
    {                                                                                              \
        name, "squeeze_excite", {0}, 5, {                                                          \
            MG_SHAPE(1, h, w, c), MG_SHAPE(c, s), MG_SHAPE(s), MG_SHAPE(s, c), MG_SHAPE(c)         \
        }                                                                                          \
    }
#define BLOCK(name, k, s, h, w, in, e, squeezed, out)                                              \
    {                                                                                              \
        name, "mbconv", {.kernel = k, .stride = s, .residual = s == 1 && in == out}, 11, {         \
            MG_SHAPE(1, h, w, in), MG_SHAPE(in, e), MG_SHAPE(e), MG_SHAPE(k, k, e), MG_SHAPE(e),   \
                MG_SHAPE(e, squeezed), MG_SHAPE(squeezed), MG_SHAPE(squeezed, e), MG_SHAPE(e),     \
                MG_SHAPE(e, out), MG_SHAPE(out)                                                    \
        }                                                                                          \
    }

typedef struct layer {
    const char *name, *op;
    mg_attr attr;
    int inputs;
    mg_shape shape[MG_MAX_INPUTS];
} layer;

static const layer layers[] = {
    {"stem",
     "conv2d",
     {.kernel = 3, .stride = 2},
     2,
     {MG_SHAPE(1, 955, 500, 1), MG_SHAPE(3, 3, 1, 48)}},
    ROWS("stage 2 expand", "pointwise_conv", 119500, 24, 144),
    ROWS("stage 2 project", "pointwise_conv", 29875, 144, 32),
    ROWS("stage 3 expand", "pointwise_conv", 29875, 32, 192),
    ROWS("stage 4 expand", "pointwise_conv", 7560, 56, 336),
    ROWS("stage 4 project", "pointwise_conv", 1920, 672, 112),
    ROWS("stage 5 expand", "pointwise_conv", 1920, 160, 960),
    ROWS("stage 5 project", "pointwise_conv", 1920, 960, 160),
    ROWS("stage 6 expand", "pointwise_conv", 480, 272, 1632),
    ROWS("stage 6 project", "pointwise_conv", 480, 1632, 272),
    ROWS("stage 7 project", "pointwise_conv", 480, 2688, 448),
    ROWS("head", "pointwise_conv", 480, 448, 1792),
    ROWS("batch of heads", "pointwise_conv", 9600, 448, 1792),
    DEPTHWISE("stage 1, 3x3", 3, 1, 478, 250, 48),
    DEPTHWISE("stage 2, 3x3 stride 2", 3, 2, 478, 250, 144),
    DEPTHWISE("stage 3, 5x5 stride 2", 5, 2, 239, 125, 192),
    DEPTHWISE("stage 3, 5x5", 5, 1, 120, 63, 336),
    DEPTHWISE("stage 5, 5x5", 5, 1, 60, 32, 960),
    DEPTHWISE("stage 6, 5x5", 5, 1, 30, 16, 1632),
    DEPTHWISE("stage 7, 3x3", 3, 1, 30, 16, 2688),
    NORM("stem norm", 478, 250, 48),
    NORM("stage 2 norm", 478, 250, 144),
    NORM("stage 7 norm", 30, 16, 2688),
    EXCITE("stage 2 gate", 239, 125, 144, 6),
    EXCITE("stage 7 gate", 30, 16, 2688, 112),
    {"stage 2 SiLU", "silu", {0}, 1, {MG_SHAPE(1, 478, 250, 144)}},
    {"stage 2 residual", "add", {0}, 2, {MG_SHAPE(1, 239, 125, 32), MG_SHAPE(1, 239, 125, 32)}},
    {"features pooled", "global_average_pool", {0}, 1, {MG_SHAPE(1, 30, 16, 1792)}},
    BLOCK("block 1.1", 3, 1, 478, 250, 24, 24, 6, 24),
    BLOCK("block 2.0", 3, 2, 478, 250, 24, 144, 6, 32),
    BLOCK("block 2.1", 3, 1, 239, 125, 32, 192, 8, 32),
    BLOCK("block 3.1", 5, 1, 120, 63, 56, 336, 14, 56),
    BLOCK("block 4.1", 3, 1, 60, 32, 112, 672, 28, 112),
    BLOCK("block 5.1", 5, 1, 60, 32, 160, 960, 40, 160),
    BLOCK("block 6.1", 5, 1, 30, 16, 272, 1632, 68, 272),
    BLOCK("block 7.1", 3, 1, 30, 16, 448, 2688, 112, 448),
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *filled(int64_t n) {
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 63) & ~(size_t)63);
    if (!p) abort();
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (int64_t i = 0; i < n; i++) p[i] = mg_rng_uniform(&key, (uint32_t)i) - 0.5f;
    return p;
}

static double best_time(const mg_kernels *k, mg_op_call *c, bool backward, double seconds) {
    double best = 1e9, begin = now();
    do {
        double t = now();
        (backward ? k->backward : k->forward)(c);
        t = now() - t;
        if (t < best) best = t;
    } while (now() - begin < seconds);
    return best;
}

static void time_layer(const layer *l, mg_attr how, bool backward, int threads, double seconds) {
    mg_op_id id = mg_op_find(l->op);
    const mg_op *op = mg_op_get(id, MG_F32);
    const mg_kernels *k = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    if (backward && (op->flags & MG_OP_NO_BACKWARD)) return;
    mg_op_call c = {.attr = l->attr, .inputs = l->inputs};
    c.attr.relaxed = how.relaxed;
    c.attr.bf16 = how.bf16;
    mg_error err = {0};
    memcpy(c.x_shape, l->shape, sizeof c.x_shape);
    if (op->shape(&c, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (int i = 0; i < c.inputs; i++) {
        c.x[i] = filled(mg_shape_elements(&c.x_shape[i]));
        if (backward && (op->differentiable >> i & 1))
            c.dx[i] = filled(mg_shape_elements(&c.x_shape[i]));
    }
    c.y = filled(mg_shape_elements(&c.y_shape));
    c.save = filled(op->save_count ? op->save_count(&c) : 1);
    c.dy = filled(mg_shape_elements(&c.y_shape));
    mg_cost cost = op->cost(&c);
    double flops = backward ? cost.backward_flops : cost.forward_flops;
    double bytes = backward ? cost.backward_bytes : cost.forward_bytes;
    printf("%-14s %-8s %-22s %7.3f GFLOP %7.1f MB", l->op, backward ? "backward" : "forward",
           l->name, flops * 1e-9, bytes * 1e-6);
    for (int n = 1; n <= threads; n += threads > 1 ? threads - 1 : 1) {
        c.pool = mg_pool_create(n);
        size_t scratch = k->scratch_bytes ? k->scratch_bytes(&c, backward, n) : 0;
        c.scratch = aligned_alloc(64, (scratch + 127) & ~(size_t)63);
        if (backward) k->forward(&c);
        double t = best_time(k, &c, backward, seconds);
        printf(" | %8.3f ms %6.1f GFLOP/s %5.1f GB/s", 1e3 * t, 1e-9 * flops / t, 1e-9 * bytes / t);
        free(c.scratch);
        mg_pool_destroy(c.pool);
    }
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < c.inputs; i++) free(c.x[i]), free(c.dx[i]);
    free(c.y), free(c.save), free((void *)c.dy);
}

int main(int argc, char **argv) {
    int threads = 2, names = 0;
    double seconds = 0.2;
    bool backward = false;
    mg_attr how = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "--backward") == 0) backward = true;
        else if (strcmp(argv[i], "--relaxed") == 0) how.relaxed = true;
        else if (strcmp(argv[i], "--bf16") == 0) how.relaxed = how.bf16 = true;
        else argv[++names] = argv[i];
    }
    printf("# %s, bfloat16 on %s, 1 and %d threads\n", mg_isa_name(mg_cpu_isa()),
           mg_bf16_unit_name(mg_cpu_bf16_unit()), threads);
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        bool chosen = names == 0;
        for (int i = 1; i <= names; i++)
            chosen = chosen || strcmp(argv[i], layers[l].op) == 0 ||
                     strcmp(argv[i], layers[l].name) == 0;
        if (!chosen) continue;
        time_layer(&layers[l], how, false, threads, seconds);
        if (backward) time_layer(&layers[l], how, true, threads, seconds);
    }
    return 0;
}
