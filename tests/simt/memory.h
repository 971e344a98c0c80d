/* memory.h: allocation of device memory, for the CUDA runtime's functions (cudart.cc). Reserving an
 * address and the block's coming to life are two steps: the second may have to wait for its turn on
 * a stream. */
#ifndef SIMT_MEMORY_H
#define SIMT_MEMORY_H

#include "internal.h"

namespace simt {

SIMT_HIDDEN void *device_reserve(size_t bytes); /* NULL: no room */
SIMT_HIDDEN void device_begin(void *pointer);
SIMT_HIDDEN void device_end(void *pointer, uintptr_t caller);
SIMT_HIDDEN bool device_is_block(const void *pointer); /* the start of one, live or not */
SIMT_HIDDEN size_t device_bytes_in_use();
SIMT_HIDDEN void mark_part(uintptr_t address, size_t bytes, const char *label);
SIMT_HIDDEN void unmark_part(uintptr_t address);

/* --- pinned.cc: page-locked host memory ------------------------------------------------------- */

SIMT_HIDDEN void *pinned_reserve(size_t bytes);
SIMT_HIDDEN bool pinned_release(void *pointer);
SIMT_HIDDEN bool is_pinned(const void *pointer);
/* An operation that the host has not waited for reads (the host may not write) or writes (the host
 * may neither read nor write) this memory. */
SIMT_HIDDEN void pinned_lend(const void *pointer, size_t bytes, bool write, const Moment &moment,
                             uintptr_t caller);
/* The operation's own access. */
SIMT_HIDDEN void pinned_open(const void *pointer, bool open);
/* The host has waited: gives back what it waited for. */
SIMT_HIDDEN void host_waited();
/* For a fault at this address: the line of the copy that has borrowed it; 0: none. */
SIMT_HIDDEN uintptr_t pinned_borrower(uintptr_t address);

/* --- fault.cc --------------------------------------------------------------------------------- */

/* Makes the host's faults on memory of the device, or lent to it, findings. */
SIMT_HIDDEN void fault_handler_install();

} // namespace simt
#endif
