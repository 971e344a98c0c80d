/* apps/predict as a user meets it: tables, bad files, contracts, ensembles, overlays, traces. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>

#include "apps/lib/interrupt.h"
#include "apps/lib/predictor.h"
#include "data/png.h"
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

static bool same_text(const char *folder, const char *a, const char *b) {
    return shell("cmp -s %s/%s %s/%s", folder, a, folder, b) == 0;
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
    /* Phantoms are told by what the files say, not by what folders are called. */
    snprintf(arguments, sizeof arguments, "$(cd %s; mv phantom women; echo %s/women)", folder,
             folder);
    cr_assert_eq(predict(folder, "renamed", arguments), 0);
    report = slurp(folder, "renamed/report.html", NULL);
    cr_expect(report && strstr(report, "synthetic phantoms"));
    free(report);
    shell("rm -rf %s", folder);
}

/* Many files, twenty of them bad in every way we know: cut at several places, zeros, empty, text,
 * noise, a broken PNG, constant pixels, no pixel data (a structured report), unknown syntax. */
Test(predict, bad_files_are_named_and_skipped, .timeout = 300) {
    char *folder = trained(), arguments[600];
    const char *files = getenv("MG_FILES");
    int total = files ? atoi(files) : 40, bad = 20;
    mg_png flat = {.width = 40, .height = 50, .channels = 1, .bits = 8, .pixels = calloc(40, 50)};
    snprintf(arguments, sizeof arguments, "%s/flat.png", folder);
    cr_assert_eq(mg_png_write(arguments, &flat, NULL), MG_OK);
    free(flat.pixels);
    snprintf(arguments, sizeof arguments,
             "--no-report --dicom-out %s/sr $(ls %s/phantom/train_images/*/*.dcm | head -1)",
             folder, folder);
    cr_assert_eq(predict(folder, "q", arguments), 0);
    cr_assert_eq(
        shell("cd %s && mkdir in && i=0; while [ $i -lt %d ]; do "
              "for f in phantom/train_images/*/*.dcm; do [ $i -lt %d ] || break; i=$((i+1)); "
              "cp $f in/good$i.dcm; done; done; f=in/good1.dcm; "
              "for n in 1 100 131 132 200 400 700 1000 1500 5000 20000; do "
              "head -c $n $f > in/bad_cut$n.dcm; done; "
              "head -c 5000 /dev/zero > in/bad_zeros.dcm; : > in/bad_empty.dcm; "
              "echo hello > in/bad_text.dcm; head -c 100 flat.png > in/bad_png.png; "
              "head -c 3000 /dev/urandom > in/bad_noise.dcm; cp flat.png in/bad_flat.png; "
              "cp flat.png in/bad_flat2.dcm; cp sr/*_report.dcm in/bad_report.dcm; "
              "for g in phantom/train_images/*/*.dcm; do grep -qaF 1.2.840.10008.1.2.4.70 $g && "
              "sed 's/1\\.2\\.840\\.10008\\.1\\.2\\.4\\.70/1.2.840.10008.1.9.4.79/' $g > "
              "in/bad_syntax.dcm && break; done; "
              "mkfifo in/not_a_file; test $(ls in/bad_* | wc -l) -eq %d",
              folder, total - bad, total - bad, bad),
        0);
    snprintf(arguments, sizeof arguments, "--no-report %s/in", folder);
    int code = predict(folder, "p", arguments);
    if (code) shell("tail -40 %s/p.out >&2", folder);
    cr_assert_eq(code, 0);
    cr_expect_eq(lines(folder, "p/predictions.csv") - 1, total);
    cr_expect_eq(shell("test $(grep -c '^skipped' %s/p.out) -eq %d", folder, bad), 0);
    cr_expect_eq(shell("test $(grep -c ',failed,' %s/p/predictions.csv) -eq %d", folder, bad), 0);
    cr_expect_eq(shell("grep '^skipped \\([^ ]*\\): \\1: ' %s/p.out >&2", folder), 1,
                 "paths twice");
    cr_expect_eq(shell("grep -q ' %d could not be used' %s/p.out", bad, folder), 0);
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
    static const char *const idle[] = {"--data /nonexistent", "--images /nope",
                                       "--overlay-side 100", "--full-content"};
    for (int k = 0; k < 4; k++) {
        snprintf(arguments, sizeof arguments, "%s %s/phantom/train_images", idle[k], folder);
        cr_expect_eq(predict(folder, "p", arguments), 2, "%s", idle[k]);
    }
    shell("rm -rf %s", folder);
}

