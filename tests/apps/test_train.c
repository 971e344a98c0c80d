/* apps/train as a user meets it: a small run, the same bytes for any thread count, kill -9 and
 * Ctrl-C at any moment, bad files, contradictions, a full disk. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "tensor/rng.h"
#include "tests/apps/train_runs.h"

Test(train, same_bytes_for_any_thread_count, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    int one = train(folder, "one", "--threads 1 --workers 3"),
        three = train(folder, "three", "--threads 3");
    cat_if(one != 0, folder, "one");
    cr_assert(one == 0 && three == 0);
    char a[600], b[600];
    snprintf(a, sizeof a, "%s/one", folder), snprintf(b, sizeof b, "%s/three", folder);
    static const char *const files[] = {"best.safetensors", "last.safetensors", "metrics.csv",
                                        "split.csv"};
    for (int i = 0; i < 4; i++) cr_expect(same_file(a, b, files[i]), "%s differs", files[i]);
    char *report = slurp(a, "report.html", NULL), *csv = slurp(a, "metrics.csv", NULL);
    cr_assert(report && strstr(report, "Training report") && strstr(report, "esearch use"));
    cr_assert(csv && strncmp(csv, "epoch,train_loss,val_loss", 25) == 0);
    free(report), free(csv);
    shell("rm -rf %s", folder);
}

/* Frozen stages and validation in bfloat16: still the same bytes for any thread count, another run
 * than in f32, and tf32 refused where there is no GPU. */
Test(train, frozen_stages_in_bfloat16, .timeout = 120) {
    char *folder = phantom(scratch_folder());
    char from[700];
    snprintf(from, sizeof from, "--pretrained %s/base/best.safetensors --unfreeze 2 --epochs 1",
             folder);
    char options[3][800];
    snprintf(options[0], sizeof options[0], "%s --threads 1 --precision bf16", from);
    snprintf(options[1], sizeof options[1], "%s --threads 3 --precision bf16", from);
    snprintf(options[2], sizeof options[2], "%s --threads 1", from);
    cr_assert_eq(train(folder, "base", "--epochs 1 --threads 2"), 0);
    for (int i = 0; i < 3; i++) {
        const char *run[] = {"half", "half3", "full"};
        int failed = train(folder, run[i], options[i]);
        cat_if(failed, folder, run[i]);
        cr_assert_eq(failed, 0);
    }
    char a[600], b[600], c[600];
    snprintf(a, sizeof a, "%s/half", folder), snprintf(b, sizeof b, "%s/half3", folder);
    snprintf(c, sizeof c, "%s/full", folder);
    cr_expect(same_file(a, b, "best.safetensors") && same_file(a, b, "metrics.csv"));
    cr_expect(!same_file(a, c, "metrics.csv"), "bf16 changed nothing");
    cr_expect_eq(train(folder, "none", "--precision tf32"), 1);
    char *said = slurp(folder, "none.out", NULL);
    cr_expect(said && strstr(said, "tf32 is for --device cuda"), "said %s", said);
    free(said);
    shell("rm -rf %s", folder);
}

