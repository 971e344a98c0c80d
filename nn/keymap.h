/* keymap.h: the names of EfficientNet's tensors, in torchvision's spelling and in that of others.
 *
 * The canonical names, their order and shapes are those of torchvision's state_dict(). The same
 * networks exist elsewhere under other names, and also with other conventions that the weights do
 * not tell: the epsilon of batch normalisation and how "same" padding is placed.
 *
 *   naming       stem              batch norm epsilon, momentum    padding
 *   torchvision  features.0.0      1e-5, 0.1 (B5-B7: 1e-3, 0.01)   symmetric
 *   timm         conv_stem         1e-5, 0.1                       symmetric
 *   timm-tf      conv_stem         1e-3, 0.1                       TensorFlow's, of the actual size
 *   lukemelas    _conv_stem        1e-3, 0.01                      TensorFlow's, of a nominal size
 *   monai        _conv_stem        1e-3, 0.01                      TensorFlow's, of a nominal size
 *
 * Sources: torchvision 0.29 models/efficientnet.py; timm 1.0 models/efficientnet.py (timm-tf are
 * its tf_efficientnet_* models); efficientnet_pytorch 0.7 (lukemelas); MONAI 1.6
 * nets/efficientnet.py. */
#ifndef MG_NN_KEYMAP_H
#define MG_NN_KEYMAP_H

#include "nn/arch.h"
#include "tensor/weights.h"

typedef enum mg_key_format {
    MG_KEYS_AUTO,
    MG_KEYS_TORCHVISION,
    MG_KEYS_TIMM,
    MG_KEYS_TIMM_TF,
    MG_KEYS_LUKEMELAS,
    MG_KEYS_MONAI,
    MG_KEYS_FORMAT_COUNT
} mg_key_format;

typedef enum mg_key_kind {
    MG_KEY_CONV,      /* [out, in, k, k] */
    MG_KEY_DEPTHWISE, /* [channels, 1, k, k] */
    MG_KEY_BN_WEIGHT, /* [channels], as the next three */
    MG_KEY_BN_BIAS,
    MG_KEY_BN_MEAN,
    MG_KEY_BN_VARIANCE,
    MG_KEY_BN_COUNT,      /* num_batches_tracked: [] I64 */
    MG_KEY_SE_WEIGHT,     /* squeeze-excite: [out, in, 1, 1] */
    MG_KEY_SE_BIAS,       /* [out] */
    MG_KEY_LINEAR_WEIGHT, /* [classes, features] */
    MG_KEY_LINEAR_BIAS,   /* [classes] */
} mg_key_kind;

/* The layers a tensor may belong to. */
typedef enum mg_key_layer {
    MG_LAYER_STEM,
    MG_LAYER_EXPAND,
    MG_LAYER_DEPTHWISE,
    MG_LAYER_SE_REDUCE,
    MG_LAYER_SE_EXPAND,
    MG_LAYER_PROJECT,
    MG_LAYER_HEAD,
    MG_LAYER_CLASSIFIER,
} mg_key_layer;

enum { MG_KEY_NAME = 64 };

typedef struct mg_key {
    char name[MG_KEY_NAME]; /* torchvision's */
    mg_key_kind kind;
    mg_key_layer layer;
    int stage;       /* i of features.i (0 stem … 8 head), or MG_STAGE_CLASSIFIER */
    int block;       /* within the stage; -1 outside of blocks */
    int block_index; /* within the network; -1 outside of blocks */
    bool expands;    /* the block has an expansion layer */
    int rank;
    int64_t shape[4];
} mg_key;

typedef struct mg_keys {
    mg_arch arch;
    int in_channels;
    int classes;
    size_t count;
    mg_key *keys; /* in torchvision's order; the classifier's two are the last */
} mg_keys;

/* The tensors of a network. NULL on failure (memory). */
mg_keys *mg_keys_create(const mg_arch *arch, int in_channels, int classes, mg_error *err);
void mg_keys_free(mg_keys *keys);

/* The key's name in a format's spelling (MG_KEYS_AUTO: torchvision's). */
void mg_key_spell(const mg_key *key, mg_key_format format, char name[MG_KEY_NAME]);

/* "auto", "torchvision", "timm", "timm-tf", "lukemelas", "monai"; parse: false if unknown. */
const char *mg_key_format_name(mg_key_format format);
bool mg_key_format_parse(const char *text, mg_key_format *out);
/* "symmetric", "same", "same-static" */
const char *mg_padding_name(mg_padding padding);
bool mg_padding_parse(const char *text, mg_padding *out);

/* How a file's tensors become a model's. */
typedef struct mg_key_import {
    mg_key_format format;
    char prefix[MG_KEY_NAME]; /* before every name: "module.", "model.", …; "" mostly */
    double bn_epsilon, bn_momentum;
    mg_padding padding;
    int nominal_size; /* what MG_PAD_STATIC is computed for: the architecture's resolution */
    const mg_stored_tensor **tensors; /* one per key; NULL: not in the file, initialise it */
    bool head_reinitialised;          /* the classifier's two tensors are NULL */
    int64_t file_classes;             /* of the file's classifier; 0: it has none */
    size_t missing_counts;            /* num_batches_tracked that are NULL: take 0 */
    size_t unused;                    /* tensors of the file that no key wants */
    char note[320];                   /* all of this in one line, for the log */
} mg_key_import;

/* Finds every key's tensor in the file and checks its shape. Missing counters are tolerated, as is
 * a classifier with another number of classes or none. Names without a prefix win over prefixed
 * ones (optimiser state, averages); several prefixes are refused. `wanted` other than auto must
 * agree with the names in the file; auto takes timm for timm-tf, since they share names, and says
 * so in the note. A file written by this project says bn_eps, bn_momentum, padding and nominal_size
 * in its metadata: those win. Tensors belong to `weights`. */
mg_status mg_keys_import(const mg_keys *keys, const mg_weights *weights, mg_key_format wanted,
                         mg_key_import *out, mg_error *err);
void mg_key_import_free(mg_key_import *import);

/* Which EfficientNet (0-7) a file holds under any naming; -1 if none. */
int mg_keys_recognise(const mg_weights *weights);

#endif
