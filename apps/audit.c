/* audit: prove every op on this machine, and show the proof. */
#include <stdio.h>
#include <string.h>

#include "apps/lib/audit.h"
#include "apps/lib/audit_counts.h"
#include "apps/lib/audit_device.h"
#include "apps/lib/audit_launches.h"
#include "apps/lib/cli.h"
#include "data/files.h"

static bool quick, json;
static const char *docs, *html, *source = ".", *device = "cpu";
static int64_t threads;
static double seconds = 0.1;
static bool launches, counts, ladders;
static const char *gpu = "h100";
static const char *size_text = "955x500";
static mg_audit_model_options model = {.batch = 1, .runs = 5, .unfreeze = 7, .precision = "f32"};

static const mg_cli_option options[] = {
    {"quick", 'q', MG_CLI_FLAG, &quick, NULL, NULL, "checks only, no timing", 0, 0},
    {"json", 0, MG_CLI_FLAG, &json, NULL, NULL, "results as JSON", 0, 0},
    {"docs", 0, MG_CLI_STRING, &docs, "DIR", NULL, "write a Markdown page per op and an index", 0,
     0},
    {"html", 0, MG_CLI_STRING, &html, "FILE|DIR", NULL,
     "write the atlas: one page (.html), or a page per op", 0, 0},
    {"source", 0, MG_CLI_STRING, &source, "DIR", ".", "source tree that --html reads", 0, 0},
    {"device", 0, MG_CLI_STRING, &device, "cpu|reference|simt|cuda[:N]", "cpu",
     "whose kernels (simt: CUDA's in the emulator, under its race checker)", 0, 0},
    {"threads", 't', MG_CLI_INT, &threads, "N", "one per core", "threads for timing", 1, 1024},
    {"model", 0, MG_CLI_STRING, &model.arch, "NAME", NULL,
     "time a network (b0 to b7, pico) layer by layer instead", 0, 0},
    {"size", 0, MG_CLI_STRING, &size_text, "HxW", "955x500", "--model: size of the images", 0, 0},
    {"batch", 0, MG_CLI_INT, &model.batch, "N", "1", "--model: images at once", 1, 4096},
    {"runs", 0, MG_CLI_INT, &model.runs, "N", "5", "--model: runs after one to warm up", 1,
     MG_AUDIT_MAX_RUNS},
    {"train", 0, MG_CLI_FLAG, &model.train, NULL, NULL, "--model: a training step too", 0, 0},
    {"unfreeze", 0, MG_CLI_INT, &model.unfreeze, "N", "7",
     "--train: train stages N and up (0 all, 9 the classifier alone)", 0, 9},
    {"precision", 0, MG_CLI_CHOICE, &model.precision, "f32|bf16", "f32",
     "--model: of frozen stages and the forward pass", 0, 0},
    {"plot", 0, MG_CLI_STRING, &model.plot, "FILE", NULL, "--model: time per layer as PNG", 0, 0},
    {"launches", 0, MG_CLI_FLAG, &launches, NULL, NULL,
     "--model: every launch of the CUDA kernels, estimated for --gpu", 0, 0},
    {"counts", 0, MG_CLI_FLAG, &counts, NULL, NULL,
     "what the CUDA kernels ask of memory at B4's sizes, counted by the emulator (minutes)", 0, 0},
    {"ladders", 0, MG_CLI_FLAG, &ladders, NULL, NULL,
     "the same for the teaching ladders of cuda/lab, level by level", 0, 0},
    {"gpu", 0, MG_CLI_STRING, &gpu, "h100|a100", "h100", "--launches: which GPU to estimate for", 0,
     0},
    {"seconds", 0, MG_CLI_FLOAT, &seconds, "S", "0.1", "timing per op, each way", 0.001, 60},
};

static const mg_cli_program program = {
    .name = "audit",
    .summary = "Check every op against its reference, its gradient and itself, and time it",
    .usage = "[OPTION]... [OP]...",
    .description = "Without OP all ops are checked. One OP prints its page. Exit code 1 when any "
                   "check fails.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .most_arguments = -1};

typedef struct audit {
    mg_op_id id[MG_OP_COUNT];
    mg_audit_op op[MG_OP_COUNT];
    size_t count;
    mg_audit_pools pools;
    mg_pool *pool;
    mg_machine machine;
    bool timed;
} audit;

static int choose(audit *a, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        mg_op_id id = mg_op_find(argv[i]);
        if (id == MG_OP_COUNT)
            return mg_cli_usage_error(&program, "'%s' is no op (ops/table.h lists them)", argv[i]);
        if (a->count < MG_OP_COUNT) a->id[a->count++] = id;
    }
    for (int id = 0; id < MG_OP_COUNT && argc == 0; id++) a->id[a->count++] = (mg_op_id)id;
    return MG_CLI_RUN;
}

