/* silu on the CPU: elementwise, memory-bound once the exp is vectorised. */
#include "ops/cpu/elementwise.h"
#include "ops/cpu/silu.h"

MG_CPU_ELEMENTWISE(silu, v16_silu(a), x[0], v16_silu_slope(a))
