/* apps/predict as a user meets it: tables, bad files, contracts, ensembles, overlays, traces. */
#include <criterion/criterion.h>
#include <math.h>

#include "tests/apps/programs.h"

/* A phantom set and a model that has seen one short epoch of it, made once per test process. */
static char *trained(void) {
    char *folder = scratch_folder();
    cr_assert_eq(shell("%s/phantom %s/phantom --patients 6 --size 208x256 --seed 4 --quiet 2>&1",
                       apps_folder(), folder),
                 0);
    cr_assert_eq(shell("%s/train --data %s/phantom --out %s/run --arch pico --height 64 --width 48 "
                       "--epochs 1 --epoch-draws 8 --validation 0.3 --no-report 2>%s/train.out",
                       apps_folder(), folder, folder, folder),
                 0);
    return folder;
}

static int predict(const char *folder, const char *out, const char *arguments) {
    return shell("%s/predict --model %s/run/best.safetensors --out %s/%s --bootstrap 20 %s "
                 ">%s/%s.out 2>&1",
                 apps_folder(), folder, folder, out, arguments, folder, out);
}

static int lines(const char *folder, const char *name) {
    char *text = slurp(folder, name, NULL);
    int n = 0;
    for (const char *c = text ? text : ""; *c; c++) n += *c == '\n';
    free(text);
    return n;
}

Test(predict, tables_and_report, .timeout = 120) {
    char *folder = trained(), arguments[600];
    snprintf(arguments, sizeof arguments, "--csv %s/phantom/train.csv", folder);
    cr_assert_eq(predict(folder, "p", arguments), 0);
    int images = lines(folder, "phantom/train.csv") - 1;
    cr_expect_eq(lines(folder, "p/predictions.csv"), images + 1);
    cr_expect_eq(lines(folder, "p/patients.csv"), 6 + 1);
    cr_expect_eq(lines(folder, "p/submission.csv"), 12 + 1);
    char *head = slurp(folder, "p/predictions.csv", NULL);
    const char *want = "file,patient_id,image_id,laterality,view,prediction_id,logit,"
                       "probability,calibrated,status,error\n";
    cr_expect(strncmp(head, want, strlen(want)) == 0, "%.100s", head);
    free(head);
    char *report = slurp(folder, "p/report.html", NULL);
    cr_expect(report && strstr(report, "Prediction report") && !strstr(report, "http://"));
    free(report);
    shell("rm -rf %s", folder);
}

/* Thirty files, ten of them bad in every way we know. */
Test(predict, bad_files_are_named_and_skipped, .timeout = 120) {
    char *folder = trained();
    cr_assert_eq(
        shell("cd %s && mkdir in && i=0; for f in $(ls phantom/train_images/*/*.dcm | head -20); "
              "do i=$((i+1)); cp $f in/good$i.dcm; done; f=in/good1.dcm; "
              "for n in 100 1000 5000 20000; do head -c $n $f > in/bad_cut$n.dcm; done; "
              "head -c 5000 /dev/zero > in/bad_zeros.dcm; : > in/bad_empty.dcm; "
              "echo hello > in/bad_text.dcm; head -c 100 $f > in/bad_png.png; "
              "head -c 3000 /dev/urandom > in/bad_noise.dcm; mkfifo in/not_a_file; true",
              folder),
        0);
    char arguments[600];
    snprintf(arguments, sizeof arguments, "--no-report %s/in", folder);
    cr_assert_eq(predict(folder, "p", arguments), 0);
    int good = (int)(lines(folder, "p/predictions.csv") - 1);
    cr_expect_eq(shell("test $(grep -c '^skipped' %s/p.out) -eq 9", folder), 0);
    cr_expect_eq(shell("test $(grep -c ',failed,' %s/p/predictions.csv) -eq 9", folder), 0);
    cr_expect_geq(good, 29 - 2);
    cr_expect_eq(shell("grep -q '9 could not be used' %s/p.out", folder), 0);
    snprintf(arguments, sizeof arguments, "--strict --no-report %s/in", folder);
    cr_expect_eq(predict(folder, "s", arguments), 1);
    shell("rm -rf %s", folder);
}

Test(predict, the_models_contract_is_kept, .timeout = 120) {
    char *folder = trained(), arguments[700];
    snprintf(arguments, sizeof arguments, "--window none %s/phantom/train_images", folder);
    cr_expect_eq(predict(folder, "p", arguments), 1);
    cr_expect_eq(shell("grep -q 'was trained with --window seed' %s/p.out", folder), 0);
    cr_expect_eq(shell("%s/predict --model %s/phantom/train.csv %s/phantom 2>%s/e", apps_folder(),
                       folder, folder, folder),
                 1);
    cr_expect_eq(shell("%s/predict 2>%s/e", apps_folder(), folder), 2);
    shell("rm -rf %s", folder);
}

/* A model twice is the model once; mirrored copies change the answer; threads do not. */
Test(predict, ensembles_and_mirrors, .timeout = 120) {
    char *folder = trained(), arguments[900], a[600], b[600];
    snprintf(arguments, sizeof arguments,
             "--no-report --threads 1 --workers 2 %s/phantom/train_images", folder);
    cr_assert_eq(predict(folder, "one", arguments), 0);
    snprintf(arguments, sizeof arguments,
             "--no-report --threads 3 --model %s/run/best.safetensors %s/phantom/train_images",
             folder, folder);
    cr_assert_eq(predict(folder, "two", arguments), 0);
    snprintf(arguments, sizeof arguments, "--no-report --flips all %s/phantom/train_images",
             folder);
    cr_assert_eq(predict(folder, "flips", arguments), 0);
    snprintf(a, sizeof a, "%s/one", folder), snprintf(b, sizeof b, "%s/two", folder);
    cr_expect(same_file(a, b, "predictions.csv"));
    snprintf(b, sizeof b, "%s/flips", folder);
    cr_expect(!same_file(a, b, "predictions.csv"));
    shell("rm -rf %s", folder);
}

Test(predict, overlays_traces_and_dicom_objects, .timeout = 120) {
    char *folder = trained(), arguments[900];
    snprintf(
        arguments, sizeof arguments,
        "--cam --trace %s/trace --dicom-out %s/dicom $(ls -d %s/phantom/train_images/* | head -1)",
        folder, folder, folder);
    cr_assert_eq(predict(folder, "p", arguments), 0);
    int images = lines(folder, "p/predictions.csv") - 1;
    cr_expect_eq(shell("test $(ls %s/p/cam/*.png | wc -l) -eq %d", folder, images), 0);
    cr_expect_eq(shell("test $(ls %s/trace/*.safetensors | wc -l) -eq %d", folder, images), 0);
    cr_expect_eq(shell("test $(ls %s/dicom/*_overlay.dcm %s/dicom/*_report.dcm | wc -l) -eq %d",
                       folder, folder, 2 * images),
                 0);
    cr_expect_eq(shell("%s/dicom check %s/dicom/*_overlay.dcm >/dev/null", apps_folder(), folder),
                 0);
    shell("rm -rf %s", folder);
}
