/* audit_counts.c: what CUDA kernels ask of memory (audit_counts.h). */
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
mg_status mg_audit_count_wanted(mg_op_id id, const mg_case *test_case, const mg_kernels *staged,
                                bool backward, uint32_t wanted, mg_access_counts *out,
                                mg_error *err) {
    const mg_device_plugin *plugin;
    mg_status s = mg_audit_counting(&plugin, err);
    mg_trial t = {0};
    if (!s) s = mg_trial_open(&t, mg_op_get(id, MG_F32), test_case, MG_F32, err);
    if (!s) t.call.overwrite = staged->overwrites; /* as in training, where dx is new */
    if (!s && !backward) plugin->count_accesses(NULL);
    if (!s) s = mg_trial_forward(&t, staged, NULL, err);
    if (!s && backward) {
        plugin->count_accesses(NULL);
        s = mg_trial_backward(&t, staged, NULL, wanted, err);
    }
    if (!s) plugin->count_accesses(out);
    mg_trial_close(&t);
    const char *failure = plugin->memory->failure(true);
    return failure && !s ? mg_fail(err, MG_ERR_DEVICE, "%s", failure) : s;
}

mg_status mg_audit_count(mg_op_id id, const mg_case *test_case, const mg_kernels *staged,
                         bool backward, mg_access_counts *out, mg_error *err) {
    return mg_audit_count_wanted(id, test_case, staged, backward, ~0u, out, err);
}

double mg_audit_compulsory(const mg_op *op, const mg_op_call *call, bool backward,
                           uint32_t wanted) {
    const mg_cost cost = op->cost(call);
    if (!backward) return cost.forward_bytes;
    double bytes = cost.backward_bytes;
    for (int i = 0; i < call->inputs; i++)
        if (op->differentiable >> i & 1 && !(wanted >> i & 1))
            bytes -= 4 * (double)mg_shape_elements(&call->x_shape[i]);
    return bytes;
}

/* --- the table -------------------------------------------------------------------------------- */

/* Beside the typical sizes: where an op goes another way than there. */
typedef struct other {
    mg_op_id id;
    uint32_t wanted;
    bool backward_only;
    mg_case test_case;
} other;

#define NORM(n, h, w, c)                                                                           \
    .attr = {.training = true, .eps = 1e-5, .momentum = 0.1}, .inputs = 5,                         \
    .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c)}
#define END(n, h, w, c, s, k)                                                                      \
    .attr = {.training = true, .eps = 1e-5, .momentum = 0.1}, .inputs = 10,                        \
    .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c),    MG_SHAPE(c), MG_SHAPE(c),         \
              MG_SHAPE(c, s),       MG_SHAPE(s), MG_SHAPE(s, c), MG_SHAPE(c), MG_SHAPE(c, k)}
static const other others[] = {
    {MG_OP_conv2d,
     2,
     true, /* what training asks a stem for */
     {"stem, dw alone", .attr = {.kernel = 3, .stride = 2}, .inputs = 2,
      .shape = {MG_SHAPE(1, 955, 500, 3), MG_SHAPE(3, 3, 3, 48)}}},
    {MG_OP_batch_norm, ~0u, false, {"stem: chunks of rows", NORM(1, 478, 250, 48)}},
    {MG_OP_batch_norm, ~0u, false, {"stage 3, 3 images: chunks", NORM(3, 120, 63, 336)}},
    {MG_OP_norm_gate_project,
     ~0u,
     false,
     {"stage 2: chunks of rows", END(1, 239, 125, 192, 8, 32)}},
    {MG_OP_norm_gate_project, ~0u, false, {"stage 5: dz kept", END(1, 60, 32, 960, 40, 160)}},
    {MG_OP_concat,
     ~0u,
     false,
     {"channels in fours", .attr = {.axis = 3}, .inputs = 2,
      .shape = {MG_SHAPE(1, 120, 63, 112), MG_SHAPE(1, 120, 63, 56)}}},
};

static double ratio(int64_t a, int64_t b) { return b ? (double)a / (double)b : 1; }

static mg_status print_direction(mg_op_id id, const mg_case *c, const mg_device_plugin *plugin,
                                 bool backward, uint32_t wanted, mg_error *err) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_op_call call = {.attr = c->attr, .inputs = c->inputs};
    mg_access_counts n;
    for (int i = 0; i < c->inputs; i++)
        if (c->fill[i] != MG_FILL_ABSENT) call.x_shape[i] = c->shape[i];
    mg_status s = op->shape(&call, err);
    if (!s)
        s = mg_audit_count_wanted(id, c, mg_staged_kernels(id, plugin), backward, wanted, &n, err);
    if (s) return s;
    const double least = mg_audit_compulsory(op, &call, backward, wanted);
    printf("| %s | %s | %s | %lld | %.2f | %.2f | %.2f | %.2f | %.2f |\n", op->name, c->name,
           backward ? "backward" : "forward", (long long)n.launches, least * 1e-6,
           32.0 * (double)n.touched_sectors / least, ratio(n.load_sectors, n.least_load_sectors),
           ratio(n.store_sectors, n.least_store_sectors), ratio(n.turns, n.least_turns));
    fflush(stdout);
    return MG_OK;
}

static mg_status print_op(mg_op_id id, const mg_device_plugin *plugin, mg_error *err) {
    const mg_case *c = mg_audit_workload(id);
    mg_status s = print_direction(id, c, plugin, false, ~0u, err);
    if (!s && !(mg_op_get(id, MG_F32)->flags & MG_OP_NO_BACKWARD))
        s = print_direction(id, c, plugin, true, ~0u, err);
    for (size_t i = 0; i < MG_COUNT(others) && !s; i++) {
        const other *o = &others[i];
        if (o->id != id) continue;
        if (!o->backward_only) s = print_direction(id, &o->test_case, plugin, false, ~0u, err);
        if (!s) s = print_direction(id, &o->test_case, plugin, true, o->wanted, err);
    }
    return s;
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
         "conflicts. Products by cuBLAS are not seen. Backward as in training: gradients are\n"
         "written where the kernels can, not added.\n");
    puts("Launches forget everything in this count, caches may not. Five ops cannot reach less:\n"
         "batch_norm by chunks of rows needs x twice forward (1.50) and x and dy twice backward\n"
         "(1.67), since blocks of a grid cannot wait for one another; where blocks can own whole\n"
         "columns instead, one launch does all (`cuda/batch_norm.h` says when). squeeze_excite\n"
         "needs x twice forward (1.50): no gate is known before all pixels were seen. Of mbconv\n"
         "x and y alone are compulsory; what it touches is the six times wider tensor between.\n"
         "norm_depthwise_conv is bound as batch_norm by chunks is, and adds partial sums of dw.\n"
         "norm_gate_project needs x for statistics, for means and gates, and again backward\n"
         "before and after its sums, and writes what cuBLAS is to multiply: with x alone counted\n"
         "2 tensors forward, 3 by chunks of rows, and 4 backward, 5 where it keeps dz.\n");
    puts("| op | case | direction | launches | compulsory MB | touched / compulsory | loads | "
         "stores | turns |\n|---|---|---|--:|--:|--:|--:|--:|--:|");
    for (size_t i = 0; i < count && !s; i++)
        if (plugin->kernels[ids[i]]) s = print_op(ids[i], plugin, err);
    return s;
}
