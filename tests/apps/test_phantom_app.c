/* apps/phantom as a user meets it: the layout, the promise of equal bytes, refusals. */
#include <criterion/criterion.h>

#include "tests/apps/programs.h"

Test(phantom_app, writes_a_set_and_repeats_it_at_other_thread_counts) {
    char *folder = scratch_folder();
    const char *options = "--patients 3 --test-patients 2 --size 104x128 --seed 9";
    cr_assert_eq(shell("%s/phantom %s/a %s -j 1 >%s/out", apps_folder(), folder, options, folder),
                 0);
    cr_assert_eq(shell("%s/phantom %s/b %s -j 3 -q", apps_folder(), folder, options), 0);
    cr_assert_eq(shell("diff -r %s/a %s/b", folder, folder), 0);
    char *text = slurp(folder, "out", NULL);
    cr_assert(text && strstr(text, "images of 5 patients"), "%s", text);
    free(text);
    cr_assert_eq(shell("test -f %s/a/train.csv -a -f %s/a/test.csv -a -f %s/a/test_truth.csv "
                       "-a -d %s/a/masks -a -d %s/a/train_images -a -d %s/a/test_images",
                       folder, folder, folder, folder, folder, folder),
                 0);
    cr_assert_eq(shell("find %s/a -name '*.tmp*' -o -name '.*' -type f | grep .", folder), 1,
                 "temporary files are left");
    shell("rm -rf %s", folder);
}

Test(phantom_app, refuses_what_makes_no_sense) {
    char *folder = scratch_folder();
    const char *quiet = ">/dev/null 2>&1";
    cr_expect_eq(shell("%s/phantom --help %s", apps_folder(), quiet), 0);
    cr_expect_eq(shell("%s/phantom %s", apps_folder(), quiet), 2, "no folder");
    cr_expect_eq(shell("%s/phantom %s/x --size 12 %s", apps_folder(), folder, quiet), 2);
    cr_expect_eq(shell("%s/phantom %s/x --positive 2 %s", apps_folder(), folder, quiet), 2);
    cr_expect_eq(shell("%s/phantom %s/x --patients 0 %s", apps_folder(), folder, quiet), 1);
    const char *small = "--patients 1 --size 64x64 -q";
    cr_expect_eq(shell("%s/phantom %s/x %s", apps_folder(), folder, small), 0);
    cr_expect_eq(shell("%s/phantom %s/x %s 2>%s/err", apps_folder(), folder, small, folder), 1);
    char *text = slurp(folder, "err", NULL);
    cr_expect(text && strstr(text, "--overwrite"), "%s", text);
    free(text);
    cr_expect_eq(shell("%s/phantom %s/x %s --overwrite", apps_folder(), folder, small), 0);
    /* A smaller set over a larger one leaves nothing of it; what is not ours stays. */
    cr_expect_eq(shell("%s/phantom %s/y --patients 5 --positive 1 --size 64x64 -q && "
                       "echo mine > %s/y/masks/notes.txt",
                       apps_folder(), folder, folder),
                 0);
    cr_expect_eq(shell("%s/phantom %s/y %s --overwrite && rm %s/y/masks/notes.txt && "
                       "rmdir --ignore-fail-on-non-empty %s/x/masks %s/y/masks && "
                       "diff -r %s/x %s/y >&2",
                       apps_folder(), folder, small, folder, folder, folder, folder, folder),
                 0);
    cr_expect_eq(shell("echo hello > %s/y/train_images/real.dcm && "
                       "%s/phantom %s/y %s --overwrite 2>%s/err",
                       folder, apps_folder(), folder, small, folder),
                 1);
    text = slurp(folder, "err", NULL);
    cr_expect(text && strstr(text, "real.dcm is not a phantom"), "%s", text);
    cr_expect(text && !strstr(text, "phantom: phantom:"));
    free(text);
    cr_expect_eq(shell("test -f %s/y/train.csv -a -f %s/y/train_images/real.dcm", folder, folder),
                 0);
    shell("rm -rf %s", folder);
}
