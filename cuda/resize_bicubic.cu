/* resize_bicubic on the GPU: 4 x 4 taps a pixel; memory and the L1 cache are about equally busy.
 * Everything is in cuda/resize.h, which it shares with resize_bilinear. Source: Keys 1981. */
#include "cuda/resize.h"

enum { TAPS = 4 };

static void forward(const mg_op_call *c) { mg_resize_forward<TAPS>(c); }
static void backward(const mg_op_call *c) { mg_resize_backward<TAPS>(c); }

MG_CUDA_OP(resize_bicubic, forward, backward, mg_resize_scratch);
