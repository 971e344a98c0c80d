/* apps/preprocess as a user meets it: exit codes, messages, resuming after kill -9. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/files.h"
#include "data/png.h"
#include "tests/lib/mammogram_file.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(preprocess_app, .init = setup, .fini = scratch_remove, .timeout = 120);

/* Runs it with these arguments ("@" stands for the scratch folder); output goes to @/out, @/err. */
static int run(const char *arguments) {
    const char *apps = getenv("MG_APPS");
    char command[4096], *to = command;
    to += sprintf(to, "%s/preprocess ", apps ? apps : "build/bin");
    for (const char *c = arguments; *c; c++) {
        if (*c == '@') to += sprintf(to, "%s", scratch_path("."));
        else *to++ = *c;
    }
    sprintf(to, " >%s 2>%s", scratch_path("out"), scratch_path("err"));
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool says(const char *file, const char *text) {
    uint8_t *data;
    size_t size;
    if (mg_file_read(scratch_path("%s", file), 0, &data, &size, NULL)) return false;
    bool found = strstr((char *)data, text) != NULL;
    if (!found) fprintf(stderr, "%s: %s", file, (char *)data);
    free(data);
    return found;
}

static void make_data(int images) {
    FILE *csv = fopen(scratch_path("d/train.csv"), "wb");
    fputs("patient_id,image_id,laterality,cancer\n", csv);
    for (int i = 0; i < images; i++) {
        fprintf(csv, "%d,%d,L,0\n", i, i);
        const char *path = scratch_path("d/train_images/%d/%d.dcm", i, i);
        if (i == 3) fclose(fopen(path, "wb"));
        else mammogram_write(&(mammogram_file){.seed = (uint32_t)i}, path);
    }
    fclose(csv);
}

static size_t entries(void) {
    mg_path_list list = {0};
    cr_assert_eq(mg_list_files(scratch_path("c"), &list, NULL), MG_OK);
    size_t n = 0;
    for (size_t i = 0; i < list.count; i++) {
        size_t length = strlen(list.path[i]);
        n += length > 4 && strcmp(list.path[i] + length - 4, ".mgc") == 0;
    }
    mg_path_list_free(&list);
    return n;
}

Test(preprocess_app, fills_the_cache_and_goes_on) {
    make_data(6);
    cr_assert_eq(run("--data @/d --cache @/c --height 60 --width 40 --stats"), 0);
    cr_assert(says("err", "bad: ") && says("err", "/3/3.dcm") && says("err", "empty"));
    cr_assert(says("err", "6 of 6 images") && says("err", "5 prepared, 0 from the cache, 1 bad"));
    cr_assert(says("out", "rows/columns kept") && says("out", "5 images"));
    cr_assert_eq(entries(), 5);
    cr_assert_eq(run("--data @/d --cache @/c --height 60 --width 40 --jobs 3"), 0);
    cr_assert(says("err", "0 prepared, 5 from the cache, 1 bad"));
    cr_assert_eq(run("--data @/d --cache @/c --height 61 --width 40"), 0);
    cr_assert(says("err", "5 prepared, 0 from the cache, 1 bad"));
    cr_assert_eq(run("--stats --height 60 --width 40 @/d/train_images"), 0, "without a table");
    cr_assert(says("out", "5 images"));
}

/* The cache's bytes do not depend on the device, nor on what the device leaves to the CPU. */
Test(preprocess_app, on_a_device) {
    static uint16_t grey[40 * 30];
    char command[1200];
    make_data(6);
    for (int i = 0; i < 40 * 30; i++) grey[i] = (uint16_t)(i % 30 < 20 ? 30000 + 20 * i : 5);
    mg_png png = {.width = 30, .height = 40, .channels = 1, .bits = 16, .pixels = grey};
    cr_assert_eq(mg_png_write(scratch_path("d/train_images/5/5.dcm"), &png, NULL), MG_OK);
    cr_assert_eq(run("--data @/d --cache @/c --height 60 --width 40 --window dicom"), 0);
    int code = run("--data @/d --cache @/s --height 60 --width 40 --window dicom --device simt");
    if (code && says("err", "not built")) cr_skip_test("the emulator is not built");
    cr_assert_eq(code, 0);
    cr_expect(says("err", "5 prepared, 0 from the cache, 1 bad"));
    cr_expect(says("err", "4 images prepared on the device; on the CPU 1 that it cannot prepare"));
    snprintf(command, sizeof command, "diff -r %s %s", scratch_path("c"), scratch_path("s"));
    cr_expect_eq(system(command), 0);
    cr_assert_eq(run("--data @/d --cache @/s --height 60 --width 40 --window dicom --device simt"),
                 0);
    cr_expect(says("err", "0 prepared, 5 from the cache, 1 bad"));
    cr_assert_eq(run("--data @/d --cache @/s --device gpu"), 1);
    cr_expect(says("err", "there is no device gpu"));
}

/* A run that could use nothing has failed, and says so. */
Test(preprocess_app, nothing_usable_is_a_failure) {
    scratch_text("bad/one.dcm", "hello");
    scratch_text("bad/two.png", "");
    cr_expect_eq(run("--stats @/bad"), 1);
    cr_expect(says("err", "not one of 2 images could be used"));
    cr_assert_eq(mkdir(scratch_path("none"), 0777), 0);
    cr_expect_eq(run("--stats @/none"), 1);
    cr_expect(says("err", "none: no files in there"));
    scratch_text("rows/train.csv", "patient_id,image_id,laterality\n");
    cr_expect_eq(run("--stats --data @/rows"), 1);
}

Test(preprocess_app, strict_and_wrong_usage) {
    make_data(6);
    cr_assert_eq(run("--data @/d --cache @/c --strict --jobs 1"), 1);
    cr_assert(says("err", "/3/3.dcm") && says("err", "4 of 6 images"));
    cr_assert_eq(run("--data @/d"), 2);
    cr_assert_eq(run("--cache @/c"), 2);
    cr_assert_eq(run("--data @/d --cache @/c --crop all"), 2);
    cr_assert_eq(run("--data @/nothing --cache @/c"), 1);
    cr_assert(says("err", "train.csv: No such file"));
    cr_assert_eq(run("--help"), 0);
    cr_assert(says("out", "--cache"));
}

/* Killed at whatever moment, the next run ends with the same complete cache. */
Test(preprocess_app, survives_kill) {
    enum { N = 60 };
    make_data(N);
    for (int k = 0; k < 5; k++) {
        pid_t child = fork();
        if (child == 0) {
            const char *apps = getenv("MG_APPS");
            char program[1024];
            snprintf(program, sizeof program, "%s/preprocess", apps ? apps : "build/bin");
            freopen("/dev/null", "w", stderr);
            execl(program, "preprocess", "--data", scratch_path("d"), "--cache", scratch_path("c"),
                  "--height", "400", "--width", "300", (char *)NULL);
            _exit(127);
        }
        usleep(15000 * (unsigned)(k + 1));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    cr_assert_eq(run("--data @/d --cache @/c --height 400 --width 300"), 0);
    cr_assert(says("err", "1 bad"));
    cr_assert_eq(entries(), N - 1);
    cr_assert_eq(run("--data @/d --cache @/c --height 400 --width 300"), 0);
    cr_assert(says("err", "0 prepared, 59 from the cache, 1 bad"));
}
