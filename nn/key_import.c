/* key_import.c: matching a file's tensors with the keys of keymap.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/keymap.h"
#include "tensor/json.h"

enum { LONGEST_NAME = 2 * MG_KEY_NAME };

/* --- which naming ---------------------------------------------------------------------------- */

/* If `name` is `stem` after a prefix that ends with '.', or alone: the prefix's length; else -1. */
static long prefix_before(const char *name, const char *stem) {
    size_t n = strlen(name), s = strlen(stem);
    if (n < s || strcmp(name + n - s, stem) || (n > s && name[n - s - 1] != '.')) return -1;
    return (long)(n - s);
}

/* The stem's convolution tells the naming. */
static const struct {
    const char *name;
    mg_key_format format;
} stems[] = {{"features.0.0.weight", MG_KEYS_TORCHVISION},
             {"conv_stem.weight", MG_KEYS_TIMM},
             {"_conv_stem.weight", MG_KEYS_LUKEMELAS}};

/* The full name of the stem's convolution in a file, its naming and prefix; NULL: none. */
static mg_status find_stem(const mg_weights *weights, const char **first, mg_key_format *format,
                           char prefix[MG_KEY_NAME], mg_error *err) {
    *first = NULL;
    *prefix = 0;
    for (size_t s = 0; s < MG_COUNT(stems); s++) {
        *format = stems[s].format;
        if (mg_weights_find(weights, *first = stems[s].name)) return MG_OK; /* plain names win */
    }
    *first = NULL;
    for (size_t i = 0; i < mg_weights_count(weights); i++) {
        const char *name = mg_weights_at(weights, i)->name;
        for (size_t s = 0; s < MG_COUNT(stems); s++) {
            long length = prefix_before(name, stems[s].name);
            if (length < 0 || length >= MG_KEY_NAME) continue;
            if (*first)
                return mg_fail(err, MG_ERR_UNSUPPORTED,
                               "the file holds several networks (%.80s and %.80s): save one alone",
                               *first, name);
            *first = name;
            *format = stems[s].format;
            snprintf(prefix, MG_KEY_NAME, "%.*s", (int)length, name);
        }
    }
    return MG_OK;
}

static mg_status find_naming(const mg_weights *weights, mg_key_format *format,
                             char prefix[MG_KEY_NAME], mg_error *err) {
    const char *first;
    mg_status status = find_stem(weights, &first, format, prefix, err);
    if (status) return status;
    if (!first)
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "the file holds no EfficientNet: none of its %zu tensors is called "
                       "features.0.0.weight (torchvision), conv_stem.weight (timm) or "
                       "_conv_stem.weight (lukemelas, MONAI)",
                       mg_weights_count(weights));
    char probe[LONGEST_NAME];
    snprintf(probe, sizeof probe, "%s_blocks.0.0._depthwise_conv.weight", prefix);
    if (*format == MG_KEYS_LUKEMELAS && mg_weights_find(weights, probe)) *format = MG_KEYS_MONAI;
    return MG_OK;
}

/* What was asked for must agree with the names, but timm-tf cannot be told from them. */
static mg_status agree(mg_key_format found, mg_key_format wanted, mg_key_import *out,
                       mg_error *err) {
    out->format = found;
    if (wanted == MG_KEYS_TIMM_TF && found == MG_KEYS_TIMM) out->format = wanted;
    if (wanted == MG_KEYS_AUTO || wanted == out->format) return MG_OK;
    return mg_fail(err, MG_ERR_ARG,
                   "the file's names are %s's, not %s's: choose the pretrained format auto or %s",
                   mg_key_format_name(found), mg_key_format_name(wanted),
                   mg_key_format_name(found));
}