/* What apps/preprocess --full-content prepared is found again by predict --full-content only. */
Test(predict, a_cache_by_content, .timeout = 120) {
    char *folder = trained(), arguments[900];
    cr_assert_eq(shell("%s/preprocess --data %s/phantom --cache %s/c --height 64 --width 48 "
                       "--full-content 2>%s/e",
                       apps_folder(), folder, folder, folder),
                 0);
    static const struct {
        const char *option;
        bool grows;
    } runs[] = {{"--full-content", false}, {"", true}};
    for (int k = 0; k < 2; k++) {
        shell("find %s/c -type f | wc -l > %s/before", folder, folder);
        snprintf(arguments, sizeof arguments, "--csv %s/phantom/train.csv --cache %s/c %s", folder,
                 folder, runs[k].option);
        cr_assert_eq(predict(folder, "p", arguments), 0);
        shell("find %s/c -type f | wc -l > %s/after", folder, folder);
        cr_expect_eq(same_text(folder, "before", "after"), !runs[k].grows);
    }
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

/* Named twice, linked, copied: an image counts once. What predict wrote itself is no input, and
 * other colour pictures are refused. */
Test(predict, an_image_counts_once, .timeout = 120) {
    char *folder = trained(), arguments[900];
    cr_assert_eq(shell("cd %s && mkdir in && cp $(ls phantom/train_images/*/*.dcm | head -2) in && "
                       "cp $(ls in/*.dcm | head -1) in/zcopy.dcm && ln -s zcopy.dcm in/zlink.dcm",
                       folder),
                 0);
    snprintf(arguments, sizeof arguments, "--no-report --cam %s/in $(ls %s/in/*.dcm | head -1)",
             folder, folder);
    cr_assert_eq(predict(folder, "in/p", arguments), 0);
    cr_expect_eq(lines(folder, "in/p/predictions.csv"), 1 + 3 + 1, "in/p.out is a bad file");
    cr_expect_eq(shell("grep -q '^2 files were named more than once' %s/in/p.out", folder), 0);
    cr_expect_eq(shell("grep -c '/zcopy.dcm,.*,,,,repeat,the same image' %s/in/p/predictions.csv "
                       ">/dev/null",
                       folder),
                 0);
    cr_expect_eq(shell("test $(grep -c ',ok,' %s/in/p/predictions.csv) -eq 2", folder), 0);
    cr_assert_eq(shell("cp $(ls %s/in/p/cam/*.png | head -1) %s/in/photo.png", folder, folder), 0);
    snprintf(arguments, sizeof arguments, "--no-report --cam %s/in", folder);
    cr_assert_eq(predict(folder, "in/p", arguments), 0);
    cr_expect_eq(lines(folder, "in/p/predictions.csv"), 1 + 3 + 1 + 1);
    cr_expect_eq(shell("grep -q '^skipped [^:]*/photo.png: a colour image (PNG), not a mammogram$' "
                       "%s/in/p.out",
                       folder),
                 0);
    shell("rm -rf %s", folder);
}

/* Ctrl-C keeps what was scored. The flag is looked at between batches of eight. */
Test(predict, interrupted, .timeout = 120) {
    char *folder = trained(), model[600], out[600], input[600];
    char *files[] = {input};
    snprintf(model, sizeof model, "%s/run/best.safetensors", folder);
    snprintf(out, sizeof out, "%s/p", folder);
    snprintf(input, sizeof input, "%s/phantom/train_images", folder);
    mg_predict.model = (mg_cli_list){{model}, 1};
    mg_predict.out = out;
    static mg_predictor p;
    mg_error err = {0};
    mg_interrupt_install();
    cr_assert_eq(mg_predictor_open(&p, files, 1, &err), MG_OK, "%s", err.message);
    raise(SIGINT);
    cr_assert_eq(mg_predictor_score(&p, &err), MG_ERR_INTERRUPTED);
    cr_expect(p.interrupted && p.scored == 8);
    mg_error_clear(&err);
    cr_assert_eq(mg_predict_write_predictions(&p, &err), MG_OK, "%s", err.message);
    int images = p.manifest.image_count;
    cr_assert(images > 8);
    cr_expect_eq(lines(folder, "p/predictions.csv"), images + 1);
    cr_expect_eq(shell("test $(grep -c ',ok,' %s/p/predictions.csv) -eq 8", folder), 0);
    cr_expect_eq(shell("test $(grep -c ',,,,not done,interrupted' %s/p/predictions.csv) -eq %d",
                       folder, images - 8),
                 0);
    mg_predictor_close(&p);
    shell("rm -rf %s", folder);
}

/* Field `column` (from 0) of the first row whose line starts with `start`; "" without one. The
 * fields looked at here are not quoted. */
static const char *field(const char *folder, const char *name, const char *start, int column) {
    static char out[300];
    char *text = slurp(folder, name, NULL);
    *out = 0;
    for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n")) {
        if (strncmp(line, start, strlen(start)) != 0) continue;
        const char *at = line;
        for (int i = 0; i < column && at; i++) at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
        if (at) snprintf(out, sizeof out, "%.*s", (int)strcspn(at, ",\r\n"), at);
        break;
    }
    free(text);
    return out;
}

