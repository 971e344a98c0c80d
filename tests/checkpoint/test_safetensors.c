/* The safetensors writer, and what the reader refuses. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/safetensors.h"
#include "tensor/weights.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(safetensors, .init = setup, .fini = scratch_remove);

static const float numbers[6] = {1, -2, 3.5f, 0, 5, 6};
static const int64_t counter = 77;
static const uint8_t flags[3] = {1, 0, 1};

static const mg_stored_tensor sample[] = {
    {.name = "flags", .type = MG_STORED_BOOL, .rank = 1, .shape = {3}, .bytes = flags},
    {.name = "w \"ä\"", .type = MG_STORED_F32, .rank = 2, .shape = {2, 3}, .bytes = numbers},
    {.name = "empty", .type = MG_STORED_F32, .rank = 2, .shape = {0, 3}},
    {.name = "count", .type = MG_STORED_I64, .rank = 0, .bytes = &counter},
};
static const mg_metadata_entry notes[] = {{"mammograd", "{\"a\": 1}"}, {"x", ""}};

static mg_status from_sample(void *context, size_t index, const void **bytes, mg_error *err) {
    int *calls = context;
    if (--*calls < 0) return mg_fail(err, MG_ERR_NUMERIC, "no more");
    *bytes = sample[index].bytes;
    return MG_OK;
}

Test(safetensors, round_trip) {
    mg_error err = {0};
    cr_assert_eq(mg_safetensors_write(scratch_path("a"), sample, 4, notes, 2, NULL, NULL, &err),
                 MG_OK, "%s", err.message);
    int calls = 4;
    cr_assert_eq(
        mg_safetensors_write(scratch_path("b"), sample, 4, notes, 2, from_sample, &calls, &err),
        MG_OK, "%s", err.message);
    cr_assert_eq(calls, 0);
    size_t a_size, b_size;
    unsigned char *a = slurp(scratch_path("a"), &a_size), *b = slurp(scratch_path("b"), &b_size);
    cr_assert(a_size == b_size && !memcmp(a, b, a_size));
    cr_assert_eq((a_size - 8 - 24 - 3) % 8, 0, "the data must start on 8 bytes");
    free(a);
    free(b);

    mg_weights *w = mg_weights_open(scratch_path("a"), &err);
    cr_assert(w, "%s", err.message);
    cr_assert_str_eq(mg_weights_format(w), "safetensors");
    cr_assert_eq(mg_weights_count(w), 4);
    cr_assert_str_eq(mg_weights_metadata(w, "mammograd"), "{\"a\": 1}");
    cr_assert_str_eq(mg_weights_metadata(w, "x"), "");
    cr_assert_null(mg_weights_metadata(w, "y"));
    float f[6];
    cr_assert_eq(mg_stored_to_f32(mg_weights_find(w, "w \"ä\""), f, 6, &err), MG_OK);
    cr_assert(!memcmp(f, numbers, sizeof f));
    int64_t c = 0;
    cr_assert_eq(mg_stored_copy(mg_weights_find(w, "count"), &c, 1, &err), MG_OK);
    cr_assert_eq(c, 77);
    cr_assert_eq(mg_weights_find(w, "empty")->count, 0);
    cr_assert_null(mg_weights_find(w, "absent"));
    cr_assert_eq(mg_stored_to_f32(mg_weights_find(w, "flags"), f, 6, &err), MG_ERR_SHAPE);
    cr_assert(strstr(err.message, "flags has shape [3]"), "%s", err.message);
    mg_weights_close(w);
}

Test(safetensors, writer_refuses) {
    mg_error err = {0};
    mg_stored_tensor twice[] = {sample[1], sample[1]};
    cr_assert_eq(mg_safetensors_write(scratch_path("a"), twice, 2, NULL, 0, NULL, NULL, &err),
                 MG_ERR_ARG);
    cr_assert(strstr(err.message, "two tensors are called"), "%s", err.message);
    mg_error_clear(&err);
    twice[0].name = "__metadata__";
    cr_assert_eq(mg_safetensors_write(scratch_path("a"), twice, 1, NULL, 0, NULL, NULL, &err),
                 MG_ERR_ARG);
    mg_error_clear(&err);
    int calls = 2; /* the source fails at the third tensor: no file, whether err is wanted or not */
    cr_assert_eq(
        mg_safetensors_write(scratch_path("a"), sample, 4, NULL, 0, from_sample, &calls, &err),
        MG_ERR_NUMERIC);
    cr_assert(strstr(err.message, "cannot save") && strstr(err.message, "no more"), "%s",
              err.message);
    calls = 2;
    cr_assert_eq(
        mg_safetensors_write(scratch_path("a"), sample, 4, NULL, 0, from_sample, &calls, NULL),
        MG_ERR_NUMERIC);
    mg_error_clear(&err);
    cr_assert_eq(mg_safetensors_write("/nonexistent/y", sample, 4, NULL, 0, NULL, NULL, &err),
                 MG_ERR_IO);
    cr_assert_eq(scratch_count(), 0);
}

