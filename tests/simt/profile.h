/* profile.h: the access profile (profile.cc), for the checker that feeds it and for programs. */
#ifndef SIMT_PROFILE_H
#define SIMT_PROFILE_H

#include <stddef.h>
#include <stdint.h>

/* Sums over all kernels since the last call. Requests are a warp's executions of one
 * instruction. */
typedef struct simt_profile_totals {
    int64_t launches;
    int64_t load_requests, load_sectors, least_load_sectors; /* global memory */
    int64_t store_requests, store_sectors, least_store_sectors;
    int64_t touched_sectors; /* distinct ones of each launch */
    int64_t shared_requests, turns, least_turns;
} simt_profile_totals;

#ifdef __cplusplus
extern "C" {
#endif
/* Waits for the device, gives the sums and starts anew; out may be NULL. The first call starts the
 * profile. Weak: absent where the emulator has no checker. */
void simt_profile(simt_profile_totals *out) __attribute__((weak));
#ifdef __cplusplus
}

namespace simt {
void profile_region(size_t bytes);
/* offset: of the address in its region. */
void profile_access(size_t offset, uintptr_t address, size_t n, bool write, bool shared,
                    uint32_t code);
uintptr_t image_base(); /* checker.cc: codes are offsets from it */
} // namespace simt
#endif
#endif
