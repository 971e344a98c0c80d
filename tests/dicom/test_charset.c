/* Specific character sets: the examples of PS3.5 annexes H, I, J and K, and the usual mistakes. */
#include <criterion/criterion.h>
#include <string.h>

#include "dicom/dicom.h"
#include "tests/lib/dicom_builder.h"

typedef struct example {
    const char *charset, *raw, *utf8;
} example;

static void check(const example *e, uint32_t tag, const char *vr) {
    dicom_builder b;
    build_begin(&b, "1.2.840.10008.1.2.1");
    if (e->charset) build_text(&b, 0x00080005, "CS", e->charset);
    build_text(&b, tag, vr, e->raw);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
    cr_assert_not_null(d);
    char text[200] = "";
    int n = mg_dicom_element_text(d, mg_dicom_find(d, tag), 0, text, sizeof text);
    cr_expect_str_eq(text, e->utf8, "%s: '%s', expected '%s'", e->charset, text, e->utf8);
    cr_expect_eq(n, (int)strlen(e->utf8));
    char small[8];
    cr_expect_eq(mg_dicom_element_text(d, mg_dicom_find(d, tag), 0, small, sizeof small), n);
    cr_expect_leq(strlen(small), 7);
    cr_expect_eq(strncmp(small, e->utf8, strlen(small)), 0, "cut between characters");
    mg_dicom_close(d);
    build_free(&b);
}