static void set_conventions(const mg_keys *keys, const mg_weights *weights, mg_key_import *out) {
    switch (out->format) {
    case MG_KEYS_TORCHVISION:
        out->bn_epsilon = keys->arch.bn_eps;
        out->bn_momentum = keys->arch.bn_momentum;
        break;
    case MG_KEYS_TIMM_TF:
        out->bn_epsilon = 1e-3;
        out->bn_momentum = 0.1;
        out->padding = MG_PAD_SAME;
        break;
    case MG_KEYS_LUKEMELAS:
    case MG_KEYS_MONAI:
        out->bn_epsilon = 1e-3;
        out->bn_momentum = 0.01;
        out->padding = MG_PAD_STATIC;
        break;
    default:
        out->bn_epsilon = 1e-5;
        out->bn_momentum = 0.1;
        break;
    }
    const char *text = mg_weights_metadata(weights, "mammograd");
    mg_json_document *own = text ? mg_json_parse(text, strlen(text), NULL) : NULL;
    if (!own) return;
    mg_json_get_real(mg_json_root(own), "bn_eps", &out->bn_epsilon);
    mg_json_get_real(mg_json_root(own), "bn_momentum", &out->bn_momentum);
    int64_t size;
    if (mg_json_get_integer(mg_json_root(own), "nominal_size", &size) && size > 0 && size < 65536)
        out->nominal_size = (int)size;
    const char *padding = mg_json_get_string(mg_json_root(own), "padding");
    if (padding) mg_padding_parse(padding, &out->padding);
    mg_json_free(own);
}

/* --- matching -------------------------------------------------------------------------------- */

static const mg_stored_tensor *find(const mg_key *key, const mg_weights *weights,
                                    mg_key_format format, const char *prefix) {
    char name[MG_KEY_NAME], full[LONGEST_NAME];
    mg_key_spell(key, format, name);
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return mg_weights_find(weights, full);
}

static bool same_shape(const mg_key *key, const mg_stored_tensor *t) {
    if (key->kind == MG_KEY_BN_COUNT) return t->count == 1; /* [] or [1] */
    if (t->rank != key->rank) return false;
    for (int i = 0; i < key->rank; i++)
        if (t->shape[i] != key->shape[i]) return false;
    return true;
}

/* All tensors but the classifier have the shapes of this variant (input channels may differ). */
static bool is_variant(const mg_keys *keys, const mg_weights *weights, mg_key_format format,
                       const char *prefix) {
    for (size_t i = 0; i < keys->count; i++) {
        const mg_key *key = &keys->keys[i];
        if (key->kind != MG_KEY_DEPTHWISE && key->kind != MG_KEY_BN_WEIGHT) continue;
        const mg_stored_tensor *t = find(key, weights, format, prefix);
        if (!t || !same_shape(key, t)) return false;
    }
    return true;
}

int mg_keys_recognise(const mg_weights *weights) {
    mg_key_format format;
    char prefix[MG_KEY_NAME];
    if (find_naming(weights, &format, prefix, NULL)) return -1;
    /* From the deepest down: a shallower network's blocks are all found in a deeper one's file. */
    for (int variant = 7; variant >= 0; variant--) {
        mg_arch arch = mg_arch_efficientnet(variant);
        mg_keys *keys = mg_keys_create(&arch, 3, 1000, NULL);
        bool match = keys && is_variant(keys, weights, format, prefix);
        mg_keys_free(keys);
        if (match) return variant;
    }
    return -1;
}

/* Adds the advice that helps most: the file is another variant than the model. */
static mg_status mismatch(const mg_keys *keys, const mg_weights *weights, const mg_key *key,
                          const mg_stored_tensor *t, mg_error *err) {
    char advice[64] = "", have[MG_STORED_SHAPE_TEXT], want[MG_STORED_SHAPE_TEXT];
    int variant = mg_keys_recognise(weights);
    if (variant >= 0 && variant != mg_arch_variant(keys->arch.name))
        snprintf(advice, sizeof advice, ": the file is an EfficientNet-B%d", variant);
    if (!t)
        return mg_fail(err, MG_ERR_FORMAT, "the model (%s) needs %s, which the file lacks%s",
                       keys->arch.name, key->name, advice);
    return mg_fail(err, MG_ERR_SHAPE, "%s has shape %s in the file, the model (%s) needs %s%s",
                   t->name, mg_stored_shape_text(t->shape, t->rank, have), keys->arch.name,
                   mg_stored_shape_text(key->shape, key->rank, want), advice);
}

