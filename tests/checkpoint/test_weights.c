/* Weight files written by torch and safetensors themselves (tests/oracle/checkpoint.py). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/weights.h"
#include "tests/lib/scratch.h"

#define GOLDEN "tests/golden/checkpoint/"

static mg_weights *open_golden(const char *name) {
    char path[256];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    mg_error err = {0};
    mg_weights *w = mg_weights_open(path, &err);
    cr_assert(w, "%s", err.message);
    return w;
}

/* What element i of every golden tensor is. */
static double expected(mg_stored_type type, int64_t i) {
    switch (type) {
    case MG_STORED_BOOL: return i % 2;
    case MG_STORED_U8: return (double)i;
    default: return type <= MG_STORED_BF16 ? (double)i / 2 - 1 : (double)(i - 2);
    }
}

static void check_tensor(const mg_stored_tensor *t, const char *shape) {
    char text[MG_STORED_SHAPE_TEXT];
    double f64[64];
    float f32[64];
    mg_error err = {0};
    cr_assert_str_eq(mg_stored_shape_text(t->shape, t->rank, text), shape, "%s: %s", t->name, text);
    cr_assert_eq(mg_stored_to_f64(t, f64, t->count, &err), MG_OK, "%s", err.message);
    cr_assert_eq(mg_stored_to_f32(t, f32, t->count, &err), MG_OK, "%s", err.message);
    for (int64_t i = 0; i < t->count; i++) {
        cr_assert(f64[i] == expected(t->type, i), "%s[%d] is %g", t->name, (int)i, f64[i]);
        cr_assert((double)f32[i] == f64[i], "%s[%d] is %g as float", t->name, (int)i, f32[i]);
    }
}

Test(weights, one_dictionary_in_every_container) {
    static const struct {
        const char *file, *format;
    } files[] = {
        {"plain.pth", "pth"},
        {"zip64.pth", "pth"},
        {"big_endian.pth", "pth"},
        {"legacy.pth", "legacy pth"},
        {"plain.safetensors", "safetensors"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        mg_weights *w = open_golden(files[i].file);
        cr_assert_str_eq(mg_weights_format(w), files[i].format, "%s", files[i].file);
        cr_assert_str_eq(mg_weights_path(w), "");
        cr_assert_eq(mg_weights_count(w), 4, "%s", files[i].file);
        check_tensor(mg_weights_find(w, "conv.weight"), "[2,3,1,2]");
        check_tensor(mg_weights_find(w, "bn.num_batches_tracked"), "[]");
        check_tensor(mg_weights_find(w, "bn.bias"), "[3]");
        check_tensor(mg_weights_find(w, "empty"), "[0,4]");
        if (i < 4) cr_assert_str_eq(mg_weights_at(w, 0)->name, "conv.weight");
        cr_assert_eq(mg_weights_find(w, "conv.weight")->bytes != NULL,
                     strcmp(files[i].file, "big_endian.pth") != 0, "%s", files[i].file);
        mg_weights_close(w);
    }
    mg_weights *w = open_golden("plain.safetensors");
    cr_assert_str_eq(mg_weights_metadata(w, "note"), "größer \"x\"");
    mg_weights_close(w);
}

Test(weights, all_types) {
    static const char *const files[] = {"types.pth", "types.safetensors"};
    static const struct {
        const char *name;
        mg_stored_type type;
    } tensors[] = {
        {"float64", MG_STORED_F64},   {"float32", MG_STORED_F32}, {"float16", MG_STORED_F16},
        {"bfloat16", MG_STORED_BF16}, {"int64", MG_STORED_I64},   {"int32", MG_STORED_I32},
        {"int16", MG_STORED_I16},     {"int8", MG_STORED_I8},     {"uint8", MG_STORED_U8},
        {"bool", MG_STORED_BOOL},
    };
    for (int f = 0; f < 2; f++) {
        mg_weights *w = open_golden(files[f]);
        for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
            const mg_stored_tensor *t = mg_weights_find(w, tensors[i].name);
            cr_assert(t && t->type == tensors[i].type, "%s", tensors[i].name);
            check_tensor(t, "[5]");
        }
        mg_weights_close(w);
    }
}

/* Subnormals, infinities, the largest half: the same floats as torch's own conversion. */
Test(weights, half_and_bfloat_exactly) {
    mg_weights *w = open_golden("special.safetensors");
    static const char *const pairs[][2] = {{"half", "half_as_float"},
                                           {"bfloat", "bfloat_as_float"}};
    for (int i = 0; i < 2; i++) {
        float ours[9], theirs[9];
        cr_assert_eq(mg_stored_to_f32(mg_weights_find(w, pairs[i][0]), ours, 9, NULL), MG_OK);
        cr_assert_eq(mg_stored_to_f32(mg_weights_find(w, pairs[i][1]), theirs, 9, NULL), MG_OK);
        cr_assert(!memcmp(ours, theirs, sizeof ours), "%s", pairs[i][0]);
    }
    mg_weights_close(w);
}

