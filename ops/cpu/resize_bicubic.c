/* resize_bicubic on the CPU. */
#include "ops/cpu/resize_rows.h"

MG_CPU_RESIZE(bicubic, 4)
