/* Crash-safe writing, folder walking, CSV reading and writing, PNG. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "data/csv.h"
#include "data/files.h"
#include "data/png.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(files, .init = setup, .fini = scratch_remove);
TestSuite(csv, .init = setup, .fini = scratch_remove);
TestSuite(png, .init = setup, .fini = scratch_remove);

/* --- files ------------------------------------------------------------------------------------ */

Test(files, write_and_read_back) {
    const char *path = scratch_path("a.bin");
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_file_write(path, "one\0two", 7, NULL), MG_OK);
    cr_assert_eq(mg_file_write(path, "three", 5, NULL), MG_OK, "replaces");
    cr_assert_eq(mg_file_read(path, 0, &data, &size, NULL), MG_OK);
    cr_assert(size == 5 && strcmp((char *)data, "three") == 0);
    free(data);
    mg_error err = {0};
    cr_assert_eq(mg_file_read(path, 4, &data, &size, &err), MG_ERR_MEMORY);
    cr_assert_eq(mg_file_read(path, 5, &data, &size, NULL), MG_OK, "exactly the limit");
    free(data);
}

Test(files, failures_name_the_file) {
    mg_error err = {0};
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_file_read(scratch_path("none"), 0, &data, &size, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "none") && strstr(err.message, "No such file"));
    mg_error_clear(&err);
    cr_assert_eq(mg_file_read(scratch_path("x/"), 0, &data, &size, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "Is a directory"), "%s", err.message);
    mg_error_clear(&err);
    cr_assert_eq(mg_file_write(scratch_path("no-folder/") /* made by scratch */, "", 0, &err),
                 MG_ERR_IO);
    mg_error_clear(&err);
    const char *file = scratch_text("file", "x");
    char below[1100];
    snprintf(below, sizeof below, "%s/folder", file);
    cr_assert_eq(mg_make_folders(below, &err), MG_ERR_IO);
}

/* Names in the scratch folder that hold `part`; temporary files begin with a dot. */
static int leftovers(const char *part) {
    DIR *folder = opendir(scratch_path("."));
    cr_assert(folder);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        n += name[0] == '.' && strstr(name, part) && strstr(name, ".tmp");
    }
    closedir(folder);
    return n;
}

/* A write that the system cuts short must leave the old file and no debris. */
Test(files, full_disk_keeps_the_old_file) {
    const char *path = scratch_text("a", "old");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, old.rlim_max});
    static char big[5000];
    mg_error err = {0};
    mg_status status = mg_file_write(path, big, sizeof big, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(status, MG_ERR_IO);
    cr_assert(strstr(err.message, "cannot write"), "%s", err.message);
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_file_read(path, 0, &data, &size, NULL), MG_OK);
    cr_assert_str_eq((char *)data, "old");
    free(data);
    cr_assert_eq(leftovers("a"), 0);
}

Test(files, abandoned_table_leaves_nothing) {
    mg_csv_writer w;
    cr_assert_eq(mg_csv_open(&w, scratch_path("b"), NULL), MG_OK);
    cr_assert_eq(leftovers("b"), 1);
    mg_csv_put_text(&w, "half");
    mg_csv_abandon(&w);
    mg_csv_abandon(&w);
    cr_assert(!mg_is_file(scratch_path("b")));
    cr_assert_eq(leftovers("b"), 0);
}

Test(files, walking) {
    scratch_text("d/b.txt", "");
    scratch_text("d/a/z.txt", "");
    scratch_text("d/.hidden", "");
    cr_assert_eq(symlink("..", scratch_path("d/a/loop")), 0);
    cr_assert_eq(symlink("nowhere", scratch_path("d/dangling")), 0);
    mg_path_list list = {0};
    cr_assert_eq(mg_list_files(scratch_path("d"), &list, NULL), MG_OK);
    cr_assert_eq(list.count, 2);
    cr_assert(strstr(list.path[0], "/d/a/z.txt") && strstr(list.path[1], "/d/b.txt"));
    cr_assert_eq(mg_list_files(list.path[1], &list, NULL), MG_OK);
    cr_assert_eq(list.count, 3);
    mg_error err = {0};
    cr_assert_eq(mg_list_files(scratch_path("nothing"), &list, &err), MG_ERR_IO);
    mg_path_list_free(&list);
}

/* What a program writes is not read, unless it is asked for by name. */
Test(files, walking_past_a_folder) {
    scratch_text("e/out/cam/x.png", "");
    scratch_text("e/in.png", "");
    char folder[600], out[600];
    snprintf(folder, sizeof folder, "%s", scratch_path("e"));
    snprintf(out, sizeof out, "%s", scratch_path("e/../e/out"));
    const char *except[] = {NULL, out, "nowhere"};
    mg_path_list list = {0};
    cr_assert_eq(mg_list_files_except(folder, except, 3, &list, NULL), MG_OK);
    cr_assert_eq(list.count, 1);
    cr_assert_eq(mg_list_files_except(out, except, 3, &list, NULL), MG_OK);
    cr_assert_eq(list.count, 2);
    mg_path_list_free(&list);
}