/* base = 4x6 of i/2-1; its transpose, its odd columns, a part of its third row. */
Test(weights, views_are_copied_out) {
    static const char *const files[] = {"views.pth", "views_legacy.pth"};
    for (int f = 0; f < 2; f++) {
        mg_weights *w = open_golden(files[f]);
        float v[24];
        check_tensor(mg_weights_find(w, "whole"), "[4,6]");
        const mg_stored_tensor *t = mg_weights_find(w, "transposed");
        cr_assert(!t->bytes && t->shape[0] == 6 && t->shape[1] == 4);
        cr_assert_eq(mg_stored_to_f32(t, v, 24, NULL), MG_OK);
        for (int i = 0; i < 24; i++) cr_assert(v[i] == (float)(i % 4 * 6 + i / 4) / 2 - 1);
        t = mg_weights_find(w, "columns");
        cr_assert_eq(mg_stored_copy(t, v, 12, NULL), MG_OK);
        for (int i = 0; i < 12; i++) cr_assert(v[i] == (float)(i / 3 * 6 + i % 3 * 2 + 1) / 2 - 1);
        t = mg_weights_find(w, "part");
        cr_assert(t->bytes, "one row is dense whatever its stride");
        cr_assert_eq(mg_stored_to_f32(t, v, 3, NULL), MG_OK);
        for (int i = 0; i < 3; i++) cr_assert(v[i] == (float)(13 + i) / 2 - 1);
        mg_weights_close(w);
    }
}

Test(weights, legacy_views_of_storages) {
    mg_weights *w = open_golden("legacy_view.pth");
    float v[4];
    check_tensor(mg_weights_find(w, "root"), "[10]");
    cr_assert_eq(mg_stored_to_f32(mg_weights_find(w, "view"), v, 4, NULL), MG_OK);
    for (int i = 0; i < 4; i++) cr_assert(v[i] == (float)(4 + 2 + i) / 2 - 1);
    mg_weights_close(w);
}

Test(weights, training_checkpoint) {
    mg_weights *w = open_golden("nested.pth");
    cr_assert_str_eq(mg_weights_path(w), "model.state_dict");
    cr_assert_eq(mg_weights_count(w), 2);
    check_tensor(mg_weights_find(w, "fc.weight"), "[2,3]");
    check_tensor(mg_weights_find(w, "fc.bias"), "[2]");
    mg_weights_close(w);
    w = open_golden("parameter.pth");
    check_tensor(mg_weights_find(w, "w"), "[3]");
    mg_weights_close(w);
}

Test(weights, refused_with_a_reason) {
    static const struct {
        const char *file, *says;
    } bad[] = {
        {"deflated.pth", "is compressed (method 8)"},
        {"expanded.pth", "tensor wide is expanded"},
        {"module.pth", "refused: 'torch.nn.modules.linear.Linear' is not on the list of globals"},
        {"torchscript.pt", "TorchScript"},
        {"keys.h", "neither safetensors nor PyTorch's .pth"},
        {"nothing", "No such file"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char path[256];
        mg_error err = {0};
        snprintf(path, sizeof path, GOLDEN "%s", bad[i].file);
        cr_assert_null(mg_weights_open(path, &err), "%s", path);
        cr_assert(strstr(err.message, bad[i].says) && strstr(err.message, path), "%s", err.message);
    }
    static const struct {
        const char *bytes, *says;
    } foreign[] = {
        {"", "it is empty"},
        {"<!DOCTYPE html>", "web page"},
        {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
        {"\x89HDF\r\n\x1a\n", "HDF5"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        mg_error err = {0};
        cr_assert_null(mg_weights_open_memory(foreign[i].bytes, strlen(foreign[i].bytes), &err));
        cr_assert(strstr(err.message, foreign[i].says), "%s", err.message);
    }
}

/* Every prefix is refused; every single flipped byte is refused or read, but nothing crashes. */
Test(weights, damaged_anywhere) {
    static const char *const files[] = {"plain.pth", "legacy.pth", "zip64.pth", "views.pth"};
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        char path[256];
        size_t size;
        snprintf(path, sizeof path, GOLDEN "%s", files[f]);
        unsigned char *bytes = slurp(path, &size);
        for (size_t n = 0; n < size; n++) {
            mg_error err = {0};
            unsigned char *part = malloc(n + !n);
            memcpy(part, bytes, n);
            cr_assert_null(mg_weights_open_memory(part, n, &err), "%s: %zu bytes", path, n);
            cr_assert(*err.message);
            free(part);
        }
        for (size_t i = 0; i < size; i++) {
            mg_error err = {0};
            bytes[i] ^= (unsigned char)(1u << i % 8);
            mg_weights *w = mg_weights_open_memory(bytes, size, &err);
            cr_assert(w || *err.message);
            double values[64];
            for (size_t t = 0; w && t < mg_weights_count(w); t++)
                if (mg_weights_at(w, t)->count <= 64)
                    mg_stored_to_f64(mg_weights_at(w, t), values, mg_weights_at(w, t)->count, NULL);
            mg_weights_close(w);
            bytes[i] ^= (unsigned char)(1u << i % 8);
        }
        free(bytes);
    }
}

Test(weights, damaged_numbers_are_noticed) {
    size_t size;
    unsigned char *bytes = slurp(GOLDEN "plain.pth", &size);
    static const float first[3] = {-1, -0.5f, 0};
    unsigned char *at = memmem(bytes, size, first, sizeof first);
    cr_assert(at);
    at[1] ^= 1;
    mg_error err = {0};
    cr_assert_null(mg_weights_open_memory(bytes, size, &err));
    cr_assert(strstr(err.message, "CRC-32"), "%s", err.message);
    free(bytes);
}
