/* The functions that -fsanitize=thread puts before every access, defined here instead of in
 * ThreadSanitizer's library. Names and signatures are the compiler's. */
#include "checker.h"

#pragma GCC diagnostic ignored "-Wmissing-declarations"

#define ACCESS(pointer, bytes, write, atomic)                                                      \
    if (simt::current.in_kernel)                                                                   \
    simt::check_access((uintptr_t)(pointer), bytes, write, atomic, SIMT_CALLER)

#define PLAIN(name, n, write)                                                                      \
    SIMT_HIDDEN void __tsan_##name##n(void *p) { ACCESS(p, n, write, false); }
#define PLAIN_OF_SIZE(n)                                                                           \
    PLAIN(read, n, false)                                                                          \
    PLAIN(write, n, true)                                                                          \
    PLAIN(unaligned_read, n, false)                                                                \
    PLAIN(unaligned_write, n, true)                                                                \
    PLAIN(volatile_read, n, false)                                                                 \
    PLAIN(volatile_write, n, true)

#define FETCH(bits, T, op)                                                                         \
    SIMT_HIDDEN T __tsan_atomic##bits##_fetch_##op(volatile T *p, T v, int) {                      \
        ACCESS(p, bits / 8, true, true);                                                           \
        return __atomic_fetch_##op(p, v, __ATOMIC_RELAXED);                                        \
    }
#define ATOMIC_OF_SIZE(bits, T)                                                                    \
    SIMT_HIDDEN T __tsan_atomic##bits##_load(const volatile T *p, int) {                           \
        ACCESS(p, bits / 8, false, true);                                                          \
        return __atomic_load_n(p, __ATOMIC_RELAXED);                                               \
    }                                                                                              \
    SIMT_HIDDEN void __tsan_atomic##bits##_store(volatile T *p, T v, int) {                        \
        ACCESS(p, bits / 8, true, true);                                                           \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                  \
    }                                                                                              \
    SIMT_HIDDEN T __tsan_atomic##bits##_exchange(volatile T *p, T v, int) {                        \
        ACCESS(p, bits / 8, true, true);                                                           \
        return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                                        \
    }                                                                                              \
    FETCH(bits, T, add)                                                                            \
    FETCH(bits, T, sub)                                                                            \
    FETCH(bits, T, and)                                                                            \
    FETCH(bits, T, or)                                                                             \
    FETCH(bits, T, xor)                                                                            \
    SIMT_HIDDEN int __tsan_atomic##bits##_compare_exchange_strong(volatile T *p, T *expected, T v, \
                                                                  int, int) {                      \
        ACCESS(p, bits / 8, true, true);                                                           \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELAXED,                \
                                           __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    SIMT_HIDDEN int __tsan_atomic##bits##_compare_exchange_weak(volatile T *p, T *expected, T v,   \
                                                                int, int) {                        \
        ACCESS(p, bits / 8, true, true);                                                           \
        return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_RELAXED,                 \
                                           __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    /* clang's spelling */                                                                         \
    SIMT_HIDDEN T __tsan_atomic##bits##_compare_exchange_val(volatile T *p, T expected, T v, int,  \
                                                             int) {                                \
        ACCESS(p, bits / 8, true, true);                                                           \
        __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);   \
        return expected;                                                                           \
    }

extern "C" {
SIMT_HIDDEN void __tsan_init() { simt::checker_start(); }
SIMT_HIDDEN void __tsan_func_entry(void *) {}
SIMT_HIDDEN void __tsan_func_exit() {}
SIMT_HIDDEN void __tsan_vptr_update(void **, void *) {}
SIMT_HIDDEN void __tsan_vptr_read(void **) {}

PLAIN_OF_SIZE(1)
PLAIN_OF_SIZE(2)
PLAIN_OF_SIZE(4)
PLAIN_OF_SIZE(8)
PLAIN_OF_SIZE(16)
SIMT_HIDDEN void __tsan_read_range(void *p, size_t n) { ACCESS(p, n, false, false); }
SIMT_HIDDEN void __tsan_write_range(void *p, size_t n) { ACCESS(p, n, true, false); }

ATOMIC_OF_SIZE(8, uint8_t)
ATOMIC_OF_SIZE(16, uint16_t)
ATOMIC_OF_SIZE(32, uint32_t)
ATOMIC_OF_SIZE(64, uint64_t)
SIMT_HIDDEN void __tsan_atomic_thread_fence(int) {}
SIMT_HIDDEN void __tsan_atomic_signal_fence(int) {}
}
