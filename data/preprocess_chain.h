/* preprocess_chain.h: one image from stored pixels to the network's input, on a device. Internal to
 * data/; preprocess_device.h is for everybody.
 *
 *     stored 16 bits -> sent -> looked up in a table of f32 -> range -> 8 bytes back -> [0,1]
 *         -> block means -> 160,000 bytes at most back: bounds of the crop, found by the CPU
 *         -> kept rows and columns sent -> resize -> 16 bits -> back
 *
 * Three waits an image, for the three answers. */
#ifndef MG_DATA_PREPROCESS_CHAIN_H
#define MG_DATA_PREPROCESS_CHAIN_H

#include "data/preprocess_read.h"
#include "ops/device.h"

/* source: stored pixels of one or two bytes. The host's result and errors, save for
 * MG_ERR_MEMORY: something had no room, nothing is lost; and MG_ERR_DEVICE: the device failed.
 * Nothing is owned by *out on failure. */
mg_status mg_preprocess_chain(const mg_device_plugin *plugin, const mg_source *source,
                              const mg_preprocess_settings *settings, mg_prepared *out,
                              mg_error *err);

#endif
