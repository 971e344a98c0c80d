#include "tests/lib/emulator.h"

#include <stdlib.h>
#include <string.h>

const mg_device_plugin *emulator;

void emulator_open(void) {
    mg_device device;
    mg_error err = {0};
    if (mg_device_open("simt", &device, &emulator, &err)) {
        cr_assert(strstr(err.message, "not built"), "%s", err.message);
        cr_skip_test("%s", err.message);
    }
    cr_assert_eq(device, MG_DEVICE_SIMT);
}

void emulator_open_checked(void) {
#ifdef MG_SANITIZE
    cr_skip_test("the checker and the compiler's sanitizers exclude each other");
#endif
    setenv("MG_SIMT", "check", 1);
    setenv("SIMT_ORDER", "rand", 1);
    setenv("SIMT_SEED", "3", 0);
    setenv("SIMT_ASYNC", "1", 1);
    emulator_open();
    cr_assert(emulator->count_accesses, "not the plugin with the checker");
}

void emulator_expect_clean(const char *what) {
    const char *failure = emulator->memory->failure(true);
    cr_expect(!failure, "%s: %s", what, failure ? failure : "");
    const int findings = emulator->findings ? emulator->findings() : 0;
    cr_expect_eq(findings, 0, "%s: %d findings of the checker, see above", what, findings);
}
