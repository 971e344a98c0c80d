/* apps/dicom on files that are not as they should be, and on outputs that are no plain files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dicom/codec.h"
#include "tests/lib/dicom_builder.h"
#include "tests/lib/dicom_pixel_file.h"

enum { ROWS = 16, COLUMNS = 20, N = ROWS * COLUMNS };
static char folder[] = "/tmp/mg_dicom_files_XXXXXX";
static char output[1 << 16];
static uint16_t pixels[3 * N];
static const pixel_image grey12 = {
    .rows = ROWS, .columns = COLUMNS, .samples = 1, .allocated = 16, .stored = 12};

/* Runs a shell command in the folder, "dicom" being the program; stdout and stderr land in
 * `output`. */
static int run(const char *arguments) {
    const char *apps = getenv("MG_APPS");
    char path[1000], command[3000];
    cr_assert_not_null(realpath(apps ? apps : "build/bin", path), "build the apps first");
    snprintf(command, sizeof command, "cd %s && PATH=%s:$PATH; { %s; } 2>&1", folder, path,
             arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t n = fread(output, 1, sizeof output - 1, pipe);
    output[n] = 0;
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s: %s", arguments, output);
    return WEXITSTATUS(status);
}

static void says(int code, const char *arguments, const char *text) {
    int found = run(arguments);
    cr_expect_eq(found, code, "%s: exit %d: %s", arguments, found, output);
    cr_expect(strstr(output, text), "%s: \"%s\" is not in: %.2000s", arguments, text, output);
}

static void save(const char *name, const uint8_t *bytes, size_t size) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static void put_identity(pixel_file *f) {
    pixel_file_text(f, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.1.2");
    pixel_file_text(f, 0x00080018, "UI", "1.2.3.4");
    pixel_file_text(f, 0x0020000D, "UI", "1.2.3");
    pixel_file_text(f, 0x0020000E, "UI", "1.2.3.1");
}

static void end_and_save(pixel_file *f, const char *name, const uint16_t *samples, size_t n) {
    pixel_file_element(f, 0x7FE00010, "OW", samples, n * 2);
    save(name, f->bytes, f->size);
    pixel_file_free(f);
}

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    for (int i = 0; i < 3 * N; i++) pixels[i] = (uint16_t)((i * 61) % 4096);
    pixel_file f;
    pixel_file_begin(&f, TS_EXPLICIT);
    put_identity(&f);
    pixel_file_describe(&f, &grey12);
    end_and_save(&f, "good.dcm", pixels, N);
}

static void end(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(dicom_files, .init = begin, .fini = end);

Test(dicom_files, the_input_is_never_the_output) {
    cr_assert_eq(run("cp good.dcm copy.dcm; ln good.dcm link.dcm; ln -s good.dcm soft.dcm"), 0);
    says(1, "dicom pixels --raw=good.dcm good.dcm", "is the file that is read");
    says(1, "dicom pixels --raw=link.dcm good.dcm", "is the file that is read");
    says(1, "dicom png good.dcm soft.dcm", "is the file that is read");
    says(1, "dicom transcode good.dcm ./good.dcm", "is the file that is read");
    cr_expect_eq(run("cmp good.dcm copy.dcm"), 0);
    /* What was there stays when writing fails. */
    cr_assert_eq(run("head -c 400 good.dcm > cut.dcm; echo precious > old"), 0);
    cr_expect_eq(run("dicom pixels --raw=old cut.dcm"), 1);
    cr_expect_eq(run("grep -q precious old"), 0);
}

Test(dicom_files, pipes_stay_pipes) {
    says(0, "mkfifo p; timeout 10 cat p | wc -c & dicom pixels --raw=p good.dcm; wait", "640");
    says(0, "timeout 10 cat p | head -c 4 & dicom png good.dcm p; wait", "PNG");
    says(0, "timeout 10 cat p > new.dcm & dicom transcode good.dcm p; wait; dicom check new.dcm",
         "1 good");
    says(0, "ls -l p", "prw");
    says(1, "dicom pixels --raw=. good.dcm", "directory");
    says(1, "timeout 5 dicom info p", "not a regular file");
}

Test(dicom_files, what_cannot_be_printed_is_an_error) {
    says(1, "dicom dump good.dcm >&-", "cannot write to standard output");
    says(1, "dicom --help >&-", "cannot write to standard output");
}

Test(dicom_files, transcoding_keeps_values_beyond_bits_stored) {
    encoding e = {.rows = ROWS, .columns = COLUMNS, .samples = 1, .bits = 16, .levels = 2};
    pixels[7] = 5000;
    pixels[9] = 16000;
    codestream c = encode_j2k(&e, pixels);
    pixel_file f;
    pixel_file_begin(&f, TS_J2K);
    put_identity(&f);
    pixel_file_describe(&f, &grey12);
    pixel_file_fragments(&f, NULL, 0);
    pixel_file_fragment(&f, c.bytes, c.size);
    pixel_file_end(&f);
    save("wide.dcm", f.bytes, f.size);
    pixel_file_free(&f);
    free(c.bytes);
    static const char *const syntaxes[] = {"explicit", "jpeg-lossless", "jpeg-ls", "j2k", "rle"};
    cr_assert_eq(run("dicom pixels --raw=before wide.dcm"), 0);
    for (int i = 0; i < 5; i++) {
        char words[100];
        snprintf(words, sizeof words, "dicom transcode --to=%s wide.dcm new.dcm", syntaxes[i]);
        says(0, words, "BitsStored 12 becomes 14");
        cr_expect_eq(run("dicom pixels --raw=after new.dcm && cmp before after"), 0, "%s", output);
        says(0, "dicom dump new.dcm", "(0028,0102) US 13");
    }
}

static void write_overlay(const char *name, const char *syntax, int bit, int columns) {
    pixel_image im = grey12;
    pixel_file f;
    im.frames = 2;
    pixel_file_begin(&f, syntax);
    put_identity(&f);
    pixel_file_describe(&f, &im);
    pixel_file_us(&f, 0x60000010, "US", ROWS);
    pixel_file_us(&f, 0x60000011, "US", columns);
    pixel_file_us(&f, 0x60000100, "US", 16);
    pixel_file_us(&f, 0x60000102, "US", bit);
    end_and_save(&f, name, pixels, 2 * N);
}

Test(dicom_files, transcoding_loses_no_overlay) {
    for (int i = 0; i < 2 * N; i++) pixels[i] |= (uint16_t)(i % 3 == 0 ? 0x8000 : 0);
    write_overlay("overlay.dcm", TS_EXPLICIT, 15, COLUMNS);
    says(0, "dicom transcode --to=rle overlay.dcm new.dcm", "");
    cr_expect_eq(run("dicom pixels --raw=a overlay.dcm; dicom pixels --raw=b new.dcm; cmp a b"), 0);
    /* Bits 0, 3, 6, …: 49 92 24 and again. */
    says(0, "dicom dump --whole new.dcm | grep 6000,3000", "OW 49\\92\\24\\49\\92\\24\\49");
    says(0, "dicom dump new.dcm", "(6000,0015) IS [2]");
    says(0, "dicom dump new.dcm", "(6000,0102) US 0");
    says(0, "dicom dump new.dcm", "# 80, Overlay Data");
    write_overlay("own.dcm", TS_EXPLICIT, 11, COLUMNS);
    says(1, "dicom transcode --to=rle own.dcm none.dcm", "one of the pixels' own");
    write_overlay("small.dcm", TS_EXPLICIT, 15, COLUMNS - 1);
    says(1, "dicom transcode --to=rle small.dcm none.dcm", "its size is not the image's");
    cr_expect_neq(run("test -e none.dcm"), 0);
    for (int i = 0; i < 2 * N; i++) pixels[i] = (uint16_t)(pixels[i] >> 8 | pixels[i] << 8);
    write_overlay("big.dcm", TS_BIG, 15, COLUMNS);
    says(0, "dicom transcode --to=rle big.dcm other.dcm && cmp other.dcm new.dcm", "");
}

Test(dicom_files, compressed_icons_do_not_change_their_name) {
    uint8_t *icon;
    size_t size;
    mg_dicom_codec_frame frame = {ROWS, COLUMNS, 1, 2};
    cr_assert_eq(mg_dicom_rle_encode(pixels, &frame, &icon, &size, NULL), MG_DICOM_OK);
    pixel_file f;
    pixel_file_begin(&f, TS_RLE);
    put_identity(&f);
    pixel_file_describe(&f, &grey12);
    pixel_file_open(&f, 0x00880200);
    pixel_file_open(&f, 0xFFFEE000);
    pixel_file_describe(&f, &grey12);
    pixel_file_fragments(&f, NULL, 0);
    pixel_file_fragment(&f, icon, size);
    pixel_file_end(&f);
    pixel_file_close(&f, true);
    pixel_file_close(&f, false);
    pixel_file_fragments(&f, NULL, 0);
    pixel_file_fragment(&f, icon, size);
    pixel_file_end(&f);
    save("icon.dcm", f.bytes, f.size);
    pixel_file_free(&f);
    free(icon);
    says(0, "dicom transcode --to=jpeg-ls icon.dcm new.dcm", "Icon Image Sequence is left out");
    cr_expect_eq(run("dicom dump new.dcm | grep 0088,0200"), 1);
    cr_expect_eq(run("dicom transcode --to=rle icon.dcm new.dcm"), 0);
    cr_expect_eq(output[0], 0, "%s", output);
    cr_expect_eq(run("dicom dump new.dcm | grep 0088,0200"), 0);
}

Test(dicom_files, numbers_of_frames_that_are_not_there) {
    pixel_image im = grey12;
    pixel_file f;
    im.frames = INT32_MAX;
    pixel_file_begin(&f, TS_EXPLICIT);
    put_identity(&f);
    pixel_file_describe(&f, &im);
    end_and_save(&f, "many.dcm", pixels, N);
    says(1, "dicom transcode many.dcm new.dcm", "frame 2147483647 is missing");
    im.frames = 2;
    pixel_file_begin(&f, TS_EXPLICIT);
    put_identity(&f);
    pixel_file_describe(&f, &im);
    end_and_save(&f, "more.dcm", pixels, 3 * N);
    says(0, "dicom transcode more.dcm new.dcm", "holds 3 frames: the others are not read");
}

/* A file with one more element of the grey pipeline or of the header. */
static void write_with(const char *name, uint32_t tag, const char *vr, const char *value) {
    pixel_file f;
    pixel_file_begin(&f, TS_EXPLICIT);
    if (tag < 0x00080016) pixel_file_text(&f, tag, vr, value);
    put_identity(&f);
    if (tag >= 0x00080016 && tag < 0x00280000) pixel_file_text(&f, tag, vr, value);
    pixel_file_describe(&f, &grey12);
    if (tag >= 0x00280000) pixel_file_text(&f, tag, vr, value);
    end_and_save(&f, name, pixels, N);
}

Test(dicom_files, check_finds_what_cannot_be_used) {
    says(0, "dicom check good.dcm", "1 good");
    write_with("slope.dcm", 0x00281053, "DS", "0");
    says(1, "dicom check slope.dcm", "Rescale Slope is 0");
    says(0, "dicom png --no-modality slope.dcm out.png", "");
    says(1, "dicom png slope.dcm out.png", "--no-modality");
    write_with("text.dcm", 0x00100010, "PN", "M\xFCller");
    says(0, "dicom check text.dcm", "no character set is declared");
    write_with("set.dcm", 0x00080005, "CS", "ISO_IR 999");
    says(0, "dicom check set.dcm", "'ISO_IR 999' is none that is defined");
    write_with("sets.dcm", 0x00080005, "CS", "\\ISO 2022 IR 87");
    says(0, "dicom check sets.dcm", "1 good");

    pixel_file f;
    pixel_file_begin(&f, TS_EXPLICIT);
    pixel_file_text(&f, 0x00080005, "CS", "ISO_IR 192");
    put_identity(&f);
    pixel_file_text(&f, 0x00100010, "PN", "M\xFCller");
    pixel_file_describe(&f, &grey12);
    end_and_save(&f, "utf.dcm", pixels, N);
    says(0, "dicom check utf.dcm", "gives no meaning");

    const uint16_t descriptor[3] = {256, 0, 16};
    pixel_file_begin(&f, TS_EXPLICIT);
    put_identity(&f);
    pixel_file_describe(&f, &grey12);
    pixel_file_open(&f, 0x00283010);
    pixel_file_open(&f, 0xFFFEE000);
    pixel_file_element(&f, 0x00283002, "US", descriptor, 6);
    pixel_file_element(&f, 0x00283006, "OW", pixels, 100);
    pixel_file_close(&f, true);
    pixel_file_close(&f, false);
    end_and_save(&f, "lut.dcm", pixels, N);
    says(1, "dicom check lut.dcm", "VOI LUT: LUT Data has 100 bytes");

    dicom_builder b;
    for (int i = 0; i < 2; i++) { /* without a transfer syntax, and with another instance's name */
        build_begin(&b, NULL);
        build_raw(&b, (uint8_t[128]){0}, 128);
        build_raw(&b, "DICM", 4);
        build_text(&b, 0x00020003, "UI", i ? "1.2.3.5" : "1.2.3.4");
        build_text(&b, 0x00020010, "UI", i ? TS_EXPLICIT : "");
        build_text(&b, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.1.2");
        build_text(&b, 0x00080018, "UI", "1.2.3.4");
        save("meta.dcm", b.bytes, b.size);
        build_free(&b);
        says(0, "dicom check meta.dcm",
             i ? "Media Storage SOP Instance UID and SOP Instance UID differ"
               : "Transfer Syntax UID is missing or empty");
    }
}

Test(dicom_files, info_says_what_mammography_needs) {
    pixel_file f;
    pixel_file_begin(&f, TS_EXPLICIT);
    put_identity(&f);
    pixel_file_text(&f, 0x00080068, "CS", "FOR PRESENTATION");
    pixel_file_text(&f, 0x00181164, "DS", "0.07\\0.08");
    pixel_file_text(&f, 0x00281300, "CS", "YES");
    pixel_file_text(&f, 0x00281055, "LO", "A\n\x1B[31mB");
    pixel_file_text(&f, 0x00281050, "DS", "100");
    pixel_file_text(&f, 0x00281051, "DS", "50");
    pixel_file_open(&f, 0x00540220);
    pixel_file_open(&f, 0xFFFEE000);
    pixel_file_text(&f, 0x00080104, "LO", "cranio-caudal");
    pixel_file_close(&f, true);
    pixel_file_close(&f, false);
    pixel_file_open(&f, 0x52009229);
    pixel_file_open(&f, 0xFFFEE000);
    pixel_file_open(&f, 0x00209071);
    pixel_file_open(&f, 0xFFFEE000);
    pixel_file_text(&f, 0x00209072, "CS", "R");
    for (int i = 0; i < 4; i++) pixel_file_close(&f, i % 2 == 0);
    pixel_file_describe(&f, &grey12);
    end_and_save(&f, "mammogram.dcm", pixels, N);
    says(0, "dicom info mammogram.dcm", "FOR PRESENTATION");
    cr_expect(strstr(output, "0.07 x 0.08 mm"), "%s", output);
    cr_expect(strstr(output, "R, cranio-caudal"), "%s", output);
    cr_expect(strstr(output, "implant           YES"), "%s", output);
    cr_expect(strstr(output, "LINEAR: A..[31mB\n"), "%s", output);
}

Test(dicom_files, long_lists_take_no_longer_than_their_length) {
    enum { VALUES = 200000 };
    char *list = malloc(5 * VALUES + 1);
    for (int i = 0; i < VALUES; i++) memcpy(list + 5 * i, i % 2 ? "+1.5\\" : "a\xC3\xA9 \\", 5);
    list[5 * VALUES - 1] = 0;
    dicom_builder b;
    build_begin(&b, TS_IMPLICIT);
    build_text(&b, 0x00080005, "CS", "ISO_IR 192");
    build_text(&b, 0x00101001, "PN", list);
    build_text(&b, 0x00181149, "DS", list);
    save("list.dcm", b.bytes, b.size);
    build_free(&b);
    free(list);
    time_t before = time(NULL);
    cr_expect_eq(run("dicom dump --json list.dcm 2>/dev/null > list.json"), 0);
    cr_expect_eq(run("dicom dump --whole list.dcm 2>/dev/null > list.txt"), 0);
    cr_expect_lt(time(NULL) - before, 20);
    says(0, "grep -o 'Alphabetic\":\"a' list.json | wc -l", "100000");
    says(0, "grep 00181149 list.json | grep -o ',1.5' | wc -l", "100000");
    says(0, "grep 0018,1149 list.txt | tr '\\\\' '\\n' | wc -l", "200000");
}

Test(dicom_files, bytes_of_deflated_files_are_inline) {
    cr_assert_eq(run("dicom transcode --to=deflated good.dcm deflated.dcm"), 0);
    says(0, "dicom dump --json --inline=10 deflated.dcm",
         "\"7FE00010\":{\"vr\":\"OW\",\"InlineBinary\":");
    cr_expect_null(strstr(output, "BulkDataURI"));
    says(0, "dicom dump --json --inline=10 good.dcm", "BulkDataURI");
}
