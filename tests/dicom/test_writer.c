/* Data sets built, written and read back. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dicom/encode.h"
#include "dicom/writer.h"

static mg_dicom_dataset *minimal(void) {
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.7");
    mg_dicom_put_text(s, 0x00080018, "2.25.1234");
    return s;
}

static mg_dicom *reopen(mg_dicom_dataset *s, uint8_t **bytes) {
    mg_dicom_error err = {0};
    size_t size;
    cr_assert_eq(mg_dicom_write_memory(s, bytes, &size, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom *d = mg_dicom_open_memory(*bytes, size, NULL, &err);
    cr_assert_not_null(d, "%s", err.message);
    cr_assert_eq(mg_dicom_warnings(d), 0, "%s", mg_dicom_warning(d, 0));
    return d;
}

static const char *const native[] = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                     "1.2.840.10008.1.2.1.99"};

Test(writer, values_come_back) {
    for (int k = 0; k < 3; k++) {
        mg_dicom_dataset *s = minimal();
        mg_dicom_set_transfer_syntax(s, native[k]);
        mg_dicom_put_text(s, 0x00100010, "M\xC3\xBCller^J\xC3\xB6rg");
        mg_dicom_put_double(s, 0x00281050, 2047.5);
        mg_dicom_put_doubles(s, 0x00181149, (double[]){240, 300}, 2);
        mg_dicom_put_double(s, 0x00189309, 1.0 / 3); /* FD */
        mg_dicom_put_int(s, 0x00280010, 65535);
        mg_dicom_put_text(s, 0x00200037, "1\\0\\0\\0\\1\\0");
        mg_dicom_dataset *item = mg_dicom_put_item(s, 0x00082218);
        mg_dicom_put_text(item, 0x00080100, "76752008");
        mg_dicom_put_code(item, 0x00082220, "255549009", "SCT", "Medial");
        mg_dicom_put_item(s, 0x00082218);
        uint8_t *bytes;
        mg_dicom *d = reopen(s, &bytes);
        cr_assert_str_eq(mg_dicom_transfer_syntax(d), native[k]);
        char text[64];
        double v;
        int64_t i;
        cr_assert(mg_dicom_text(d, 0x00080005, text, sizeof text));
        cr_assert_str_eq(text, "ISO_IR 192");
        cr_assert(mg_dicom_text(d, 0x00100010, text, sizeof text));
        cr_assert_str_eq(text, "M\xC3\xBCller^J\xC3\xB6rg");
        cr_assert(mg_dicom_double(d, 0x00281050, &v) && v == 2047.5);
        cr_assert(mg_dicom_double(d, 0x00189309, &v) && v == 1.0 / 3);
        cr_assert(mg_dicom_int(d, 0x00280010, &i) && i == 65535);
        cr_assert_eq(mg_dicom_count(d, mg_dicom_find(d, 0x00200037)), 6);
        cr_assert(mg_dicom_element_int(d, mg_dicom_find(d, 0x00181149), 1, &i) && i == 300);
        const mg_dicom_element *sequence = mg_dicom_find(d, 0x00082218);
        cr_assert_eq(mg_dicom_count(d, sequence), 2);
        const mg_dicom_element *deep =
            mg_dicom_find_path(d, (uint32_t[]){0x00082218, 0, 0x00082220, 0, 0x00080104}, 5);
        cr_assert_eq(mg_dicom_element_text(d, deep, 0, text, sizeof text), 6);
        cr_assert_str_eq(text, "Medial");
        cr_assert_null(mg_dicom_find_in(d, mg_dicom_item(d, sequence, 1), 0x00080100));
        mg_dicom_close(d);
        free(bytes);
        mg_dicom_dataset_destroy(s);
    }
}

