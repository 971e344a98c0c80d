/* preprocess_choice.h: whether images are prepared on the device the network runs on; the one place
 * where train, predict and preprocess decide it. The bytes are the same either way. */
#ifndef MG_APPS_LIB_PREPROCESS_CHOICE_H
#define MG_APPS_LIB_PREPROCESS_CHOICE_H

#include "data/preprocess_device.h"

/* where: "host"; "device": always there, waiting for it; "auto": on a GPU while it is idle, never
 * in the emulator, which is slower than any CPU. *out NULL: on the host. plugin NULL: there is
 * no device, and "device" an error. */
mg_status mg_preprocess_choose(const char *where, const mg_device_plugin *plugin,
                               mg_preprocess_device **out, mg_error *err);

/* One line about who prepared how many images; "" without a device or without images. */
const char *mg_preprocess_told(mg_preprocess_device *device, char *out, size_t size);

/* The option of train and predict. */
#define MG_PREPROCESS_OPTION(target)                                                               \
    {                                                                                              \
        "preprocess", 0, MG_CLI_CHOICE, target, "auto|device|host", "auto",                        \
            "where decoded images are prepared (auto: on a GPU while it is idle)", 0, 0            \
    }

#endif
