/* EfficientNet's tensor names: against the libraries that define them, and the import of files. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/keymap.h"
#include "tensor/safetensors.h"
#include "tests/lib/scratch.h"
#include "tests/golden/checkpoint/keys.h"

static void setup(void) { scratch_make(); }
TestSuite(keymap, .init = setup, .fini = scratch_remove);

/* The lines "name [shape]\n" of a list; free() them. */
static char *lines_of(const mg_keys *keys, mg_key_format format, int count) {
    char *text = malloc((size_t)count * 160 + 1), *at = text;
    for (int i = 0; i < count; i++) {
        char name[MG_KEY_NAME], shape[MG_STORED_SHAPE_TEXT];
        const mg_key *key = &keys->keys[i];
        mg_key_spell(key, format, name);
        at += sprintf(at, "%s %s\n", name, mg_stored_shape_text(key->shape, key->rank, shape));
    }
    return text;
}

Test(keymap, names_shapes_and_order_are_the_libraries) {
    for (size_t i = 0; i < sizeof golden_keys / sizeof golden_keys[0]; i++) {
        mg_arch arch = mg_arch_efficientnet(golden_keys[i].variant);
        mg_keys *keys = mg_keys_create(&arch, 3, 1000, NULL);
        cr_assert_eq(keys->count, golden_keys[i].count);
        char *text = lines_of(keys, golden_keys[i].format, (int)keys->count);
        uint64_t hash = 0xcbf29ce484222325;
        for (const char *c = text; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
        cr_assert_eq(hash, golden_keys[i].fnv1a, "%s b%d: %" PRIx64,
                     mg_key_format_name(golden_keys[i].format), golden_keys[i].variant, hash);
        free(text);
        mg_keys_free(keys);
    }
}

Test(keymap, b0_in_full) {
    static const mg_key_format formats[] = {MG_KEYS_TORCHVISION, MG_KEYS_TIMM, MG_KEYS_LUKEMELAS,
                                            MG_KEYS_MONAI};
    mg_arch arch = mg_arch_efficientnet(0);
    mg_keys *keys = mg_keys_create(&arch, 3, 1000, NULL);
    for (int f = 0; f < 4; f++) {
        char path[128];
        size_t size;
        snprintf(path, sizeof path, "tests/golden/checkpoint/keys_%s_b0.txt",
                 mg_key_format_name(formats[f]));
        unsigned char *golden = slurp(path, &size);
        char *text = lines_of(keys, formats[f], (int)keys->count);
        cr_assert(strlen(text) == size && !memcmp(text, golden, size), "%s", path);
        free(text);
        free(golden);
    }
    mg_keys_free(keys);
}

Test(keymap, parameter_counts) {
    static const int64_t counts[8] = {5288548,  7794184,  9109994,  12233232,
                                      19341616, 30389784, 43040704, 66347960};
    for (int v = 0; v < 8; v++) {
        mg_arch arch = mg_arch_efficientnet(v);
        mg_keys *keys = mg_keys_create(&arch, 3, 1000, NULL);
        int64_t total = 0;
        for (size_t i = 0; i < keys->count; i++) {
            const mg_key *key = &keys->keys[i];
            int64_t n = 1;
            for (int d = 0; d < key->rank; d++) n *= key->shape[d];
            bool buffer = key->kind >= MG_KEY_BN_MEAN && key->kind <= MG_KEY_BN_COUNT;
            if (!buffer) total += n;
        }
        cr_assert_eq(total, counts[v], "b%d", v);
        mg_keys_free(keys);
    }
}

/* --- import ---------------------------------------------------------------------------------- */

static mg_arch tiny(void) {
    static const mg_stage_row rows[] = {{3, 1, 1, 8, 2}, {5, 2, 6, 16, 1}};
    return mg_arch_custom("tiny", 8, rows, 2, 32);
}

typedef struct variation {
    mg_key_format format;
    const char *prefix;
    int classes;
    const char *leave_out; /* tensors whose name contains this */
    const char *add;       /* one more tensor of this name */
    const char *mammograd; /* metadata */
    mg_stored_type type;
} variation;

/* A file of a network in someone's naming; element j of tensor i is i + j. */
static mg_weights *make_file(const mg_arch *arch, const variation *v) {
    mg_keys *keys = mg_keys_create(arch, 3, v->classes, NULL);
    mg_stored_tensor *tensors = calloc(keys->count + 1, sizeof *tensors);
    char(*names)[2 * MG_KEY_NAME] = calloc(keys->count + 1, sizeof *names);
    static const int64_t zeros[1 << 20];
    size_t n = 0;
    for (size_t i = 0; i < keys->count; i++) {
        char name[MG_KEY_NAME];
        const mg_key *key = &keys->keys[i];
        mg_key_spell(key, v->format, name);
        if (v->leave_out && strstr(name, v->leave_out)) continue;
        snprintf(names[n], sizeof names[n], "%s%s", v->prefix ? v->prefix : "", name);
        tensors[n] = (mg_stored_tensor){.name = names[n], .rank = key->rank, .bytes = zeros};
        tensors[n].type = key->kind == MG_KEY_BN_COUNT ? MG_STORED_I64 : v->type;
        memcpy(tensors[n].shape, key->shape, sizeof key->shape);
        n++;
    }
    if (v->add)
        tensors[n++] = (mg_stored_tensor){.name = v->add, .type = MG_STORED_U8, .bytes = zeros};
    mg_error err = {0};
    mg_metadata_entry entry = {"mammograd", v->mammograd};
    cr_assert_eq(mg_safetensors_write(scratch_path("w"), tensors, n, &entry, v->mammograd != NULL,
                                      NULL, NULL, &err),
                 MG_OK, "%s", err.message);
    mg_weights *w = mg_weights_open(scratch_path("w"), &err);
    cr_assert(w, "%s", err.message);
    free(tensors);
    free(names);
    mg_keys_free(keys);
    return w;
}

static mg_status import(const mg_arch *arch, const variation *v, mg_key_format wanted,
                        mg_key_import *out, mg_error *err) {
    mg_weights *w = make_file(arch, v);
    mg_arch model = tiny();
    mg_keys *keys = mg_keys_create(&model, 3, 1, NULL);
    mg_error_clear(err);
    mg_status status = mg_keys_import(keys, w, wanted, out, err);
    for (size_t i = 0; !status && i < keys->count; i++) { /* each tensor is the right one */
        char name[MG_KEY_NAME];
        mg_key_spell(&keys->keys[i], out->format, name);
        const mg_stored_tensor *t = out->tensors[i];
        if (t) cr_assert(!strcmp(t->name + strlen(out->prefix), name), "%s for %s", t->name, name);
        else
            cr_assert(keys->keys[i].kind == MG_KEY_BN_COUNT ? out->missing_counts > 0
                                                            : out->head_reinitialised);
    }
    mg_keys_free(keys);
    mg_weights_close(w);
    return status;
}

Test(keymap, conventions_of_each_format) {
    static const struct {
        mg_key_format format, wanted;
        double epsilon, momentum;
        mg_padding padding;
        const char *says;
    } cases[] = {
        {MG_KEYS_TORCHVISION, MG_KEYS_AUTO, 1e-5, 0.1, MG_PAD_SYMMETRIC, "torchvision naming"},
        {MG_KEYS_TIMM, MG_KEYS_AUTO, 1e-5, 0.1, MG_PAD_SYMMETRIC, "choose timm-tf"},
        {MG_KEYS_TIMM, MG_KEYS_TIMM, 1e-5, 0.1, MG_PAD_SYMMETRIC, "timm naming"},
        {MG_KEYS_TIMM_TF, MG_KEYS_TIMM_TF, 1e-3, 0.1, MG_PAD_SAME, "timm-tf naming"},
        {MG_KEYS_LUKEMELAS, MG_KEYS_AUTO, 1e-3, 0.01, MG_PAD_STATIC, "lukemelas naming"},
        {MG_KEYS_MONAI, MG_KEYS_AUTO, 1e-3, 0.01, MG_PAD_STATIC, "monai naming"},
    };
    mg_arch arch = tiny();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mg_key_import got;
        mg_error err = {0};
        variation v = {.format = cases[i].format, .classes = 1, .type = MG_STORED_F32};
        cr_assert_eq(import(&arch, &v, cases[i].wanted, &got, &err), MG_OK, "%s", err.message);
        cr_assert(got.bn_epsilon == cases[i].epsilon && got.bn_momentum == cases[i].momentum);
        cr_assert_eq(got.padding, cases[i].padding);
        cr_assert(!got.head_reinitialised && !got.missing_counts && !got.unused);
        cr_assert(strstr(got.note, cases[i].says), "%s", got.note);
        mg_key_import_free(&got);
    }
}

