/* The emulator without instrumentation: fast, and without the checker. */
#include "internal.h"

namespace simt {
const Checker *checker = nullptr;
}