/* Starts a run, kills it with `number` after a random time; true when it had ended by itself. */
static bool run_and_kill(const char *folder, const char *options, int number,
                         unsigned milliseconds) {
    pid_t child = fork();
    if (child == 0) {
        char command[4096];
        snprintf(command, sizeof command,
                 "exec %s/train --data %s/phantom --out %s/killed " SMALL
                 " %s >>%s/killed.out 2>&1",
                 apps_folder(), folder, folder, options, folder);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    for (unsigned waited = 0; waited < milliseconds; waited += 5) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    kill(child, number);
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void killed_run_equals_whole_run(int number, int kills, uint64_t seed) {
    char *folder = phantom(scratch_folder());
    int whole = train(folder, "whole", "--checkpoint-steps 1");
    cat_if(whole != 0, folder, "whole");
    cr_assert_eq(whole, 0);
    mg_rng_key key = {.seed = seed, .purpose = MG_RNG_TEST};
    for (int i = 0; i < kills; i++) {
        char last[700];
        snprintf(last, sizeof last, "%s/killed/last.safetensors", folder);
        const char *options = access(last, F_OK) == 0 ? "--resume --checkpoint-steps 1"
                                                      : "--overwrite --checkpoint-steps 1";
        run_and_kill(folder, options, number, 20 + mg_rng_below(&key, (uint32_t)i, 900));
    }
    int rest = train(folder, "killed", "--resume --checkpoint-steps 1");
    cat_if(rest != 0, folder, "killed");
    cr_assert_eq(rest, 0);
    char a[600], b[600];
    snprintf(a, sizeof a, "%s/whole", folder), snprintf(b, sizeof b, "%s/killed", folder);
    static const char *const files[] = {"best.safetensors", "last.safetensors", "metrics.csv"};
    for (int i = 0; i < 3; i++) cr_expect(same_file(a, b, files[i]), "%s differs", files[i]);
    cr_expect_eq(shell("test -z \"$(find %s/killed -name '*.tmp')\"", folder), 0,
                 "a temporary file is left");
    shell("rm -rf %s", folder);
}

Test(train, killed_and_resumed, .timeout = 180) {
    const char *kills = getenv("MG_KILLS"); /* more in make test-long */
    killed_run_equals_whole_run(SIGKILL, kills ? atoi(kills) : 5, 1);
}
Test(train, interrupted_and_resumed, .timeout = 180) { killed_run_equals_whole_run(SIGINT, 3, 2); }

/* Exit code and message of a start on data that are there. */
static void refused(const char *folder, const char *options, int code, const char *message) {
    cr_expect_eq(train(folder, "r", options), code, "%s", options);
    char *said = slurp(folder, "r.out", NULL);
    cr_expect(said && strstr(said, message), "%s: %s", options, said);
    free(said);
    cr_expect_neq(shell("test -e %s/r", folder), 0, "%s: the folder was made", options);
}

Test(train, wrong_usage_says_what_to_do, .timeout = 60) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(shell("%s/train 2>%s/e", apps_folder(), folder), 2);
    cr_assert_eq(shell("grep -q -- '--data and --out' %s/e", folder), 0);
    cr_assert_eq(shell("%s/train --help | grep -q 'Usage: train'", apps_folder()), 0);
    refused(folder, "--data /nowhere", 1, "/nowhere");
    refused(folder, "--arch b9", 1, "--arch b9: known are b0 ... b7 and pico");
    refused(folder, "--pretrained /no.pth", 1, "/no.pth");
    refused(folder, "--memory 0.000001", 1, "a smaller --batch");
    refused(folder, "--split /no.csv", 1, "/no.csv");
    refused(folder, "--resume", 1, "without --resume");
    refused(folder, "--resume --overwrite", 2, "do not go together");
    static const char *const draws[] = {"1e3", "12xyz", "4294967297", "0", "-3", "x", "''"};
    for (size_t i = 0; i < sizeof draws / sizeof *draws; i++) {
        char option[64];
        snprintf(option, sizeof option, "--epoch-draws %s", draws[i]);
        refused(folder, option, 2, "is neither a whole number from 1 to");
    }
    shell("rm -rf %s", folder);
}

Test(train, resume_refuses_other_options, .timeout = 60) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--no-report --epochs 1"), 0);
    cr_assert_eq(train(folder, "r", "--no-report --epochs 1"), 1,
                 "an existing run is not overwritten");
    cr_assert_eq(shell("grep -q -- --resume %s/r.out", folder), 0);
    cr_assert_eq(shell("%s/train --data %s/phantom --out %s/r --resume --lr 0.5 2>%s/e",
                       apps_folder(), folder, folder, folder),
                 2);
    cr_assert_eq(shell("grep -q -- '--lr differs' %s/e", folder), 0);
    shell("rm -rf %s", folder);
}

Test(train, unreadable_images_are_named_and_skipped, .timeout = 60) {
    char *folder = phantom(scratch_folder());
    shell("f=$(ls %s/phantom/train_images/*/*.dcm | head -1); head -c 300 $f > $f.x; mv $f.x $f",
          folder);
    shell("f=$(ls %s/phantom/train_images/*/*.dcm | sed -n 5p); rm $f", folder);
    cr_assert_eq(train(folder, "r", "--epochs 1 --epoch-draws all"), 0);
    cr_assert_eq(shell("test $(grep -c '^skipped' %s/r.out) -ge 1", folder), 0);
    cr_assert_eq(train(folder, "s", "--epochs 1 --epoch-draws all --strict"), 1);
    shell("rm -rf %s", folder);
}

