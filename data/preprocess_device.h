/* preprocess_device.h: the steps of preprocess.h after decoding on a device (ops/device.h): rescale
 * and window, range, inversion, crop, resize, 16 bits, with the host's bytes.
 *
 *     mg_preprocess_device *device = mg_preprocess_device_create(plugin, false, &err);
 *     mg_preprocessor_use(preprocessor, device);      as many preprocessors as there are threads
 *     … mg_preprocess_file(preprocessor, …) …
 *
 * The device is used by one thread at a time. A thread that finds it in use prepares its image by
 * itself, so that neither waits for the other; with `always` it waits. The stored pixels travel
 * once, and one image at a time is in the device's memory, at about 6 bytes per pixel.
 *
 * A program that computes on the same device owns it and lends it to the others while it waits
 * itself; mg_loader does that (data/loader.h).
 *
 * The host prepares what the device cannot: PNG, words of more than 16 bits, images for which
 * the device has no room, and images whose intermediate steps are asked for. */
#ifndef MG_DATA_PREPROCESS_DEVICE_H
#define MG_DATA_PREPROCESS_DEVICE_H

#include "data/preprocess.h"
#include "ops/device.h"

typedef struct mg_preprocess_counts {
    int64_t on_device;
    int64_t busy;          /* prepared by the host because the device was in use */
    int64_t unable;        /* … because the device cannot */
    int64_t no_room;       /* … because its memory was full */
    char no_room_why[480]; /* the first time; "" */
} mg_preprocess_counts;

/* The plugin must stay open. NULL: out of memory. */
mg_preprocess_device *mg_preprocess_device_create(const mg_device_plugin *plugin, bool always,
                                                  mg_error *err);
void mg_preprocess_device_destroy(mg_preprocess_device *d);
void mg_preprocess_device_counts(mg_preprocess_device *d, mg_preprocess_counts *out);

/* The owner, of whom there is one at a time, takes the device, waiting for the image that is being
 * prepared, and gives it back. Before the first reclaim it is everybody's. NULL is fine. */
void mg_preprocess_device_reclaim(mg_preprocess_device *d);
void mg_preprocess_device_lend(mg_preprocess_device *d);

/* --- internal to data/ ------------------------------------------------------------------------ */

struct mg_source;
/* What mg_preprocess_file does after reading, for a source with stored pixels. *done false: nothing
 * happened, the host is to do it. Errors are the host's, and MG_ERR_DEVICE: the device failed, and
 * what it holds is lost. */
mg_status mg_preprocess_on_device(mg_preprocess_device *d, const struct mg_source *source,
                                  const mg_preprocess_settings *settings, mg_prepared *out,
                                  bool *done, mg_error *err);

#endif
