/* apps/dicom as a user runs it: output, files and exit codes of every command. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/png.h"
#include "dicom/writer.h"

enum { ROWS = 20, COLUMNS = 30 };
static char folder[] = "/tmp/mg_dicom_app_XXXXXX";
static char output[1 << 16];
static uint16_t pixels[ROWS * COLUMNS];

/* Runs "dicom ARGUMENTS" in the folder; stdout (and stderr) land in `output`. */
static int run(const char *arguments) {
    const char *apps = getenv("MG_APPS");
    char path[1000], command[3000];
    cr_assert_not_null(realpath(apps ? apps : "build/bin", path), "build the apps first");
    snprintf(command, sizeof command, "cd %s && %s/dicom %s 2>&1", folder, path, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t n = fread(output, 1, sizeof output - 1, pipe);
    output[n] = 0;
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s: %s", arguments, output);
    return WEXITSTATUS(status);
}

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    for (int i = 0; i < ROWS * COLUMNS; i++) pixels[i] = (uint16_t)((i * 61) % 4096);
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    mg_dicom_put_text(s, 0x00080018, "1.2.3.4");
    mg_dicom_put_text(s, 0x0020000D, "1.2.3");
    mg_dicom_put_text(s, 0x0020000E, "1.2.3.1");
    mg_dicom_put_text(s, 0x00100010, "M\xC3\xBCller^\"Eva\"");
    mg_dicom_put_text(s, 0x00100020, "4711");
    mg_dicom_put_text(s, 0x00281050, "2048");
    mg_dicom_put_text(s, 0x00281051, "4096");
    mg_dicom_put_code(s, 0x00540220, "399162004", "SCT", "cranio-caudal");
    mg_dicom_image image = {.rows = ROWS,
                            .columns = COLUMNS,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = 12,
                            .word_bytes = 2,
                            .photometric = "MONOCHROME2"};
    mg_dicom_error err = {0};
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(mg_dicom_put_image(s, &image, pixels, NULL, &err), MG_DICOM_OK);
    cr_assert_eq(mg_dicom_write_memory(s, &bytes, &size, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom_dataset_destroy(s);
    write_file("good.dcm", bytes, size);
    write_file("cut.dcm", bytes, size - 100);
    write_file("text.dcm", "no image at all", 15);
    free(bytes);
}

static void end(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(dicom_app, .init = begin, .fini = end);

Test(dicom_app, usage) {
    cr_assert_eq(run("--help"), 0);
    cr_assert_not_null(strstr(output, "transcode"));
    cr_assert_eq(run(""), 2);
    cr_assert_eq(run("nonsense"), 2);
    static const char *const commands[] = {"info", "dump", "pixels", "png", "check", "transcode"};
    for (int i = 0; i < 6; i++) {
        char words[40];
        snprintf(words, sizeof words, "%s --help", commands[i]);
        cr_assert_eq(run(words), 0);
        cr_assert_not_null(strstr(output, "Usage: dicom "));
        cr_assert_eq(run(commands[i]), 2);
    }
}

Test(dicom_app, info_and_dump) {
    cr_assert_eq(run("info good.dcm"), 0);
    cr_assert_not_null(strstr(output, "30 columns x 20 rows"));
    cr_assert_not_null(strstr(output, "M\xC3\xBCller"));
    cr_assert_eq(run("info good.dcm text.dcm"), 1);
    cr_assert_not_null(strstr(output, "not DICOM"));
    cr_assert_eq(run("dump good.dcm"), 0);
    cr_assert_not_null(strstr(output, "(0028,0010) US 20"));
    cr_assert_not_null(strstr(output, "    (0008,0104) LO [cranio-caudal]"));
    cr_assert_eq(run("dump --json good.dcm"), 0);
    cr_assert_not_null(strstr(output, "\"00280010\":{\"vr\":\"US\",\"Value\":[20]}"));
    cr_assert_not_null(strstr(output, "\"Alphabetic\":\"M\xC3\xBCller^\\\"Eva\\\"\""));
    cr_assert_not_null(strstr(output, "\"00281051\":{\"vr\":\"DS\",\"Value\":[4096]}"));
    cr_assert_not_null(strstr(output, "BulkDataURI"));
    cr_assert_null(strstr(output, "00020010"), "no file meta information in the model");
}

Test(dicom_app, pixels) {
    cr_assert_eq(run("pixels --raw=- good.dcm > raw && cmp raw - < raw"), 0);
    char path[300];
    uint16_t back[ROWS * COLUMNS];
    snprintf(path, sizeof path, "%s/raw", folder);
    FILE *f = fopen(path, "rb");
    cr_assert_eq(fread(back, 1, sizeof back, f), sizeof back);
    cr_assert_eq(fgetc(f), EOF);
    fclose(f);
    cr_assert_eq(memcmp(back, pixels, sizeof back), 0);
    cr_assert_eq(run("pixels --raw=cut.raw cut.dcm"), 1);
    cr_assert_not_null(strstr(output, "ends early"));
    snprintf(path, sizeof path, "%s/cut.raw", folder);
    cr_assert_neq(access(path, F_OK), 0, "no half file stays behind");
    cr_assert_eq(run("pixels --raw=cut.raw --allow-partial cut.dcm"), 0);
    cr_assert_not_null(strstr(output, "incomplete"));
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_eq(run("pixels --sha256 --frame=2 good.dcm"), 1);
    cr_assert_eq(run("pixels good.dcm"), 2);
}

Test(dicom_app, png) {
    for (int bits = 8; bits <= 16; bits += 8) {
        char words[100], path[300];
        snprintf(words, sizeof words, "png --bits=%d good.dcm out.png", bits);
        cr_assert_eq(run(words), 0, "%s", output);
        snprintf(path, sizeof path, "%s/out.png", folder);
        mg_png png;
        cr_assert_eq(mg_png_read(path, &png, NULL), MG_OK);
        cr_assert(png.width == COLUMNS && png.height == ROWS && png.channels == 1);
        cr_assert_eq(png.bits, bits);
        for (int i = 0; i < ROWS * COLUMNS; i++) { /* the window is the whole range */
            double most = bits == 8 ? 255 : 65535, expected = pixels[i] * most / 4095;
            double found = bits == 8 ? ((uint8_t *)png.pixels)[i] : ((uint16_t *)png.pixels)[i];
            cr_assert_float_eq(found, expected, 0.51);
        }
        mg_png_free(&png);
    }
    cr_assert_eq(run("png --window=100,0 good.dcm out.png"), 2);
    cr_assert_eq(run("png --window=100,50x good.dcm out.png"), 2);
    cr_assert_eq(run("png --window=100,1 good.dcm out.png"), 0);
}

Test(dicom_app, check) {
    cr_assert_eq(run("check good.dcm"), 0);
    cr_assert_eq(run("check cut.dcm"), 1);
    cr_assert_not_null(strstr(output, "BAD"));
    cr_assert_eq(run("check ."), 1);
    cr_assert_not_null(strstr(output, "1 good, 0 with warnings, 1 bad, 1 skipped"), "%s", output);
    cr_assert_eq(run("check text.dcm"), 1, "a file that was named has to be DICOM");
}

Test(dicom_app, transcode) {
    static const char *const syntaxes[] = {"explicit", "implicit", "deflated", "jpeg-lossless",
                                           "jpeg-ls",  "j2k",      "rle"};
    cr_assert_eq(run("pixels --sha256 good.dcm"), 0);
    char hash[65];
    snprintf(hash, sizeof hash, "%.64s", output);
    for (int i = 0; i < 7; i++) {
        char words[100];
        snprintf(words, sizeof words, "transcode --to=%s good.dcm new.dcm", syntaxes[i]);
        cr_assert_eq(run(words), 0, "%s", output);
        cr_assert_eq(run("pixels --sha256 new.dcm"), 0);
        cr_assert_eq(strncmp(output, hash, 64), 0, "%s", syntaxes[i]);
        cr_assert_eq(run("dump new.dcm"), 0);
        cr_assert_not_null(strstr(output, "[1.2.3.4]"), "lossless: the instance stays");
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(run(i ? "transcode --to=j2k-lossy --ratio=3 good.dcm new.dcm"
                           : "transcode --to=jpeg-ls-near good.dcm new.dcm"),
                     0, "%s", output);
        cr_assert_eq(run("dump new.dcm"), 0);
        cr_assert_null(strstr(output, "[1.2.3.4]"), "lossy: another instance");
        cr_assert_not_null(strstr(output, "(0028,2110) CS [01]"));
        cr_assert_eq(run("check new.dcm"), 0, "%s", output);
    }
    cr_assert_eq(run("transcode --to=mp3 good.dcm new.dcm"), 2);
    cr_assert_eq(run("transcode cut.dcm other.dcm"), 1);
}
