/* keymap.c: the list of a network's tensors and their names. The import is key_import.c. */
#include "nn/keymap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
const char *mg_padding_name(mg_padding style) { return padding_names[style]; }

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

bool mg_padding_parse(const char *text, mg_padding *out) {
    int i;
    bool known = find_name(padding_names, 3, text, &i);
    if (known) *out = (mg_padding)i;
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

static void add_block(mg_keys *list, const mg_block_arch *block, int index) {
    mg_key place = {.stage = block->stage, .block = block->index, .block_index = index};
    place.expands = block->expanded != block->in;
    if (place.expands) add_conv(list, place, MG_LAYER_EXPAND, block->expanded, block->in, 1);
    add_conv(list, place, MG_LAYER_DEPTHWISE, block->expanded, 1, block->kernel);
    add_squeeze(list, place, MG_LAYER_SE_REDUCE, block->squeezed, block->expanded);
    add_squeeze(list, place, MG_LAYER_SE_EXPAND, block->expanded, block->squeezed);
    add_conv(list, place, MG_LAYER_PROJECT, block->out, block->expanded, 1);
}

/* A convolution with its norm has 6 tensors; a block up to 3 of them and 4 for squeeze-excite. */
enum { KEYS_PER_BLOCK = 3 * 6 + 4, KEYS_OUTSIDE = 2 * 6 + 2 };

mg_keys *mg_keys_create(const mg_arch *arch, int in_channels, int classes, mg_error *err) {
    mg_keys *list = calloc(1, sizeof *list);
    size_t room = (size_t)(arch->blocks * KEYS_PER_BLOCK + KEYS_OUTSIDE);
    if (list) list->keys = calloc(room, sizeof *list->keys);
    if (!list || !list->keys) {
        mg_keys_free(list);
        mg_fail(err, MG_ERR_MEMORY, "out of memory for names");
        return NULL;
    }
    list->arch = *arch;
    list->in_channels = in_channels;
    list->classes = classes;
    mg_key place = {.block = -1, .block_index = -1};
    add_conv(list, place, MG_LAYER_STEM, arch->stem, in_channels, 3);
    for (int i = 0; i < arch->blocks; i++) add_block(list, &arch->block[i], i);
    place.stage = arch->stages + 1;
    add_conv(list, place, MG_LAYER_HEAD, arch->head, arch->block[arch->blocks - 1].out, 1);
    place.stage = MG_STAGE_CLASSIFIER;
    place.layer = MG_LAYER_CLASSIFIER;
    add(list, &place, MG_KEY_LINEAR_WEIGHT, 2, (int64_t[]){classes, arch->head});
    add(list, &place, MG_KEY_LINEAR_BIAS, 1, (int64_t[]){classes});
    MG_ASSERT(list->count <= room);
    return list;
}

void mg_keys_free(mg_keys *keys) {
    if (!keys) return;
    free(keys->keys);
    free(keys);
}
