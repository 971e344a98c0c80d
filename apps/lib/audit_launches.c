#include "apps/lib/audit_launches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nn/efficientnet.h"

const mg_gpu mg_gpus[] = {
    {"H100", "SXM5, NVIDIA data sheet: 3.35 TB/s of which streaming attains about 3.0; 67 TFLOP/s",
     3.0e12, 67e12},
    {"A100",
     "SXM4 80 GB, NVIDIA data sheet: 2.04 TB/s of which streaming attains about 1.8; "
     "19.5 TFLOP/s",
     1.8e12, 19.5e12},
};
const int mg_gpu_count = MG_COUNT(mg_gpus);

const mg_gpu *mg_gpu_find(const char *name) {
    for (int i = 0; i < mg_gpu_count; i++)
        if (strcasecmp(mg_gpus[i].name, name) == 0) return &mg_gpus[i];
    return NULL;
}

double mg_gpu_seconds(const mg_gpu *gpu, double bytes, double flops) {
    double moving = bytes / gpu->bytes, computing = flops / gpu->flops;
    return moving > computing ? moving : computing;
}

typedef struct record {
    const mg_context *ctx;
    const mg_gpu *gpu;
    int launches;
    double bytes, flops, seconds;
} record;

static void print_launch(void *arg, const mg_launch *l) {
    record *r = arg;
    double seconds = mg_gpu_seconds(r->gpu, l->bytes, l->flops);
    r->launches++;
    r->bytes += l->bytes;
    r->flops += l->flops;
    r->seconds += seconds;
    char kernel[64], grid[48], block[32];
    size_t skip = l->kernel[0] == '(', size = strlen(l->kernel) - 2 * skip;
    snprintf(kernel, sizeof kernel, "%.*s", (int)size, l->kernel + skip);
    snprintf(grid, sizeof grid, "%u,%u,%u", l->grid[0], l->grid[1], l->grid[2]);
    snprintf(block, sizeof block, "%u,%u,%u", l->block[0], l->block[1], l->block[2]);
    printf("%4d %-14s %-36s %-15s %-9s %6zu %9.2f %9.1f %9.2f %s\n", r->launches,
           r->ctx->scope ? r->ctx->scope : "", kernel, grid, block, l->shared_bytes,
           l->bytes * 1e-6, l->flops * 1e-6, seconds * 1e6,
           l->bytes / r->gpu->bytes >= l->flops / r->gpu->flops ? "memory" : "compute");
}

/* Forward of the network in a dry run; first_trained 0 applies op by op, without folding. */
static mg_status dry_forward(const mg_audit_model_options *o, mg_context *ctx, bool unfused,
                             mg_error *err) {
    mg_arch arch;
    if (!mg_arch_by_name(o->arch, &arch))
        return mg_fail(err, MG_ERR_ARG, "--model: '%s' is none of b0 … b7 and pico", o->arch);
    mg_efficientnet_options options = {.input_channels = 3,
                                       .logits = 1,
                                       .first_trained = unfused ? 0 : MG_STAGE_CLASSIFIER,
                                       .norm_inference = true,
                                       .op_by_op = unfused,
                                       .dropout = 0,
                                       .stochastic_depth = 0};
    mg_efficientnet *net = mg_efficientnet_create(ctx, &arch, &options);
    if (!net) return mg_fail(err, ctx->error.code, "%s", ctx->error.message);
    if (!unfused) mg_efficientnet_fold(ctx, net, 0, MG_STAGE_CLASSIFIER);
    ctx->dry_run = true;
    ctx->recording = false;
    ctx->record_launches = ctx->plugin != NULL;
    mg_shape shape = MG_SHAPE(o->batch, o->height, o->width, unfused ? 3 : 1);
    mg_tensor *x = mg_input(ctx, "images", shape, NULL);
    mg_efficientnet_forward(ctx, net, x, unfused, NULL);
    mg_efficientnet_destroy(net);
    return ctx->error.code ? mg_fail(err, ctx->error.code, "%s", ctx->error.message) : MG_OK;
}

mg_status mg_audit_launches(const mg_audit_model_options *o, const char *gpu_name, mg_error *err) {
    mg_device device;
    const mg_device_plugin *plugin;
    const mg_gpu *gpu = mg_gpu_find(gpu_name);
    if (!gpu) return mg_fail(err, MG_ERR_ARG, "--gpu: '%s' is none of h100 and a100", gpu_name);
    mg_status s = mg_device_open("simt", &device, &plugin, err);
    if (s) return s;
    mg_context *fused = mg_context_create(device, MG_F32, NULL, 0);
    mg_context *plain = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    if (!fused || !plain) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    if (!s) {
        mg_context_use(fused, device, plugin);
        record r = {.ctx = fused, .gpu = gpu};
        printf("%s, %lld x %lld, batch %lld, forward, f32: what the CUDA kernels would launch\n",
               o->arch, (long long)o->height, (long long)o->width, (long long)o->batch);
        printf("ESTIMATE on %s (%s): max(bytes / bandwidth, flops / peak) a launch, with "
               "%.1f TB/s and %.1f TFLOP/s.\nNothing here was timed on a GPU.\n\n",
               gpu->name, gpu->source, gpu->bytes * 1e-12, gpu->flops * 1e-12);
        printf("%4s %-14s %-36s %-15s %-9s %6s %9s %9s %9s %s\n", "", "layer", "kernel", "grid",
               "block", "shared", "MB", "MFLOP", "us", "bound by");
        plugin->record(print_launch, &r);
        s = dry_forward(o, fused, false, err);
        plugin->record(NULL, NULL);
        if (!s) s = dry_forward(o, plain, true, err);
        if (!s)
            printf("\n%d launches, %.1f MB, %.1f GFLOP, at least %.3f ms (%.0f images/s)\n"
                   "the same network op by op: %.1f MB; this is %.2f of it\n",
                   r.launches, r.bytes * 1e-6, r.flops * 1e-9, r.seconds * 1e3,
                   (double)o->batch / r.seconds, plain->bytes * 1e-6, r.bytes / plain->bytes);
    }
    mg_context_destroy(fused);
    mg_context_destroy(plain);
    return s;
}