Test(keymap, b5_in_torchvision_has_its_own_epsilon) {
    mg_arch arch = mg_arch_efficientnet(5);
    cr_assert(arch.bn_eps == 1e-3 && arch.bn_momentum == 0.01);
}

Test(keymap, tolerated) {
    mg_arch arch = tiny();
    mg_key_import got;
    mg_error err = {0};
    variation v = {.format = MG_KEYS_LUKEMELAS,
                   .prefix = "module.model.",
                   .classes = 1000,
                   .leave_out = "num_batches_tracked",
                   .add = "module.extra",
                   .type = MG_STORED_F16};
    cr_assert_eq(import(&arch, &v, MG_KEYS_AUTO, &got, &err), MG_OK, "%s", err.message);
    cr_assert_str_eq(got.prefix, "module.model.");
    cr_assert(got.head_reinitialised && got.file_classes == 1000);
    cr_assert_eq(got.missing_counts,
                 1 + 2 * 2 + 3 + 1); /* stem, two plain blocks, one expanding, head */
    cr_assert_eq(got.unused, 1);
    cr_assert(strstr(got.note, "after 'module.model.'") &&
                  strstr(got.note, "head re-initialised (1000 classes in the file, 1 wanted)") &&
                  strstr(got.note, "1 other tensors ignored"),
              "%s", got.note);
    mg_key_import_free(&got);

    v = (variation){
        .format = MG_KEYS_TIMM, .classes = 1, .leave_out = "classifier", .type = MG_STORED_F32};
    cr_assert_eq(import(&arch, &v, MG_KEYS_AUTO, &got, &err), MG_OK, "%s", err.message);
    cr_assert(got.head_reinitialised && got.file_classes == 0);
    cr_assert(strstr(got.note, "head re-initialised (none in the file)"), "%s", got.note);
    mg_key_import_free(&got);

    /* Our own file tells what the names cannot; moments are no second network. */
    v = (variation){.format = MG_KEYS_TORCHVISION,
                    .classes = 1,
                    .add = "adam.m.features.0.0.weight",
                    .mammograd = "{\"bn_eps\": 0.25, \"padding\": \"same-static\","
                                 " \"nominal_size\": 380}",
                    .type = MG_STORED_F32};
    cr_assert_eq(import(&arch, &v, MG_KEYS_AUTO, &got, &err), MG_OK, "%s", err.message);
    cr_assert(got.bn_epsilon == 0.25 && got.padding == MG_PAD_STATIC && got.nominal_size == 380);
    cr_assert_str_eq(got.prefix, "");
    mg_key_import_free(&got);
}

