/* TensorBoard event files: the bytes TensorBoard's own classes make, and resuming after a crash. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/events.h"
#include "tests/golden/events.h"

static char path[64];

static void make_path(void) {
    snprintf(path, sizeof path, "/tmp/mg-events-XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
}

static void remove_path(void) { unlink(path); }

TestSuite(events, .init = make_path, .fini = remove_path);

static size_t read_file(uint8_t *data, size_t room) {
    FILE *f = fopen(path, "rb");
    cr_assert(f);
    size_t n = fread(data, 1, room, f);
    fclose(f);
    return n;
}

static void write_file(const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void scalar(mg_events *e, const char *tag, int64_t step, double value, double time) {
    cr_assert_eq(mg_events_scalar(e, tag, step, value, time, NULL), MG_OK);
}

static void write_golden(void) {
    mg_events *e = mg_events_open(path, -1, 1.5e9, NULL);
    cr_assert(e);
    scalar(e, "loss/train", 1, 0.693147, 1.5e9 + 1);
    scalar(e, "loss/train", 300, -2.5, 1.5e9 + 2.25);
    scalar(e, "lr", 70000, 1e-6, 1.5e9 + 3);
    cr_assert_eq(mg_events_close(e, NULL), MG_OK);
}

Test(events, crc32c_known_answers) { /* RFC 3720, B.4 */
    uint8_t zeros[32] = {0}, ones[32], up[32];
    for (int i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = (uint8_t)i;
    }
    cr_assert_eq(mg_crc32c(zeros, 32), 0x8a9136aau);
    cr_assert_eq(mg_crc32c(ones, 32), 0x62a8ab43u);
    cr_assert_eq(mg_crc32c(up, 32), 0x46dd794eu);
    cr_assert_eq(mg_crc32c("123456789", 9), 0xe3069283u);
    cr_assert_eq(mg_crc32c("", 0), 0);
}

Test(events, golden_bytes) {
    write_golden();
    uint8_t data[1024];
    cr_assert_eq(read_file(data, sizeof data), sizeof golden_events);
    cr_assert_arr_eq(data, golden_events, sizeof golden_events);
}

/* Where record k begins, by the length words (below 256 here). */
static size_t record_start(int k) {
    size_t at = 0;
    while (k--) at += 12 + (size_t)golden_events[at] + 4;
    return at;
}

/* Wherever the file was cut off: resume at the step of the last record that is whole, write the
 * rest again, and the file is as if nothing had happened. */
Test(events, resumes_after_a_crash_anywhere) {
    uint8_t data[1024];
    cr_assert_eq(record_start(4), sizeof golden_events);
    for (size_t cut = record_start(2); cut <= sizeof golden_events; cut++) {
        write_file(golden_events, cut);
        int64_t done = cut < record_start(3) ? 1 : 300; /* the last checkpoint's step */
        mg_events *e = mg_events_open(path, done, 0, NULL);
        cr_assert(e);
        if (done == 1) scalar(e, "loss/train", 300, -2.5, 1.5e9 + 2.25);
        scalar(e, "lr", 70000, 1e-6, 1.5e9 + 3);
        cr_assert_eq(mg_events_close(e, NULL), MG_OK);
        cr_assert_eq(read_file(data, sizeof data), sizeof golden_events, "cut at %zu", cut);
        cr_assert_arr_eq(data, golden_events, sizeof golden_events);
    }
}

Test(events, a_damaged_record_ends_the_kept_part) {
    uint8_t data[1024];
    memcpy(data, golden_events, sizeof golden_events);
    data[60] ^= 1; /* in the second record */
    write_file(data, sizeof golden_events);
    mg_events *e = mg_events_open(path, 1000000, 0, NULL);
    cr_assert(e);
    mg_events_close(e, NULL);
    size_t size = read_file(data, sizeof data);
    cr_assert(size > 12 && size < 60 && memcmp(data, golden_events, size) == 0);
}

Test(events, refuses_what_it_cannot_write) {
    mg_error err = {0};
    cr_assert_null(mg_events_open("/nowhere/at/all/tfevents", -1, 0, &err));
    cr_assert(strstr(err.message, "/nowhere/at/all/tfevents"));
    mg_events *e = mg_events_open(path, -1, 0, NULL);
    char tag[400];
    memset(tag, 'x', sizeof tag);
    tag[399] = 0;
    cr_assert_eq(mg_events_scalar(e, tag, 0, 0, 0, NULL), MG_ERR_ARG);
    cr_assert_eq(mg_events_scalar(e, "", 0, 0, 0, NULL), MG_ERR_ARG);
    tag[256] = 0;
    cr_assert_eq(mg_events_scalar(e, tag, -1, 0, 0, NULL), MG_OK, "the longest tag fits");
    mg_events_close(e, NULL);
}
