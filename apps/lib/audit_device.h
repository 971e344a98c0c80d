/* audit_device.h: kernels of any device as the audit runs them, and what a GPU's compiler says. */
#ifndef MG_APPS_LIB_AUDIT_DEVICE_H
#define MG_APPS_LIB_AUDIT_DEVICE_H

#include "ops/device.h"

/* Opens a device for checks, "simt" with its race and memory checker (MG_SIMT=check, unless the
 * environment says otherwise), which counts findings instead of stopping at the first. */
mg_status mg_audit_device_open(const char *spec, mg_device *device, mg_error *err);
/* Kernels that take ordinary memory, whatever the device. NULL: it has none. */
const mg_kernels *mg_audit_kernels(mg_op_id id, mg_device device);
/* What the emulator's checker found so far; -1 when no checker runs. */
int mg_audit_findings(mg_device device);

/* What ptxas reported of one kernel, from build/cuda/cuda/OP.ptxas (`make cuda`). */
typedef struct mg_ptxas {
    char kernel[96]; /* "map_kernel" */
    char arch[12];   /* "sm_90" */
    int registers, shared_bytes, spill_bytes, stack_bytes;
} mg_ptxas;

/* Reads the report of an op below `source`; returns how many kernels it has, 0 without a report. */
int mg_ptxas_read(const char *source, const char *op, mg_ptxas *out, int room);

#endif
