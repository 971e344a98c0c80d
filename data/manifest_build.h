/* manifest_build.h: shared by the two ways to make a manifest. Internal to data/. */
#ifndef MG_DATA_MANIFEST_BUILD_H
#define MG_DATA_MANIFEST_BUILD_H

#include "data/manifest.h"
#include "data/text_store.h"

/* Images must be filled but for group and patient; group_id[i] is the prediction id of image i
 * (owned by m->text). Makes the group and patient tables. Fails when a prediction id belongs to two
 * patients, or two images share patient and image id. `source` stands in messages. */
mg_status mg_manifest_group_images(mg_manifest *m, const char *const *group_id, const char *source,
                                   mg_error *err);

/* Fails with "out of memory". */
mg_status mg_manifest_no_memory(const char *source, mg_error *err);

#endif
