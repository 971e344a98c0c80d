/* keymap.c: the list of tensors of each variant and their names. The import is key_import.c. */
#include "nn/keymap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* EfficientNet-B0's stages 1-7; the variants scale width and depth (Tan & Le 2019, table 1). */
static const struct {
    int kernel, expand, out, repeats;
} stages[7] = {
    {3, 1, 16, 1},  {3, 6, 24, 2},  {5, 6, 40, 2},  {3, 6, 80, 3},
    {5, 6, 112, 3}, {5, 6, 192, 4}, {3, 6, 320, 1},
};

/* In tenths, so that rounding is exact integer arithmetic. */
static const struct {
    int width10, depth10, size;
} variants[8] = {
    {10, 10, 224}, {10, 11, 240}, {11, 12, 260}, {12, 14, 300},
    {14, 18, 380}, {16, 22, 456}, {18, 26, 528}, {20, 31, 600},
};

/* Channels: width * c to the nearest multiple of 8, but not below 90% of it. */
static int scale_width(int channels, int width10) {
    int scaled10 = channels * width10, rounded = (scaled10 + 40) / 80 * 8;
    if (rounded < 8) rounded = 8;
    return rounded * 100 < scaled10 * 9 ? rounded + 8 : rounded;
}

static int scale_depth(int repeats, int depth10) { return (repeats * depth10 + 9) / 10; }

/* --- names ----------------------------------------------------------------------------------- */

static const char *part_of(const mg_key *key) {
    switch (key->kind) {
    case MG_KEY_BN_BIAS:
    case MG_KEY_SE_BIAS:
    case MG_KEY_LINEAR_BIAS: return "bias";
    case MG_KEY_BN_MEAN: return "running_mean";
    case MG_KEY_BN_VARIANCE: return "running_var";
    case MG_KEY_BN_COUNT: return "num_batches_tracked";
    default: return "weight";
    }
}

static bool is_norm(const mg_key *key) {
    return key->kind >= MG_KEY_BN_WEIGHT && key->kind <= MG_KEY_BN_COUNT;
}

static void spell_torchvision(const mg_key *key, char *name) {
    int layer = 0; /* within the block: [expand,] depthwise, squeeze-excite, project */
    const char *part = part_of(key);
    switch (key->layer) {
    case MG_LAYER_STEM:
    case MG_LAYER_HEAD:
        snprintf(name, MG_KEY_NAME, "features.%d.%d.%s", key->stage, is_norm(key), part);
        return;
    case MG_LAYER_CLASSIFIER: snprintf(name, MG_KEY_NAME, "classifier.1.%s", part); return;
    case MG_LAYER_EXPAND: layer = 0; break;
    case MG_LAYER_DEPTHWISE: layer = key->expands; break;
    case MG_LAYER_PROJECT: layer = 2 + key->expands; break;
    case MG_LAYER_SE_REDUCE:
    case MG_LAYER_SE_EXPAND:
        snprintf(name, MG_KEY_NAME, "features.%d.%d.block.%d.fc%d.%s", key->stage, key->block,
                 1 + key->expands, key->layer == MG_LAYER_SE_REDUCE ? 1 : 2, part);
        return;
    }
    snprintf(name, MG_KEY_NAME, "features.%d.%d.block.%d.%d.%s", key->stage, key->block, layer,
             is_norm(key), part);
}

/* A layer's convolution and the norm after it, by position in the table of a naming. */
typedef struct layer_names {
    const char *convolution, *norm;
} layer_names;

