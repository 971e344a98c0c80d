/* The parser on files that are as they should be, in every encoding. */
#include <criterion/criterion.h>
#include <string.h>

#include "dicom/dicom.h"
#include "tests/lib/dicom_builder.h"

static const char *const syntaxes[] = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                       "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"};

static mg_dicom *open_bytes(const dicom_builder *b) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b->bytes, b->size, NULL, &err);
    cr_assert_not_null(d, "%s", err.message);
    return d;
}

static void number16(dicom_builder *b, uint16_t v) {
    uint8_t bytes[2] = {(uint8_t)(b->big_endian ? v >> 8 : v),
                        (uint8_t)(b->big_endian ? v : v >> 8)};
    build_raw(b, bytes, 2);
}

static void number32(dicom_builder *b, uint32_t v) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[b->big_endian ? 3 - i : i] = (uint8_t)(v >> (8 * i));
    build_raw(b, bytes, 4);
}

/* A data set with something of everything. */
static void rich(dicom_builder *b) {
    build_text(b, 0x00080005, "CS", "ISO_IR 100");
    build_header(b, 0x00081140, "SQ", UNDEFINED_LENGTH);
    build_item(b, UNDEFINED_LENGTH);
    build_text(b, 0x00081150, "UI", "1.2.3");
    build_header(b, 0x0040A170, "SQ", UNDEFINED_LENGTH);
    build_item(b, UNDEFINED_LENGTH);
    build_text(b, 0x00080100, "SH", "121322");
    build_item_end(b);
    build_item(b, 0);
    build_sequence_end(b);
    build_item_end(b);
    build_item(b, UNDEFINED_LENGTH);
    build_text(b, 0x00081150, "UI", "4.5");
    build_item_end(b);
    build_sequence_end(b);
    build_text(b, 0x00100010, "PN", "M\xFCller^Eva");
    build_text(b, 0x00101010, "AS", "055Y");
    build_text(b, 0x00181110, "DS", " 6.5e2\\-1.25 ");
    build_header(b, 0x00189461, "FL", 4);
    number32(b, 0xC0490FDB);
    build_text(b, 0x00200013, "IS", "+12");
    build_header(b, 0x00280009, "AT", 4);
    number16(b, 0x0018);
    number16(b, 0x1063);
    build_us(b, 0x00280103, "US", 1);
    build_us(b, 0x00280120, "SS", 0xFFFE); /* "US or SS": signed by the element before */
    build_us(b, 0x00280010, "US", 65535);
}

static void check_rich(const mg_dicom *d, const char *syntax) {
    char text[64];
    double v;
    int64_t i;
    cr_assert_str_eq(mg_dicom_transfer_syntax(d), syntax);
    cr_assert(mg_dicom_text(d, 0x00100010, text, sizeof text));
    cr_assert_str_eq(text, "M\xC3\xBCller^Eva");
    const mg_dicom_element *distance = mg_dicom_find(d, 0x00181110);
    cr_assert_eq(mg_dicom_count(d, distance), 2);
    cr_assert(mg_dicom_element_double(d, distance, 0, &v) && v == 650);
    cr_assert(mg_dicom_element_double(d, distance, 1, &v) && v == -1.25);
    cr_assert_not(mg_dicom_element_double(d, distance, 2, &v));
    cr_assert_not(mg_dicom_element_int(d, distance, 1, &i), "not a whole number");
    cr_assert(mg_dicom_double(d, 0x00189461, &v));
    cr_assert_float_eq(v, -3.14159274, 1e-7);
    cr_assert(mg_dicom_int(d, 0x00200013, &i) && i == 12);
    cr_assert(mg_dicom_text(d, 0x00280009, text, sizeof text));
    cr_assert_str_eq(text, "(0018,1063)");
    cr_assert(mg_dicom_int(d, 0x00280120, &i) && i == -2);
    cr_assert(mg_dicom_int(d, 0x00280010, &i) && i == 65535);
    cr_assert_null(mg_dicom_find(d, 0x00081150), "only inside items");
    const mg_dicom_element *sequence = mg_dicom_find(d, 0x00081140);
    cr_assert(sequence && sequence->undefined && sequence->depth == 0);
    cr_assert_eq(mg_dicom_count(d, sequence), 2);
    const mg_dicom_element *e = mg_dicom_find_path(d, (uint32_t[]){0x00081140, 1, 0x00081150}, 3);
    cr_assert_eq(mg_dicom_element_text(d, e, 0, text, sizeof text), 3);
    cr_assert_str_eq(text, "4.5");
    e = mg_dicom_find_path(d, (uint32_t[]){0x00081140, 0, 0x0040A170, 0, 0x00080100}, 5);
    cr_assert(e && e->depth == 4);
    cr_assert_eq(mg_dicom_element_text(d, e, 0, text, sizeof text), 6);
    cr_assert_null(mg_dicom_find_path(d, (uint32_t[]){0x00081140, 2, 0x00081150}, 3));
    e = mg_dicom_find_path(d, (uint32_t[]){0x00081140, 0, 0x0040A170}, 3);
    cr_assert_eq(mg_dicom_count(d, e), 2);
    cr_assert_null(mg_dicom_first_in(d, mg_dicom_item(d, e, 1)), "an empty item");
    cr_assert_not(mg_dicom_truncated(d));
}

