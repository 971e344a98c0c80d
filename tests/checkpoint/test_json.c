/* The JSON reader and writer. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/json.h"

static mg_json_document *parse(const char *text, mg_error *err) {
    return mg_json_parse(text, strlen(text), err);
}

Test(json, values) {
    mg_error err = {0};
    mg_json_document *d = parse(" {\"a\" : [1, -2.5e1, true, false, null, \"x\"], \"b\":{}, "
                                "\"max\":9223372036854775807, \"min\":-9223372036854775808, "
                                "\"more\":9223372036854775808, \"zero\":-0, \"e\":[] }\n",
                                &err);
    cr_assert(d, "%s", err.message);
    const mg_json *root = mg_json_root(d), *a = mg_json_get(root, "a")->first;
    cr_assert(root->type == MG_JSON_OBJECT && root->count == 7);
    cr_assert(a->type == MG_JSON_INTEGER && a->integer == 1);
    cr_assert((a = a->next)->type == MG_JSON_REAL && a->real == -25);
    cr_assert((a = a->next)->type == MG_JSON_TRUE);
    cr_assert((a = a->next)->type == MG_JSON_FALSE);
    cr_assert((a = a->next)->type == MG_JSON_NULL);
    cr_assert((a = a->next)->type == MG_JSON_STRING && !strcmp(a->string, "x") && !a->next);
    cr_assert_eq(mg_json_get(root, "b")->count, 0);
    int64_t i = 0;
    double r = 0;
    bool b = false;
    cr_assert(mg_json_get_integer(root, "max", &i) && i == INT64_MAX);
    cr_assert(mg_json_get_integer(root, "min", &i) && i == INT64_MIN);
    cr_assert(!mg_json_get_integer(root, "more", &i) && i == INT64_MIN);
    cr_assert(mg_json_get_real(root, "more", &r) && r == 9223372036854775808.0);
    cr_assert(mg_json_get_real(root, "zero", &r) && r == 0 && signbit(r));
    cr_assert(!mg_json_get_bool(root, "a", &b) && !mg_json_get_string(root, "a"));
    cr_assert(!mg_json_get(root, "none") && !mg_json_get(NULL, "a") && !mg_json_get(a, "a"));
    mg_json_free(d);
}

Test(json, strings) {
    mg_json_document *d = parse(
        "\"\\u00e4\\u20AC\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t \xc3\xa4\xf0\x9f\x98\x80\"",
        NULL);
    cr_assert(d);
    cr_assert_str_eq(mg_json_root(d)->string,
                     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \"\\/\b\f\n\r\t "
                     "\xc3\xa4\xf0\x9f\x98\x80");
    mg_json_free(d);
}

Test(json, refuses) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "ends where a value should be"},
        {"[1,]", "expected a value"},
        {"[1 2]", "expected ','"},
        {"{\"a\":1,}", "expected a key"},
        {"{\"a\" 1}", "expected ':'"},
        {"{a:1}", "expected a key"},
        {"[1", "expected ','"},
        {"1 1", "after the end"},
        {"\xef\xbb\xbf{}", "expected a value"},
        {"{\"k\":1,\"l\":2,\"k\":3}", "\"k\" appears twice"},
        {"{\"k\":1,\"\\u006b\":3}", "\"k\" appears twice"},
        {"01", "leading zero"},
        {"-", "needs a digit"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"1.", "after its point"},
        {"1e", "in its exponent"},
        {"1e999", "too large"},
        {"NaN", "expected a value"},
        {"truth", "expected a value"},
        {"tru", "expected a value"},
        {"\"a", "ends inside a string"},
        {"\"\t\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\", "unknown escape"},
        {"\"\\u12", "bad \\u"},
        {"\"\\u12g4\"", "bad \\u"},
        {"\"\\ud800\"", "bad \\u"},
        {"\"\\ud800\\u0041\"", "bad \\u"},
        {"\"\\udc00\"", "bad \\u"},
        {"\"\\u0000\"", "not supported"},
        {"\"\xc0\x80\"", "UTF-8"},         /* overlong NUL */
        {"\"\xed\xa0\x80\"", "UTF-8"},     /* surrogate */
        {"\"\xf4\x90\x80\x80\"", "UTF-8"}, /* beyond U+10FFFF */
        {"\"\xe2\x82\"", "UTF-8"},         /* cut off */
        {"[\n\n !]", "line 3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mg_error err = {0};
        cr_assert_null(parse(bad[i].text, &err), "read: %s", bad[i].text);
        cr_assert(strstr(err.message, bad[i].says), "%s gives: %s", bad[i].text, err.message);
    }
}