/* A classifier with other classes, or none at all, is left to be initialised. */
static mg_status match_classifier(const mg_keys *keys, const mg_weights *weights,
                                  mg_key_import *out, mg_error *err) {
    const mg_key *weight = &keys->keys[keys->count - 2], *bias = weight + 1;
    const mg_stored_tensor *w = find(weight, weights, out->format, out->prefix);
    const mg_stored_tensor *b = find(bias, weights, out->format, out->prefix);
    out->unused -= (w != NULL) + (b != NULL);
    out->head_reinitialised = true;
    if (!w) return MG_OK;
    if (w->rank != 2 || w->shape[1] != weight->shape[1])
        return mismatch(keys, weights, weight, w, err);
    out->file_classes = w->shape[0];
    if (w->shape[0] != keys->classes) return MG_OK;
    if (!b || !same_shape(bias, b)) return mismatch(keys, weights, bias, b, err);
    out->head_reinitialised = false;
    out->tensors[keys->count - 2] = w;
    out->tensors[keys->count - 1] = b;
    return MG_OK;
}

static mg_status match(const mg_keys *keys, const mg_weights *weights, mg_key_import *out,
                       mg_error *err) {
    out->unused = mg_weights_count(weights);
    for (size_t i = 0; i + 2 < keys->count; i++) {
        const mg_key *key = &keys->keys[i];
        const mg_stored_tensor *t = find(key, weights, out->format, out->prefix);
        if (!t && key->kind == MG_KEY_BN_COUNT) {
            out->missing_counts++;
            continue;
        }
        if (!t || !same_shape(key, t)) return mismatch(keys, weights, key, t, err);
        if (t->type > MG_STORED_BF16 && key->kind != MG_KEY_BN_COUNT)
            return mg_fail(err, MG_ERR_FORMAT, "%s has type %s; weights are floating-point numbers",
                           t->name, mg_stored_name(t->type));
        out->tensors[i] = t;
        out->unused--;
    }
    return match_classifier(keys, weights, out, err);
}

static void describe(const mg_keys *keys, mg_key_format wanted, mg_key_import *out) {
    size_t n = 0, room = sizeof out->note;
#define SAY(...) (n += n < room ? (size_t)snprintf(out->note + n, room - n, __VA_ARGS__) : 0)
    SAY("%s weights in %s naming", keys->arch.name, mg_key_format_name(out->format));
    if (*out->prefix) SAY(" after '%s'", out->prefix);
    SAY(", batch norm epsilon %g, %s padding", out->bn_epsilon, mg_padding_name(out->padding));
    if (wanted == MG_KEYS_AUTO && out->format == MG_KEYS_TIMM)
        SAY(" (if the weights are of timm's tf_ models, choose timm-tf)");
    if (out->head_reinitialised && out->file_classes)
        SAY("; head re-initialised (%lld classes in the file, %d wanted)",
            (long long)out->file_classes, keys->classes);
    else if (out->head_reinitialised) SAY("; head re-initialised (none in the file)");
    if (out->missing_counts) SAY("; %zu batch counters missing, taken as 0", out->missing_counts);
    if (out->unused) SAY("; %zu other tensors ignored", out->unused);
#undef SAY
}

mg_status mg_keys_import(const mg_keys *keys, const mg_weights *weights, mg_key_format wanted,
                         mg_key_import *out, mg_error *err) {
    mg_key_format found;
    *out = (mg_key_import){.padding = MG_PAD_SYMMETRIC, .nominal_size = keys->arch.resolution};
    mg_status status = find_naming(weights, &found, out->prefix, err);
    if (!status) status = agree(found, wanted, out, err);
    if (status) return status;
    set_conventions(keys, weights, out);
    out->tensors = calloc(keys->count, sizeof *out->tensors);
    if (!out->tensors) return mg_fail(err, MG_ERR_MEMORY, "out of memory for names");
    status = match(keys, weights, out, err);
    if (status) mg_key_import_free(out);
    else describe(keys, wanted, out);
    return status;
}

void mg_key_import_free(mg_key_import *import) {
    free(import->tensors);
    *import = (mg_key_import){0};
}
