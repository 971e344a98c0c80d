/* audit_ladders.c: the teaching ladders in counted figures (audit_counts.h). */
#include <stdio.h>
#include <string.h>

#include "apps/lib/audit_counts.h"
#include "apps/lib/audit_device.h"

/* Sizes of EfficientNet-B4's stage 4 with fewer channels or one image: the naive levels take their
 * time in an emulator, and ratios do not change. */
#define IMAGES MG_SHAPE(2, 60, 32, 192)
#define COLUMN MG_SHAPE(192)
static const mg_case cases[] = {
    {"5x5", .attr = {.kernel = 5, .stride = 1}, .inputs = 2,
     .shape = {IMAGES, MG_SHAPE(5, 5, 192)}},
    {"training", .attr = {.training = true, .eps = 1e-5, .momentum = 0.1}, .inputs = 5,
     .shape = {IMAGES, COLUMN, COLUMN, COLUMN, COLUMN},
     .fill = {MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_POSITIVE}},
    {"two images", .inputs = 5,
     .shape = {IMAGES, MG_SHAPE(192, 8), MG_SHAPE(8), MG_SHAPE(8, 192), COLUMN}}};
static const mg_op_id ladders[] = {MG_OP_depthwise_conv, MG_OP_batch_norm, MG_OP_squeeze_excite};

/* A level's first launch, the one its idea is about: registers and blocks are told of it. */
typedef struct first {
    mg_launch launch;
    char kernel[96]; /* without template arguments */
    int launches;
} first;

static void note_launch(void *arg, const mg_launch *l) {
    first *h = arg;
    h->launches++;
    if (h->launches > 1) return;
    h->launch = *l;
    const char *name = l->kernel + (l->kernel[0] == '(');
    snprintf(h->kernel, sizeof h->kernel, "%.*s", (int)strcspn(name, "<)"), name);
}

/* Blocks of a kernel that one multiprocessor of sm_90 holds at once, in threads of its 2048. */
static int resident_threads(int threads, int registers, int shared_bytes) {
    int blocks = 2048 / threads;
    /* registers come 256 at a time to each warp, of 65536; shared memory of 227 KiB, 1 KiB a
     * block */
    int warps = (threads + 31) / 32,
        by_registers = 65536 / ((registers * 32 + 255) / 256 * 256 * warps);
    int by_shared = 227 * 1024 / (shared_bytes + 1024);
    if (by_registers < blocks) blocks = by_registers;
    if (by_shared < blocks) blocks = by_shared;
    return (blocks < 32 ? blocks : 32) * threads;
}

/* What ptxas says of a kernel on sm_90: the most of its instances. The report lies beside the
 * level's or, for what production shares, the op's object. */
static bool compiled(const char *source, const mg_lab_level *l, const char *kernel, mg_ptxas *out) {
    char level[256];
    const char *path = strstr(l->file, "lab/");
    snprintf(level, sizeof level, "%.*s", path ? (int)strcspn(path, ".") : 0, path ? path : "");
    const char *const reports[] = {level, mg_op_get(l->op, MG_F32)->name};
    *out = (mg_ptxas){0};
    for (int r = 0; r < 2 && !out->registers; r++) {
        mg_ptxas all[192];
        int count = mg_ptxas_read(source, reports[r], all, MG_COUNT(all));
        for (int i = 0; i < count; i++) {
            if (strcmp(all[i].kernel, kernel) != 0 || strcmp(all[i].arch, "sm_90") != 0) continue;
            if (all[i].registers > out->registers) out->registers = all[i].registers;
            if (all[i].shared_bytes > out->shared_bytes) out->shared_bytes = all[i].shared_bytes;
        }
    }
    return out->registers > 0;
}

static void print_level(const mg_lab_level *l, const first *h, const mg_access_counts *n,
                        double compulsory, const char *source) {
    const mg_launch *one = &h->launch;
    const unsigned blocks = one->grid[0] * one->grid[1] * one->grid[2];
    const unsigned threads = one->block[0] * one->block[1] * one->block[2];
    char shared[32] = "none", report[64] = "? | ? | ?";
    if (n->least_turns)
        snprintf(shared, sizeof shared, "%.1f at %.2f", (double)n->turns * 1e-3,
                 (double)n->turns / (double)n->least_turns);
    mg_ptxas k;
    if (compiled(source, l, h->kernel, &k))
        snprintf(report, sizeof report, "%d | %.1f | %.0f%%", k.registers, k.shared_bytes / 1024.0,
                 resident_threads((int)threads, k.registers, k.shared_bytes) * 100.0 / 2048);
    printf("| %d %s | %d | %u x %u | %.1f | %.2f | %.2f | %.2f | %s | %s |\n", l->level, l->name,
           h->launches, blocks, threads, (double)n->load_requests * 1e-3,
           32e-6 * (double)n->load_sectors,
           n->least_load_sectors ? (double)n->load_sectors / (double)n->least_load_sectors : 1,
           32.0 * (double)n->touched_sectors / compulsory, shared, report);
    fflush(stdout);
}

static mg_status print_ladder(const mg_device_plugin *plugin, mg_op_id id, const mg_case *c,
                              const char *source, mg_error *err) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_trial t = {0};
    mg_status s = mg_trial_open(&t, op, c, MG_F32, err);
    if (s) return s;
    char shape[96];
    printf("\n## %s\n\nForward of %s, %s; compulsory: %.2f MB.\n\n", op->name, c->name,
           mg_shape_text(&t.call.x_shape[0], shape, sizeof shape),
           op->cost(&t.call).forward_bytes * 1e-6);
    puts("| level | launches | first: blocks x threads | load requests, thousands | MB loaded | "
         "of least | touched / compulsory | shared turns, thousands, of least | registers | "
         "shared KiB | threads resident |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (const mg_lab_level *const *l = plugin->lab; *l && !s; l++) {
        if ((*l)->op != id) continue;
        first h = {.launches = 0};
        mg_access_counts n;
        const mg_kernels *staged = mg_staged_lab_kernels(*l, plugin);
        plugin->record(note_launch, &h);
        s = mg_trial_forward(&t, staged, NULL, err);
        plugin->record(NULL, NULL);
        if (!s) s = mg_audit_count(id, c, staged, false, &n, err);
        if (!s) print_level(*l, &h, &n, op->cost(&t.call).forward_bytes, source);
    }
    mg_trial_close(&t);
    return s;
}

mg_status mg_audit_print_ladders(const char *source, mg_error *err) {
    const mg_device_plugin *plugin;
    mg_status s = mg_audit_counting(&plugin, err);
    if (s) return s;
    puts("# The teaching ladders, counted\n\n"
         "Written by `apps/audit --ladders`; [lab.md](lab.md) explains. Counted in the emulator "
         "and\n"
         "by ptxas for sm_90; not yet run on hardware, so nothing here is a time.");
    for (size_t i = 0; i < sizeof ladders / sizeof *ladders && !s; i++)
        s = print_ladder(plugin, ladders[i], &cases[i], source, err);
    return s;
}
