/* The parser on files that are not as they should be: what can be read is read, the rest
 * is said. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/dicom.h"
#include "tests/lib/dicom_builder.h"

#define EXPLICIT "1.2.840.10008.1.2.1"
#define IMPLICIT "1.2.840.10008.1.2"
#define DEFLATED "1.2.840.10008.1.2.1.99"
#define JPEG     "1.2.840.10008.1.2.4.70"

static mg_dicom *open_bytes(const dicom_builder *b) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b->bytes, b->size, NULL, &err);
    cr_assert_not_null(d, "%s", err.message);
    return d;
}

static bool warns_of(const mg_dicom *d, const char *what) {
    for (int i = 0; i < mg_dicom_warnings(d); i++)
        if (strstr(mg_dicom_warning(d, i), what)) return true;
    return false;
}

static void expect_id(const mg_dicom *d) {
    char text[16] = "";
    cr_expect(mg_dicom_text(d, 0x00100020, text, sizeof text));
    cr_expect_str_eq(text, "id");
}

/* --- structure -------------------------------------------------------------------------------- */

Test(broken, missing_delimiters) {
    for (int k = 0; k < 3; k++) {
        dicom_builder b;
        build_begin(&b, EXPLICIT);
        build_header(&b, 0x00081140, "SQ", UNDEFINED_LENGTH);
        build_item(&b, UNDEFINED_LENGTH);
        build_text(&b, 0x00081150, "UI", "1.2");
        if (k == 1) build_item_end(&b);     /* no sequence delimiter */
        if (k == 2) build_sequence_end(&b); /* no item delimiter */
        if (k == 0) build_item(&b, UNDEFINED_LENGTH), build_item_end(&b), build_sequence_end(&b);
        build_text(&b, 0x00100020, "LO", "id");
        mg_dicom *d = open_bytes(&b);
        cr_expect(warns_of(d, "without its delimiter"), "case %d", k);
        expect_id(d);
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(broken, stray_delimiters_and_items) {
    dicom_builder b;
    build_begin(&b, EXPLICIT);
    build_text(&b, 0x00080018, "UI", "1.2");
    build_item_end(&b);
    build_sequence_end(&b);
    build_text(&b, 0x00100020, "LO", "id");
    mg_dicom *d = open_bytes(&b);
    cr_expect(warns_of(d, "delimiter without a beginning"));
    expect_id(d);
    mg_dicom_close(d);
    build_item(&b, 4);
    build_raw(&b, "abcd", 4);
    d = open_bytes(&b);
    cr_expect(warns_of(d, "item outside of any sequence"));
    cr_expect(mg_dicom_truncated(d));
    expect_id(d);
    mg_dicom_close(d);
    build_free(&b);
}

Test(broken, rubbish_inside_a_sequence_of_known_length) {
    dicom_builder b;
    build_begin(&b, EXPLICIT);
    build_header(&b, 0x00081140, "SQ", 40);
    build_item(&b, 16);
    build_raw(&b, "\x08\x00\x50\x11\x01\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16);
    build_raw(&b, "this is no item!", 16);
    build_text(&b, 0x00100020, "LO", "id");
    mg_dicom *d = open_bytes(&b);
    cr_expect_gt(mg_dicom_warnings(d), 0);
    expect_id(d);
    mg_dicom_close(d);
    build_free(&b);
}

Test(broken, depth_has_a_limit) {
    static const struct {
        int levels;
        bool fits;
    } cases[] = {{63, true}, {64, true}, {65, false}, {100000, false}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        dicom_builder b;
        build_begin(&b, EXPLICIT);
        for (int i = 0; i < cases[k].levels; i++) {
            build_header(&b, 0x00081140, "SQ", UNDEFINED_LENGTH);
            build_item(&b, UNDEFINED_LENGTH);
        }
        mg_dicom_error err = {0};
        mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
        cr_expect_eq(d != NULL, cases[k].fits, "%d levels", cases[k].levels);
        if (!d) {
            cr_expect_eq(err.code, MG_DICOM_ERR_LIMIT);
            cr_expect_eq(err.offset, 132 + 12 + 8 + 20 + 64 * 20 + 12, "%s", err.message);
        }
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(broken, lengths_beyond_the_end_are_cut) {
    static const uint32_t lengths[] = {3, 5000, 0x7FFFFFFF, 0xFFFFFFFE};
    for (int implicit = 0; implicit < 2; implicit++)
        for (int k = 0; k < 4; k++) {
            dicom_builder b;
            build_begin(&b, implicit ? IMPLICIT : EXPLICIT);
            build_text(&b, 0x00100020, "LO", "id");
            build_header(&b, 0x00204000, "UT", lengths[k]);
            build_raw(&b, "ab", 2);
            mg_dicom *d = open_bytes(&b);
            const mg_dicom_element *e = mg_dicom_find(d, 0x00204000);
            cr_assert(e && e->length == 2 && e->value + 2 == b.bytes + b.size);
            cr_expect(mg_dicom_truncated(d) && warns_of(d, "bytes left"));
            expect_id(d);
            mg_dicom_close(d);
            build_free(&b);
        }
}

Test(broken, odd_lengths) {
    for (int padded = 0; padded < 2; padded++) {
        dicom_builder b;
        build_begin(&b, EXPLICIT);
        build_element(&b, 0x00080050, "SH", "abc", 3);
        if (padded) build_raw(&b, " ", 1); /* written, but not counted */
        build_text(&b, 0x00100020, "LO", "id");
        mg_dicom *d = open_bytes(&b);
        cr_expect(warns_of(d, "odd length"));
        expect_id(d);
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(broken, value_representations) {
    dicom_builder b;
    build_begin(&b, EXPLICIT);
    build_header(&b, 0x00080050, "ZZ", 2); /* unknown, short form */
    build_raw(&b, "ab", 2);
    build_raw(&b, "\x08\x00\x90\x00XX\0\0\x04\0\0\0wxyz", 16); /* unknown, long form */
    b.implicit = true;
    build_text(&b, 0x00081030, "LO", "none"); /* no VR at all */
    b.implicit = false;
    build_text(&b, 0x00100020, "LO", "id");
    mg_dicom *d = open_bytes(&b);
    char text[16];
    expect_id(d);
    cr_assert(mg_dicom_text(d, 0x00081030, text, sizeof text));
    cr_assert_str_eq(text, "none");
    cr_assert_eq(mg_dicom_find(d, 0x00080090)->length, 4);
    cr_assert_gt(mg_dicom_warnings(d), 0);
    mg_dicom_close(d);
    build_free(&b);
}

Test(broken, transfer_syntax_that_lies) {
    for (int k = 0; k < 4; k++) {
        dicom_builder b;
        build_begin(&b, k == 0 ? IMPLICIT : k == 1 ? EXPLICIT : k == 2 ? EXPLICIT : DEFLATED);
        b.implicit = k == 1;
        b.big_endian = k == 2;
        build_text(&b, 0x00080016, "UI", "1.2.3");
        build_text(&b, 0x00100020, "LO", "id");
        mg_dicom *d = open_bytes(&b);
        cr_expect(warns_of(d, "as its transfer syntax says"), "case %d", k);
        expect_id(d);
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(broken, what_is_behind_the_data_set) {
    dicom_builder b;
    build_begin(&b, EXPLICIT);
    build_text(&b, 0x00100020, "LO", "id");
    static const uint8_t zeros[32];
    build_raw(&b, zeros, sizeof zeros);
    mg_dicom *d = open_bytes(&b);
    cr_expect(warns_of(d, "zeros behind") && !mg_dicom_truncated(d));
    expect_id(d);
    mg_dicom_close(d);
    build_free(&b);
}

Test(broken, not_dicom_at_all) {
    static const char *const texts[] = {"", "D", "DICM", "hello world, this is text",
                                        "\x89PNG\r\n\x1A\n"};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        mg_dicom_error err = {0};
        cr_expect_null(mg_dicom_open_memory(texts[k], strlen(texts[k]), NULL, &err));
        cr_expect(err.code == MG_DICOM_ERR_NOT_DICOM || err.code == MG_DICOM_ERR_FORMAT);
        cr_expect(err.message[0]);
    }
    mg_dicom_error err = {0};
    cr_expect_null(mg_dicom_open("/nonexistent/file.dcm", NULL, &err));
    cr_expect_eq(err.code, MG_DICOM_ERR_IO);
    err = (mg_dicom_error){0};
    cr_expect_null(mg_dicom_open("/", NULL, &err));
    cr_expect_eq(err.code, MG_DICOM_ERR_IO);
    dicom_builder b;
    build_begin(&b, EXPLICIT); /* ends after the meta information */
    err = (mg_dicom_error){0};
    cr_expect_null(mg_dicom_open_memory(b.bytes, b.size, NULL, &err));
    cr_expect_eq(err.code, MG_DICOM_ERR_FORMAT);
    cr_expect_eq(err.offset, b.size);
    build_free(&b);
}

/* --- limits and callbacks --------------------------------------------------------------------- */

static bool stop(void *arg, uint64_t offset, const char *message) {
    ++*(int *)arg;
    return offset == 0 || message == NULL;
}

Test(broken, callers_limits) {
    dicom_builder b;
    build_begin(&b, EXPLICIT);
    for (uint32_t i = 0; i < 1000; i++) build_text(&b, 0x00100020 + i, "LO", "id");
    mg_dicom_error err = {0};
    mg_dicom_options options = {.max_elements = 500};
    cr_assert_null(mg_dicom_open_memory(b.bytes, b.size, &options, &err));
    cr_assert_eq(err.code, MG_DICOM_ERR_LIMIT);
    build_element(&b, 0x00204000, "LT", "abc", 3);
    int calls = 0;
    options = (mg_dicom_options){.on_warning = stop, .warning_arg = &calls};
    err = (mg_dicom_error){0};
    cr_assert_null(mg_dicom_open_memory(b.bytes, b.size, &options, &err));
    cr_assert_eq(err.code, MG_DICOM_ERR_FORMAT);
    cr_assert_eq(calls, 1);
    build_free(&b);
}

Test(broken, deflate_streams) {
    dicom_builder b;
    static uint8_t zeros[1 << 20];
    build_begin(&b, DEFLATED);
    size_t meta = b.size;
    build_text(&b, 0x00100020, "LO", "id");
    build_header(&b, 0x7FE00010, "OW", 150u << 20);
    for (int i = 0; i < 150; i++) build_raw(&b, zeros, sizeof zeros);
    build_deflate(&b, meta); /* 150 MB of zeros in 150 kB */
    mg_dicom_error err = {0};
    cr_assert_null(mg_dicom_open_memory(b.bytes, b.size, NULL, &err));
    cr_assert_eq(err.code, MG_DICOM_ERR_LIMIT, "%s", err.message);
    build_free(&b);
    build_begin(&b, DEFLATED);
    build_text(&b, 0x00100020, "LO", "id");
    build_header(&b, 0x00204000, "UT", 4000);
    for (int i = 0; i < 1000; i++) build_raw(&b, (uint32_t[]){(uint32_t)i * 2654435761u}, 4);
    build_deflate(&b, meta);
    for (size_t cut = 20; cut < 3000; cut += 700) { /* ends early */
        mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size - cut, NULL, &err);
        cr_assert_not_null(d);
        cr_expect(mg_dicom_truncated(d) && warns_of(d, "deflate stream ends early"));
        expect_id(d);
        mg_dicom_close(d);
    }
    build_free(&b);
}

/* --- pixel data ------------------------------------------------------------------------------- */

static mg_dicom *open_fragments(dicom_builder *b, const char *bytes, size_t n) {
    build_begin(b, JPEG);
    build_text(b, 0x00100020, "LO", "id");
    build_header(b, 0x7FE00010, "OB", UNDEFINED_LENGTH);
    build_raw(b, bytes, n);
    return open_bytes(b);
}

#define TABLE    "\xFE\xFF\x00\xE0\x00\x00\x00\x00"
#define ITEM(n)  "\xFE\xFF\x00\xE0" n "\x00\x00\x00"
#define END      "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
#define TRAILING "\xFC\xFF\xFC\xFFOB\0\0\x02\0\0\0\0\0"

Test(broken, fragments) {
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t count;
        uint64_t last;
        bool truncated;
        const char *warning;
    } cases[] = {
        {TABLE ITEM("\x04") "abcd" ITEM("\x02") "ef" END, 38, 2, 2, false, NULL},
        {TABLE ITEM("\x04") "abcd", 20, 1, 4, false, "no sequence delimiter"},
        {TABLE ITEM("\x04") "ab", 18, 1, 2, true, "longer than the file"},
        {TABLE ITEM("\x05") "abcd" END, 28, 1, 4, false, "off by one"},
        {TABLE ITEM("\x03") "abcd" END, 28, 1, 3, false, "off by one"},
        {ITEM("\x08") "\xFF\xD8\xFF\xE0wxyz" END, 24, 1, 8, false, "no offset table"},
        {TABLE ITEM("\x08") "\xFE\xFF\xDD\xE0\0\0\0\0" END, 32, 1, 8, false, NULL},
        {TABLE ITEM("\x02") "ab"
                            "rubbish here",
         30, 1, 2, true, "neither an item"},
        {TABLE ITEM("\x02") "ab" TRAILING, 32, 1, 2, false, "neither an item"},
        {TABLE "\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF"
               "ab",
         18, 1, 2, true, "longer than the file"},
        {"", 0, 0, 0, false, "no sequence delimiter"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        dicom_builder b;
        mg_dicom *d = open_fragments(&b, cases[k].bytes, cases[k].size);
        uint64_t length = 0;
        expect_id(d);
        cr_expect_eq(mg_dicom_fragment_count(d), cases[k].count, "case %zu", k);
        if (cases[k].count) mg_dicom_fragment_bytes(d, cases[k].count - 1, NULL, &length);
        cr_expect_eq(length, cases[k].last, "case %zu", k);
        cr_expect_eq(mg_dicom_truncated(d), cases[k].truncated, "case %zu", k);
        if (cases[k].warning) cr_expect(warns_of(d, cases[k].warning), "case %zu", k);
        else cr_expect_eq(mg_dicom_warnings(d), 0, "case %zu: %s", k, mg_dicom_warning(d, 0));
        mg_dicom_close(d);
        build_free(&b);
    }
}

/* --- every cut and every flipped byte --------------------------------------------------------- */

static void small_file(dicom_builder *b, const char *syntax) {
    build_begin(b, syntax);
    size_t meta = b->size;
    build_text(b, 0x00080005, "CS", "\\ISO 2022 IR 87");
    build_header(b, 0x00081140, "SQ", UNDEFINED_LENGTH);
    build_item(b, UNDEFINED_LENGTH);
    build_text(b, 0x00081150, "UI", "1.2.3");
    build_item_end(b);
    build_item(b, 0);
    build_sequence_end(b);
    build_header(b, 0x00082112, "SQ", b->implicit ? 16 + 2 : 16 + 2);
    build_item(b, 10);
    build_text(b, 0x00080100, "SH", "ab");
    build_text(b, 0x00100010, "PN", "Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B");
    build_text(b, 0x00281050, "DS", "1e3\\-2.5");
    build_us(b, 0x00280103, "US", 0);
    build_element(b, 0x00291010, "UN", "\xFE\xFF\x00\xE0\0\0\0\0", 8);
    build_header(b, 0x7FE00010, "OB", UNDEFINED_LENGTH);
    build_raw(b, TABLE ITEM("\x04") "\xFF\xD8\xFF\xD9" END, 28);
    if (strcmp(syntax, DEFLATED) == 0) build_deflate(b, meta);
}

/* Opens a copy of its exact size, so that a sanitizer sees every read beyond, and
 * uses everything. */
static void exercise(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, bytes, size);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(copy, size, NULL, &err);
    cr_assert_eq(d == NULL, err.code != MG_DICOM_OK);
    cr_assert_eq(d == NULL, err.message[0] != 0);
    mg_dicom_iterator it = {0};
    for (const mg_dicom_element *e; d && (e = mg_dicom_next(d, &it));) {
        char text[40];
        double v;
        int64_t i;
        cr_assert(e->next > (size_t)0 && e->next >= it.next);
        for (int k = 0; k < 3; k++) {
            mg_dicom_element_text(d, e, k, text, sizeof text);
            mg_dicom_element_double(d, e, k, &v);
            mg_dicom_element_int(d, e, k, &i);
        }
        mg_dicom_count(d, e);
    }
    mg_dicom_image image;
    if (d) mg_dicom_image_info(d, &image, &err);
    mg_dicom_close(d);
    free(copy);
}

static const char *const all[] = {IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2", DEFLATED};

Test(broken, cut_at_every_byte) {
    for (int k = 0; k < 4; k++) {
        dicom_builder b;
        small_file(&b, all[k]);
        for (size_t n = 0; n <= b.size; n++) exercise(b.bytes, n);
        for (size_t n = 0; n < b.size && n < 140; n++) exercise(b.bytes + n, b.size - n);
        build_free(&b);
    }
}

Test(broken, every_byte_changed) {
    static const uint8_t values[] = {0x00, 0xFF, 0x7F, 0x80, 0x01, 0xFE, 0xE0, 'S', 'Q', '\\'};
    for (int k = 0; k < 4; k++) {
        dicom_builder b;
        small_file(&b, all[k]);
        for (size_t i = 128; i < b.size; i++) {
            uint8_t kept = b.bytes[i];
            for (size_t v = 0; v < sizeof values; v++) {
                b.bytes[i] = values[v];
                exercise(b.bytes, b.size);
            }
            for (int bit = 0; bit < 8; bit++) {
                b.bytes[i] = (uint8_t)(kept ^ 1 << bit);
                exercise(b.bytes, b.size);
            }
            b.bytes[i] = kept;
        }
        build_free(&b);
    }
}
