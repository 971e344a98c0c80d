/* Every allocation on the way from a file to its pixels fails once: the answer is an error with a
 * reason or, where memory was only a convenience, the right result; never a crash, never a leak.
 * malloc and its family are replaced in this program, so sanitizer builds, which do the same, have
 * nothing to test here. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/codec.h"
#include "tests/lib/dicom_pixel_file.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static long fail_at = -1; /* allocations until one fails; -1: count only */
static long live;
static bool armed, failed;

/* OpenJPEG 2.5.0 itself does not survive all failures of its own allocations; those are spared. */
static bool is_spared(const void *caller) {
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "openjp2");
}

static bool fails(const void *caller) {
    if (!armed || is_spared(caller)) return false;
    if (fail_at < 0 || fail_at-- != 0) return false;
    failed = true;
    return true;
}

void *malloc(size_t n) {
    if (fails(__builtin_return_address(0))) return NULL;
    void *p = __libc_malloc(n);
    if (armed && p) live++;
    return p;
}
void *calloc(size_t n, size_t size) {
    if (fails(__builtin_return_address(0))) return NULL;
    void *p = __libc_calloc(n, size);
    if (armed && p) live++;
    return p;
}
void *realloc(void *old, size_t n) {
    if (fails(__builtin_return_address(0))) return NULL;
    void *p = __libc_realloc(old, n);
    if (armed && p && !old) live++;
    return p;
}
int posix_memalign(void **p, size_t alignment, size_t n) {
    if (fails(__builtin_return_address(0))) return 12; /* ENOMEM */
    *p = __libc_memalign(alignment, n);
    if (armed && *p) live++;
    return *p ? 0 : 12;
}
void free(void *p) {
    if (armed && p) live--;
    __libc_free(p);
}

enum { ROWS = 70, COLUMNS = 66, N = ROWS * COLUMNS };

static uint16_t samples[N], out[N];
static float grey[N];

/* One try: open, read frame 1, grey of frame 0. Returns the first status that is not OK. */
static mg_dicom_status use(const pixel_file *f, mg_dicom_error *err) {
    mg_dicom *d = mg_dicom_open_memory(f->bytes, f->size, NULL, err);
    if (!d) return err->code;
    mg_dicom_status status = mg_dicom_read_frame(d, 0, NULL, out, sizeof out, err);
    if (status == MG_DICOM_OK) status = mg_dicom_read_grey(d, 0, NULL, grey, err);
    mg_dicom_close(d);
    return status;
}

static void exhaust(const pixel_file *f, const char *what) {
    static float want[N];
    mg_dicom_error err = {0};
    cr_assert_eq(use(f, &err), MG_DICOM_OK, "%s: %s", what, err.message);
    memcpy(want, grey, sizeof want);
    int failures = 0;
    for (long at = 0;; at++) {
        err = (mg_dicom_error){0};
        live = 0;
        fail_at = at;
        failed = false;
        armed = true;
        mg_dicom_status status = use(f, &err);
        armed = false;
        cr_assert_eq(live, 0, "%s: allocation %ld failing leaks %ld blocks", what, at, live);
        if (status == MG_DICOM_OK)
            cr_assert_arr_eq(grey, want, sizeof want, "%s: allocation %ld", what, at);
        else cr_assert(failed && strlen(err.message) > 8, "%s: %d '%s'", what, status, err.message);
        failures += status != MG_DICOM_OK;
        if (!failed) break;
        cr_assert_lt(at, 100000);
    }
    cr_expect_gt(failures, 2, "%s: %d failures", what, failures);
}

static void describe(pixel_file *f, const char *syntax, int allocated) {
    pixel_image im = {
        .rows = ROWS, .columns = COLUMNS, .samples = 1, .allocated = allocated, .stored = 8};
    pixel_file_begin(f, syntax);
    pixel_file_describe(f, &im);
}

static void fill(void) {
    uint32_t seed = 6;
    for (int i = 0; i < N; i++) samples[i] = (uint16_t)(i / 80 + (pixel_random(&seed) & 7)) & 255;
}

Test(pixels_memory, every_allocation_can_fail) {
    static const char *const syntaxes[] = {TS_JLS, TS_JPEG_SV1, TS_RLE, TS_J2K};
    fill();
    for (int s = 0; s < 4; s++)
        for (int pieces = 1; pieces <= 2; pieces++) {
            codestream c = {0};
            encoding e = {.rows = ROWS, .columns = COLUMNS, .samples = 1, .bits = 8, .levels = 2};
            mg_dicom_codec_frame frame = {ROWS, COLUMNS, 1, 2};
            if (s == 0) c = encode_jls(&e, samples);
            if (s == 1) mg_dicom_jpeg_lossless_encode(samples, &frame, 8, &c.bytes, &c.size, NULL);
            if (s == 2) mg_dicom_rle_encode(samples, &frame, &c.bytes, &c.size, NULL);
            if (s == 3) c = encode_j2k(&e, samples);
            pixel_file f;
            describe(&f, syntaxes[s], s == 0 ? 8 : 16);
            pixel_file_us(&f, 0x00280120, "US", 3);
            pixel_file_fragments(&f, NULL, 0);
            size_t half = c.size / 4 * 2;
            if (pieces == 2) pixel_file_fragment(&f, c.bytes, half);
            pixel_file_fragment(&f, c.bytes + (pieces == 2 ? half : 0),
                                c.size - (pieces == 2 ? half : 0));
            pixel_file_end(&f);
            exhaust(&f, syntaxes[s]);
            pixel_file_free(&f);
            free(c.bytes);
        }
}

Test(pixels_memory, native_with_luts) {
    uint16_t entries[256];
    const uint16_t descriptor[3] = {256, 0, 16};
    fill();
    for (int i = 0; i < 256; i++) entries[i] = (uint16_t)(i * 257);
    pixel_file f;
    describe(&f, TS_EXPLICIT, 16);
    for (int lut = 0; lut < 2; lut++) {
        pixel_file_open(&f, lut ? 0x00283010 : 0x00283000);
        pixel_file_open(&f, 0xFFFEE000);
        pixel_file_element(&f, 0x00283002, "US", descriptor, 6);
        pixel_file_element(&f, 0x00283006, "OW", entries, sizeof entries);
        pixel_file_close(&f, true);
        pixel_file_close(&f, false);
    }
    pixel_file_element(&f, 0x7FE00010, "OW", samples, sizeof samples);
    exhaust(&f, "LUTs");
    pixel_file_free(&f);
}

#else
Test(pixels_memory, every_allocation_can_fail) { cr_skip_test("malloc cannot be replaced here"); }
#endif