static mg_status run(audit *a, mg_error *err) {
    mg_device chosen = MG_DEVICE_CPU;
    mg_status s = mg_audit_device_open(device, &chosen, err);
    if (!s) s = mg_audit_pools_open(&a->pools, err);
    a->pool = mg_pool_create((int)threads);
    if (!s && !a->pool) s = mg_fail(err, MG_ERR_MEMORY, "no thread pool");
    /* Time in the emulator says nothing about a GPU. */
    a->timed =
        !quick && !docs && !html && (chosen == MG_DEVICE_CPU || chosen == MG_DEVICE_REFERENCE);
    if (!s && a->timed) s = mg_machine_measure(a->pool, &a->machine, err);
    for (size_t i = 0; i < a->count && !s; i++) {
        s = mg_audit_run(a->id[i], chosen, &a->pools, &a->op[i], err);
        if (!s && a->timed) s = mg_audit_measure(&a->op[i], a->pool, seconds, err);
    }
    return s;
}

static mg_status show(const audit *a, bool page, mg_error *err) {
    const mg_machine *machine = a->timed ? &a->machine : NULL;
    mg_status s = MG_OK;
    if (docs) s = mg_audit_write_docs(a->op, a->count, docs, err);
    if (html && !s) s = mg_audit_write_html(a->op, a->count, source, html, err);
    if (docs || html || s) return s;
    if (json) return mg_audit_print_json(a->op, a->count, machine, err);
    if (!page) mg_audit_print_table(a->op, a->count, machine);
    for (size_t i = 0; page && i < a->count; i++) {
        mg_audit_print_page(&a->op[i], machine);
        mg_audit_print_gpu(&a->op[i], source);
    }
    return MG_OK;
}

static int run_model(int argc) {
    int height = 0, width = 0, end = 0;
    if (argc > 0 || json || docs || html)
        return mg_cli_usage_error(&program, "--model goes without OP, --json, --docs and --html");
    if (sscanf(size_text, "%5dx%5d%n", &height, &width, &end) != 2 || size_text[end] ||
        height < 1 || width < 1)
        return mg_cli_usage_error(&program, "--size: '%s' is not like 955x500", size_text);
    model.height = height;
    model.width = width;
    model.threads = threads;
    mg_error err = {0};
    if (!(launches ? mg_audit_launches(&model, gpu, &err) : mg_audit_model(&model, &err)))
        return MG_EXIT_DONE;
    fprintf(stderr, "audit: %s\n", err.message);
    return err.code == MG_ERR_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILED;
}

static int run_counts(const audit *a) {
    mg_error err = {0};
    if (!(ladders ? mg_audit_print_ladders(source, &err)
                  : mg_audit_print_counts(a->id, a->count, &err)))
        return MG_EXIT_DONE;
    fprintf(stderr, "audit: %s\n", err.message);
    return MG_EXIT_FAILED;
}

int main(int argc, char **argv) {
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    if (model.arch) return run_model(argc);
    static audit a;
    code = choose(&a, argc, argv);
    if (code != MG_CLI_RUN) return code;
    if (counts || ladders) return run_counts(&a);
    mg_error err = {0};
    bool failed = run(&a, &err) != MG_OK || show(&a, argc > 0, &err) != MG_OK;
    if (failed) fprintf(stderr, "audit: %s\n", err.message);
    for (size_t i = 0; i < a.count; i++) {
        if (a.op[i].failed && (docs || html))
            fprintf(stderr, "audit: %s failed a check\n", a.op[i].op->name);
        failed = failed || a.op[i].failed;
        mg_audit_free(&a.op[i]);
    }
    mg_audit_pools_close(&a.pools);
    mg_pool_destroy(a.pool);
    if (err.code == MG_ERR_ARG) return MG_EXIT_USAGE;
    return failed ? MG_EXIT_FAILED : MG_EXIT_DONE;
}
