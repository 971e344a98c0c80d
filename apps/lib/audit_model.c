/* audit_model.c: timing a network by listening to its ops (audit_model.h). */
#include "apps/lib/audit_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "nn/efficientnet.h"
#include "ops/cpu/dispatch.h"
#include "optim/optimizer.h"

/* --- listening -------------------------------------------------------------------------------- */

static mg_audit_layer *layer_of(mg_audit_profile *p, const mg_op *op, const char *scope,
                                const mg_op_call *call, bool backward) {
    for (size_t i = 0; i < p->count; i++) {
        mg_audit_layer *l = &p->layer[i];
        if (l->op == op && l->backward == backward && mg_shape_equal(&l->shape, &call->y_shape) &&
            strncmp(l->scope, scope, sizeof l->scope - 1) == 0)
            return l;
    }
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 256;
        mg_audit_layer *more = realloc(p->layer, room * sizeof *more);
        if (!more) return NULL;
        p->layer = more;
        p->room = room;
    }
    mg_audit_layer *l = &p->layer[p->count++];
    *l = (mg_audit_layer){.op = op, .backward = backward, .shape = call->y_shape};
    snprintf(l->scope, sizeof l->scope, "%s", scope);
    return l;
}

static void listen(void *arg, const mg_op *op, const char *scope, const mg_op_call *call,
                   double seconds, bool backward) {
    mg_audit_profile *p = arg;
    mg_audit_layer *l = layer_of(p, op, scope ? scope : "loss", call, backward);
    if (!l) {
        p->failed = true;
        return;
    }
    l->seconds[p->run] += seconds;
    if (p->run > 0) return; /* every run is the same work */
    mg_cost cost = op->cost(call);
    l->calls++;
    l->flops += backward ? cost.backward_flops : cost.forward_flops;
    l->bytes += backward ? cost.backward_bytes : cost.forward_bytes;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int n) {
    double sorted[MG_AUDIT_MAX_RUNS];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return n & 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void summarise(mg_audit_profile *p) {
    p->median = median(p->total, p->runs);
    for (size_t i = 0; i < p->count; i++) {
        p->layer[i].median = median(p->layer[i].seconds, p->runs);
        p->flops += p->layer[i].flops;
        p->bytes += p->layer[i].bytes;
    }
}

/* --- running ---------------------------------------------------------------------------------- */

typedef struct bench {
    const mg_audit_model_options *o;
    mg_context *ctx;
    mg_efficientnet *net;
    mg_optimizer *optimizer;
    float *pixels, *targets;
    mg_audit_profile forward, train;
} bench;

static void run_forward(bench *b) {
    mg_shape shape = MG_SHAPE(b->o->batch, b->o->height, b->o->width, 1);
    mg_tensor *x = mg_input(b->ctx, "images", shape, b->pixels);
    b->ctx->recording = false;
    mg_efficientnet_forward(b->ctx, b->net, x, false, NULL);
    b->ctx->recording = true;
    mg_step_reset(b->ctx, false);
}

static void run_train(bench *b) {
    mg_context *ctx = b->ctx;
    mg_shape shape = MG_SHAPE(b->o->batch, b->o->height, b->o->width, 1);
    mg_shape column = MG_SHAPE(b->o->batch, 1);
    mg_tensor *x = mg_input(ctx, "images", shape, b->pixels);
    mg_tensor *logits = mg_efficientnet_forward(ctx, b->net, x, true, NULL);
    mg_tensor *targets = mg_input(ctx, "targets", column, b->targets);
    mg_backward(ctx, mg_bce_with_logits(ctx, logits, targets, NULL, 1));
    if (!ctx->error.code && !ctx->dry_run) {
        mg_optimizer_step(b->optimizer, ctx->pool);
        mg_optimizer_zero_grad(b->optimizer, ctx->pool);
    }
    ctx->step_number++;
    mg_step_reset(ctx, false);
}

/* Once to warm up, then `runs` times, heard by `p`. */
static mg_status repeat(bench *b, void (*run)(bench *b), mg_audit_profile *p, mg_error *err) {
    run(b);
    b->ctx->on_op = listen;
    b->ctx->on_op_arg = p;
    p->runs = (int)b->o->runs;
    for (p->run = 0; p->run < p->runs && !b->ctx->error.code; p->run++) {
        double t = mg_seconds();
        run(b);
        p->total[p->run] = mg_seconds() - t;
    }
    b->ctx->on_op = NULL;
    if (b->ctx->error.code) return mg_fail(err, b->ctx->error.code, "%s", b->ctx->error.message);
    if (p->failed) return mg_fail(err, MG_ERR_MEMORY, "no memory for the layer table");
    summarise(p);
    return MG_OK;
}

static mg_status open_bench(bench *b, mg_pool *pool, mg_error *err) {
    const mg_audit_model_options *o = b->o;
    mg_arch arch;
    if (!mg_arch_by_name(o->arch, &arch))
        return mg_fail(err, MG_ERR_ARG, "--model: '%s' is none of b0 … b7 and pico", o->arch);
    size_t pixels = (size_t)(o->batch * o->height * o->width);
    b->pixels = malloc(pixels * sizeof *b->pixels);
    b->targets = malloc((size_t)o->batch * sizeof *b->targets);
    b->ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, pool, 0);
    mg_optimizer_options adam = {.kind = MG_ADAM, .lr = 1e-4};
    b->optimizer = mg_optimizer_create(&adam);
    if (!b->pixels || !b->targets || !b->ctx || !b->optimizer)
        return mg_fail(err, MG_ERR_MEMORY, "--model: out of memory");
    mg_rng_key key = {.seed = 1, .purpose = MG_RNG_TEST};
    for (size_t i = 0; i < pixels; i++) b->pixels[i] = mg_rng_uniform(&key, (uint32_t)i);
    for (int64_t i = 0; i < o->batch; i++) b->targets[i] = (float)(i & 1);
    mg_efficientnet_options options = {.input_channels = 3,
                                       .logits = 1,
                                       .first_trained =
                                           o->train ? (int)o->unfreeze : MG_STAGE_CLASSIFIER,
                                       .dropout = -1,
                                       .stochastic_depth = -1};
    b->net = mg_efficientnet_create(b->ctx, &arch, &options);
    if (!b->net) return mg_fail(err, b->ctx->error.code, "%s", b->ctx->error.message);
    b->net->bf16 = strcmp(o->precision, "bf16") == 0;
    mg_efficientnet_initialise(b->net, 1);
    mg_efficientnet_fold(b->ctx, b->net, 0, MG_STAGE_CLASSIFIER);
    mg_status s = MG_OK;
    for (int i = 0; i < b->net->parameters && o->train && !s; i++)
        s = mg_optimizer_add(b->optimizer, b->ctx, b->net->parameter[i].tensor, 0);
    return s ? mg_fail(err, s, "%s", b->ctx->error.message) : MG_OK;
}