Test(keymap, refused) {
    static const struct {
        variation v;
        mg_key_format wanted;
        const char *says;
    } cases[] = {
        {{MG_KEYS_TIMM, NULL, 1, NULL, NULL, NULL, MG_STORED_F32},
         MG_KEYS_TORCHVISION,
         "the file's names are timm's, not torchvision's"},
        {{MG_KEYS_TORCHVISION, NULL, 1, "features.2.0.block.3.0", NULL, NULL, MG_STORED_F32},
         MG_KEYS_AUTO,
         "(tiny) needs features.2.0.block.3.0.weight, which the file lacks"},
        {{MG_KEYS_TORCHVISION, NULL, 1, "classifier.1.bias", NULL, NULL, MG_STORED_F32},
         MG_KEYS_AUTO,
         "needs classifier.1.bias, which the file lacks"},
        {{MG_KEYS_TORCHVISION, NULL, 1, "features.0.0.weight", NULL, NULL, MG_STORED_F32},
         MG_KEYS_AUTO,
         "holds no EfficientNet"},
        {{MG_KEYS_TIMM, "student.", 1, NULL, "ema.conv_stem.weight", NULL, MG_STORED_F32},
         MG_KEYS_AUTO,
         "several networks (student.conv_stem.weight and ema.conv_stem.weight)"},
        {{MG_KEYS_TIMM, NULL, 1, NULL, NULL, NULL, MG_STORED_I32},
         MG_KEYS_AUTO,
         "conv_stem.weight has type I32"},
    };
    mg_arch arch = tiny();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mg_key_import got;
        mg_error err = {0};
        cr_assert_neq(import(&arch, &cases[i].v, cases[i].wanted, &got, &err), MG_OK, "%zu", i);
        cr_assert(strstr(err.message, cases[i].says), "%s", err.message);
    }
}

Test(keymap, recognises_another_variant) {
    for (int variant = 0; variant < 2; variant++) { /* the same widths, other depths */
        mg_arch arch = mg_arch_efficientnet(variant);
        variation v = {
            .format = MG_KEYS_MONAI, .prefix = "model.", .classes = 2, .type = MG_STORED_BF16};
        mg_weights *w = make_file(&arch, &v);
        cr_assert_eq(mg_keys_recognise(w), variant);
        mg_arch other = mg_arch_efficientnet(4);
        mg_keys *keys = mg_keys_create(&other, 3, 1, NULL);
        mg_key_import got;
        mg_error err = {0};
        cr_assert_eq(mg_keys_import(keys, w, MG_KEYS_AUTO, &got, &err), MG_ERR_SHAPE);
        char says[160];
        snprintf(says, sizeof says,
                 "model._conv_stem.weight has shape [32,3,3,3] in the file, the model (b4) needs "
                 "[48,3,3,3]: the file is an EfficientNet-B%d",
                 variant);
        cr_assert_str_eq(err.message, says);
        mg_keys_free(keys);
        mg_weights_close(w);
    }
}

Test(keymap, names_of_formats) {
    mg_key_format format;
    mg_padding style;
    for (int i = 0; i < MG_KEYS_FORMAT_COUNT; i++)
        cr_assert(mg_key_format_parse(mg_key_format_name((mg_key_format)i), &format) &&
                  (int)format == i);
    cr_assert(!mg_key_format_parse("keras", &format));
    cr_assert(mg_padding_parse("same", &style) && style == MG_PAD_SAME);
    cr_assert(!mg_padding_parse("", &style));
}
