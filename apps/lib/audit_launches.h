/* audit_launches.h: what a network would launch on a GPU, found without one.
 *
 * The CUDA kernels' host code runs in a dry run: every launch is written down instead of made. A
 * launch's estimate is the roofline's, max(bytes / bandwidth, flops / peak): what it cannot be
 * faster than, not what it takes. */
#ifndef MG_APPS_LIB_AUDIT_LAUNCHES_H
#define MG_APPS_LIB_AUDIT_LAUNCHES_H

#include "apps/lib/audit_model.h"

typedef struct mg_gpu {
    const char *name, *source;
    double bytes, flops; /* per second: what streaming kernels attain; f32 outside tensor cores */
} mg_gpu;

extern const mg_gpu mg_gpus[];
extern const int mg_gpu_count;
/* By name ("h100"); NULL when unknown. */
const mg_gpu *mg_gpu_find(const char *name);
double mg_gpu_seconds(const mg_gpu *gpu, double bytes, double flops);

/* Prints the forward pass of o->arch launch by launch, its totals, and its bytes as a share of the
 * same network's op by op. */
mg_status mg_audit_launches(const mg_audit_model_options *o, const char *gpu, mg_error *err);

#endif
