/* emulator.h: opens the emulated CUDA device (--device simt, docs/simt.md) for a test.
 *
 *     Test(suite, name, .init = emulator_open) { … emulator->memory->alloc(…) … }
 *     EMULATOR_TEST(suite, name) { … }      the same test twice: suite, and suite_checked
 *
 * Where the device is not built (no CUDA headers) the test is skipped, with a word. */
#ifndef MG_TESTS_LIB_EMULATOR_H
#define MG_TESTS_LIB_EMULATOR_H

#include <criterion/criterion.h>

#include "ops/device.h"

/* What the last emulator_open…() opened. */
extern const mg_device_plugin *emulator;

/* As the environment says; without a word from it as fast as it goes: threads in ascending order,
 * every operation at once. `make simt-san` asks for the order and the streams of the next one. */
void emulator_open(void);

/* The other extreme: threads in random order, streams that do nothing until they must, and the
 * checker for races, missing barriers, overruns and reads of unwritten memory. The first finding
 * ends the test; with SIMT_ABORT=0 in the environment all are told. Skipped under the compiler's
 * sanitizers, which exclude the checker. */
void emulator_open_checked(void);

/* Expects that no kernel, copy or library call failed and that the checker found nothing. */
void emulator_expect_clean(const char *what);

#define EMULATOR_TEST(suite, name)                                                                 \
    static void suite##_##name(void);                                                              \
    Test(suite, name, .init = emulator_open) {                                                     \
        suite##_##name();                                                                          \
        emulator_expect_clean(#name);                                                              \
    }                                                                                              \
    Test(suite##_checked, name, .init = emulator_open_checked) {                                   \
        suite##_##name();                                                                          \
        emulator_expect_clean(#name);                                                              \
    }                                                                                              \
    static void suite##_##name(void)

#endif
