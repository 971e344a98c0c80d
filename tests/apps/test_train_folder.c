/* The folder of a run as a user meets it: a start that fails or only looks changes nothing in it,
 * an older run does not shine through, a resumed run is the one that was begun. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <unistd.h>

#include "apps/lib/trainer.h"
#include "tests/apps/train_runs.h"

/* Shell: waits for a condition, for some time. */
#define UNTIL(condition)                                                                           \
    "n=0; until " condition " || test $((n+=1)) -gt 1500; do sleep 0.01; done; "

/* Remembers the folder, or compares it with what was remembered. */
static void remember(const char *folder, const char *run) {
    cr_assert_eq(shell("rm -rf %s/before && cp -r %s/%s %s/before", folder, folder, run, folder),
                 0);
}
static bool unchanged(const char *folder, const char *run) {
    return shell("diff -r %s/before %s/%s >&2", folder, folder, run) == 0;
}

static bool same_run(const char *folder, const char *one, const char *two) {
    char a[600], b[600];
    snprintf(a, sizeof a, "%s/%s", folder, one), snprintf(b, sizeof b, "%s/%s", folder, two);
    return same_file(a, b, "best.safetensors") && same_file(a, b, "last.safetensors") &&
           same_file(a, b, "metrics.csv") && same_file(a, b, "split.csv");
}

Test(train_folder, a_start_that_fails_changes_nothing, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1"), 0);
    remember(folder, "r");
    static const char *const options[] = {"--overwrite --seed 77 --arch b9",
                                          "--overwrite --seed 77 --memory 0.000001",
                                          "--overwrite --seed 77 --data /nowhere", "--seed 77"};
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(train(folder, "r", options[i]), 1, "%s", options[i]);
        cr_expect(unchanged(folder, "r"), "%s", options[i]);
    }
    shell("rm -rf %s", folder);
}

Test(train_folder, range_test_writes_nothing, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 0);
    remember(folder, "r");
    static const char *const runs[] = {"r", "new"};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(shell("%s/train --data %s/phantom --out %s/%s " SMALL
                           " --find-lr --seed 5 >%s/curve 2>%s/e",
                           apps_folder(), folder, folder, runs[i], folder, folder),
                     0);
        cr_assert_eq(shell("head -1 %s/curve | grep -q '^learning_rate,smoothed_loss$'", folder),
                     0);
        cr_assert_eq(shell("test $(wc -l < %s/curve) -gt 20", folder), 0);
    }
    cr_expect(unchanged(folder, "r"));
    cr_expect_neq(shell("test -e %s/new", folder), 0);
    shell("rm -rf %s", folder);
}

/* FNV-1a of all that a step changes. */
static uint64_t fingerprint(const mg_trainer *t) {
    uint64_t h = 14695981039346656037u;
    for (int k = 0; k < t->net->parameters; k++) {
        const mg_tensor *p = t->net->parameter[k].tensor;
        const uint8_t *bytes = p->data;
        for (int64_t i = 0; i < mg_shape_elements(&p->shape) * 4; i++)
            h = (h ^ bytes[i]) * 1099511628211u;
    }
    for (int k = 0; k < t->optimizer->entries; k++) {
        const mg_tensor *p = t->optimizer->entry[k].first;
        const uint8_t *bytes = p ? p->data : NULL;
        for (int64_t i = 0; p && i < mg_shape_elements(&p->shape) * 4; i++)
            h = (h ^ bytes[i]) * 1099511628211u;
    }
    return h ^ (uint64_t)t->optimizer->steps ^ (uint64_t)t->net->batches_tracked;
}

Test(train_folder, range_test_restores_the_weights, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    char data[600], out[600];
    snprintf(data, sizeof data, "%s/phantom", folder), snprintf(out, sizeof out, "%s/r", folder);
    char *words[] = {
        "train", "--data",    data,        "--out", out,       "--arch", "pico",
        "-b",    "4",         "--height",  "64",    "--width", "48",     "--epoch-draws",
        "8",     "--find-lr", "--threads", "1",     NULL};
    int count = sizeof words / sizeof *words - 1;
    char **argv = words;
    cr_assert_eq(mg_train_options_parse(&count, &argv), MG_CLI_RUN);
    cr_redirect_stdout(); /* the curve */
    static mg_trainer t;
    mg_error err = {0};
    cr_assert_eq(mg_trainer_create(&t, &err), MG_OK, "%s", err.message);
    uint64_t before = fingerprint(&t);
    mg_plan plan = {0};
    cr_assert_eq(mg_trainer_plan_epoch(&t, 0, &plan, &err), MG_OK);
    mg_plan_free(&plan);
    cr_assert_eq(mg_trainer_find_lr(&t, &err), MG_OK, "%s", err.message);
    cr_expect_eq(fingerprint(&t), before);
    cr_expect_eq(t.state.step, 0);
    mg_trainer_destroy(&t);
    shell("rm -rf %s", folder);
}

/* The new run dies as soon as its options are written: what is resumed is the new run. */
Test(train_folder, overwritten_killed_resumed, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", ""), 0);
    cr_assert_eq(train(folder, "whole", "--lr 0.002 --no-report"), 0);
    cr_assert_eq(
        shell("%s/train --data %s/phantom --out %s/r " SMALL
              " --overwrite --lr 0.002 2>/dev/null & " UNTIL(
                  "grep -q '\"lr\": 0.002' %s/r/config.json 2>/dev/null") "kill -9 $!; wait $!; "
                                                                          "test $? = 137",
              apps_folder(), folder, folder, folder),
        0);
    cr_expect_neq(shell("test -e %s/r/report.html", folder), 0, "the old run's report is left");
    int rest = train(folder, "r", "--resume --lr 0.002 --no-report");
    cat_if(rest, folder, "r");
    cr_assert_eq(rest, 0);
    cr_expect(same_run(folder, "whole", "r"));
    shell("rm -rf %s", folder);
}

