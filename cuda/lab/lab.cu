/* The table of all levels, ladder by ladder. A file of cuda/lab that is not here fails
 * tests/cuda/test_simt_lab.c. */
#include "cuda/lab/lab.h"
#include "cuda/plugin.h"

#define MG_LAB_LIST(X)                                                                             \
    X(depthwise_conv, 1)                                                                           \
    X(depthwise_conv, 2)                                                                           \
    X(depthwise_conv, 3)                                                                           \
    X(depthwise_conv, 4)                                                                           \
    X(depthwise_conv, 5)                                                                           \
    X(depthwise_conv, 6)                                                                           \
    X(batch_norm, 1)                                                                               \
    X(batch_norm, 2)                                                                               \
    X(batch_norm, 3)                                                                               \
    X(batch_norm, 4)                                                                               \
    X(batch_norm, 5)                                                                               \
    X(squeeze_excite, 1)                                                                           \
    X(squeeze_excite, 2)                                                                           \
    X(squeeze_excite, 3)                                                                           \
    X(squeeze_excite, 4)                                                                           \
    X(squeeze_excite, 5)

#define MG_LAB_DECLARE(op, number) extern "C" const mg_lab_level mg_lab_##op##_##number;
MG_LAB_LIST(MG_LAB_DECLARE)
#define MG_LAB_ROW(op, number) &mg_lab_##op##_##number,
const mg_lab_level *const mg_cuda_lab[] = {MG_LAB_LIST(MG_LAB_ROW) NULL};