Test(json, limits) {
    char deep[2 * MG_JSON_MAX_DEPTH + 3] = {0};
    memset(deep, '[', MG_JSON_MAX_DEPTH);
    memset(deep + MG_JSON_MAX_DEPTH, ']', MG_JSON_MAX_DEPTH);
    mg_json_document *d = parse(deep, NULL);
    cr_assert(d);
    mg_json_free(d);
    memset(deep, '[', sizeof deep - 1);
    mg_error err = {0};
    cr_assert_null(parse(deep, &err));
    cr_assert(strstr(err.message, "too deeply"));

    size_t n = 2 * (size_t)MG_JSON_MAX_NODES + 2;
    char *many = malloc(n);
    many[0] = '[';
    for (size_t i = 1; i < n; i++) many[i] = i % 2 ? '1' : ',';
    mg_error_clear(&err);
    cr_assert_null(mg_json_parse(many, n, &err));
    cr_assert(strstr(err.message, "too many values"), "%s", err.message);
    free(many);
    mg_error_clear(&err);
    cr_assert_null(mg_json_parse("", MG_JSON_MAX_BYTES + 1u, &err));
}

static void write_sample(mg_json_writer *w) {
    mg_json_begin_object(w);
    mg_json_key(w, "s");
    mg_json_string(w, "\"\\\n\x01 ä");
    mg_json_key(w, "a");
    mg_json_begin_array(w);
    mg_json_integer(w, INT64_MIN);
    mg_json_real(w, 0.1);
    mg_json_bool(w, true);
    mg_json_null(w);
    mg_json_begin_object(w);
    mg_json_end(w);
    mg_json_end(w);
    mg_json_end(w);
}

Test(json, writer) {
    mg_json_writer *w = mg_json_writer_create(0);
    write_sample(w);
    size_t length;
    char *text = mg_json_writer_finish(w, &length, NULL);
    cr_assert_str_eq(text, "{\"s\":\"\\\"\\\\\\n\\u0001 ä\",\"a\":[-9223372036854775808,0.1,true,"
                           "null,{}]}");
    cr_assert_eq(length, strlen(text));
    free(text);
    w = mg_json_writer_create(2);
    write_sample(w);
    text = mg_json_writer_finish(w, NULL, NULL);
    cr_assert_str_eq(text, "{\n  \"s\": \"\\\"\\\\\\n\\u0001 ä\",\n  \"a\": [\n"
                           "    -9223372036854775808,\n    0.1,\n    true,\n    null,\n    {}\n"
                           "  ]\n}\n");
    free(text);
}

Test(json, reals_survive_any_locale) {
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where installed, its decimal point is a comma */
    const double values[] = {0.1,    1e-300, 5e-324,    1.7976931348623157e308,
                             1 / 3., -2.5,   1e15 + .5, 0.30000000000000004};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        mg_json_writer *w = mg_json_writer_create(0);
        mg_json_real(w, values[i]);
        char *text = mg_json_writer_finish(w, NULL, NULL);
        mg_json_document *d = mg_json_parse(text, strlen(text), NULL);
        cr_assert(d && mg_json_root(d)->type == MG_JSON_REAL, "%s", text);
        cr_assert(mg_json_root(d)->real == values[i], "%s", text);
        mg_json_free(d);
        free(text);
    }
}

Test(json, writer_failures) {
    mg_error err = {0};
    mg_json_writer *w = mg_json_writer_create(0);
    mg_json_real(w, NAN);
    cr_assert_null(mg_json_writer_finish(w, NULL, &err));
    cr_assert_eq(err.code, MG_ERR_NUMERIC);
    mg_error_clear(&err);
    w = mg_json_writer_create(0);
    mg_json_string(w, "\xff");
    cr_assert_null(mg_json_writer_finish(w, NULL, &err));
    cr_assert(strstr(err.message, "UTF-8"));
    mg_error_clear(&err);
    cr_assert_null(mg_json_writer_finish(NULL, NULL, &err));
    cr_assert_eq(err.code, MG_ERR_MEMORY);
}