static void close_bench(bench *b) {
    mg_efficientnet_destroy(b->net);
    mg_optimizer_destroy(b->optimizer);
    mg_context_destroy(b->ctx);
    free(b->pixels);
    free(b->targets);
    free(b->forward.layer);
    free(b->train.layer);
}

/* --- printing --------------------------------------------------------------------------------- */

static double peak_rss(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static void print_layers(const mg_audit_profile *p, const mg_machine *m, bool train) {
    double outside[MG_AUDIT_MAX_RUNS], between;
    memcpy(outside, p->total, sizeof outside);
    printf("%-16s %-19s %-3s %-19s %8s %7s %8s %7s %4s %5s\n", "layer", "op", "", "output", "MFLOP",
           "MB", "ms", "GFLOP/s", "roof", "time");
    for (size_t i = 0; i < p->count; i++) {
        const mg_audit_layer *l = &p->layer[i];
        char shape[96], op[40];
        snprintf(op, sizeof op, l->calls > 1 ? "%s x%d" : "%s", l->op->name, l->calls);
        printf("%-16s %-19s %-3s %-19s %8.1f %7.2f %8.3f %7.1f %3.0f%% %4.1f%%\n", l->scope, op,
               l->backward ? "bwd" : "fwd", mg_shape_text(&l->shape, shape, sizeof shape),
               l->flops * 1e-6, l->bytes * 1e-6, l->median * 1e3,
               l->median > 0 ? l->flops / l->median * 1e-9 : 0,
               100 * mg_machine_share(m, l->flops, l->bytes, l->median),
               100 * l->median / p->median);
        for (int run = 0; run < p->runs; run++) outside[run] -= l->seconds[run];
    }
    between = median(outside, p->runs);
    printf("%-16s %-19s %-3s %-19s %8s %7s %8.3f %7s %4s %4.1f%%\n", "",
           train ? "optimizer, the rest" : "between ops", "", "", "", "", between * 1e3, "", "",
           100 * between / p->median);
    printf("%-16s %-19s %-3s %-19s %8.1f %7.2f %8.3f %7.1f\n", "total", "", "", "", p->flops * 1e-6,
           p->bytes * 1e-6, p->median * 1e3, p->flops / p->median * 1e-9);
}

static void print_line(const char *name, const mg_audit_profile *p, const mg_machine *m,
                       double rss) {
    printf("%s median_s=%.6g gflops=%.4g peak_share=%.4g rss_mb=%.0f\n", name, p->median,
           p->flops / p->median * 1e-9, p->flops / p->median / m->flops, rss);
}

static mg_status report(const bench *b, const mg_machine *m, double forward_rss, double train_rss,
                        mg_error *err) {
    const mg_audit_model_options *o = b->o;
    const mg_audit_profile *p = o->train ? &b->train : &b->forward;
    char title[160], memory[320];
    const char *unit = b->net->bf16 ? mg_bf16_unit_name(mg_cpu_bf16_unit()) : NULL;
    snprintf(title, sizeof title, "%s, %s, %lld x %lld, batch %lld, %d thread%s, %s%s%s", o->arch,
             o->precision, (long long)o->height, (long long)o->width, (long long)o->batch,
             m->threads, m->threads > 1 ? "s" : "", m->isa, unit ? " + " : "", unit ? unit : "");
    printf("%s: %s, median of %lld\n", title,
           o->train ? "training step" : "forward, batch norm folded", (long long)o->runs);
    printf("%s: peak %.1f GFLOP/s (f32 FMA), copy %.1f GB/s (read + write)\n", m->processor,
           m->flops * 1e-9, m->bytes * 1e-9);
    /* The roof is of f32 on purpose: so the lines of both precisions compare. */
    bool faster = unit && mg_cpu_bf16_unit() >= MG_BF16_AVX512;
    if (faster) printf("roof and peak_share are of f32; products in bfloat16 may exceed them\n");
    printf("\n");
    print_layers(p, m, o->train);
    mg_memory_report(b->ctx, memory, sizeof memory);
    printf("\nmemory %s\n", memory);
    print_line("forward", &b->forward, m, forward_rss);
    if (o->train) print_line("train_step", &b->train, m, train_rss);
    return o->plot ? mg_audit_model_plot(p, m, title, o->plot, err) : MG_OK;
}

mg_status mg_audit_model(const mg_audit_model_options *o, mg_error *err) {
    bench b = {.o = o};
    mg_machine machine = {0};
    double forward_rss = 0, train_rss = 0;
    mg_pool *pool = mg_pool_create((int)o->threads);
    mg_status s = pool ? open_bench(&b, pool, err) : mg_fail(err, MG_ERR_MEMORY, "no thread pool");
    if (!s) s = repeat(&b, run_forward, &b.forward, err);
    forward_rss = peak_rss();
    if (!s && o->train) s = repeat(&b, run_train, &b.train, err);
    train_rss = peak_rss();
    /* Last: its buffers are no part of the network's memory. */
    if (!s) s = mg_machine_measure(pool, &machine, err);
    if (!s) s = report(&b, &machine, forward_rss, train_rss, err);
    close_bench(&b);
    mg_pool_destroy(pool);
    return s;
}
