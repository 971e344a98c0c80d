/* split.h: training and validation patients.
 *
 * The split is by patient, so that a patient's two breasts never straddle it, and stratified: the
 * same fraction of the patients with cancer and of those without goes to validation. Which ones
 * depends on the seed and their ids alone, not on the order of the table. */
#ifndef MG_DATA_SPLIT_H
#define MG_DATA_SPLIT_H

#include <stdint.h>

#include "data/manifest.h"

typedef struct mg_split {
    uint8_t *validation; /* per patient of the manifest: 1 validation, 0 training */
    int32_t patients[2]; /* counts: [0] training, [1] validation */
    int32_t positive[2]; /* of them with cancer */
} mg_split;

/* fraction in [0, 1). Of every class with two patients or more at least one goes to either side
 * (fraction 0: none to validation). */
mg_status mg_split_make(const mg_manifest *m, double fraction, uint64_t seed, mg_split *out,
                        mg_error *err);

/* split.csv: patient_id,cancer,split (train or val), a row per patient. Reading it back fails when
 * a patient of the manifest is missing from it or stands there twice; others in it are ignored. */
mg_status mg_split_write(const mg_manifest *m, const mg_split *split, const char *path,
                         mg_error *err);
mg_status mg_split_read(const mg_manifest *m, const char *path, mg_split *out, mg_error *err);
void mg_split_free(mg_split *split);

/* The prediction ids (group indices, ascending) of one side into malloc'ed memory. */
mg_status mg_split_groups(const mg_manifest *m, const mg_split *split, int validation,
                          int32_t **groups, int32_t *count, mg_error *err);

#endif
