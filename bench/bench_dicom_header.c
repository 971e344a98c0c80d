/* bench_dicom_header.c: how long it takes to open a DICOM file and read its header.
 *
 *     build/bench/bench_dicom_header [FILE|DIR] [SCANS]
 *
 * Without arguments a mammogram-like file with 220 elements is written to a temporary folder. Each
 * scan opens the file, parses up to the pixel data, reads ten attributes as a catalogue would, and
 * closes it. Prints the median, the mean and the slowest tenth; the page cache is warm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "dicom/dicom.h"
#include "dicom/writer.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* About what a vendor's mammogram has: public attributes, nested codes, a private block. */
static void write_sample(const char *path) {
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    mg_dicom_put_text(s, 0x00080018, "1.2.3.4.5.6.7.8.9");
    mg_dicom_put_text(s, 0x0020000D, "1.2.3.4.5.6.7.8");
    mg_dicom_put_text(s, 0x0020000E, "1.2.3.4.5.6.7.8.1");
    mg_dicom_put_text(s, 0x00080060, "MG");
    mg_dicom_put_text(s, 0x00100010, "Doe^Jane");
    mg_dicom_put_text(s, 0x00100020, "4711");
    mg_dicom_put_text(s, 0x00200062, "L");
    mg_dicom_put_text(s, 0x00185101, "MLO");
    mg_dicom_put_text(s, 0x00281050, "2047\\1500\\2500");
    mg_dicom_put_text(s, 0x00281051, "4095\\3000\\3500");
    for (uint32_t i = 0; i < 20; i++) {
        mg_dicom_dataset *item = mg_dicom_put_item(s, i < 10 ? 0x00540220 : 0x00082218);
        mg_dicom_put_code(item, 0x00540222, "399368009", "SCT", "medio-lateral oblique");
    }
    for (uint32_t i = 0; i < 100; i++)
        mg_dicom_put_bytes(s, 0x00191000 + i, "LO", "private value of a vendor", 25);
    mg_dicom_image image = {.rows = 3328,
                            .columns = 2560,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = 12,
                            .word_bytes = 2,
                            .photometric = "MONOCHROME2"};
    uint16_t *pixels = calloc((size_t)image.rows * image.columns, 2);
    mg_dicom_error err = {0};
    if (!pixels || mg_dicom_put_image(s, &image, pixels, NULL, &err) != MG_DICOM_OK ||
        mg_dicom_write_file(s, path, &err) != MG_DICOM_OK) {
        fprintf(stderr, "bench: %s\n", err.message);
        exit(1);
    }
    free(pixels);
    mg_dicom_dataset_destroy(s);
}

/* Returns a number made of the values, so that nothing is optimised away. */
static int64_t scan(const char *path) {
    static const uint32_t texts[] = {0x00100020, 0x00200062, 0x00185101, 0x00080018, 0x0020000D};
    static const uint32_t numbers[] = {0x00280010, 0x00280011, 0x00280101, 0x00281050, 0x00281051};
    mg_dicom_options options = {.stop_at_pixels = true};
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open(path, &options, &err);
    if (!d) return -1;
    char text[70];
    double value;
    int64_t sum = 0;
    for (int i = 0; i < 5; i++) sum += mg_dicom_text(d, texts[i], text, sizeof text);
    for (int i = 0; i < 5; i++)
        if (mg_dicom_double(d, numbers[i], &value)) sum += (int64_t)value;
    mg_dicom_close(d);
    return sum;
}

int main(int argc, char **argv) {
    char sample[] = "/tmp/bench_dicom_header_XXXXXX";
    int scans = argc > 2 ? atoi(argv[2]) : 10000;
    mg_path_list list = {0};
    mg_error err = {0};
    if (argc < 2) {
        int fd = mkstemp(sample);
        if (fd < 0) return 1;
        close(fd);
        write_sample(sample);
    }
    if (mg_list_files(argc > 1 ? argv[1] : sample, &list, &err) != MG_OK || list.count == 0 ||
        scans < 1) {
        fprintf(stderr, "bench: %s\n", err.message);
        return 1;
    }
    double *seconds = malloc((size_t)scans * sizeof *seconds), total = 0;
    int64_t sum = 0, failed = 0;
    for (int i = -100; seconds && i < scans; i++) { /* the first hundred warm up */
        double start = now();
        int64_t value = scan(list.path[(size_t)(i + 100) % list.count]);
        double took = now() - start;
        if (i < 0) continue;
        seconds[i] = took;
        total += took;
        sum += value;
        failed += value < 0;
    }
    if (!seconds) return 1;
    qsort(seconds, (size_t)scans, sizeof *seconds, by_value);
    printf("header scans: %d of %zu file(s), %lld not readable, checksum %lld\n", scans, list.count,
           (long long)failed, (long long)sum);
    printf("median %.1f us, mean %.1f us, 90%% below %.1f us, %.0f files/s\n",
           seconds[scans / 2] * 1e6, total / scans * 1e6, seconds[scans * 9 / 10] * 1e6,
           scans / total);
    free(seconds);
    mg_path_list_free(&list);
    if (argc < 2) unlink(sample);
    return 0;
}
