/* Level 5: 16-byte accesses and one launch less, the kernels in use (cuda/squeeze_excite.cu).
 *
 * The two passes over the image move four channels a thread: the same bytes in a quarter of the
 * instructions. A block of the scaling pass keeps to its channels, so that it needs the gates of
 * those alone: it makes them itself, S products each, before it scales its pixels, and the launch
 * for the second layer goes. */
#include "cuda/lab/squeeze_excite/common.h"

MG_LAB_BORROW(squeeze_excite, 0)

static void forward(const mg_op_call *c) { mg_cuda_squeeze_excite.forward(c); }

MG_LAB_LEVEL(squeeze_excite, 5, "production", "16-byte accesses; who scales makes the gates");