Test(writer, wrong_values_are_reported) {
    static const struct {
        uint32_t tag;
        const char *text;
    } wrong[] = {
        {0x00280010, "70000"}, {0x00280010, "x"}, {0x00100020, NULL}, {0x7FE00010, "text"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mg_dicom_dataset *s = minimal();
        char big[80];
        memset(big, 'x', 79);
        big[79] = 0;
        mg_dicom_put_text(s, wrong[i].tag, wrong[i].text ? wrong[i].text : big);
        uint8_t *bytes;
        size_t size;
        mg_dicom_error err = {0};
        cr_expect_eq(mg_dicom_write_memory(s, &bytes, &size, &err), MG_DICOM_ERR_ARG, "case %zu",
                     i);
        cr_expect(strchr(err.message, '('));
        mg_dicom_dataset_destroy(s);
    }
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(mg_dicom_write_memory(s, &bytes, &size, NULL), MG_DICOM_ERR_ARG);
    mg_dicom_dataset_destroy(s);
}

Test(writer, copy_keeps_everything) {
    mg_dicom_dataset *s = minimal();
    mg_dicom_put_bytes(s, 0x00080005, "CS", "ISO_IR 100", 10);
    mg_dicom_put_bytes(s, 0x00100010, "PN", "M\xFCller", 6);
    mg_dicom_put_bytes(s, 0x00091001, "LO", "private", 7);
    mg_dicom_put_text(mg_dicom_put_item(mg_dicom_put_item(s, 0x00400260), 0x00400440), 0x00080102,
                      "SCT");
    uint8_t *bytes, *second;
    mg_dicom *d = reopen(s, &bytes);
    mg_dicom_dataset *copy = mg_dicom_dataset_create(), *utf8 = mg_dicom_dataset_create();
    for (mg_dicom_iterator it = {0};;) {
        const mg_dicom_element *e = mg_dicom_next(d, &it);
        if (!e) break;
        if (e->depth || e->tag >> 16 == 2) continue;
        mg_dicom_put_copy(copy, d, e, false);
        mg_dicom_put_copy(utf8, d, e, true);
    }
    size_t size;
    cr_assert_eq(mg_dicom_write_memory(copy, &second, &size, NULL), MG_DICOM_OK);
    cr_assert_eq(memcmp(second, bytes, size), 0);
    free(second);
    mg_dicom *d8 = reopen(utf8, &second);
    char text[32];
    cr_assert(mg_dicom_text(d8, 0x00100010, text, sizeof text));
    cr_assert_str_eq(text, "M\xC3\xBCller");
    mg_dicom_close(d8);
    mg_dicom_close(d);
    free(second);
    free(bytes);
    mg_dicom_dataset_destroy(s);
    mg_dicom_dataset_destroy(copy);
    mg_dicom_dataset_destroy(utf8);
}

Test(writer, file_appears_whole) {
    char path[] = "/tmp/mg_writer_XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    mg_dicom_dataset *s = minimal();
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_write_file(s, path, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom *d = mg_dicom_open(path, NULL, &err);
    cr_assert_not_null(d);
    mg_dicom_close(d);
    cr_assert_eq(mg_dicom_write_file(s, "/nonexistent/folder/x.dcm", &err), MG_DICOM_ERR_IO);
    mg_dicom_dataset_destroy(s);
    unlink(path);
}

Test(writer, sha256_known_answers) {
    static const struct {
        const char *text, *digest;
    } known[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    for (int i = 0; i < 3; i++) {
        for (size_t step = 1; step < 60; step += 7) {
            mg_dicom_sha256 h;
            uint8_t digest[32];
            char hex[65];
            mg_dicom_sha256_begin(&h);
            size_t n = strlen(known[i].text);
            for (size_t k = 0; k < n; k += step)
                mg_dicom_sha256_add(&h, known[i].text + k, n - k < step ? n - k : step);
            mg_dicom_sha256_end(&h, digest);
            for (int k = 0; k < 32; k++) sprintf(hex + 2 * k, "%02x", digest[k]);
            cr_assert_str_eq(hex, known[i].digest);
        }
    }
    char a[65], b[65], c[65];
    mg_dicom_uid_from("one", a);
    mg_dicom_uid_from("one", b);
    mg_dicom_uid_from("two", c);
    cr_assert_str_eq(a, b);
    cr_assert_str_neq(a, c);
    cr_assert(strncmp(a, "2.25.", 5) == 0 && strlen(a) <= 44);
}

/* --- images ----------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A noisy ramp in the low bits_stored bits, sign-extended where the image is signed. */
static void fill(const mg_dicom_image *image, void *out, uint32_t seed) {
    size_t n = (size_t)image->rows * image->columns * (size_t)image->samples * image->frames;
    for (size_t i = 0; i < n; i++) {
        uint32_t range = image->bits_stored >= 32 ? ~0u : (1u << image->bits_stored) - 1;
        uint32_t v = ((uint32_t)i * 3 + next_random(&seed) % (range / 4 + 2)) & range;
        if (i % 97 == 0) v = range;
        if (i % 89 == 0) v = 0;
        int32_t sign = (int32_t)(v << (32 - image->bits_stored)) >> (32 - image->bits_stored);
        if (image->is_signed) v = (uint32_t)sign;
        if (image->word_bytes == 1) ((uint8_t *)out)[i] = (uint8_t)v;
        else if (image->word_bytes == 2) ((uint16_t *)out)[i] = (uint16_t)v;
        else ((uint32_t *)out)[i] = v;
    }
}

static void round_trip(const mg_dicom_image *image, const char *syntax, int tolerance) {
    size_t total = image->frame_bytes * image->frames;
    void *in = malloc(total), *out = malloc(image->frame_bytes);
    fill(image, in, image->rows * 31 + (uint32_t)image->bits_stored);
    mg_dicom_dataset *s = minimal();
    mg_dicom_error err = {0};
    mg_dicom_encode_options options = {.transfer_syntax = syntax, .near = tolerance};
    cr_assert_eq(mg_dicom_put_image(s, image, in, &options, &err), MG_DICOM_OK, "%s: %s", syntax,
                 err.message);
    uint8_t *bytes;
    mg_dicom *d = reopen(s, &bytes);
    mg_dicom_image found;
    cr_assert_eq(mg_dicom_image_info(d, &found, &err), MG_DICOM_OK, "%s", err.message);
    cr_assert(found.frames == image->frames && found.frame_bytes == image->frame_bytes);
    for (uint32_t f = 0; f < image->frames; f++) {
        cr_assert_eq(mg_dicom_read_frame(d, f, NULL, out, image->frame_bytes, &err), MG_DICOM_OK,
                     "%s %ux%u %d bits: %s", syntax, image->rows, image->columns,
                     image->bits_stored, err.message);
        const uint8_t *expected = (uint8_t *)in + f * image->frame_bytes;
        if (tolerance == 0) {
            cr_assert_eq(memcmp(expected, out, image->frame_bytes), 0,
                         "%s %ux%u %d bits signed %d frame %u differs", syntax, image->rows,
                         image->columns, image->bits_stored, image->is_signed, f);
        } else {
            for (size_t i = 0; i < image->frame_bytes / 2; i++)
                cr_assert_leq(
                    abs(((const uint16_t *)(const void *)expected)[i] - ((uint16_t *)out)[i]),
                    tolerance);
        }
    }
    mg_dicom_close(d);
    mg_dicom_dataset_destroy(s);
    free(bytes);
    free(in);
    free(out);
}

static mg_dicom_image describe(uint32_t rows, uint32_t columns, int bits, bool is_signed,
                               int samples, uint32_t frames) {
    mg_dicom_image i = {.rows = rows,
                        .columns = columns,
                        .frames = frames,
                        .samples = samples,
                        .bits_allocated = bits <= 8    ? 8
                                          : bits <= 16 ? 16
                                                       : 32,
                        .bits_stored = bits,
                        .high_bit = bits - 1,
                        .is_signed = is_signed};
    i.word_bytes = i.bits_allocated / 8;
    i.frame_bytes = (size_t)rows * columns * (size_t)samples * (size_t)i.word_bytes;
    strcpy(i.photometric, samples == 3 ? "RGB" : "MONOCHROME2");
    return i;
}

static const char *const lossless[] = {"1.2.840.10008.1.2",      "1.2.840.10008.1.2.1",
                                       "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70",
                                       "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90",
                                       "1.2.840.10008.1.2.5"};

Test(writer, lossless_round_trips) {
    static const uint32_t sizes[][2] = {{1, 1}, {1, 17}, {23, 1}, {31, 33}, {64, 80}};
    for (size_t k = 0; k < sizeof lossless / sizeof lossless[0]; k++)
        for (int bits = 2; bits <= 16; bits++)
            for (int is_signed = 0; is_signed < 2; is_signed++)
                for (size_t z = 0; z < sizeof sizes / sizeof sizes[0]; z++) {
                    mg_dicom_image i =
                        describe(sizes[z][0], sizes[z][1], bits, is_signed, 1, z == 3 ? 3 : 1);
                    round_trip(&i, lossless[k], 0);
                }
}

Test(writer, colour_and_wide_round_trips) {
    for (size_t k = 0; k < sizeof lossless / sizeof lossless[0]; k++) {
        mg_dicom_image i = describe(29, 37, 8, false, 3, 2);
        round_trip(&i, lossless[k], 0);
    }
    for (int k = 0; k < 3; k++) {
        mg_dicom_image i = describe(9, 11, 30, k == 1, 1, 2);
        round_trip(&i, lossless[k], 0);
    }
}

Test(writer, near_lossless_stays_near) {
    for (int near = 1; near < 6; near += 2) {
        mg_dicom_image i = describe(50, 61, 12, false, 1, 1);
        round_trip(&i, "1.2.840.10008.1.2.4.81", near);
    }
}

Test(writer, images_that_cannot_be_written) {
    mg_dicom_image i = describe(4, 4, 12, false, 1, 1);
    uint16_t pixels[16] = {0};
    mg_dicom_error err = {0};
    mg_dicom_dataset *s = minimal();
    mg_dicom_encode_options baseline = {.transfer_syntax = "1.2.840.10008.1.2.4.50"};
    cr_assert_eq(mg_dicom_put_image(s, &i, pixels, &baseline, &err), MG_DICOM_ERR_UNSUPPORTED);
    i.rows = 0;
    cr_assert_eq(mg_dicom_put_image(s, &i, pixels, NULL, NULL), MG_DICOM_ERR_ARG);
    mg_dicom_dataset_destroy(s);
}

Test(writer, values_beyond_bits_stored_are_refused) {
    static const int bits[] = {1, 8, 12, 16, 30};
    for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++)
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            mg_dicom_image i = describe(3, 3, bits[b], is_signed, 1, 2);
            uint32_t words[18] = {0};
            int64_t most = (INT64_C(1) << (bits[b] - is_signed)) - 1;
            for (int k = 0; k < 3 && bits[b] < 8 * i.word_bytes; k++) {
                int64_t value = k == 0      ? most
                                : k == 1    ? most + 1
                                : is_signed ? -most - 2
                                            : 2 * most + 1;
                memcpy((uint8_t *)words + 17 * i.word_bytes, &value, (size_t)i.word_bytes);
                mg_dicom_error err = {0};
                mg_dicom_dataset *s = minimal();
                cr_expect_eq(mg_dicom_bits_needed(&i, words), bits[b] + (k > 0), "%d bits, case %d",
                             bits[b], k);
                cr_expect_eq(mg_dicom_put_image(s, &i, words, NULL, &err),
                             k ? MG_DICOM_ERR_ARG : MG_DICOM_OK);
                if (k) cr_expect(strstr(err.message, "bits_stored"), "%s", err.message);
                mg_dicom_dataset_destroy(s);
            }
        }
}

Test(writer, near_has_a_largest_value) {
    static const struct { int bits, most; } cases[] = {{2, 1}, {8, 127}, {12, 255}, {16, 255}};
    for (size_t c = 0; c < 4; c++) {
        mg_dicom_image i = describe(16, 16, cases[c].bits, false, 1, 1);
        i.bits_allocated = 16;
        i.word_bytes = 2;
        i.frame_bytes = 16 * 16 * 2;
        round_trip(&i, "1.2.840.10008.1.2.4.81", cases[c].most);
        uint16_t pixels[256] = {0};
        char most[8];
        mg_dicom_error err = {0};
        mg_dicom_encode_options o = {.transfer_syntax = "1.2.840.10008.1.2.4.81",
                                     .near = cases[c].most + 1};
        mg_dicom_dataset *s = minimal();
        cr_expect_eq(mg_dicom_put_image(s, &i, pixels, &o, &err), MG_DICOM_ERR_ARG);
        snprintf(most, sizeof most, "%d", cases[c].most);
        cr_expect(strstr(err.message, most), "%s", err.message);
        mg_dicom_dataset_destroy(s);
    }
}

Test(writer, lossy_steps_add_up) {
    mg_dicom_image i = describe(32, 32, 12, false, 1, 1);
    static uint16_t pixels[32 * 32];
    fill(&i, pixels, 5);
    mg_dicom_encode_options o = {.transfer_syntax = "1.2.840.10008.1.2.4.81"};
    for (int earlier = 0; earlier < 2; earlier++) {
        mg_dicom_dataset *s = minimal();
        uint8_t *bytes;
        char text[100];
        mg_dicom_put_text(s, 0x00080008, "ORIGINAL\\PRIMARY\\");
        if (earlier) {
            mg_dicom_put_text(s, 0x00282110, "01");
            mg_dicom_put_text(s, 0x00282112, "7.5");
            mg_dicom_put_text(s, 0x00282114, "ISO_15444_1");
        }
        cr_assert_eq(mg_dicom_put_image(s, &i, pixels, &o, NULL), MG_DICOM_OK);
        mg_dicom *d = reopen(s, &bytes);
        const mg_dicom_element *ratio = mg_dicom_find(d, 0x00282112);
        cr_expect_eq(mg_dicom_count(d, ratio), 1 + earlier);
        cr_expect_eq(mg_dicom_count(d, mg_dicom_find(d, 0x00282114)), 1 + earlier);
        mg_dicom_element_text(d, ratio, 0, text, sizeof text);
        cr_expect_eq(strcmp(text, "7.5") == 0, earlier, "%s", text);
        mg_dicom_element_text(d, mg_dicom_find(d, 0x00282114), earlier, text, sizeof text);
        cr_expect_str_eq(text, "ISO_14495_1");
        const mg_dicom_element *type = mg_dicom_find(d, 0x00080008);
        cr_expect_eq(mg_dicom_count(d, type), 3);
        mg_dicom_element_text(d, type, 0, text, sizeof text);
        cr_expect_str_eq(text, "DERIVED");
        mg_dicom_element_text(d, type, 1, text, sizeof text);
        cr_expect_str_eq(text, "PRIMARY");
        mg_dicom_close(d);
        mg_dicom_dataset_destroy(s);
        free(bytes);
    }
}
