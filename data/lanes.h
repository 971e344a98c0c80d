/* lanes.h: four floats at a time, through the vector extension of gcc and clang, which compiles to
 * whatever the target has. Element-wise operations only, so every lane computes exactly what the
 * scalar code would. Internal to data/. */
#ifndef MG_DATA_LANES_H
#define MG_DATA_LANES_H

#include <stdint.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_mask __attribute__((vector_size(16)));
enum { LANES = 4 };

static inline lanes lanes_load(const float *p) {
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void lanes_store(float *p, lanes v) { memcpy(p, &v, sizeof v); }

static inline lanes lanes_all(float x) { return (lanes){x, x, x, x}; }

/* mask ? a : b, lane by lane. */
static inline lanes lanes_select(lane_mask mask, lanes a, lanes b) {
    return (lanes)((mask & (lane_mask)a) | (~mask & (lane_mask)b));
}

/* x < y ? x : y and x > y ? x : y; y where either is NaN. */
static inline lanes lanes_min(lanes x, lanes y) { return lanes_select(x < y, x, y); }
static inline lanes lanes_max(lanes x, lanes y) { return lanes_select(x > y, x, y); }

#endif
