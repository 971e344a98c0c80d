/* Level 6: tile and window together, the kernel in use (cuda/depthwise.h).
 *
 * Global loads as at level 5; from shared memory a thread reads a window for 2 x 4 outputs: 6
 * inputs and 6.25 weights per output of a 5x5 filter instead of 25 and 25. What remains is what the
 * op must move. */
#include "cuda/lab/depthwise_conv/common.h"

MG_LAB_BORROW(depthwise_conv, 0)

static void forward(const mg_op_call *c) { mg_cuda_depthwise_conv.forward(c); }

MG_LAB_LEVEL(depthwise_conv, 6, "production", "window on top of tile: 2 x 4 outputs a thread");
