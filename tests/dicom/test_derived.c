/* Secondary Capture and structured report, as far as the reader here can see; outlines. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/derived.h"

/* A small mammogram in memory; the caller frees the bytes after closing. */
static mg_dicom *mammogram(uint8_t **bytes, const char *instance) {
    uint16_t pixels[12 * 8];
    for (int i = 0; i < 96; i++) pixels[i] = (uint16_t)(i * 40);
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    mg_dicom_put_text(s, 0x00080018, instance);
    mg_dicom_put_text(s, 0x00080020, "20200102");
    mg_dicom_put_text(s, 0x00100010, "D\xC3\xB6rte^A");
    mg_dicom_put_text(s, 0x00100020, "4711");
    mg_dicom_put_text(s, 0x0020000D, "1.2.3.4");
    mg_dicom_put_text(s, 0x0020000E, "1.2.3.5");
    mg_dicom_put_text(s, 0x00200062, "R");
    mg_dicom_put_text(s, 0x00282110, "01");
    mg_dicom_image image = {.rows = 12,
                            .columns = 8,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 16,
                            .bits_stored = 12,
                            .word_bytes = 2,
                            .photometric = "MONOCHROME2"};
    mg_dicom_error err = {0};
    size_t size;
    cr_assert_eq(mg_dicom_put_image(s, &image, pixels, NULL, &err), MG_DICOM_OK);
    cr_assert_eq(mg_dicom_write_memory(s, bytes, &size, &err), MG_DICOM_OK);
    mg_dicom_dataset_destroy(s);
    return mg_dicom_open_memory(*bytes, size, NULL, &err);
}

static mg_dicom *reopen(mg_dicom_dataset *s, uint8_t **bytes) {
    mg_dicom_error err = {0};
    size_t size;
    cr_assert_eq(mg_dicom_write_memory(s, bytes, &size, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom *d = mg_dicom_open_memory(*bytes, size, NULL, &err);
    cr_assert(d && mg_dicom_warnings(d) == 0);
    return d;
}

static void expect_text(const mg_dicom *d, uint32_t tag, const char *expected) {
    char text[100] = "";
    cr_expect(mg_dicom_text(d, tag, text, sizeof text), "%08X is missing", tag);
    cr_expect_str_eq(text, expected, "%08X is '%s'", tag, text);
}

Test(derived, capture_keeps_the_patient_and_starts_a_series) {
    uint8_t *bytes, *made, rgb[10 * 6 * 3], back[sizeof rgb];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * 7);
    mg_dicom *source = mammogram(&bytes, "1.2.3.6");
    mg_dicom_dataset *s, *again;
    mg_dicom_error err = {0};
    mg_dicom_capture capture = {.rows = 10, .columns = 6, .rgb = rgb};
    mg_dicom_author author = {.seed = "model"};
    cr_assert_eq(mg_dicom_make_capture(source, &capture, &author, &s, &err), MG_DICOM_OK, "%s",
                 err.message);
    cr_assert_eq(mg_dicom_make_capture(source, &capture, &author, &again, &err), MG_DICOM_OK);
    mg_dicom *d = reopen(s, &made);
    expect_text(d, 0x00080016, "1.2.840.10008.5.1.4.1.1.7");
    expect_text(d, 0x00100010, "D\xC3\xB6rte^A");
    expect_text(d, 0x0020000D, "1.2.3.4");
    expect_text(d, 0x00200062, "R");
    expect_text(d, 0x00282110, "01");
    expect_text(d, 0x00080064, "WSD");
    char text[100];
    mg_dicom_text(d, 0x0020000E, text, sizeof text);
    cr_assert_str_neq(text, "1.2.3.5");
    mg_dicom_text(d, 0x0008103E, text, sizeof text);
    cr_assert_not_null(strstr(text, "RESEARCH"));
    cr_assert_not_null(mg_dicom_find_path(d, (uint32_t[]){0x00082112, 0, 0x00081155}, 3));
    cr_assert_eq(mg_dicom_read_frame(d, 0, NULL, back, sizeof back, &err), MG_DICOM_OK);
    cr_assert_eq(memcmp(rgb, back, sizeof rgb), 0);
    uint8_t *second;
    size_t size1, size2;
    free(made);
    mg_dicom_close(d);
    mg_dicom_write_memory(s, &made, &size1, &err);
    mg_dicom_write_memory(again, &second, &size2, &err);
    cr_assert(size1 == size2 && memcmp(made, second, size1) == 0);
    mg_dicom_dataset_destroy(s);
    mg_dicom_dataset_destroy(again);
    mg_dicom_close(source);
    free(bytes);
    free(made);
    free(second);
}

/* Counts content items of a value type. */
typedef struct counter {
    const mg_dicom *d;
    const char *type;
    int found;
} counter;
static bool count_type(void *arg, const mg_dicom_element *e) {
    counter *c = arg;
    char text[32];
    if (e->tag == 0x0040A040 && mg_dicom_element_text(c->d, e, 0, text, sizeof text) >= 0)
        c->found += strcmp(text, c->type) == 0;
    return true;
}
static int items_of(const mg_dicom *d, const char *type) {
    counter c = {d, type, 0};
    mg_dicom_walk(d, count_type, &c);
    return c.found;
}

Test(derived, report_has_a_group_per_outline) {
    uint8_t *bytes[2], *made;
    mg_dicom *a = mammogram(&bytes[0], "1.2.3.6"), *b = mammogram(&bytes[1], "1.2.3.7");
    float square[] = {1, 1, 4, 1, 4, 5, 1, 5}, triangle[] = {0, 0, 3, 0, 0, 3, 0, 0};
    mg_dicom_outline outlines[] = {{square, 4}, {triangle, 4}};
    mg_dicom_finding findings[] = {{a, 0.75, outlines, 2}, {b, 0.03125, NULL, 0}};
    mg_dicom_author author = {
        .algorithm = "test", .version = "1", .date = "20240229", .time = "101112"};
    mg_dicom_dataset *s;
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_make_report(findings, 2, &author, &s, &err), MG_DICOM_OK, "%s",
                 err.message);
    mg_dicom *d = reopen(s, &made);
    expect_text(d, 0x00080016, "1.2.840.10008.5.1.4.1.1.88.34");
    expect_text(d, 0x00080060, "SR");
    expect_text(d, 0x00080023, "20240229");
    expect_text(d, 0x0040A493, "UNVERIFIED");
    cr_assert_eq(items_of(d, "SCOORD"), 2);
    cr_assert_eq(items_of(d, "NUM"), 3);
    cr_assert_eq(items_of(d, "IMAGE"), 3);
    cr_assert_eq(items_of(d, "CONTAINER"), 1 + 1 + 3);
    const mg_dicom_element *evidence =
        mg_dicom_find_path(d, (uint32_t[]){0x0040A375, 0, 0x00081115, 0, 0x00081199}, 5);
    cr_assert_eq(mg_dicom_count(d, evidence), 2, "both images are evidence of one series");
    double last = 0;
    mg_dicom_iterator it = {0};
    int regions = 0;
    for (const mg_dicom_element *e; (e = mg_dicom_next(d, &it));) {
        if (e->tag == 0x0040A30A) mg_dicom_element_double(d, e, 0, &last);
        if (e->tag == 0x00700022) regions += mg_dicom_count(d, e);
    }
    cr_assert_eq(last, 3.125);
    cr_assert_eq(regions, 10 + 8, "the square is closed, the triangle was");
    mg_dicom_close(d);
    mg_dicom_dataset_destroy(s);
    findings[1].probability = 1.5;
    cr_assert_eq(mg_dicom_make_report(findings, 2, &author, &s, NULL), MG_DICOM_ERR_ARG);
    cr_assert_eq(mg_dicom_make_report(findings, 0, &author, &s, NULL), MG_DICOM_ERR_ARG);
    mg_dicom_close(a);
    mg_dicom_close(b);
    free(bytes[0]);
    free(bytes[1]);
    free(made);
}

