#include "ops/cpu/fallback.h"

MG_CPU_FALLBACK(global_average_pool)
