/* Allocation failures: whichever allocation fails, the caller gets an error or a usable result, and
 * everything is given back. malloc is replaced by one that fails on demand, which a sanitizer's own
 * does not allow: under sanitizers this suite only runs the calls once. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/derived.h"
#include "tests/lib/dicom_builder.h"

static long allowed = -1; /* allocations until one fails; -1: never */
static long outstanding, calls;
static bool counting;

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* clang does not say it gcc's way */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INJECTING false
#else
#define INJECTING true
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static bool refuse(void) {
    if (!counting) return false;
    calls++;
    return allowed >= 0 && allowed-- == 0;
}

void *malloc(size_t size) {
    void *p = refuse() ? NULL : __libc_malloc(size);
    if (p && counting) outstanding++;
    return p;
}
void *calloc(size_t n, size_t size) {
    void *p = refuse() ? NULL : __libc_calloc(n, size);
    if (p && counting) outstanding++;
    return p;
}
void *realloc(void *old, size_t size) {
    if (refuse()) return NULL;
    void *p = __libc_realloc(old, size);
    if (p && !old && counting) outstanding++;
    return p;
}
void free(void *p) {
    if (p && counting) outstanding--;
    __libc_free(p);
}
#endif

/* Runs `work` with the first, second, third … allocation failing until one run needs no more.
 * work returns whether it succeeded; a failure must name lack of memory. */
static void fail_each(mg_dicom_status (*work)(void *arg, mg_dicom_error *err), void *arg,
                      const char *name) {
    int failed = 0;
    for (long k = 0; k < 100000; k++) {
        mg_dicom_error err = {0};
        allowed = INJECTING ? k : -1;
        outstanding = calls = 0;
        counting = true;
        mg_dicom_status status = work(arg, &err);
        counting = false;
        bool reached = INJECTING && allowed < 0;
        allowed = -1;
        cr_assert_eq(outstanding, 0, "%s: %ld allocations kept when number %ld fails", name,
                     outstanding, k);
        if (status != MG_DICOM_OK) {
            failed++;
            cr_assert_eq(status, MG_DICOM_ERR_MEMORY, "%s, allocation %ld: %s", name, k,
                         err.message);
        }
        if (!reached) {
            cr_assert_eq(status, MG_DICOM_OK, "%s: %s", name, err.message);
            cr_assert(!INJECTING || (k > 0 && failed > 0), "%s allocates nothing", name);
            return;
        }
    }
    cr_assert(false, "%s never ends", name);
}

/* --- the parser ------------------------------------------------------------------------------- */

static mg_dicom_status open_and_close(void *arg, mg_dicom_error *err) {
    const dicom_builder *b = arg;
    mg_dicom *d = mg_dicom_open_memory(b->bytes, b->size, NULL, err);
    if (!d) return err->code;
    char text[32];
    cr_assert(mg_dicom_text(d, 0x00100020, text, sizeof text));
    mg_dicom_close(d);
    return MG_DICOM_OK;
}

Test(memory, parser) {
    static const char *const syntaxes[] = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                           "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"};
    for (int k = 0; k < 4; k++) {
        dicom_builder b;
        build_begin(&b, syntaxes[k]);
        size_t meta = b.size;
        for (uint32_t i = 0; i < 700; i++) /* more than the first table holds, and warnings */
            build_text(&b, 0x00091001 + (i ^ 1), "LO", "x");
        build_text(&b, 0x00100020, "LO", "id");
        if (k == 3) {
            build_header(&b, 0x7FE00010, "OB", UNDEFINED_LENGTH);
            for (int i = 0; i < 40; i++) build_item(&b, 0);
            build_sequence_end(&b);
        }
        if (k == 2) build_deflate(&b, meta);
        fail_each(open_and_close, &b, syntaxes[k]);
        build_free(&b);
    }
}

/* --- decoders, encoders, writer --------------------------------------------------------------- */

typedef struct image_case {
    const char *syntax;
    uint16_t pixels[32 * 32];
} image_case;