/* Two different models: the mean of their logits, however --model is written, and both are named. */
Test(predict, an_ensemble_is_the_mean_logit, .timeout = 120) {
    char *folder = trained(), start[600];
    cr_assert_eq(
        shell("%s/train --data %s/phantom --out %s/run2 --arch pico --height 64 --width 48 "
              "--epochs 1 --epoch-draws 8 --validation 0.3 --seed 2 --no-report 2>/dev/null",
              apps_folder(), folder, folder),
        0);
    cr_assert_eq(shell("cd %s && cp $(ls phantom/train_images/*/*.dcm | head -1) one.dcm", folder),
                 0);
    static const char *const models[] = {
        "-m %s/run/best.safetensors", "-m%s/run2/best.safetensors",
        "-m%s/run/best.safetensors --mod %s/run2/best.safetensors"};
    double logit[3];
    for (int k = 0; k < 3; k++) {
        char which[900];
        snprintf(which, sizeof which, models[k], folder, folder);
        cr_assert_eq(shell("%s/predict %s --out %s/%d %s %s/one.dcm 2>%s/e", apps_folder(), which,
                           folder, k, k < 2 ? "--no-report" : "", folder, folder),
                     0);
        snprintf(start, sizeof start, "%d/predictions.csv", k);
        char file[600];
        snprintf(file, sizeof file, "%s/one.dcm", folder);
        logit[k] = atof(field(folder, start, file, 6));
    }
    cr_expect(logit[0] != logit[1]);
    cr_expect_float_eq(logit[2], (logit[0] + logit[1]) / 2, 1e-6, "%g, %g: %g", logit[0], logit[1],
                       logit[2]);
    char *report = slurp(folder, "2/report.html", NULL);
    cr_expect(report && strstr(report, "/run/best.safetensors, ") &&
              strstr(report, "/run2/best.safetensors)") && strstr(report, "2 models"));
    free(report);
    shell("rm -rf %s", folder);
}