/* A file with this header and `data` bytes of content. */
static mg_status parse(const char *header, size_t data, mg_error *err) {
    uint64_t length = strlen(header);
    unsigned char *bytes = calloc(1, 8 + length + data);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    mg_safetensors file;
    mg_error_clear(err);
    mg_status status = mg_safetensors_parse(bytes, 8 + length + data, &file, err);
    mg_safetensors_free(&file);
    free(bytes);
    return status;
}

#define T(name, type, shape, from, to)                                                             \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

Test(safetensors, reader_refuses) {
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } bad[] = {
        {"{" T("a", "F32", "[2]", "0", "8") "}", 7, "cut off"},
        {"{" T("a", "F32", "[2]", "0", "8") "}", 9, "1 bytes after the last tensor"},
        {"{" T("a", "F32", "[2]", "0", "4") "}", 8, "does not fill its 4 bytes"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[1]", "4", "8") "}", 8, "overlaps"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "0", "8") "}", 8, "overlaps"},
        {"{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "8", "12") "}", 12,
         "4 bytes before tensor b"},
        {"{" T("a", "F32", "[1]", "4", "8") "}", 8, "4 bytes before tensor a"},
        {"{" T("a", "U8", "[1]", "0", "1") "," T("a", "U8", "[1]", "1", "2") "}", 2, "twice"},
        {"{" T("a", "F33", "[1]", "0", "4") "}", 4, "dtype \"F33\""},
        {"{" T("a", "F8_E4M3", "[4]", "0", "4") "}", 4, "dtype \"F8_E4M3\""},
        {"{" T("a", "F32", "[-1]", "0", "4") "}", 4, "no size"},
        {"{" T("a", "F32", "[1.0]", "0", "4") "}", 4, "no size"},
        {"{" T("a", "F32", "3", "0", "4") "}", 4, "no \"shape\""},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "9 dimensions"},
        {"{" T("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, "impossibly large"},
        {"{" T("a", "F64", "[2305843009213693952]", "0", "0") "}", 0, "does not fill"},
        {"{" T("a", "U8", "[9223372036854775807]", "0", "9223372036854775807") "}", 8, "cut off"},
        {"{" T("a", "F32", "[1]", "4", "0") "}", 4, "data_offsets"},
        {"{" T("a", "F32", "[1]", "-4", "0") "}", 4, "data_offsets"},
        {"{" T("a", "F32", "[1]", "0", "4,5") "}", 4, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no \"dtype\""},
        {"{\"a\":3}", 0, "no \"dtype\""},
        {"{\"__metadata__\":{\"a\":1}}", 0, "is no string"},
        {"{\"__metadata__\":[]}", 0, "is no object"},
        {"{\"a\":", 0, "safetensors header: JSON line 1"},
        {"[]", 0, "does not start with '{'"},
        {" {}", 0, "does not start with '{'"},
        {"", 0, "does not start with '{'"},
    };
    mg_error err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_neq(parse(bad[i].header, bad[i].data, &err), MG_OK, "read: %s", bad[i].header);
        cr_assert(strstr(err.message, bad[i].says), "%s gives: %s", bad[i].header, err.message);
    }
}

Test(safetensors, reader_accepts) {
    mg_error err = {0};
    cr_assert_eq(parse("{}", 0, &err), MG_OK);
    cr_assert_eq(parse("{}      ", 0, &err), MG_OK, "padding");
    cr_assert_eq(parse("{" T("e", "F32", "[0]", "0", "0") "," T("b", "U8", "[]", "4", "5") "," T(
                           "a", "F32", "[1]", "0", "4") "," T("z", "F32", "[2,0]", "5", "5") "}",
                       5, &err),
                 MG_OK, "any order, empty tensors anywhere: %s", err.message);
}

/* Every prefix of a good file is an error that says so, and none crashes. */
Test(safetensors, truncated_anywhere) {
    cr_assert_eq(mg_safetensors_write(scratch_path("a"), sample, 4, notes, 2, NULL, NULL, NULL),
                 MG_OK);
    size_t size;
    unsigned char *bytes = slurp(scratch_path("a"), &size);
    for (size_t n = 0; n < size; n++) {
        mg_error err = {0};
        unsigned char *part = malloc(n + !n); /* of its own, so that the sanitizer sees overruns */
        memcpy(part, bytes, n);
        cr_assert_null(mg_weights_open_memory(part, n, &err), "%zu bytes were accepted", n);
        cr_assert(*err.message);
        if (n > 8) cr_assert(strstr(err.message, "cut off"), "%zu bytes: %s", n, err.message);
        free(part);
    }
    uint64_t huge = 100000001;
    memcpy(bytes, &huge, 8);
    mg_error err = {0};
    cr_assert_null(mg_weights_open_memory(bytes, size, &err));
    cr_assert(strstr(err.message, "header of 100000001 bytes"), "%s", err.message);
    free(bytes);
}
