/* Level 5: 16-byte accesses, the kernels in use (cuda/squeeze_excite.cu).
 *
 * The two passes over the image move four channels a thread: the same bytes in a quarter of the
 * instructions. The gates get a copy on a 16-byte boundary for that, since in the memory kept for
 * backward they stand behind u, whose length need not be a multiple of four. */
#include "cuda/lab/squeeze_excite/common.h"

MG_LAB_BORROW(squeeze_excite, 0)

static void forward(const mg_op_call *c) { mg_cuda_squeeze_excite.forward(c); }

MG_LAB_LEVEL(squeeze_excite, 5, "production", "four channels a thread: 16-byte accesses");
