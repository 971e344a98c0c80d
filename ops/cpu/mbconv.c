#include "ops/cpu/fallback.h"

MG_CPU_FALLBACK(mbconv)
