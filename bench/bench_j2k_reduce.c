/* bench_j2k_reduce.c: what a reduced resolution costs of a full JPEG 2000 decode, and how fast the
 * other things of the pixel layer are: JPEG-LS, native frames, the grey pipeline. In process, one
 * thread, processor time, medians; the noisy full-tissue image of tissue.h.
 *
 *     bench_j2k_reduce [REPETITIONS]      default 5
 *
 * The bars: reduce 1 at most 27 % of the full decode, reduce 2 at most 8 %. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/tissue.h"
#include "dicom/encode.h"
#include "dicom/dicom.h"

enum { ROWS = 3328, COLUMNS = 2560, PRECISION = 12, MOST = 99 };

static double now(void) { /* other programs on the machine do not count */
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void die(const char *what, const mg_dicom_error *err) {
    fprintf(stderr, "bench_j2k_reduce: %s: %s\n", what, err ? err->message : "failed");
    exit(1);
}

static const mg_dicom_codec_frame frame = {ROWS, COLUMNS, 1, 2};
static const size_t bytes = (size_t)ROWS * COLUMNS * 2;

/* A file in memory around pixel data that is already in its final form. */
typedef struct buffer {
    uint8_t *p;
    size_t n;
} buffer;

static void put(buffer *b, const void *data, size_t n) {
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put_element(buffer *b, unsigned element, const char *vr, const void *value, size_t n) {
    const uint8_t head[8] = {0x28,
                             0,
                             (uint8_t)(element & 255),
                             (uint8_t)(element >> 8),
                             (uint8_t)vr[0],
                             (uint8_t)vr[1],
                             (uint8_t)n,
                             0};
    put(b, head, 8);
    put(b, value, n);
}

static void put_us(buffer *b, unsigned element, unsigned value) {
    const uint8_t v[2] = {(uint8_t)(value & 255), (uint8_t)(value >> 8)};
    put_element(b, element, "US", v, 2);
}

static mg_dicom *make_file(const char *syntax, const char *function, const void *pixels, size_t n,
                           bool encapsulated, buffer *b) {
    *b = (buffer){calloc(n + 4096, 1), 0};
    if (!b->p) abort();
    b->n = 128;
    put(b, "DICM\2\0\x10\0UI", 10);
    put(b, (const uint8_t[2]){(uint8_t)strlen(syntax), 0}, 2);
    put(b, syntax, strlen(syntax));
    put_us(b, 0x02, 1);
    put_element(b, 0x04, "CS", "MONOCHROME2 ", 12);
    put_us(b, 0x10, ROWS);
    put_us(b, 0x11, COLUMNS);
    put_us(b, 0x100, 16);
    put_us(b, 0x101, PRECISION);
    put_us(b, 0x102, PRECISION - 1);
    put_us(b, 0x103, 0);
    put_element(b, 0x1050, "DS", "2048", 4);
    put_element(b, 0x1051, "DS", "3000", 4);
    put_element(b, 0x1056, "CS", function, strlen(function));
    uint32_t length = (uint32_t)n, undefined = 0xFFFFFFFF;
    put(b, "\xE0\x7F\x10\0OW\0\0", 8);
    put(b, encapsulated ? &undefined : &length, 4);
    if (encapsulated) {
        put(b, "\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0", 12);
        put(b, &length, 4);
    }
    put(b, pixels, n);
    if (encapsulated) put(b, "\xFE\xFF\xDD\xE0\0\0\0\0", 8);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b->p, b->n, NULL, &err);
    if (!d) die("open", &err);
    return d;
}

/* Median seconds of reading frame 0. grey: into floats; else stored values. */
static double time_read(const char *syntax, const char *function, const void *pixels, size_t n,
                        bool encapsulated, bool grey, int reduce, int repetitions,
                        const uint16_t *expected) {
    buffer b;
    mg_dicom *d = make_file(syntax, function, pixels, n + n % 2, encapsulated, &b);
    void *out = malloc(bytes * 2);
    double seconds[MOST];
    if (!out) abort();
    for (int i = -1; i < repetitions; i++) {
        mg_dicom_error err = {0};
        mg_dicom_read_options o = {.reduce = reduce};
        double start = now();
        mg_dicom_status status = grey ? mg_dicom_read_grey(d, 0, NULL, out, &err)
                                      : mg_dicom_read_frame(d, 0, &o, out, bytes, &err);
        if (i >= 0) seconds[i] = now() - start;
        if (status != MG_DICOM_OK) die(syntax, &err);
    }
    if (expected && memcmp(out, expected, bytes)) die("decoded samples differ", NULL);
    qsort(seconds, (size_t)repetitions, sizeof seconds[0], ascending);
    mg_dicom_close(d);
    free(b.p);
    free(out);
    return seconds[repetitions / 2];
}

static void line(const char *what, double seconds, double full) {
    printf("%-26s %8.2f ms  %6.0f MB/s", what, 1e3 * seconds, (double)bytes / 1e6 / seconds);
    if (full > 0) printf("  %5.1f %% of the full decode", 100 * seconds / full);
    printf("\n");
}

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 5;
    if (n < 1 || n > MOST) n = 5;
    uint16_t *samples = tissue_image(ROWS, COLUMNS);
    mg_dicom_error err = {0};
    uint8_t *coded = NULL;
    size_t size = 0;
    if (mg_dicom_j2k_encode(samples, &frame, PRECISION, false, 0, &coded, &size, &err))
        die("encode", &err);
    coded = realloc(coded, size + 1);
    if (!coded) abort();
    static const char j2k[] = "1.2.840.10008.1.2.4.90", jls[] = "1.2.840.10008.1.2.4.80";
    printf("# %d x %d, %d bits, JPEG 2000 %.2f MB, %d repetitions\n", ROWS, COLUMNS, PRECISION,
           (double)size / 1e6, n);
    double full = time_read(j2k, "LINEAR", coded, size, true, false, 0, n, samples);
    line("JPEG 2000", full, 0);
    line("JPEG 2000 reduce 1", time_read(j2k, "LINEAR", coded, size, true, false, 1, n, NULL),
         full);
    line("JPEG 2000 reduce 2", time_read(j2k, "LINEAR", coded, size, true, false, 2, n, NULL),
         full);
    free(coded);
    if (mg_dicom_jls_encode(samples, &frame, PRECISION, 0, &coded, &size, &err))
        die("encode", &err);
    coded = realloc(coded, size + 1);
    if (!coded) abort();
    line("JPEG-LS", time_read(jls, "LINEAR", coded, size, true, false, 0, n, samples), 0);
    free(coded);
    static const char explicit[] = "1.2.840.10008.1.2.1";
    line("native", time_read(explicit, "LINEAR", samples, bytes, false, false, 0, n, samples), 0);
    line("native, grey LINEAR",
         time_read(explicit, "LINEAR", samples, bytes, false, true, 0, n, NULL), 0);
    line("native, grey SIGMOID",
         time_read(explicit, "SIGMOID ", samples, bytes, false, true, 0, n, NULL), 0);
    free(samples);
    return 0;
}