/* Out of space before the first checkpoint: nothing of the old run is left to go on with. */
Test(train_folder, overwritten_full_disk_resumed, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--no-report"), 0);
    cr_assert_eq(train(folder, "whole", "--lr 0.002 --no-report"), 0);
    cr_assert_eq(shell("(ulimit -f 40; trap '' XFSZ; %s/train --data %s/phantom --out %s/r " SMALL
                       " --overwrite --lr 0.002) >%s/e 2>&1",
                       apps_folder(), folder, folder, folder),
                 1);
    cr_expect_neq(
        shell("test -e %s/r/last.safetensors -o -e %s/r/best.safetensors", folder, folder), 0);
    cr_assert_eq(train(folder, "r", "--resume --lr 0.002 --no-report"), 0);
    cr_expect(same_run(folder, "whole", "r"));
    shell("rm -rf %s", folder);
}

Test(train_folder, resume_needs_its_own_options, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 0);
    shell("cp %s/r/config.json %s/config && sed -i 's/\"lr\": 0.003/\"lr\": 0.5/' %s/r/config.json",
          folder, folder, folder);
    cr_assert_eq(train(folder, "r", "--resume --lr 0.5 --epochs 2 --no-report"), 1);
    cr_expect(says(folder, "r", "with other options than config.json says"));
    /* A checkpoint of a version that kept no hashes. */
    cr_assert_eq(shell("sed -i 's/config_hash/config_none/; s/data_hash/data_none/' "
                       "%s/r/last.safetensors && mv %s/config %s/r/config.json",
                       folder, folder, folder),
                 0);
    int old = train(folder, "r", "--resume --epochs 2 --no-report");
    cat_if(old, folder, "r");
    cr_expect_eq(old, 0);
    cr_expect_eq(shell("grep -q 'config_hash' %s/r/last.safetensors", folder), 0);
    shell("rm -rf %s", folder);
}

/* However getopt lets one write it. */
Test(train_folder, resume_in_any_form, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 0);
    remember(folder, "r");
    static const char *const forms[] = {"-r -o%s/r -t2",     "-rt2 -o %s/r", "-rt2 --ou=%s/r",
                                        "--resum --ou %s/r", "-ro%s/r",      "--out=%s/r --res"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char options[700];
        snprintf(options, sizeof options, "%.20s", forms[i]);
        char *at = strstr(options, "%s");
        snprintf(at, sizeof options - (size_t)(at - options), "%s%s", folder,
                 strstr(forms[i], "%s") + 2);
        cr_expect_eq(shell("%s/train %s --no-report 2>%s/r.out", apps_folder(), options, folder), 0,
                     "%s", options);
        cr_expect(says(folder, "r", "resumed"), "%s", options);
        char a[600], b[600];
        snprintf(a, sizeof a, "%s/before", folder), snprintf(b, sizeof b, "%s/r", folder);
        cr_expect(same_file(a, b, "last.safetensors") && same_file(a, b, "config.json"), "%s",
                  options);
    }
    shell("rm -rf %s", folder);
}

/* Ctrl-C in the third of the epochs that a finished run was given on top. */
Test(train_folder, epochs_given_when_resuming_are_remembered, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "whole", "--epochs 6 --no-report"), 0);
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report"), 0);
    shell("%s/train --out %s/r --resume --epochs 6 --no-report 2>%s/r.out & " UNTIL(
              "test $(wc -l < %s/r/metrics.csv) -ge 3") "kill -INT $!; wait $!",
          apps_folder(), folder, folder, folder);
    cr_assert_eq(shell("test $(wc -l < %s/r/metrics.csv) -lt 7", folder), 0);
    /* Fewer than are done: not one more is trained. */
    shell("cp %s/r/metrics.csv %s/r/before.csv", folder, folder);
    cr_assert_eq(shell("%s/train --out %s/r --resume --epochs 2 --no-report 2>%s/r.out",
                       apps_folder(), folder, folder),
                 0);
    cr_expect_eq(shell("cmp %s/r/metrics.csv %s/r/before.csv", folder, folder), 0);
    cr_assert_eq(shell("%s/train --out %s/r --resume --epochs 6 --no-report 2>%s/r.out & " UNTIL(
                           "grep -q '\"epochs\": 6' %s/r/config.json") "kill -INT $!; wait $!",
                       apps_folder(), folder, folder, folder),
                 0);
    cr_assert_eq(
        shell("%s/train --out %s/r --resume --no-report 2>%s/r.out", apps_folder(), folder, folder),
        0);
    cr_expect(same_run(folder, "whole", "r"));
    shell("rm -rf %s", folder);
}

Test(train_folder, one_training_at_a_time, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--epochs 1 --no-report --patience 9000"), 0);
    cr_assert_eq(shell("%s/train --out %s/r --resume --epochs 2000 --no-report 2>/dev/null & "
                       "echo $! >%s/pid; " UNTIL("grep -q 2000 %s/r/config.json"),
                       apps_folder(), folder, folder, folder),
                 0);
    static const char *const options[] = {"--resume --no-report", "--overwrite --no-report"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(train(folder, "r", options[i]), 1, "%s", options[i]);
        cr_expect(says(folder, "r", "another train works in"));
    }
    cr_assert_eq(shell("kill -9 $(cat %s/pid); " UNTIL("! kill -0 $(cat %s/pid) 2>/dev/null"),
                       folder, folder),
                 0);
    cr_expect_eq(train(folder, "r", "--overwrite --epochs 1 --no-report"), 0);
    shell("rm -rf %s", folder);
}
