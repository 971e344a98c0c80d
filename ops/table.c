#include "ops/table.h"

#include <string.h>

#include "ops/cpu/dispatch.h"

#define MG_OP_DECLARE(name) extern const mg_op mg_op_##name##_f64, mg_op_##name##_f32;
MG_OP_LIST(MG_OP_DECLARE)

#define MG_OP_ROW_F64(name) &mg_op_##name##_f64,
#define MG_OP_ROW_F32(name) &mg_op_##name##_f32,
static const mg_op *const ops_f64[MG_OP_COUNT] = {MG_OP_LIST(MG_OP_ROW_F64)};
static const mg_op *const ops_f32[MG_OP_COUNT] = {MG_OP_LIST(MG_OP_ROW_F32)};
static const mg_kernels *bound[MG_DEVICE_COUNT][MG_OP_COUNT];

const mg_op *mg_op_get(mg_op_id id, mg_dtype dtype) {
    return dtype == MG_F64 ? ops_f64[id] : ops_f32[id];
}

mg_op_id mg_op_find(const char *name) {
    for (int i = 0; i < MG_OP_COUNT; i++)
        if (strcmp(ops_f64[i]->name, name) == 0) return (mg_op_id)i;
    return MG_OP_COUNT;
}

void mg_op_bind(mg_op_id id, mg_device device, const mg_kernels *kernels) {
    bound[device][id] = kernels;
}

const mg_kernels *mg_op_kernels(mg_op_id id, mg_device device, mg_dtype dtype) {
    if (dtype == MG_F64) return &ops_f64[id]->reference;
    if (device == MG_DEVICE_REFERENCE) return &ops_f32[id]->reference;
    if (device == MG_DEVICE_CPU) return mg_cpu_kernels((int)id);
    return bound[device][id];
}
