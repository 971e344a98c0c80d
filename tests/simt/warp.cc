/* Warp collectives: shuffles, votes and __syncwarp.
 *
 * Lanes wait until every lane of the mask has arrived; the last one computes the results of all. A
 * lane that is missing from its own mask, that has returned, or that stands at another collective
 * is an error here, where hardware would hang or hand out rubbish. __syncwarp orders memory
 * between the lanes; shuffles and votes do not. */
#include "block.h"

#include <cstdlib>

namespace simt {
namespace {

bool in(unsigned mask, int lane) { return mask >> lane & 1; }

/* The collective with this mask that lanes are gathering at, or a free place for it. */
Arrivals *find_arrivals(Warp &warp, unsigned mask, Collective kind, Site site) {
    for (Arrivals &a : warp.pending)
        if (a.arrived && (a.mask & mask)) return &a;
    for (Arrivals &a : warp.pending) {
        if (a.arrived) continue;
        a.mask = mask;
        a.kind = kind;
        a.site = site;
        return &a;
    }
    synchronisation_error("more than four warp collectives are pending in one warp", site);
}

void complete(const Arrivals &a, int first_thread, int lanes) {
    unsigned ballot = 0;
    for (int i = 0; i < lanes; i++)
        if (in(a.mask, i) && block.threads[first_thread + i].value) ballot |= 1u << i;
    for (int i = 0; i < lanes; i++) {
        if (!in(a.mask, i)) continue;
        Thread &thread = block.threads[first_thread + i];
        if (a.kind == Collective::ballot) thread.result = ballot;
        if (a.kind != Collective::shuffle) continue;
        if (thread.source < 0 || thread.source >= 32 || !in(a.mask, thread.source))
            synchronisation_error("a shuffle reads a lane outside its mask", a.site);
        thread.result = block.threads[first_thread + thread.source].value;
    }
}

} // namespace

uint64_t collective(Collective kind, unsigned mask, uint64_t value, int source, Site site) {
    Thread *self = running_thread;
    const int number = number_of(self), warp_number = number / 32, first = warp_number * 32;
    Warp &warp = block.warps[warp_number];
    self->value = value;
    self->source = source;
    self->site = site;
    self->state = State::at_collective;
    if (!in(mask, number % 32))
        synchronisation_error("warp collective: the calling lane is not in its own mask", site);
    const int lanes = block.count - first < 32 ? block.count - first : 32;
    const unsigned existing = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
    mask &= existing;
    if (mask & warp.exited)
        synchronisation_error("warp collective: the mask names a lane that has returned", site);
    Arrivals *a = find_arrivals(warp, mask, kind, site);
    if (a->mask != mask)
        synchronisation_error("warp collective: lanes use different, overlapping masks", site);
    if (a->kind != kind || a->site.line != site.line || strcmp(a->site.file, site.file) != 0)
        synchronisation_error("warp collective: lanes of one mask are at different collectives",
                              site);
    a->arrived |= 1u << number % 32;
    if (a->arrived != mask) {
        wait_here();
        return self->result;
    }
    complete(*a, first, lanes);
    a->arrived = 0;
    if (kind == Collective::sync && mask == existing) current.warp_epoch = ++warp.epoch;
    for (int i = 0; i < lanes; i++)
        if (in(mask, i) && first + i != number) block.runnable.push(first + i);
    self->state = State::running;
    return self->result;
}

/* Which lanes run together is the hardware's choice; here each runs alone. */
unsigned active_mask() { return 1u << lane(); }

} // namespace simt