Test(parser, every_encoding_reads_the_same) {
    for (int k = 0; k < 4; k++) {
        dicom_builder b;
        build_begin(&b, syntaxes[k]);
        size_t meta = b.size;
        rich(&b);
        if (k == 3) build_deflate(&b, meta);
        mg_dicom *d = open_bytes(&b);
        /* (0028,0010) stands behind (0028,0120) on purpose. */
        cr_expect_eq(mg_dicom_warnings(d), 1, "%s: %s", syntaxes[k], mg_dicom_warning(d, 1));
        check_rich(d, syntaxes[k]);
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(parser, without_preamble_or_meta) {
    for (int k = 0; k < 3; k++) {
        dicom_builder b;
        build_begin(&b, NULL);
        b.implicit = k == 0;
        b.big_endian = k == 2;
        rich(&b);
        mg_dicom *d = open_bytes(&b);
        check_rich(d, syntaxes[k]);
        mg_dicom_close(d);
        build_free(&b);
    }
    dicom_builder b;
    build_begin(&b, syntaxes[1]);
    rich(&b);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b.bytes + 128, b.size - 128, NULL, &err);
    check_rich(d, syntaxes[1]);
    mg_dicom_close(d);
    d = mg_dicom_open_memory(b.bytes + 132, b.size - 132, NULL, &err);
    check_rich(d, syntaxes[1]);
    mg_dicom_close(d);
    memmove(b.bytes + 128, b.bytes + 132, b.size - 132); /* a preamble, but no DICM */
    d = mg_dicom_open_memory(b.bytes, b.size - 4, NULL, &err);
    cr_assert_not_null(d, "%s", err.message);
    check_rich(d, syntaxes[1]);
    mg_dicom_close(d);
    build_free(&b);
}

Test(parser, walk_and_iterator_agree) {
    dicom_builder b;
    build_begin(&b, syntaxes[1]);
    rich(&b);
    mg_dicom *d = open_bytes(&b);
    mg_dicom_iterator it = {0};
    int n = 0, items = 0;
    uint64_t last = 0;
    for (const mg_dicom_element *e; (e = mg_dicom_next(d, &it)); n++) {
        items += e->tag == 0xFFFEE000;
        cr_assert(n == 0 || e->offset > last, "file order");
        cr_assert(e->value + e->length <= b.bytes + b.size);
        last = e->offset;
    }
    cr_assert_eq(items, 4);
    int top = 0;
    for (const mg_dicom_element *e = mg_dicom_first_in(d, NULL); e; e = mg_dicom_after(d, NULL, e))
        top += e->depth == 0;
    cr_assert_eq(top, 13);
    cr_assert_gt(n, top);
    mg_dicom_close(d);
    build_free(&b);
}

Test(parser, unknown_vr_holds_implicit_content) {
    dicom_builder b, inner;
    build_begin(&b, syntaxes[1]);
    build_begin(&inner, NULL);
    inner.implicit = true;
    build_item(&inner, UNDEFINED_LENGTH);
    build_text(&inner, 0x00081150, "UI", "1.2.3");
    build_item_end(&inner);
    /* A public sequence of known length, a private one of undefined length, and numbers as UN. */
    build_element(&b, 0x00081140, "UN", inner.bytes, inner.size);
    build_header(&b, 0x00091001, "UN", UNDEFINED_LENGTH);
    build_raw(&b, inner.bytes, inner.size);
    build_sequence_end(&b);
    build_element(&b, 0x00280010, "UN", "\x34\x12", 2);
    build_element(&b, 0x00291010, "UN", "\x34\x12", 2);
    mg_dicom *d = open_bytes(&b);
    char text[32];
    int64_t v;
    cr_assert_eq(mg_dicom_warnings(d), 0, "%s", mg_dicom_warning(d, 0));
    for (int k = 0; k < 2; k++) {
        const mg_dicom_element *e =
            mg_dicom_find_path(d, (uint32_t[]){k ? 0x00091001 : 0x00081140, 0, 0x00081150}, 3);
        cr_assert_gt(mg_dicom_element_text(d, e, 0, text, sizeof text), 0);
        cr_assert_str_eq(text, "1.2.3");
    }
    cr_assert(mg_dicom_int(d, 0x00280010, &v) && v == 0x1234);
    cr_assert_not(mg_dicom_int(d, 0x00291010, &v), "a private element stays unknown");
    mg_dicom_close(d);
    build_free(&b);
    build_free(&inner);
}

Test(parser, encodings_mixed_inside_sequences) {
    dicom_builder b;
    build_begin(&b, syntaxes[1]);
    build_header(&b, 0x00081140, "SQ", UNDEFINED_LENGTH); /* explicit, its items are not */
    build_item(&b, UNDEFINED_LENGTH);
    b.implicit = true;
    build_text(&b, 0x00081150, "UI", "1.2.3");
    build_text(&b, 0x00081155, "UI", "1.2.4");
    b.implicit = false;
    build_item_end(&b);
    build_sequence_end(&b);
    build_text(&b, 0x00100020, "LO", "id");
    mg_dicom *d = open_bytes(&b);
    char text[16];
    const mg_dicom_element *e = mg_dicom_find_path(d, (uint32_t[]){0x00081140, 0, 0x00081155}, 3);
    cr_assert_gt(mg_dicom_element_text(d, e, 0, text, sizeof text), 0);
    cr_assert_str_eq(text, "1.2.4");
    cr_assert(mg_dicom_text(d, 0x00100020, text, sizeof text));
    cr_assert_eq(mg_dicom_warnings(d), 1);
    mg_dicom_close(d);
    build_free(&b);
    /* And the other way round. */
    build_begin(&b, syntaxes[0]);
    build_header(&b, 0x00081140, "SQ", UNDEFINED_LENGTH);
    build_item(&b, UNDEFINED_LENGTH);
    b.implicit = false;
    build_text(&b, 0x00081155, "UI", "1.2.4");
    b.implicit = true;
    build_item_end(&b);
    build_sequence_end(&b);
    build_text(&b, 0x00100020, "LO", "id");
    d = open_bytes(&b);
    e = mg_dicom_find_path(d, (uint32_t[]){0x00081140, 0, 0x00081155}, 3);
    cr_assert_gt(mg_dicom_element_text(d, e, 0, text, sizeof text), 0);
    cr_assert_str_eq(text, "1.2.4");
    mg_dicom_close(d);
    build_free(&b);
}

Test(parser, stops_at_pixels) {
    dicom_builder b;
    build_begin(&b, "1.2.840.10008.1.2.4.70");
    build_text(&b, 0x00080018, "UI", "1.2.3");
    build_header(&b, 0x7FE00010, "OB", UNDEFINED_LENGTH);
    build_item(&b, 0);
    build_item(&b, 4);
    build_raw(&b, "\xFF\xD8\xFF\xD9", 4);
    build_sequence_end(&b);
    mg_dicom_error err = {0};
    mg_dicom_options options = {.stop_at_pixels = true};
    mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, &options, &err);
    cr_assert(d && mg_dicom_find(d, 0x7FE00010) && mg_dicom_is_encapsulated(d));
    cr_assert_eq(mg_dicom_fragment_count(d), 0);
    mg_dicom_close(d);
    d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
    uint64_t offset, length;
    cr_assert_eq(mg_dicom_fragment_count(d), 1);
    const uint8_t *p = mg_dicom_fragment_bytes(d, 0, &offset, &length);
    cr_assert(p == b.bytes + offset && length == 4 && p[1] == 0xD8);
    cr_assert_null(mg_dicom_fragment_bytes(d, 1, NULL, NULL));
    mg_dicom_close(d);
    build_free(&b);
}

