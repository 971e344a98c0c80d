/* resize_bilinear on the CPU. */
#include "ops/cpu/resize_rows.h"

MG_CPU_RESIZE(bilinear, 2)