/* A file-size limit is as good as a full disk: the write fails, the last good checkpoint stays. */
Test(train, full_disk_keeps_the_last_checkpoint, .timeout = 60) {
    char *folder = phantom(scratch_folder());
    cr_assert_eq(train(folder, "r", "--no-report --epochs 1"), 0);
    shell("cp %s/r/last.safetensors %s/before", folder, folder);
    int code =
        shell("(ulimit -f 1000; trap '' XFSZ; %s/train --data %s/phantom --out %s/r --resume "
              "--no-report --epochs 3) >%s/e 2>&1",
              apps_folder(), folder, folder, folder);
    cr_assert_eq(code, 1);
    cr_assert_eq(shell("cmp -s %s/before %s/r/last.safetensors", folder, folder), 0);
    cr_assert_eq(shell("grep -q 'File too large\\|No space\\|too large' %s/e", folder), 0);
    shell("rm -rf %s", folder);
}

/* A run on the emulated device; its exit code, -1 where the emulator is not built. */
static int train_on_simt(const char *folder, const char *out, const char *arguments) {
    int code =
        shell("SIMT_GUARD=0 %s/train --data %s/phantom --out %s/%s --device simt --arch pico "
              "--height 64 --width 48 --epoch-draws 4 --batch 2 --accumulate 2 "
              "--validation 0.3 --ema 0.9 --no-report %s 2>%s/%s.err",
              apps_folder(), folder, folder, out, arguments, folder, out);
    char name[64];
    snprintf(name, sizeof name, "%s.err", out);
    char *why = slurp(folder, name, NULL);
    if (code && why && strstr(why, "not built")) code = -1;
    if (code > 0) fprintf(stderr, "%s", why ? why : "");
    free(why);
    return code;
}

/* A device's loss is read a step late: a loss that is no number still ends the run, names its step
 * and leaves no checkpoint of what it did to the weights. */
#define WILD "--epochs 1 --epoch-draws 24 --optimizer adamw --lr 1000 --weight-decay 10"
Test(train, no_number_on_a_device, .timeout = 100) {
    char *folder = scratch_folder();
    cr_assert_eq(shell("%s/phantom %s/phantom --patients 6 --size 104x128 --seed 4 --quiet 2>&1",
                       apps_folder(), folder),
                 0);
    static const char *const options[] = {WILD, WILD " --clip 1"};
    for (int k = 0; k < 2; k++) {
        int code = train_on_simt(folder, k ? "b" : "a", options[k]);
        if (code < 0) cr_skip_test("the emulator is not built");
        cr_expect_eq(code, 1, "%d", code);
        char *why = slurp(folder, k ? "b.err" : "a.err", NULL);
        cr_expect(why &&
                      strstr(why, k ? "the gradient is not finite" : "no longer a number at step "),
                  "%s", why);
        free(why);
        char *last = slurp(folder, k ? "b/last.safetensors" : "a/last.safetensors", NULL);
        cr_expect_null(last);
        free(last);
    }
    shell("rm -rf %s", folder);
}

/* Preprocessing and augmentation on the device and on the CPU: the same losses and the same weights, bit by bit. A
 * gamma too small to change anything is what keeps augmentation on the CPU. And a run that is
 * resumed on the device, moving average included, ends like one that was not stopped. */
Test(train, augmentation_on_a_device, .timeout = 300) {
    char *folder = scratch_folder();
    cr_assert_eq(shell("%s/phantom %s/phantom --patients 6 --size 104x128 --seed 4 --quiet 2>&1",
                       apps_folder(), folder),
                 0);
    int code = train_on_simt(folder, "device", "--epochs 2 --preprocess device");
    if (code < 0) cr_skip_test("the emulator is not built");
    cr_assert_eq(code, 0);
    cr_assert_eq(train_on_simt(folder, "host", "--epochs 2 --gamma 1e-30"), 0);
    cr_assert_eq(train_on_simt(folder, "resumed", "--epochs 1"), 0);
    cr_assert_eq(train_on_simt(folder, "resumed", "--epochs 2 --resume"), 0);
    char device[600], other[600];
    snprintf(device, sizeof device, "%s/device", folder);
    for (int k = 0; k < 2; k++) {
        snprintf(other, sizeof other, "%s/%s", folder, k ? "resumed" : "host");
        cr_expect(same_file(device, other, "metrics.csv"), "%s", other);
        cr_expect(same_file(device, other, "best.safetensors"), "%s", other);
    }
    shell("rm -rf %s", folder);
}
