#include "apps/lib/preprocess_choice.h"

#include <stdio.h>
#include <string.h>

mg_status mg_preprocess_choose(const char *where, const mg_device_plugin *plugin,
                               mg_preprocess_device **out, mg_error *err) {
    *out = NULL;
    bool always = strcmp(where, "device") == 0;
    if (!plugin && always)
        return mg_fail(err, MG_ERR_ARG, "--preprocess device needs --device cuda or simt");
    bool idle_gpu = strcmp(where, "auto") == 0 && plugin && plugin->device == MG_DEVICE_CUDA;
    if (!always && !idle_gpu) return MG_OK;
    *out = mg_preprocess_device_create(plugin, always, err);
    return *out ? MG_OK : MG_ERR_MEMORY;
}

const char *mg_preprocess_told(mg_preprocess_device *device, char *out, size_t size) {
    mg_preprocess_counts c = {0};
    if (device) mg_preprocess_device_counts(device, &c);
    const struct {
        int64_t count;
        const char *reason;
    } host[] = {{c.busy, "while the device was busy"},
                {c.unable, "that it cannot prepare"},
                {c.no_room, "that it had no room for"}};
    out[0] = '\0';
    if (!(c.on_device + c.busy + c.unable + c.no_room)) return out;
    size_t used =
        (size_t)snprintf(out, size, "%lld images prepared on the device", (long long)c.on_device);
    const char *before = "; on the CPU ";
    for (int i = 0; i < 3; i++) {
        if (!host[i].count || used >= size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%lld %s", before,
                                 (long long)host[i].count, host[i].reason);
        before = ", ";
    }
    if (c.no_room && used < size) snprintf(out + used, size - used, " (%s)", c.no_room_why);
    return out;
}