Test(charset, person_names_of_the_standard) {
    static const example examples[] = {
        /* H.3.1 */
        {"\\ISO 2022 IR 87",
         "Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B",
         "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        /* H.3.2 */
        {"ISO 2022 IR 13\\ISO 2022 IR 87",
         "\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1B$B;3ED\x1B(J^\x1B$BB@O:\x1B(J=\x1B$B$d$^$@\x1B(J^"
         "\x1B$B$?$m$&\x1B(J",
         "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
        /* I.2 */
        {"\\ISO 2022 IR 149",
         "Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7=\x1B$)C\xC8\xAB^\x1B$)C\xB1\xE6"
         "\xB5\xBF",
         "Hong^Gildong=洪^吉洞=홍^길동"},
        /* J.1, J.3 */
        {"ISO_IR 192",
         "Wang^XiaoDong=\xE7\x8E\x8B^\xE5\xB0\x8F\xE6\x9D\xB1=", "Wang^XiaoDong=王^小東="},
        {"GB18030", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB=", "Wang^XiaoDong=王^小东="},
        {"GBK", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB=", "Wang^XiaoDong=王^小东="},
        /* K.2 */
        {"\\ISO 2022 IR 58",
         "Zhang^XiaoDong=\x1B$)A\xD5\xC5^\x1B$)A\xD0\xA1\xB6\xAB=", "Zhang^XiaoDong=张^小东="},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check(&examples[i], 0x00100010, "PN");
}

Test(charset, all_values_at_once) {
    static const struct {
        const char *charset, *vr, *raw, *utf8;
    } cases[] = {
        {"ISO_IR 100", "LO", "J\xE9r\\ F\xF4 \\\\x", "Jér\\ Fô \\\\x"},
        {"\\ISO 2022 IR 87", "LO", "\x1B$B;3ED\x1B(B\\B\\\x1B$BB@O:\x1B(B", "山田\\B\\太郎"},
        {"ISO_IR 13", "LO", "~\\~", "‾\\‾"},
        {"GB18030", "LO", "\xCD\xF5\\\xD0\xA1", "王\\小"},
        {NULL, "UI", "1.2\\3.4", "1.2\\3.4"},
        {NULL, "LT", "a\\b", "a\\b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dicom_builder b;
        build_begin(&b, "1.2.840.10008.1.2.1");
        if (cases[i].charset) build_text(&b, 0x00080005, "CS", cases[i].charset);
        build_text(&b, 0x00091001, cases[i].vr, cases[i].raw);
        mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, NULL);
        char text[200];
        const mg_dicom_element *e = mg_dicom_find(d, 0x00091001);
        int n = mg_dicom_element_all_text(d, e, text, sizeof text);
        cr_expect_str_eq(text, cases[i].utf8, "%s", text);
        cr_expect_eq(n, (int)strlen(cases[i].utf8));
        mg_dicom_close(d);
        build_free(&b);
    }
}

Test(charset, single_byte_sets) {
    static const example examples[] = {
        {"ISO_IR 100", "Buc^J\xE9r\xF4me", "Buc^Jérôme"},
        {"ISO_IR 101", "W\xB1\xB3\xEA\xBF", "Wąłęż"},
        {"ISO_IR 109", "\xA6\xB1\xFE", "Ĥħŝ"},
        {"ISO_IR 110", "\xB6\xBF\xE0", "ļŋā"},
        {"ISO_IR 144", "\xBB\xEE\xDA\x63\x65\xDC\xD1yp\xD3", "Люкceмбypг"},
        {"ISO_IR 127", "\xE2\xC8\xC7\xE6\xEA^\xE4\xE6\xD2\xC7\xD1", "قباني^لنزار"},
        {"ISO_IR 126", "\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2", "Διονυσιος"},
        {"ISO_IR 138", "\xF9\xF8\xE5\xEF^\xE3\xE1\xE5\xF8\xE4", "שרון^דבורה"},
        {"ISO_IR 148", "\xC7\xD0\xDD\xDE\xFD\xFE", "ÇĞİŞış"},
        {"ISO_IR 166", "\xB9\xD2\xC1", "นาม"},
        {"ISO_IR 203", "\xA4", "€"},
        {"ISO_IR 13", "\xB1\xB2\xB3~", "ｱｲｳ‾"},
        {"ISO_IR 6", "plain", "plain"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check(&examples[i], 0x00081030, "LO");
}

Test(charset, switches_between_single_byte_sets) {
    static const example examples[] = {
        {"ISO 2022 IR 100\\ISO 2022 IR 144", "J\xE9r\xF4me \x1B-L\xBB\xEE\xDA\xE1", "Jérôme Люкс"},
        {"ISO 2022 IR 100\\ISO 2022 IR 126", "\x1B-F\xC4\xE9\xEF\r\nJ\xE9", "Διο\r\nJé"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check(&examples[i], 0x00204000, "LT");
}

Test(charset, undeclared_and_misspelt) {
    static const example examples[] = {
        {NULL, "M\xFCller", "Müller"},     /* Latin-1 without saying so */
        {NULL, "M\xC3\xBCller", "Müller"}, /* UTF-8 without saying so */
        {"ISO-IR 100", "M\xFCller", "Müller"},
        {"ISO_IR_100", "M\xFCller", "Müller"},
        {"ISO 2022 IR 100", "M\xFCller", "Müller"},
        {"utf8", "\xC3\xBC", "ü"},
        {"ISO_IR 192", "a\xFF\xC3z", "a��z"}, /* broken UTF-8 */
        {"ISO 2022 IR 6\\ISO 2022 IR 87", "a\xFCz", "a�z"},
        {"\\ISO 2022 IR 87", "\x1B$B;", "�"}, /* half a character */
        {"\\ISO 2022 IR 87",
         "\x1B"
         "Zz",
         "Zz"}, /* an escape sequence nobody knows */
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check(&examples[i], 0x00081030, "LO");
}

Test(charset, backslash_inside_a_character_is_no_separator) {
    dicom_builder b;
    build_begin(&b, "1.2.840.10008.1.2.1");
    build_text(&b, 0x00080005, "CS", "GB18030");
    build_text(&b, 0x00081030, "LO", "\xD0\\ \\ b "); /* U+894D is D0 5C */
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
    char text[32];
    const mg_dicom_element *e = mg_dicom_find(d, 0x00081030);
    cr_assert_eq(mg_dicom_element_text(d, e, 0, text, sizeof text), 3);
    cr_assert_str_eq(text, "衆");
    cr_assert_eq(mg_dicom_element_text(d, e, 1, text, sizeof text), 1);
    cr_assert_str_eq(text, "b");
    cr_assert_eq(mg_dicom_element_text(d, e, 2, text, sizeof text), -1);
    mg_dicom_close(d);
    build_free(&b);
}

Test(charset, items_can_have_their_own) {
    dicom_builder b;
    build_begin(&b, "1.2.840.10008.1.2.1");
    build_text(&b, 0x00080005, "CS", "ISO_IR 100");
    build_header(&b, 0x00081140, "SQ", UNDEFINED_LENGTH);
    build_item(&b, UNDEFINED_LENGTH);
    build_text(&b, 0x00080005, "CS", "ISO_IR 144");
    build_text(&b, 0x00081030, "LO", "\xBB");
    build_item_end(&b);
    build_item(&b, UNDEFINED_LENGTH);
    build_text(&b, 0x00081030, "LO", "\xBB");
    build_item_end(&b);
    build_sequence_end(&b);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
    static const char *const expected[] = {"Л", "»"};
    for (uint32_t i = 0; i < 2; i++) {
        char text[16];
        const mg_dicom_element *e =
            mg_dicom_find_path(d, (uint32_t[]){0x00081140, i, 0x00081030}, 3);
        mg_dicom_element_text(d, e, 0, text, sizeof text);
        cr_expect_str_eq(text, expected[i]);
    }
    mg_dicom_close(d);
    build_free(&b);
}

Test(getters, decimal_strings_as_people_write_them) {
    static const struct {
        const char *text;
        bool good;
        double value;
    } cases[] = {{"1", true, 1},
                 {" 1.5 ", true, 1.5},
                 {"-0.5", true, -0.5},
                 {"+3", true, 3},
                 {".5", true, .5},
                 {"5.", true, 5},
                 {"1e3", true, 1000},
                 {"1E-2", true, .01},
                 {"2,5", true, 2.5},
                 {"12345678901234567890", true, 12345678901234567890.0},
                 {"0.1", true, 0.1},
                 {"1.7976931348623", true, 1.7976931348623},
                 {"123456.789012345", true, 123456.789012345},
                 {"", false, 0},
                 {"abc", false, 0},
                 {"1.2.3", false, 0},
                 {"1e", false, 0},
                 {"--1", false, 0},
                 {"1e999", false, 0},
                 {"nan", false, 0},
                 {"inf", false, 0},
                 {"0x10", false, 0},
                 {"1 2", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dicom_builder b;
        build_begin(&b, "1.2.840.10008.1.2.1");
        build_text(&b, 0x00281050, "DS", cases[i].text);
        mg_dicom_error err = {0};
        mg_dicom *d = mg_dicom_open_memory(b.bytes, b.size, NULL, &err);
        double v = 0;
        cr_expect_eq(mg_dicom_double(d, 0x00281050, &v), cases[i].good, "'%s'", cases[i].text);
        if (cases[i].good) cr_expect_eq(v, cases[i].value, "'%s' is %.17g", cases[i].text, v);
        mg_dicom_close(d);
        build_free(&b);
    }
}
