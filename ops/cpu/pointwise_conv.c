#include "ops/cpu/fallback.h"

MG_CPU_FALLBACK(pointwise_conv)