static mg_dicom_status write_image(void *arg, mg_dicom_error *err) {
    const image_case *c = arg;
    mg_dicom_image image = {.rows = 32,
                            .columns = 32,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = 12,
                            .word_bytes = 2,
                            .frame_bytes = sizeof c->pixels,
                            .photometric = "MONOCHROME2"};
    mg_dicom_encode_options options = {.transfer_syntax = c->syntax};
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    uint8_t *bytes = NULL;
    size_t size;
    mg_dicom_put_text(s, 0x00080016, "1.2.3");
    mg_dicom_put_text(s, 0x00080018, "1.2.4");
    mg_dicom_put_text(mg_dicom_put_item(mg_dicom_put_item(s, 0x00081140), 0x0040A170), 0x00080100,
                      "121322");
    mg_dicom_status status = mg_dicom_put_image(s, &image, c->pixels, &options, err);
    if (status == MG_DICOM_OK) status = mg_dicom_write_memory(s, &bytes, &size, err);
    mg_dicom_dataset_destroy(s);
    free(bytes);
    return status;
}

static const char *const own[] = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99",
                                  "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"};

Test(memory, writer) {
    image_case c;
    for (int i = 0; i < 1024; i++) c.pixels[i] = (uint16_t)((i * 37) & 0xFFF);
    for (int k = 0; k < 4; k++) {
        c.syntax = own[k];
        fail_each(write_image, &c, own[k]);
    }
}

typedef struct file_case {
    uint8_t *bytes;
    size_t size;
} file_case;

static mg_dicom_status read_image(void *arg, mg_dicom_error *err) {
    const file_case *f = arg;
    static uint16_t out[32 * 32];
    static float grey[32 * 32];
    mg_dicom_image image;
    mg_dicom *d = mg_dicom_open_memory(f->bytes, f->size, NULL, err);
    if (!d) return err->code;
    mg_dicom_status status = mg_dicom_image_info(d, &image, err);
    if (status == MG_DICOM_OK) status = mg_dicom_read_frame(d, 0, NULL, out, sizeof out, err);
    if (status == MG_DICOM_OK) status = mg_dicom_read_grey(d, 0, NULL, grey, err);
    mg_dicom_close(d);
    return status;
}

Test(memory, decoders_and_grey) {
    for (int k = 0; k < 4; k++) {
        mg_dicom_image image = {.rows = 32,
                                .columns = 32,
                                .frames = 1,
                                .samples = 1,
                                .bits_allocated = 16,
                                .bits_stored = 12,
                                .word_bytes = 2,
                                .frame_bytes = 2048,
                                .photometric = "MONOCHROME2"};
        uint16_t pixels[1024];
        for (int i = 0; i < 1024; i++) pixels[i] = (uint16_t)((i * 37) & 0xFFF);
        mg_dicom_encode_options options = {.transfer_syntax = own[k]};
        mg_dicom_dataset *s = mg_dicom_dataset_create();
        mg_dicom_put_text(s, 0x00080016, "1.2.3");
        mg_dicom_put_text(s, 0x00080018, "1.2.4");
        file_case f;
        cr_assert_eq(mg_dicom_put_image(s, &image, pixels, &options, NULL), MG_DICOM_OK);
        cr_assert_eq(mg_dicom_write_memory(s, &f.bytes, &f.size, NULL), MG_DICOM_OK);
        mg_dicom_dataset_destroy(s);
        fail_each(read_image, &f, own[k]);
        free(f.bytes);
    }
}

static mg_dicom_status trace(void *arg, mg_dicom_error *err) {
    mg_dicom_outline *o;
    int n = mg_dicom_trace_outlines(arg, 40, 40, 1, 100, &o);
    (void)err;
    if (n < 0) return MG_DICOM_ERR_MEMORY;
    mg_dicom_free_outlines(o, n);
    return MG_DICOM_OK;
}

Test(memory, outlines) {
    uint8_t mask[1600];
    for (int i = 0; i < 1600; i++) mask[i] = (i / 40 / 3 + i % 40 / 5) % 2 == 0 || i % 40 < 2;
    fail_each(trace, mask, "outlines");
}
