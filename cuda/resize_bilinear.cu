/* resize_bilinear on the GPU: 2 x 2 taps a pixel, bound by memory. Everything is in cuda/resize.h,
 * which it shares with resize_bicubic. Source: Gonzalez & Woods, Digital Image Processing, 2.4. */
#include "cuda/resize.h"

enum { TAPS = 2 };

static void forward(const mg_op_call *c) { mg_resize_forward<TAPS>(c); }
static void backward(const mg_op_call *c) { mg_resize_backward<TAPS>(c); }

MG_CUDA_OP(resize_bilinear, forward, backward, mg_resize_scratch);
