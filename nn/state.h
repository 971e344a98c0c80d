/* state.h: a network's tensors to and from files, in torchvision's names and layout.
 *
 *     mg_weights *file = mg_weights_open("efficientnet_b4.pth", &err);
 *     mg_key_import import;
 *     mg_state_probe(file, &arch, 3, 1, MG_KEYS_AUTO, &import, &err);
 *     options.bn_eps = import.bn_epsilon; …                  // the file's conventions
 *     net = mg_efficientnet_create(ctx, &arch, &options);
 *     mg_state_load(net, &import, &err);
 *
 * Files written by mg_state_save load into torchvision with strict=True. */
#ifndef MG_NN_STATE_H
#define MG_NN_STATE_H

#include "nn/efficientnet.h"
#include "nn/keymap.h"
#include "tensor/safetensors.h"

/* Finds every tensor of the network in a file (mg_keys_import). Free with mg_key_import_free. */
mg_status mg_state_probe(const mg_weights *file, const mg_arch *arch, int input_channels,
                         int logits, mg_key_format format, mg_key_import *out, mg_error *err);

/* Copies what the file has; tensors it lacks (another classifier) keep their values. */
mg_status mg_state_load(mg_efficientnet *net, const mg_key_import *import, mg_error *err);

/* Takes over epsilon, momentum and padding of the file. */
void mg_state_conventions(const mg_key_import *import, mg_efficientnet_options *options);

/* Writes parameters, running statistics and num_batches_tracked, then `extra` tensors (in our
 * layout, f32) under their names. Whole or not at all. */
mg_status mg_state_save(const char *path, const mg_efficientnet *net, mg_tensor *const *extra,
                        const char *const *extra_names, int extras,
                        const mg_metadata_entry *metadata, size_t metadata_count, mg_error *err);

/* Reads extra tensors back by name; a missing or misshapen one is an error. */
mg_status mg_state_load_extra(const mg_weights *file, const char *name, mg_tensor *out,
                              mg_error *err);

#endif
