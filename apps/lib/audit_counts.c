#include "apps/lib/audit_counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/audit.h"

mg_status mg_audit_counting(const mg_device_plugin **plugin, mg_error *err) {
    mg_device device;
    setenv("MG_SIMT", "check", 0);
    mg_status s = mg_device_open("simt", &device, plugin, err);
    if (!s && !(*plugin)->count_accesses)
        s = mg_fail(err, MG_ERR_DEVICE,
                    "only the emulator with its checker counts (MG_SIMT=check)");
    return s;
}

/* A staged run copies to the device and back, but only kernels are counted. */
mg_status mg_audit_count(mg_op_id id, const mg_case *test_case, const mg_kernels *staged,
                         bool backward, mg_access_counts *out, mg_error *err) {
    const mg_device_plugin *plugin;
    mg_status s = mg_audit_counting(&plugin, err);
    mg_trial t = {0};
    if (!s) s = mg_trial_open(&t, mg_op_get(id, MG_F32), test_case, MG_F32, err);
    if (!s && !backward) plugin->count_accesses(NULL);
    if (!s) s = mg_trial_forward(&t, staged, NULL, err);
    if (!s && backward) {
        plugin->count_accesses(NULL);
        s = mg_trial_backward(&t, staged, NULL, ~0u, err);
    }
    if (!s) plugin->count_accesses(out);
    mg_trial_close(&t);
    const char *failure = plugin->memory->failure(true);
    return failure && !s ? mg_fail(err, MG_ERR_DEVICE, "%s", failure) : s;
}

static double ratio(int64_t a, int64_t b) { return b ? (double)a / (double)b : 1; }

static mg_status print_direction(mg_op_id id, const mg_device_plugin *plugin, bool backward,
                                 mg_error *err) {
    const mg_op *op = mg_op_get(id, MG_F32);
    const mg_case *c = mg_audit_workload(id);
    mg_op_call call;
    mg_access_counts n;
    mg_status s = mg_audit_workload_call(id, &call, err);
    if (!s) s = mg_audit_count(id, c, mg_staged_kernels(id, plugin), backward, &n, err);
    if (s) return s;
    const mg_cost cost = op->cost(&call);
    const double least = backward ? cost.backward_bytes : cost.forward_bytes;
    printf("| %s | %s | %lld | %.2f | %.2f | %.2f | %.2f | %.2f |\n", op->name,
           backward ? "backward" : "forward", (long long)n.launches, least * 1e-6,
           32.0 * (double)n.touched_sectors / least, ratio(n.load_sectors, n.least_load_sectors),
           ratio(n.store_sectors, n.least_store_sectors), ratio(n.turns, n.least_turns));
    fflush(stdout);
    return MG_OK;
}

mg_status mg_audit_print_counts(const mg_op_id *ids, size_t count, mg_error *err) {
    const mg_device_plugin *plugin;
    mg_status s = mg_audit_counting(&plugin, err);
    if (s) return s;
    puts("Counted in the emulator; nothing here was timed on a GPU. Sizes: EfficientNet-B4 at\n"
         "955 x 500. Compulsory: inputs once, outputs once. Touched: different 32-byte sectors of\n"
         "each launch, summed over the op's launches. Loads, stores: sectors per request as a\n"
         "multiple of the fewest that hold its bytes. Turns: of shared memory, 1.00 is free of "
         "bank\n"
         "conflicts. Products by cuBLAS are not seen.\n");
    puts("| op | direction | launches | compulsory MB | touched / compulsory | loads | stores | "
         "turns |\n|---|---|--:|--:|--:|--:|--:|--:|");
    for (size_t i = 0; i < count && !s; i++) {
        if (!plugin->kernels[ids[i]]) continue;
        s = print_direction(ids[i], plugin, false, err);
        if (!s && !(mg_op_get(ids[i], MG_F32)->flags & MG_OP_NO_BACKWARD))
            s = print_direction(ids[i], plugin, true, err);
    }
    return s;
}
