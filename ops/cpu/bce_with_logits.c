#include "ops/cpu/fallback.h"

MG_CPU_FALLBACK(bce_with_logits)
