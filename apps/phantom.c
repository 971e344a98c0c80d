/* phantom: writes a synthetic screening data set. */
#include <stdio.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/interrupt.h"
#include "apps/lib/progress.h"
#include "data/files.h"
#include "data/phantom.h"

static int64_t patients = 100, test_patients = 0, seed = 1, threads = 0;
static double positive = 0.5, test_positive = 0.2, difficulty;
static const char *size = "1664x2048";
static bool overwrite, quiet;

static const mg_cli_option options[] = {
    {"patients", 'n', MG_CLI_INT, &patients, "N", "100", "patients of the training part", 0, 1e6},
    {"test-patients", 't', MG_CLI_INT, &test_patients, "N", "0",
     "patients of a test part (test.csv, test_images, test_truth.csv)", 0, 1e6},
    {"seed", 's', MG_CLI_INT, &seed, "S", "1", "everything is drawn from this number", 0, 9e15},
    {"positive", 'p', MG_CLI_FLOAT, &positive, "SHARE", "0.5",
     "share of training patients with cancer (in one breast, rarely both)", 0, 1},
    {"test-positive", 0, MG_CLI_FLOAT, &test_positive, "SHARE", "0.2",
     "share of test patients with cancer", 0, 1},
    {"size", 0, MG_CLI_STRING, &size, "WxH", "1664x2048",
     "pixels of an image; 416x512 and 208x256 are quick", 0, 0},
    {"difficulty", 'd', MG_CLI_FLOAT, &difficulty, "D", NULL,
     "0: lesions plain to see, 1: barely visible", 0, 1},
    {"threads", 'j', MG_CLI_INT, &threads, "N", "one per core", "worker threads", 0, 256},
    {"overwrite", 0, MG_CLI_FLAG, &overwrite, NULL, NULL,
     "replace the phantoms that the folder holds already", 0, 0},
    {"quiet", 'q', MG_CLI_FLAG, &quiet, NULL, NULL, "no summary on stdout", 0, 0},
};

static const mg_cli_program program = {
    .name = "phantom",
    .summary = "Write a synthetic mammography data set in the RSNA layout",
    .usage = "[OPTION]... OUT",
    .description =
        "Writes OUT/train.csv, OUT/train_images/PATIENT/IMAGE.dcm and, for images with a\n"
        "malignant lesion, OUT/masks/PATIENT/IMAGE.png. The same options give the same bytes.\n"
        "With test patients also OUT/test.csv, OUT/test_images and OUT/test_truth.csv, which has\n"
        "the columns of train.csv.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .least_arguments = 1,
    .most_arguments = 1,
};

static bool show(void *arg, int64_t done, int64_t total) {
    mg_progress *bar = arg;
    if (done == 1) bar->total = total;
    char detail[48];
    double seconds = mg_clock() - bar->started;
    snprintf(detail, sizeof detail, "%.0f images/s", seconds > 0 ? (double)done / seconds : 0.0);
    mg_progress_update(bar, done, detail);
    return !mg_interrupted();
}

static bool parse_size(const char *text, int *columns, int *rows) {
    char end;
    return sscanf(text, "%5dx%5d%c", columns, rows, &end) == 2;
}

static int run(const mg_phantom_settings *s, const char *out) {
    mg_pool *pool = mg_pool_create((int)threads);
    if (!pool) {
        fprintf(stderr, "phantom: no memory for a thread pool\n");
        return MG_EXIT_FAILED;
    }
    mg_interrupt_install();
    mg_progress bar;
    mg_progress_start(&bar, "phantom", 0);
    mg_error err = {0};
    mg_status status = mg_phantom_write(s, out, pool, show, &bar, &err);
    mg_progress_clear(&bar);
    mg_pool_destroy(pool);
    if (status) {
        fprintf(stderr, "phantom: %s\n", err.message);
        return MG_EXIT_FAILED;
    }
    if (!quiet)
        printf("%s: %lld images of %d patients in %.1f s\n", out, (long long)bar.done,
               s->patients + s->test_patients, mg_clock() - bar.started);
    return MG_EXIT_DONE;
}

int main(int argc, char **argv) {
    mg_phantom_settings s = mg_phantom_defaults();
    difficulty = s.difficulty;
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    if (!parse_size(size, &s.columns, &s.rows))
        return mg_cli_usage_error(&program, "--size %s: expected WIDTHxHEIGHT, like 416x512", size);
    s.patients = (int)patients;
    s.test_patients = (int)test_patients;
    s.positive = positive;
    s.test_positive = test_positive;
    s.seed = (uint64_t)seed;
    s.difficulty = difficulty;
    static const char *const tables[] = {"train.csv", "test.csv"};
    for (int i = 0; i < 2 && !overwrite; i++) {
        char table[4096];
        snprintf(table, sizeof table, "%s/%s", argv[0], tables[i]);
        if (!mg_is_file(table)) continue;
        fprintf(stderr, "phantom: %s exists; choose another folder or say --overwrite\n", table);
        return MG_EXIT_FAILED;
    }
    return run(&s, argv[0]);
}