static const layer_names timm_expanding[] = {
    [MG_LAYER_STEM] = {"conv_stem", "bn1"},
    [MG_LAYER_EXPAND] = {"conv_pw", "bn1"},
    [MG_LAYER_DEPTHWISE] = {"conv_dw", "bn2"},
    [MG_LAYER_SE_REDUCE] = {"se.conv_reduce", NULL},
    [MG_LAYER_SE_EXPAND] = {"se.conv_expand", NULL},
    [MG_LAYER_PROJECT] = {"conv_pwl", "bn3"},
    [MG_LAYER_HEAD] = {"conv_head", "bn2"},
    [MG_LAYER_CLASSIFIER] = {"classifier", NULL},
};
static const layer_names timm_plain[] = {
    [MG_LAYER_DEPTHWISE] = {"conv_dw", "bn1"},
    [MG_LAYER_SE_REDUCE] = {"se.conv_reduce", NULL},
    [MG_LAYER_SE_EXPAND] = {"se.conv_expand", NULL},
    [MG_LAYER_PROJECT] = {"conv_pw", "bn2"},
};
static const layer_names lukemelas[] = {
    [MG_LAYER_STEM] = {"_conv_stem", "_bn0"},
    [MG_LAYER_EXPAND] = {"_expand_conv", "_bn0"},
    [MG_LAYER_DEPTHWISE] = {"_depthwise_conv", "_bn1"},
    [MG_LAYER_SE_REDUCE] = {"_se_reduce", NULL},
    [MG_LAYER_SE_EXPAND] = {"_se_expand", NULL},
    [MG_LAYER_PROJECT] = {"_project_conv", "_bn2"},
    [MG_LAYER_HEAD] = {"_conv_head", "_bn1"},
    [MG_LAYER_CLASSIFIER] = {"_fc", NULL},
};

void mg_key_spell(const mg_key *key, mg_key_format format, char name[MG_KEY_NAME]) {
    char block[32] = "";
    const layer_names *names = lukemelas;
    switch (format) {
    case MG_KEYS_TIMM:
    case MG_KEYS_TIMM_TF:
        names = key->block < 0 || key->expands ? timm_expanding : timm_plain;
        snprintf(block, sizeof block, "blocks.%d.%d.", key->stage - 1, key->block);
        break;
    case MG_KEYS_LUKEMELAS: snprintf(block, sizeof block, "_blocks.%d.", key->block_index); break;
    case MG_KEYS_MONAI:
        snprintf(block, sizeof block, "_blocks.%d.%d.", key->stage - 1, key->block_index);
        break;
    default: spell_torchvision(key, name); return;
    }
    const layer_names *layer = &names[key->layer];
    snprintf(name, MG_KEY_NAME, "%s%s.%s", key->block < 0 ? "" : block,
             is_norm(key) ? layer->norm : layer->convolution, part_of(key));
}

static const char *const format_names[MG_KEYS_FORMAT_COUNT] = {
    "auto", "torchvision", "timm", "timm-tf", "lukemelas", "monai",
};
static const char *const padding_names[] = {"symmetric", "same", "same-static"};

const char *mg_key_format_name(mg_key_format format) { return format_names[format]; }
const char *mg_padding_style_name(mg_padding_style style) { return padding_names[style]; }

static bool find_name(const char *const *names, int count, const char *text, int *out) {
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], text)) continue;
        *out = i;
        return true;
    }
    return false;
}

bool mg_key_format_parse(const char *text, mg_key_format *out) {
    int i;
    bool known = find_name(format_names, MG_KEYS_FORMAT_COUNT, text, &i);
    if (known) *out = (mg_key_format)i;
    return known;
}

bool mg_padding_style_parse(const char *text, mg_padding_style *out) {
    int i;
    bool known = find_name(padding_names, 3, text, &i);
    if (known) *out = (mg_padding_style)i;
    return known;
}

/* --- the list -------------------------------------------------------------------------------- */

static void add(mg_keys *list, const mg_key *place, mg_key_kind kind, int rank,
                const int64_t *shape) {
    mg_key *key = &list->keys[list->count++];
    *key = *place;
    key->kind = kind;
    key->rank = rank;
    for (int i = 0; i < rank; i++) key->shape[i] = shape[i];
    spell_torchvision(key, key->name);
}