Test(files, every_file_once) {
    const char *names[] = {"u/b", "u/a", "u/./b", "u/link", "u/c", "u/hard", "u/none", "u/none"};
    scratch_text("u/a", "same");
    scratch_text("u/b", "same");
    scratch_text("u/c", "same");
    cr_assert_eq(symlink("a", scratch_path("u/link")), 0);
    cr_assert_eq(link(scratch_path("u/c"), scratch_path("u/hard")), 0);
    mg_path_list list = {0};
    for (int i = 0; i < 8; i++)
        cr_assert_eq(mg_path_list_add(&list, scratch_path("%s", names[i]), NULL), MG_OK);
    char first[600] = "";
    cr_assert_eq(mg_path_list_unique(&list, first, sizeof first), 3);
    cr_assert(strstr(first, "u/./b"));
    cr_assert_eq(list.count, 5);
    static const char *const left[] = {"u/b", "u/a", "u/c", "u/none", "u/none"};
    for (int i = 0; i < 5; i++) cr_expect(strstr(list.path[i], left[i]), "%s", list.path[i]);
    mg_path_list_free(&list);
}

Test(files, paths) {
    char out[64], *joined = mg_path_join("a/", "b");
    cr_assert_str_eq(joined, "a/b");
    free(joined);
    joined = mg_path_join("a", "/b");
    cr_assert_str_eq(joined, "/b");
    free(joined);
    mg_path_stem("x/y.tar.gz", out, sizeof out);
    cr_assert_str_eq(out, "y.tar");
    mg_path_stem(".bashrc", out, sizeof out);
    cr_assert_str_eq(out, ".bashrc");
    mg_path_folder("/x", out, sizeof out);
    cr_assert_str_eq(out, "/");
    mg_path_folder("x", out, sizeof out);
    cr_assert_str_eq(out, ".");
    mg_path_stem("abcdef.dcm", out, 4);
    cr_assert_str_eq(out, "abc");
}

/* --- CSV -------------------------------------------------------------------------------------- */

static mg_status parse(const char *text, mg_csv *out, mg_error *err) {
    return mg_csv_parse(text, strlen(text), "t.csv", out, err);
}

Test(csv, quotes_line_ends_and_blanks) {
    mg_csv t;
    cr_assert_eq(
        parse("\xEF\xBB\xBFid, Name ,\"x\"\r\n1,\"a, \"\"b\"\"\nc\",\r\n\r\n 2 ,d,\"\"", &t, NULL),
        MG_OK);
    cr_assert(t.rows == 2 && t.columns == 3);
    cr_assert_str_eq(t.head[0], "id");
    cr_assert_eq(mg_csv_column(&t, "NAME"), 1);
    cr_assert_str_eq(mg_csv_cell(&t, 0, 1), "a, \"b\"\nc");
    cr_assert_str_eq(mg_csv_cell(&t, 0, 2), "");
    cr_assert_str_eq(mg_csv_cell(&t, 1, 0), "2");
    cr_assert(t.line[0] == 2 && t.line[1] == 5);
    mg_csv_free(&t);
    cr_assert_eq(parse("a,b\r1,2\r3,4", &t, NULL), MG_OK, "old Mac line ends");
    cr_assert(t.rows == 2 && t.line[1] == 3);
    cr_assert_str_eq(mg_csv_cell(&t, 1, 1), "4");
    mg_csv_free(&t);
}

static void refuse(const char *text, const char *message) {
    mg_csv t;
    mg_error err = {0};
    cr_assert_eq(parse(text, &t, &err), MG_ERR_FORMAT, "%s", text);
    cr_assert(strstr(err.message, message), "%s", err.message);
    cr_assert_null(t.text);
}

Test(csv, refusals) {
    refuse("", "empty");
    refuse("\n\n", "empty");
    refuse("a,b\n1,2\n3\n", "line 3: 1 cells where the header has 2");
    refuse("a\n\"x\n", "line 2: a quoted cell begins here");
    refuse("a\n\"x\"y\n", "follows a closing quote");
    mg_csv t;
    mg_error err = {0};
    cr_assert_eq(mg_csv_parse("a\n\0", 3, "t.csv", &t, &err), MG_ERR_FORMAT);
}

