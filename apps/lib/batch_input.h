/* batch_input.h: a loader's batch as the network's input. On a device the batch arrives as 16-bit
 * images, half the bytes, and flips and augmentation run there. */
#ifndef MG_APPS_LIB_BATCH_INPUT_H
#define MG_APPS_LIB_BATCH_INPUT_H

#include "apps/lib/model.h"
#include "data/loader.h"

/* Whether the loader should leave flips and augmentation (NULL: none) to the context's device: for
 * mg_loader_options.levels. Gamma and ImageNet's normalisation are done on the CPU only. */
bool mg_batch_on_device(const mg_context *ctx, const mg_card *card,
                        const mg_augment_settings *augment);
/* Images first … first+count-1 of the batch. In a dry run the batch may be without pixels; levels
 * then says which kind it would be. */
mg_tensor *mg_batch_input(mg_context *ctx, const mg_card *card, const mg_batch *batch, int first,
                          int count, bool levels);

#endif
