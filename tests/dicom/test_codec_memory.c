/* Every allocation of the JPEG and RLE codecs fails once: the answer is MG_DICOM_ERR_MEMORY with a
 * reason, or the right result where memory was only a convenience; nothing leaks. malloc and its
 * family are replaced in this program, so sanitizer builds have nothing to test here. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "tests/golden/jpeg_dct.h"
#include "tests/lib/jpeg_writer.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static long fail_at, live;
static bool armed, failed;

static bool fails(void) {
    if (!armed || fail_at-- != 0) return false;
    failed = true;
    return true;
}

static void *counted(void *p, long n) {
    if (armed && p) live += n;
    return p;
}

void *malloc(size_t n) { return fails() ? NULL : counted(__libc_malloc(n), 1); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : counted(__libc_calloc(n, size), 1); }
void *realloc(void *old, size_t n) {
    return fails() ? NULL : counted(__libc_realloc(old, n), old ? 0 : 1);
}
void free(void *p) {
    if (armed && p) live--;
    __libc_free(p);
}

typedef mg_dicom_status task(void *arg, mg_dicom_error *err);

/* Runs `work` with each of its allocations failing in turn; at least `least` of them must be
 * fatal. */
static void exhaust(task *work, void *arg, int least, const char *what) {
    int fatal = 0;
    for (long at = 0;; at++) {
        mg_dicom_error err = {0};
        live = 0;
        failed = false;
        fail_at = at;
        armed = true;
        mg_dicom_status status = work(arg, &err);
        armed = false;
        cr_assert_eq(live, 0, "%s: allocation %ld failing leaks %ld", what, at, live);
        if (!failed) {
            cr_assert_eq(status, MG_DICOM_OK, "%s: %s", what, err.message);
            break;
        }
        if (status) {
            cr_assert_eq(status, MG_DICOM_ERR_MEMORY, "%s: %d", what, status);
            cr_assert(strstr(err.message, "memory"), "%s: %s", what, err.message);
            fatal++;
        }
    }
    cr_assert_geq(fatal, least, "%s: only %d allocations failed", what, fatal);
}

typedef struct decoding {
    const uint8_t *data;
    size_t size;
    mg_dicom_codec_frame frame;
    void *out;
} decoding;

static mg_dicom_status decode_jpeg(void *arg, mg_dicom_error *err) {
    decoding *d = arg;
    return mg_dicom_jpeg_decode(d->data, d->size, &d->frame, d->out, NULL, err);
}

static mg_dicom_status decode_rle(void *arg, mg_dicom_error *err) {
    decoding *d = arg;
    return mg_dicom_rle_decode(d->data, d->size, &d->frame, d->out, NULL, err);
}

static mg_dicom_status encode_jpeg(void *arg, mg_dicom_error *err) {
    decoding *d = arg;
    uint8_t *data = NULL;
    size_t size;
    mg_dicom_status s = mg_dicom_jpeg_lossless_encode(d->out, &d->frame, 12, &data, &size, err);
    free(data);
    return s;
}

static mg_dicom_status encode_rle(void *arg, mg_dicom_error *err) {
    decoding *d = arg;
    uint8_t *data = NULL;
    size_t size;
    mg_dicom_status s = mg_dicom_rle_encode(d->out, &d->frame, &data, &size, err);
    free(data);
    return s;
}

enum { ROWS = 140, COLUMNS = 150 };
static uint16_t image[ROWS * COLUMNS * 3], out[ROWS * COLUMNS * 3];

Test(codec_memory, lossless_and_rle) {
    for (int i = 0; i < ROWS * COLUMNS * 3; i++) image[i] = (uint16_t)(100 + i * 7 % 13);
    for (int components = 1; components <= 3; components += 2)
        for (int point = 0; point <= 1; point++) { /* into the output, or through a window */
            jpeg_writer_options o = {.rows = ROWS,
                                     .columns = COLUMNS,
                                     .components = components,
                                     .precision = 12,
                                     .predictor = 4,
                                     .point_transform = point};
            decoding d = {.frame = {ROWS, COLUMNS, components, 2}, .out = out};
            uint8_t *data = jpeg_writer_lossless(image, &o, &d.size);
            d.data = data;
            exhaust(decode_jpeg, &d, components == 1 ? 3 : 2, "lossless");
            free(data);
        }
    decoding d = {.frame = {ROWS, COLUMNS, 3, 2}, .out = image};
    exhaust(encode_jpeg, &d, 1, "lossless encoder");
    exhaust(encode_rle, &d, 2, "RLE encoder");
    uint8_t *data;
    cr_assert_eq(mg_dicom_rle_encode(image, &d.frame, &data, &d.size, NULL), MG_DICOM_OK);
    d.data = data;
    d.out = out;
    exhaust(decode_rle, &d, 1, "RLE");
    free(data);
}

Test(codec_memory, dct) {
    for (size_t i = 0; i < sizeof golden_jpegs / sizeof golden_jpegs[0]; i++) {
        const struct golden_jpeg *g = &golden_jpegs[i];
        decoding d = {g->stream, g->size, {g->rows, g->columns, g->samples, 2}, out};
        exhaust(decode_jpeg, &d, 1 + g->samples, g->name);
    }
}

#else
Test(codec_memory, lossless_and_rle) { cr_skip_test("malloc cannot be replaced here"); }
#endif
