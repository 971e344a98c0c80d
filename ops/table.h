/* table.h: the list of all ops, and the kernels bound to each device. */
#ifndef MG_OPS_TABLE_H
#define MG_OPS_TABLE_H

#include "ops/op.h"

/* The one list. A file in ops/ that is not here, or the reverse, fails the coverage test. */
#define MG_OP_LIST(X)                                                                              \
    X(pointwise_conv)                                                                              \
    X(depthwise_conv)                                                                              \
    X(conv2d)                                                                                      \
    X(batch_norm)                                                                                  \
    X(silu)                                                                                        \
    X(sigmoid)                                                                                     \
    X(tanh)                                                                                        \
    X(softmax)                                                                                     \
    X(add)                                                                                         \
    X(channel_scale)                                                                               \
    X(global_average_pool)                                                                         \
    X(squeeze_excite)                                                                              \
    X(dropout)                                                                                     \
    X(stochastic_depth)                                                                            \
    X(bce_with_logits)                                                                             \
    X(concat)                                                                                      \
    X(resize_bilinear)                                                                             \
    X(resize_bicubic)                                                                              \
    X(mbconv)                                                                                      \
    X(norm_depthwise_conv)                                                                         \
    X(norm_gate_project)

#define MG_OP_ENUM(name) MG_OP_##name,
typedef enum mg_op_id { MG_OP_LIST(MG_OP_ENUM) MG_OP_COUNT } mg_op_id;
#undef MG_OP_ENUM

/* Descriptor in the precision of dtype (MG_F64, else f32). Cases, texts and rules are the same. */
const mg_op *mg_op_get(mg_op_id id, mg_dtype dtype);
/* By name; MG_OP_COUNT when there is none. */
mg_op_id mg_op_find(const char *name);

/* Kernels of an op on a device for a dtype: the reference for MG_DEVICE_REFERENCE and for f64,
 * else what mg_op_bind() put there. NULL when the device has none. */
const mg_kernels *mg_op_kernels(mg_op_id id, mg_device device, mg_dtype dtype);

/* Device plugins register their f32 kernels here; the struct is borrowed for good. Not
 * thread-safe: bind before the first step. */
void mg_op_bind(mg_op_id id, mg_device device, const mg_kernels *kernels);

#endif
