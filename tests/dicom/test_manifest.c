/* Every row of MG_TEST_DATA/dicom/MANIFEST.tsv: exact hashes, lossy samples within their tolerance,
 * malformed files within a second and with a reason. Skipped without MG_TEST_DATA. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "dicom/dicom.h"
#include "tests/lib/sha256.h"

enum { COLUMNS = 32 };

typedef struct row {
    char line[4096];
    char *field[COLUMNS];
} row;

static int column_of(const row *header, const char *name) {
    for (int i = 0; i < COLUMNS && header->field[i]; i++)
        if (strcmp(header->field[i], name) == 0) return i;
    cr_assert_fail("no column %s in the manifest", name);
    return 0;
}

static bool next_row(FILE *in, row *r) {
    memset(r->field, 0, sizeof r->field);
    if (!fgets(r->line, sizeof r->line, in)) return false;
    r->line[strcspn(r->line, "\r\n")] = 0;
    char *p = r->line;
    for (int i = 0; i < COLUMNS && p; i++) {
        r->field[i] = p;
        p = strchr(p, '\t');
        if (p) *p++ = 0;
    }
    return true;
}

static const char *root(void) {
    const char *data = getenv("MG_TEST_DATA");
    if (!data) cr_skip_test("MG_TEST_DATA is not set");
    return data;
}

static FILE *open_table(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/dicom/%s", root(), name);
    FILE *in = fopen(path, "r");
    cr_assert(in, "cannot open %s", path);
    return in;
}

static mg_dicom *open_row(const char *file, mg_dicom_error *err) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/dicom/%s", root(), file);
    cr_assert(n > 0 && n < (int)sizeof path);
    return mg_dicom_open(path, NULL, err);
}

/* Hash of all frames as the README beside the manifest defines it; false with err filled. */
static bool hash_frames(mg_dicom *d, char hex[65], mg_dicom_error *err) {
    mg_dicom_image image;
    sha256 s;
    sha256_init(&s);
    if (mg_dicom_image_info(d, &image, err) != MG_DICOM_OK) return false;
    void *out = malloc(image.frame_bytes);
    cr_assert(out);
    bool good = true;
    for (uint32_t k = 0; k < image.frames && good; k++) {
        good = mg_dicom_read_frame(d, k, NULL, out, image.frame_bytes, err) == MG_DICOM_OK;
        if (good) sha256_update(&s, out, image.frame_bytes);
    }
    free(out);
    sha256_final(&s, hex);
    return good;
}

Test(manifest, exact) {
    FILE *in = open_table("MANIFEST.tsv");
    row header, r;
    cr_assert(next_row(in, &header));
    int compare = column_of(&header, "compare"), hash = column_of(&header, "sha256_pixels");
    int checked = 0;
    while (next_row(in, &r)) {
        if (strcmp(r.field[compare], "exact") != 0) continue;
        mg_dicom_error err = {0};
        char hex[65] = "";
        mg_dicom *d = open_row(r.field[0], &err);
        bool good = d && hash_frames(d, hex, &err);
        cr_expect(good, "%s: %s", r.field[0], err.message);
        if (good) cr_expect_str_eq(hex, r.field[hash], "%s", r.field[0]);
        mg_dicom_close(d);
        checked++;
    }
    fclose(in);
    cr_assert_gt(checked, 100);
}

static double value_at(const mg_dicom_image *im, const void *frame, size_t i) {
    if (im->word_bytes == 1)
        return im->is_signed ? ((const int8_t *)frame)[i] : ((const uint8_t *)frame)[i];
    return im->is_signed ? ((const int16_t *)frame)[i] : ((const uint16_t *)frame)[i];
}

static void check_samples(const char *file, char *samples) {
    mg_dicom_error err = {0};
    mg_dicom_image image;
    mg_dicom *d = open_row(file, &err);
    cr_assert(d && mg_dicom_image_info(d, &image, &err) == MG_DICOM_OK, "%s: %s", file,
              err.message);
    void *out = malloc(image.frame_bytes);
    cr_assert(out);
    bool good = mg_dicom_read_frame(d, 0, NULL, out, image.frame_bytes, &err) == MG_DICOM_OK;
    cr_expect(good, "%s: %s", file, err.message);
    int n = 0, off_by_one = 0;
    for (char *s = strtok(samples, " "); s && good; s = strtok(NULL, " "), n++) {
        unsigned y, x;
        double v;
        cr_assert_eq(sscanf(s, "%u,%u,%lf", &y, &x, &v), 3);
        cr_assert(y < image.rows && x < image.columns);
        double got = value_at(&image, out, (size_t)y * image.columns + x);
        double difference = got > v ? got - v : v - got;
        off_by_one += difference == 1;
        cr_expect_leq(difference, 1, "%s: row %u column %u is %g, reference %g", file, y, x, got,
                      v);
    }
    cr_expect(!good || n > 100, "%s: %d samples", file, n);
    cr_expect_leq(off_by_one, n / 4, "%s: %d of %d samples are off by one", file, off_by_one, n);
    free(out);
    mg_dicom_close(d);
}

