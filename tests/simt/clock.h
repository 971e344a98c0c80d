/* clock.h: what happens before what among streams and the host.
 *
 * Each stream counts its operations. A clock says for every stream how many of its operations are
 * known to have ended: an operation carries the clock of its stream, an event a copy of it, and
 * waiting joins two. Operation A comes before B exactly if B's clock covers A. This is independent
 * of the order in which the emulator happens to run them. */
#ifndef SIMT_CLOCK_H
#define SIMT_CLOCK_H

#include <cstdint>

namespace simt {

/* More streams than this at once share slots, and are then taken for ordered. */
constexpr int clock_slots = 16;

struct Clock {
    uint32_t count[clock_slots];
    void join(const Clock &other) {
        for (int i = 0; i < clock_slots; i++)
            if (count[i] < other.count[i]) count[i] = other.count[i];
    }
};

/* The place of an operation in its stream, and what came before it. */
struct Moment {
    int slot;
    uint32_t count;
    Clock before; /* includes the operation itself */
    bool follows(const Moment &other) const { return before.count[other.slot] >= other.count; }
};

} // namespace simt
#endif
