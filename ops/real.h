/* real.h: the two precisions of a reference. The files ops/NAME.c are compiled twice, over double
 * and over float, and so define two descriptors. Only they include this: `real` is no public
 * name. */
#ifndef MG_OPS_REAL_H
#define MG_OPS_REAL_H

#include "ops/op.h"

#ifdef MG_REAL_F32
typedef float real;
#define MG_REAL_SUFFIX _f32
#else
typedef double real;
#define MG_REAL_SUFFIX _f64
#endif
/* Opens the definition of this file's descriptor: MG_OP(silu) = { … }; */
#define MG_OP(name) const mg_op MG_CAT(mg_op_##name, MG_REAL_SUFFIX)

#endif