Test(manifest, lossy) {
    FILE *in = open_table("LOSSY_SAMPLES.tsv");
    static char line[1 << 16];
    int checked = 0;
    cr_assert(fgets(line, sizeof line, in));
    while (fgets(line, sizeof line, in)) {
        char *reader = strchr(line, '\t'), *samples = reader ? strchr(reader + 1, '\t') : NULL;
        cr_assert(samples);
        *reader = 0;
        check_samples(line, samples + 1);
        checked++;
    }
    fclose(in);
    cr_assert_gt(checked, 10);
}

static double now(void) { /* processor time: other programs do not count */
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#ifdef __SANITIZE_ADDRESS__
static const double time_limit = 5.0;
#else
static const double time_limit = 1.0;
#endif

/* Either a specific error, or pixels; with allow_partial, never a crash either. */
Test(manifest, malformed, .timeout = 300) {
    FILE *in = open_table("MANIFEST.tsv");
    row header, r;
    cr_assert(next_row(in, &header));
    int expect = column_of(&header, "expect"), checked = 0;
    while (next_row(in, &r)) {
        if (strcmp(r.field[expect], "decode") == 0) continue;
        mg_dicom_error err = {0};
        char hex[65];
        double start = now();
        mg_dicom *d = open_row(r.field[0], &err);
        bool good = d && hash_frames(d, hex, &err);
        double seconds = now() - start;
        cr_expect(good || (err.code != MG_DICOM_OK && strlen(err.message) > 15), "%s: '%s'",
                  r.field[0], err.message);
        cr_expect_lt(seconds, time_limit, "%s: %.2f s", r.field[0], seconds);
        mg_dicom_image image;
        mg_dicom_error again = {0};
        if (d && !good && mg_dicom_image_info(d, &image, &again) == MG_DICOM_OK) {
            void *out = malloc(image.frame_bytes);
            bool partial = false;
            mg_dicom_read_options o = {.allow_partial = true, .partial = &partial};
            if (out && mg_dicom_read_frame(d, 0, &o, out, image.frame_bytes, &again) == MG_DICOM_OK)
                cr_expect(partial || image.frames > 1, "%s: partial data not marked", r.field[0]);
            free(out);
        }
        mg_dicom_close(d);
        checked++;
    }
    fclose(in);
    cr_assert_gt(checked, 100);
#ifndef __SANITIZE_ADDRESS__
    struct rusage use; /* of this test's own process */
    getrusage(RUSAGE_SELF, &use);
    cr_expect_lt(use.ru_maxrss, 256 * 1024, "%ld KiB", use.ru_maxrss);
#endif
}

/* What other readers accept in silence, each with the reason that must be named. */
Test(manifest, must_be_refused) {
    static const char *const cases[][2] = {
        {"MR_truncated", "ends early"},
        {"mut_MRsmall_trunc50", "ends early"},
        {"mut_MRsmall_rows65535", "ends early"},
        {"mut_MRsmall_nframesneg", "NumberOfFrames is -3"},
        {"mut_MRsmall_bitsalloc12", "BitsAllocated is 12"},
        {"mut_MRsmall_bitsstored20", "BitsStored is 20"},
        {"mut_MRsmall_unknown_ts", "1.2.840.10008.9.9.9"},
        {"mut_MRsmall_nopixeldata", "no pixel data"},
        {"mut_ht_flip0", "JPEG 2000: Malformed HT codeblock"},
        {"mut_jls_flip0", "JPEG-LS"},
        {"mut_rleMRsmall_nseg15", "15 segments"},
        {"mut_rleMRsmall_segoff_past", "segment"},
        {"fuzz_j2k_issue775.j2k", "header says"},
        {"fuzz_jls_fuzzy_input_golomb_16.jls", "header says"},
        {"fuzz_j2k_issue820.jp2", "more tiles than the data can hold"},
    };
    root();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char file[128], hex[65];
        mg_dicom_error err = {0};
        snprintf(file, sizeof file, "malformed/%s.dcm", cases[i][0]);
        mg_dicom *d = open_row(file, &err);
        cr_expect_not(d && hash_frames(d, hex, &err), "%s was read", file);
        cr_expect(strstr(err.message, cases[i][1]), "%s: %s", file, err.message);
        mg_dicom_close(d);
    }
}
