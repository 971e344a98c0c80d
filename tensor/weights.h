/* weights.h: one door to weight files: safetensors, and PyTorch's .pth (zip and legacy pickle).
 *
 *     mg_weights *w = mg_weights_open("efficientnet_b4.pth", &err);
 *     const mg_stored_tensor *t = mg_weights_find(w, "classifier.1.bias");
 *     mg_stored_to_f32(t, bias, 1000, &err);
 *     mg_weights_close(w);
 *
 * The format is recognised by the file's first bytes. Names are those of the file (nn/keymap.h
 * translates them); no name occurs twice. Nothing in a file is ever executed. */
#ifndef MG_TENSOR_WEIGHTS_H
#define MG_TENSOR_WEIGHTS_H

#include "tensor/stored.h"

typedef struct mg_weights mg_weights;

/* NULL on failure; the message names the file. Files over mg_map_file (see its note). */
mg_weights *mg_weights_open(const char *path, mg_error *err);
/* The same for bytes in memory, which must stay. */
mg_weights *mg_weights_open_memory(const void *bytes, size_t size, mg_error *err);
void mg_weights_close(mg_weights *weights); /* NULL is accepted; tensors become invalid */

const char *mg_weights_format(const mg_weights *weights); /* "safetensors", "pth", "legacy pth" */

/* Tensors in the file's order. */
size_t mg_weights_count(const mg_weights *weights);
const mg_stored_tensor *mg_weights_at(const mg_weights *weights, size_t index);
const mg_stored_tensor *mg_weights_find(const mg_weights *weights, const char *name); /* or NULL */

/* A string of safetensors' __metadata__; NULL if there is none (always, for .pth). */
const char *mg_weights_metadata(const mg_weights *weights, const char *key);

/* For .pth: the keys that led to the state dictionary ("state_dict"; "" if it was the root) and how
 * many of its entries are no tensors. */
const char *mg_weights_path(const mg_weights *weights);
size_t mg_weights_skipped(const mg_weights *weights);

#endif
