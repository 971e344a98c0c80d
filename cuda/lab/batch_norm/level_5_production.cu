/* Level 5: one reading of x, in 16 bytes, the kernels in use (cuda/batch_norm.cu).
 *
 * Welford's update keeps mean and sum of squared deviations together, so that one pass gives both,
 * and it subtracts before it squares, so that f32 is enough; Chan's formula merges two such pairs
 * exactly like the tree merged sums. Four launches become two, and a third of the traffic for x
 * goes.
 *
 * Where rows are few or channels many, a block then takes 8 channels, one sector of each row, and
 * all rows: it sums, meets at a barrier and normalises, one launch for everything
 * (cuda/batch_norm.h has the rule). Larger tensors keep level 4's chunks. */
#include "cuda/lab/batch_norm/common.h"

MG_LAB_BORROW(batch_norm, 0)

static void forward(const mg_op_call *c) { mg_cuda_batch_norm.forward(c); }

MG_LAB_LEVEL(batch_norm, 5, "production",
             "Welford and Chan, 16-byte accesses, whole columns a block");
