/* plugin.h: what runtime.cu, optimizer.cu and imaging.cu put into the plugin's table. */
#ifndef MG_CUDA_PLUGIN_H
#define MG_CUDA_PLUGIN_H

extern "C" {
#include "ops/device.h"
}

extern const mg_memory mg_cuda_memory;
extern const mg_lab_level *const mg_cuda_lab[]; /* cuda/lab/lab.cu */
int mg_cuda_count(void);
const char *mg_cuda_reason(void);
bool mg_cuda_open(int ordinal);
void mg_cuda_enter(void);
void mg_cuda_close(void);
void mg_cuda_describe(char *out, size_t size);
void mg_cuda_record(void (*sink)(void *arg, const mg_launch *launch), void *arg);
void mg_cuda_gemm_precision(int mode);
bool mg_cuda_gemm_open(void);
void mg_cuda_gemm_close(void);

bool mg_cuda_staging_open(void);
void mg_cuda_staging_close(void);
void mg_cuda_staged_write(void *device, const void *host, size_t bytes);

void mg_cuda_update(const mg_update_rule *rule, const mg_update_tensor *tensors, int count);
void mg_cuda_zero_grad(const mg_update_tensor *tensors, int count);
void mg_cuda_scale_grad(const mg_update_tensor *tensors, int count, float factor);
void mg_cuda_average(const mg_update_tensor *tensors, int count, float kept);
double mg_cuda_squared_norm(const mg_update_tensor *tensors, int count);

extern "C" const struct mg_device_imaging mg_cuda_imaging; /* imaging.cu */

#endif
