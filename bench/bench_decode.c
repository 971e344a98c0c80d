/* bench_decode.c: from a DICOM file to stored values, and on to the network's input. One thread,
 * processor time, medians; MB are those of the decoded 16-bit samples.
 *
 *     bench_decode [REPETITIONS] FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "data/files.h"
#include "data/preprocess.h"
#include "dicom/dicom.h"

enum { MOST = 99 };

static double now(void) { /* other programs on the machine do not count */
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static void die(const char *path, const char *message) {
    fprintf(stderr, "bench_decode: %s: %s\n", path, message);
    exit(1);
}

/* Opening, parsing and decoding. Returns the bytes of the samples. */
static size_t decode(const char *path, void **samples) {
    mg_dicom_error err = {0};
    mg_dicom_image image;
    mg_dicom *d = mg_dicom_open(path, NULL, &err);
    if (!d || mg_dicom_image_info(d, &image, &err)) die(path, err.message);
    if (!*samples) *samples = malloc(image.frame_bytes);
    if (!*samples || mg_dicom_read_frame(d, 0, NULL, *samples, image.frame_bytes, &err))
        die(path, err.message);
    mg_dicom_close(d);
    return image.frame_bytes;
}

static void one_file(const char *path, int repetitions) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    mg_error err = {0};
    mg_preprocessor *p = mg_preprocessor_create(&s, &err);
    void *samples = NULL;
    double alone[MOST], whole[MOST], bytes = 0;
    for (int i = -3; i < repetitions; i++) { /* a few to warm up */
        mg_prepared input;
        double start = now(), between;
        bytes = (double)decode(path, &samples);
        between = now();
        if (!p || mg_preprocess_file(p, path, NULL, &input, &err)) die(path, err.message);
        if (i >= 0) alone[i] = between - start, whole[i] = now() - between;
        mg_prepared_free(&input);
    }
    double t = median(alone, repetitions), w = median(whole, repetitions);
    printf("%-28s decode %7.2f ms %6.0f MB/s   decode + preprocess %7.2f ms %6.0f MB/s\n",
           mg_path_name(path), 1e3 * t, bytes / t * 1e-6, 1e3 * w, bytes / w * 1e-6);
    free(samples);
    mg_preprocessor_destroy(p);
}

int main(int argc, char **argv) {
    int first = 1, repetitions = 9;
    if (argc > 1 && atoi(argv[1]) > 0) repetitions = atoi(argv[first++]);
    if (repetitions > MOST) repetitions = MOST;
    if (first >= argc) printf("bench_decode: name DICOM files\n");
    for (int i = first; i < argc; i++) one_file(argv[i], repetitions);
    return 0;
}
