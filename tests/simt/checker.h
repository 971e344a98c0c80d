/* checker.h: the checker's entry for the compiler's calls (tsan.cc). */
#ifndef SIMT_CHECKER_H
#define SIMT_CHECKER_H

#include "internal.h"

namespace simt {

SIMT_HIDDEN void checker_start();
/* A kernel is about to access n bytes; return_address is in the accessing code. */
SIMT_HIDDEN void check_access(uintptr_t address, size_t n, bool write, bool atomic,
                              uintptr_t return_address);

} // namespace simt
#endif