/* What the report calls a threshold is where it comes from, and what it shows is at that one. */
Test(predict, thresholds_are_named_by_origin, .timeout = 120) {
    char *folder = trained(), arguments[900];
    static const char *const options[] = {"", "--threshold 0", "--threshold 0.937"};
    static const char *const names[] = {"the model&#39;s threshold", "the given threshold",
                                        "the given threshold"};
    static const char *const words[] = {"At a threshold of 0.5 it finds", "At a threshold of 0 it",
                                        "At a threshold of 0.937 it finds"};
    for (int k = 0; k < 3; k++) {
        snprintf(arguments, sizeof arguments, "--csv %s/phantom/train.csv %s", folder, options[k]);
        cr_assert_eq(predict(folder, "p", arguments), 0);
        char *report = slurp(folder, "p/report.html", NULL);
        char name[80];
        snprintf(name, sizeof name, "<th>At %s</th>", names[k]);
        cr_expect(strstr(report, name) || strstr(report, "<th>At the model's threshold</th>"));
        cr_expect(strstr(report, words[k]), "%s", words[k]);
        cr_expect(!strstr(report, "F1-best"));
        if (k == 2) cr_expect(strstr(report, "in images, at threshold 0.937"), "subgroups");
        free(report);
    }
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

/* The bytes of a tensor in a .safetensors file, whose header is JSON; NULL when it is not there. */
static const char *stage_of(const char *file, const char *name, size_t *bytes) {
    char key[64];
    uint64_t header;
    unsigned long from, to;
    memcpy(&header, file, sizeof header);
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(file + 8, key);
    at = at ? strstr(at, "\"data_offsets\":[") : NULL;
    if (!at || sscanf(at, "\"data_offsets\":[%lu,%lu]", &from, &to) != 2) return NULL;
    *bytes = to - from;
    return file + 8 + header + from;
}

/* The network on the emulated device is given the bits that it is given on the CPU. */
Test(predict, input_on_a_device, .timeout = 200) {
    char *folder = trained(), arguments[900];
    for (int k = 0; k < 2; k++) {
        const char *device = k ? "simt" : "cpu";
        snprintf(arguments, sizeof arguments,
                 "--device %s --trace %s/%s $(ls %s/phantom/train_images/*/*.dcm | head -3)",
                 device, folder, device, folder);
        if (predict(folder, k ? "b" : "a", arguments) == 0) continue;
        char *why = slurp(folder, k ? "b.out" : "a.out", NULL);
        bool built = !(why && strstr(why, "not built"));
        cr_assert_not(built, "%s: %s", device, why ? why : "");
        free(why);
        cr_skip_test("the emulator is not built");
    }
    cr_assert_eq(shell("ls %s/cpu > %s/list", folder, folder), 0);
    cr_assert_eq(lines(folder, "list"), 3);
    char *list = slurp(folder, "list", NULL);
    for (char *name = strtok(list, "\n"); name; name = strtok(NULL, "\n")) {
        char path[2][600];
        snprintf(path[0], sizeof path[0], "cpu/%s", name);
        snprintf(path[1], sizeof path[1], "simt/%s", name);
        char *a = slurp(folder, path[0], NULL), *b = slurp(folder, path[1], NULL);
        cr_assert(a && b);
        size_t n = 0, m = 0;
        const char *p = stage_of(a, "input", &n), *q = stage_of(b, "input", &m);
        cr_assert(p && q && n == m && n == 64 * 48 * sizeof(float), "%s: %zu, %zu", name, n, m);
        cr_expect(memcmp(p, q, n) == 0, "%s", name);
        free(a);
        free(b);
    }
    free(list);
    shell("rm -rf %s", folder);
}

/* Images prepared on the emulated device: the predictions of images prepared on the CPU, byte by
 * byte, the same words about bad files, and a count of what the device left to the CPU. */
Test(predict, prepared_on_a_device, .timeout = 300) {
    char *folder = trained(), arguments[900];
    cr_assert_eq(shell("cd %s && mkdir in && cp $(ls phantom/train_images/*/*.dcm | head -3) in && "
                       "head -c 9000 $(ls in/*.dcm | head -1) > in/cut.dcm && : > in/empty.dcm && "
                       "cd - >/dev/null && %s/dicom png $(ls %s/in/1*.dcm | "
                       "tail -1) %s/in/grey.png >/dev/null",
                       folder, apps_folder(), folder, folder),
                 0);
    static const char *const where[] = {"host", "device", "auto"};
    for (int k = 0; k < 3; k++) {
        snprintf(arguments, sizeof arguments,
                 "--no-report --device simt --preprocess %s --flips horizontal %s/in", where[k],
                 folder);
        int code = predict(folder, where[k], arguments);
        char name[64];
        snprintf(name, sizeof name, "%s.out", where[k]);
        char *said = slurp(folder, name, NULL);
        if (code && said && strstr(said, "not built")) cr_skip_test("the emulator is not built");
        cr_assert_eq(code, 0, "%s", said);
        const char *told = strstr(said, "prepared on the device");
        cr_expect(k == 1 ? told != NULL : told == NULL, "%s", said);
        if (k == 1)
            cr_expect(strstr(said, "6 images prepared on the device; on the CPU 2 that it cannot"),
                      "%s", said);
        free(said);
    }
    cr_expect_eq(shell("cd %s && grep ^skipped host.out > a; grep ^skipped device.out > b; "
                       "test $(wc -l < a) -eq 2 && cmp a b && "
                       "cmp host/predictions.csv device/predictions.csv && "
                       "cmp host/predictions.csv auto/predictions.csv",
                       folder),
                 0);
    snprintf(arguments, sizeof arguments, "--preprocess device %s/in", folder);
    cr_expect_eq(predict(folder, "cpu", arguments), 1);
    cr_expect_eq(
        shell("grep -q 'preprocess device needs --device cuda or simt' %s/cpu.out", folder), 0);
    shell("rm -rf %s", folder);
}