/* Twice the enclosed area by the shoelace formula. */
static double area_of(const mg_dicom_outline *o) {
    double sum = 0;
    for (size_t i = 0; i < o->count; i++) {
        size_t k = (i + 1) % o->count;
        sum += (double)o->points[2 * i] * (double)o->points[2 * k + 1] -
               (double)o->points[2 * k] * (double)o->points[2 * i + 1];
    }
    return sum / 2;
}

Test(derived, outlines_enclose_their_areas) {
    static const char picture[] = "..........."
                                  ".##....#..."
                                  ".##...###.."
                                  "...#...#..."
                                  "####......#"
                                  "#..#.......";
    uint8_t mask[66];
    for (int i = 0; i < 66; i++) mask[i] = picture[i] == '#';
    mg_dicom_outline *o;
    int n = mg_dicom_trace_outlines(mask, 6, 11, 1, 10, &o);
    cr_assert_eq(n, 4);
    double areas[4];
    for (int i = 0; i < n; i++) areas[i] = area_of(&o[i]);
    /* The largest is the arch of seven pixels; a hole or bay open to the outside is not filled. */
    cr_assert_float_eq(areas[0], 7, 1e-9);
    cr_assert_float_eq(areas[1], 5, 1e-9);
    cr_assert_float_eq(areas[2], 4, 1e-9);
    cr_assert_float_eq(areas[3], 1, 1e-9);
    cr_assert_eq(o[2].count, 4, "corners only");
    mg_dicom_free_outlines(o, n);
    cr_assert_eq(mg_dicom_trace_outlines(mask, 6, 11, 5, 10, &o), 2);
    mg_dicom_free_outlines(o, 2);
    cr_assert_eq(mg_dicom_trace_outlines(mask, 6, 11, 100, 10, &o), 0);
    memset(mask, 1, sizeof mask);
    cr_assert_eq(mg_dicom_trace_outlines(mask, 6, 11, 1, 1, &o), 1);
    cr_assert_float_eq(area_of(o), 66, 1e-9);
    mg_dicom_free_outlines(o, 1);
}