Test(csv, typed_cells) {
    mg_csv t;
    mg_error err = {0};
    int i;
    double d;
    cr_assert_eq(parse("n,flag\n3.0,True\nNaN,\nx,0\n1.5,maybe\n", &t, &err), MG_OK);
    cr_assert(!mg_csv_int(&t, 0, 0, -1, &i, &err) && i == 3);
    cr_assert(!mg_csv_flag(&t, 0, 1, -1, &i, &err) && i == 1);
    cr_assert(!mg_csv_int(&t, 1, 0, -7, &i, &err) && i == -7);
    cr_assert(!mg_csv_flag(&t, 1, 1, -1, &i, &err) && i == -1);
    cr_assert(!mg_csv_int(&t, 0, -1, 9, &i, &err) && i == 9, "absent column");
    cr_assert_eq(mg_csv_number(&t, 2, 0, NAN, &d, &err), MG_ERR_FORMAT);
    cr_assert_str_eq(err.message, "t.csv line 4, column n: value \"x\" is not a number");
    mg_error_clear(&err);
    cr_assert_eq(mg_csv_int(&t, 3, 0, 0, &i, &err), MG_ERR_FORMAT);
    cr_assert_eq(mg_csv_flag(&t, 3, 1, 0, &i, NULL), MG_ERR_FORMAT);
    mg_error_clear(&err);
    cr_assert_eq(mg_csv_require(&t, "cancer", &i, &err), MG_ERR_FORMAT);
    cr_assert_str_eq(err.message,
                     "t.csv line 1: there is no column \"cancer\" (there are: n, flag)");
    mg_csv_free(&t);
}

Test(csv, writer_reads_back) {
    const char *path = scratch_path("w.csv");
    mg_csv_writer w;
    cr_assert_eq(mg_csv_open(&w, path, NULL), MG_OK);
    mg_csv_put_text(&w, "text");
    mg_csv_put_text(&w, "number");
    mg_csv_end_row(&w);
    mg_csv_put_text(&w, "a \"b\",\nc ");
    mg_csv_put_number(&w, 0.1);
    mg_csv_end_row(&w);
    mg_csv_put_text(&w, NULL);
    mg_csv_put_float(&w, 0.1f);
    mg_csv_end_row(&w);
    mg_csv_put_int(&w, -5);
    mg_csv_put_number(&w, (double)NAN);
    mg_csv_end_row(&w);
    cr_assert_eq(mg_csv_close(&w, NULL), MG_OK);
    mg_csv t;
    cr_assert_eq(mg_csv_read(path, &t, NULL), MG_OK);
    cr_assert_eq(t.rows, 3);
    cr_assert_str_eq(mg_csv_cell(&t, 0, 0), "a \"b\",\nc ");
    cr_assert_str_eq(mg_csv_cell(&t, 0, 1), "0.1");
    cr_assert_str_eq(mg_csv_cell(&t, 1, 1), "0.1");
    cr_assert_str_eq(mg_csv_cell(&t, 2, 1), "");
    mg_csv_free(&t);
}

/* --- PNG -------------------------------------------------------------------------------------- */

Test(png, round_trips) {
    static uint8_t bytes[5 * 7 * 8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + i / 11);
    for (int bits = 8; bits <= 16; bits += 8)
        for (int channels = 1; channels <= 4; channels++) {
            mg_png in = {.width = 7, .height = 5, .channels = channels, .bits = bits};
            in.pixels = bytes;
            uint8_t *data;
            size_t size;
            mg_png out;
            cr_assert_eq(mg_png_encode(&in, &data, &size, NULL), MG_OK);
            cr_assert_eq(mg_png_decode(data, size, &out, NULL), MG_OK);
            cr_assert(out.width == 7 && out.height == 5 && out.bits == bits);
            cr_assert_eq(out.channels, channels);
            size_t n = 35u * (size_t)channels * (size_t)bits / 8;
            cr_assert_eq(memcmp(out.pixels, bytes, n), 0);
            mg_png_free(&out);
            mg_error err = {0};
            for (size_t cut = 0; cut < size - 12; cut += 3) { /* all but the empty IEND */
                cr_assert_neq(mg_png_decode(data, cut, &out, &err), MG_OK, "cut at %zu", cut);
                cr_assert_null(out.pixels);
            }
            free(data);
        }
}

Test(png, errors) {
    mg_error err = {0};
    mg_png out;
    cr_assert_eq(mg_png_read(scratch_text("x.png", "GIF89a..."), &out, &err), MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "x.png") && strstr(err.message, "signature"));
    /* A header of 16384 x 16384 pixels with next to nothing behind it. */
    static const uint8_t huge[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\x40\0\x10\0\0\0\0"
                                  "\xdc\x33\x93\x1b\0\0\0\0IDAT\x35\xaf\x06\x1e";
    mg_error_clear(&err);
    cr_assert_eq(mg_png_decode(huge, sizeof huge - 1, &out, &err), MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "more pixels than"), "%s", err.message);
    uint8_t *data;
    size_t size;
    mg_png bad = {.width = 1, .height = 1, .channels = 1, .bits = 12};
    cr_assert_eq(mg_png_encode(&bad, &data, &size, NULL), MG_ERR_ARG);
    cr_assert_null(data);
}
