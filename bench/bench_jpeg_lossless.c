/* bench_jpeg_lossless.c: how fast the lossless decoders are, in process, on one thread, with all
 * checks on: JPEG Lossless (selection value 1) and RLE of a noisy full-tissue 12-bit image. Figures
 * are MB/s of 16-bit output, median and best of the repetitions.
 *
 *     bench_jpeg_lossless [REPETITIONS]      time (default 9)
 *     bench_jpeg_lossless --raw FILE         write the image's samples, 16-bit native words
 *     bench_jpeg_lossless --jpeg FILE        write the codestream, for comparison with others
 *     bench_jpeg_lossless --dicom PREFIX     write PREFIX-raw.dcm, PREFIX-sv1.dcm, PREFIX-rle.dcm
 *
 * Times are those of the process, not of the clock, so that a busy machine disturbs them less.
 * compare_jpeg_lossless.sh runs other readers on the same files. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/tissue.h"
#include "dicom/codec.h"
#include "dicom/writer.h"

enum { ROWS = 3328, COLUMNS = 2560, PRECISION = 12, MOST = 99 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void die(const char *what, const mg_dicom_error *err) {
    fprintf(stderr, "bench_jpeg_lossless: %s: %s\n", what, err ? err->message : "failed");
    exit(1);
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) die(path, NULL);
}

static void write_dicom(const char *prefix, const char *name, const char *syntax,
                        const uint16_t *image) {
    mg_dicom_image description = {.rows = ROWS,
                                  .columns = COLUMNS,
                                  .frames = 1,
                                  .samples = 1,
                                  .bits_allocated = 16,
                                  .bits_stored = PRECISION,
                                  .high_bit = PRECISION - 1,
                                  .word_bytes = 2,
                                  .photometric = "MONOCHROME2"};
    mg_dicom_encode_options options = {.transfer_syntax = syntax};
    mg_dicom_error err = {0};
    char path[4096], uid[65];
    snprintf(path, sizeof path, "%s-%s.dcm", prefix, name);
    mg_dicom_uid_from(name, uid);
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.7");
    mg_dicom_put_text(s, 0x00080018, uid);
    if (mg_dicom_put_image(s, &description, image, &options, &err) ||
        mg_dicom_write_file(s, path, &err))
        die(path, &err);
    mg_dicom_dataset_destroy(s);
}

typedef mg_dicom_status decoder(const uint8_t *, size_t, const mg_dicom_codec_frame *, void *,
                                const mg_dicom_codec_options *, mg_dicom_error *);

static void time_decoder(const char *name, decoder *decode, const uint8_t *data, size_t size,
                         const mg_dicom_codec_frame *frame, const uint16_t *expected, int n) {
    size_t bytes = (size_t)frame->rows * frame->columns * 2;
    uint16_t *out = malloc(bytes);
    double seconds[MOST];
    if (!out) abort();
    for (int i = -1; i < n; i++) { /* -1: warm up */
        mg_dicom_error err = {0};
        double start = now();
        if (decode(data, size, frame, out, NULL, &err)) die(name, &err);
        if (i >= 0) seconds[i] = now() - start;
    }
    if (memcmp(out, expected, bytes)) die(name, NULL);
    qsort(seconds, (size_t)n, sizeof seconds[0], ascending);
    double mb = (double)bytes / 1e6;
    printf("%-22s %6.2f MB coded  %7.2f ms median  %6.0f MB/s median  %6.0f MB/s best of %d\n",
           name, (double)size / 1e6, 1e3 * seconds[n / 2], mb / seconds[n / 2], mb / seconds[0], n);
    free(out);
}

int main(int argc, char **argv) {
    mg_dicom_codec_frame frame = {ROWS, COLUMNS, 1, 2};
    mg_dicom_error err = {0};
    uint16_t *image = tissue_image(ROWS, COLUMNS);
    uint8_t *jpeg, *rle;
    size_t jpeg_size, rle_size;
    double start = now();
    if (mg_dicom_jpeg_lossless_encode(image, &frame, PRECISION, &jpeg, &jpeg_size, &err))
        die("encode JPEG", &err);
    double jpeg_seconds = now() - start;
    start = now();
    if (mg_dicom_rle_encode(image, &frame, &rle, &rle_size, &err)) die("encode RLE", &err);
    double rle_seconds = now() - start;
    if (argc == 3 && strcmp(argv[1], "--raw") == 0) {
        write_file(argv[2], image, (size_t)ROWS * COLUMNS * 2);
    } else if (argc == 3 && strcmp(argv[1], "--jpeg") == 0) {
        write_file(argv[2], jpeg, jpeg_size);
    } else if (argc == 3 && strcmp(argv[1], "--dicom") == 0) {
        write_dicom(argv[2], "raw", "1.2.840.10008.1.2.1", image);
        write_dicom(argv[2], "sv1", "1.2.840.10008.1.2.4.70", image);
        write_dicom(argv[2], "rle", "1.2.840.10008.1.2.5", image);
    } else {
        int n = argc > 1 ? atoi(argv[1]) : 9;
        if (n < 1 || n > MOST) n = 9;
        printf("%d x %d, %d bits, %.2f MB of 16-bit samples\n", ROWS, COLUMNS, PRECISION,
               ROWS * COLUMNS * 2 / 1e6);
        time_decoder("decode JPEG Lossless", mg_dicom_jpeg_decode, jpeg, jpeg_size, &frame, image,
                     n);
        time_decoder("decode RLE", mg_dicom_rle_decode, rle, rle_size, &frame, image, n);
        printf("encode JPEG Lossless %.0f ms, RLE %.0f ms (once)\n", 1e3 * jpeg_seconds,
               1e3 * rle_seconds);
    }
    free(image);
    free(jpeg);
    free(rle);
    return 0;
}