/* A convolution without bias and the batch norm after it. */
static void add_conv(mg_keys *list, mg_key place, mg_key_layer layer, int out, int in, int kernel) {
    mg_key_kind kind = layer == MG_LAYER_DEPTHWISE ? MG_KEY_DEPTHWISE : MG_KEY_CONV;
    place.layer = layer;
    add(list, &place, kind, 4, (int64_t[]){out, in, kernel, kernel});
    for (kind = MG_KEY_BN_WEIGHT; kind <= MG_KEY_BN_VARIANCE; kind++)
        add(list, &place, kind, 1, (int64_t[]){out});
    add(list, &place, MG_KEY_BN_COUNT, 0, NULL);
}

static void add_squeeze(mg_keys *list, mg_key place, mg_key_layer layer, int out, int in) {
    place.layer = layer;
    add(list, &place, MG_KEY_SE_WEIGHT, 4, (int64_t[]){out, in, 1, 1});
    add(list, &place, MG_KEY_SE_BIAS, 1, (int64_t[]){out});
}

static void add_block(mg_keys *list, mg_key place, int in, int out, int kernel, int expand) {
    int inner = in * expand, squeezed = in / 4 > 1 ? in / 4 : 1;
    place.expands = expand > 1;
    if (place.expands) add_conv(list, place, MG_LAYER_EXPAND, inner, in, 1);
    add_conv(list, place, MG_LAYER_DEPTHWISE, inner, 1, kernel);
    add_squeeze(list, place, MG_LAYER_SE_REDUCE, squeezed, inner);
    add_squeeze(list, place, MG_LAYER_SE_EXPAND, inner, squeezed);
    add_conv(list, place, MG_LAYER_PROJECT, out, inner, 1);
}

enum { KEYS_PER_BLOCK = 19 };

mg_keys *mg_keys_create(int variant, int in_channels, int classes, mg_error *err) {
    if (variant < 0 || variant > 7 || in_channels < 1 || classes < 1) {
        mg_fail(err, MG_ERR_ARG,
                "there is no EfficientNet-B%d with %d input channels and %d classes (B0 to B7)",
                variant, in_channels, classes);
        return NULL;
    }
    int width = variants[variant].width10, depth = variants[variant].depth10, blocks = 0;
    for (int s = 0; s < 7; s++) blocks += scale_depth(stages[s].repeats, depth);
    mg_keys *list = calloc(1, sizeof *list);
    if (list) list->keys = calloc((size_t)(blocks * KEYS_PER_BLOCK + 14), sizeof *list->keys);
    if (!list || !list->keys) {
        mg_keys_free(list);
        mg_fail(err, MG_ERR_MEMORY, "out of memory for names");
        return NULL;
    }
    list->variant = variant;
    list->in_channels = in_channels;
    list->classes = classes;
    list->nominal_size = variants[variant].size;

    int channels = scale_width(32, width);
    mg_key place = {.block = -1, .block_index = -1};
    add_conv(list, place, MG_LAYER_STEM, channels, in_channels, 3);
    for (int s = 0, index = 0; s < 7; s++) {
        int out = scale_width(stages[s].out, width);
        for (int b = 0; b < scale_depth(stages[s].repeats, depth); b++, index++) {
            place = (mg_key){.stage = s + 1, .block = b, .block_index = index};
            add_block(list, place, channels, out, stages[s].kernel, stages[s].expand);
            channels = out;
        }
    }
    place = (mg_key){.stage = 8, .block = -1, .block_index = -1};
    add_conv(list, place, MG_LAYER_HEAD, channels * 4, channels, 1);
    place.stage = MG_KEY_CLASSIFIER_STAGE;
    place.layer = MG_LAYER_CLASSIFIER;
    add(list, &place, MG_KEY_LINEAR_WEIGHT, 2, (int64_t[]){classes, channels * 4});
    add(list, &place, MG_KEY_LINEAR_BIAS, 1, (int64_t[]){classes});
    return list;
}

void mg_keys_free(mg_keys *keys) {
    if (!keys) return;
    free(keys->keys);
    free(keys);
}
