/* The plugin's one export: the table that ops/device.c reads after dlopen. An op without a file
 * here fails the coverage test, not the build. */
#include "cuda/kernel.h"
#include "cuda/plugin.h"

#define MG_CUDA_DECLARE(name) extern "C" __attribute__((weak)) const mg_kernels mg_cuda_##name;
MG_OP_LIST(MG_CUDA_DECLARE)
#define MG_CUDA_ROW(name) &mg_cuda_##name,

#ifndef __CUDACC__
#include "tests/simt/profile.h"
static void count_accesses(mg_access_counts *out) {
    simt_profile_totals t;
    simt_profile(&t);
    if (out)
        *out = {t.launches,        t.load_requests, t.load_sectors,        t.least_load_sectors,
                t.store_requests,  t.store_sectors, t.least_store_sectors, t.touched_sectors,
                t.shared_requests, t.turns,         t.least_turns};
}
#define counter (simt_profile ? count_accesses : NULL)
namespace simt {
int finding_count(); /* tests/simt/report.cc */
}
#define findings simt::finding_count
#else
#define findings NULL
#define counter  NULL
#endif

extern "C" __attribute__((visibility("default"))) const mg_device_plugin mg_device_plugin_table = {
    MG_DEVICE_PLUGIN_VERSION,
    MG_OP_COUNT,
#ifdef __CUDACC__
    MG_DEVICE_CUDA,
#else
    MG_DEVICE_SIMT,
#endif
    mg_cuda_count,
    mg_cuda_reason,
    mg_cuda_open,
    mg_cuda_enter,
    mg_cuda_close,
    mg_cuda_describe,
    &mg_cuda_memory,
    {MG_OP_LIST(MG_CUDA_ROW)},
    mg_cuda_update,
    mg_cuda_zero_grad,
    mg_cuda_scale_grad,
    mg_cuda_average,
    mg_cuda_squared_norm,
    mg_cuda_record,
    mg_cuda_gemm_precision,
    findings,
    counter,
    &mg_cuda_imaging,
    mg_cuda_lab,
};
