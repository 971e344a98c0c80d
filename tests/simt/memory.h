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
SIMT_HIDDEN void pinned_add(void *pointer, size_t bytes);
SIMT_HIDDEN bool pinned_remove(void *pointer);

} // namespace simt
#endif
