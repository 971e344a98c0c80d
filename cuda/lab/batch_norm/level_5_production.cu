/* Level 5: one reading of x, in 16 bytes, the kernels in use (cuda/batch_norm.cu).
 *
 * Welford's update keeps mean and sum of squared deviations together, so that one pass gives both,
 * and it subtracts before it squares, so that f32 is enough; Chan's formula merges two such pairs
 * exactly like the tree merged sums. Four launches become two, and a third of the traffic for x
 * goes. */
#include "cuda/lab/batch_norm/common.h"

MG_LAB_BORROW(batch_norm, 0)

static void forward(const mg_op_call *c) { mg_cuda_batch_norm.forward(c); }

MG_LAB_LEVEL(batch_norm, 5, "production", "Welford and Chan: one reading of x, 16-byte accesses");