Test(dictionary, knows_tags_both_ways) {
    static const struct {
        uint32_t tag;
        const char *keyword, *vr;
    } known[] = {{0x00100020, "PatientID", "LO"},
                 {0x7FE00010, "PixelData", "OB or OW"},
                 {0x00280106, "SmallestImagePixelValue", "US or SS"},
                 {0x00282112, "LossyImageCompressionRatio", "DS"},
                 {0x52009230, "PerFrameFunctionalGroupsSequence", "SQ"},
                 {0x00400275, "RequestAttributesSequence", "SQ"},
                 {0x00181405, "RelativeXRayExposure", "IS"},
                 {0x0040A730, "ContentSequence", "SQ"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        cr_expect_str_eq(mg_dicom_keyword(known[i].tag), known[i].keyword);
        cr_expect_str_eq(mg_dicom_tag_vr(known[i].tag), known[i].vr);
        cr_expect_eq(mg_dicom_tag_of(known[i].keyword), known[i].tag);
    }
    cr_assert_str_eq(mg_dicom_keyword(0x60003000), "OverlayData");
    cr_assert_str_eq(mg_dicom_keyword(0x601E3000), "OverlayData");
    cr_assert_null(mg_dicom_keyword(0x60203000));
    cr_assert_null(mg_dicom_keyword(0x60013000));
    cr_assert_null(mg_dicom_keyword(0x00091001));
    cr_assert_str_eq(mg_dicom_tag_vr(0x00090010), "LO");
    cr_assert_str_eq(mg_dicom_tag_vr(0x00090000), "UL");
    cr_assert_eq(mg_dicom_tag_of("NoSuchKeyword"), 0);
    cr_assert_str_eq(mg_dicom_uid_name("1.2.840.10008.1.2.4.70"),
                     "JPEG Lossless, Non-Hierarchical, First-Order Prediction");
    cr_assert_null(mg_dicom_uid_name("1.2.3"));
}
