/* sampler.h: which prediction ids an epoch draws, and the plan of batches the loader executes.
 *
 * Draws are counter-based (seed, epoch, draw): any epoch can be planned without the ones before. */
#ifndef MG_DATA_SAMPLER_H
#define MG_DATA_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "data/manifest.h"

typedef enum mg_sampling {
    MG_SAMPLE_BALANCED, /* with replacement; both classes have the same mass, their members too */
    MG_SAMPLE_SHUFFLE,  /* without replacement: passes over random permutations, joined end to end
                           and cut into epochs, so every id comes up equally often */
} mg_sampling;

/* Draws `draws` groups out of `groups` for one epoch into out[draws]. A class without members
 * leaves all the mass to the other. The labels of all groups must be known. */
mg_status mg_sampler_draw(const mg_manifest *m, const int32_t *groups, int32_t count,
                          mg_sampling sampling, uint64_t seed, uint32_t epoch, int32_t *out,
                          int32_t draws, mg_error *err);

/* A fixed validation set: all positive groups and as many negatives (all, where there are fewer),
 * drawn once without replacement, in manifest order. out holds `count`; *chosen is filled. */
mg_status mg_sampler_balanced_set(const mg_manifest *m, const int32_t *groups, int32_t count,
                                  uint64_t seed, int32_t *out, int32_t *chosen, mg_error *err);

/* Weights of the two classes for the loss in place of balanced drawing: images/(2 * images of the
 * class), so that both classes weigh the same and the mean weight is 1. A class without images
 * leaves both at 1. */
void mg_class_weights(const mg_manifest *m, const int32_t *groups, int32_t count, float weight[2]);

/* --- plans ------------------------------------------------------------------------------------ */

enum { MG_FLIP_HORIZONTAL = 1, MG_FLIP_VERTICAL = 2 };

typedef struct mg_plan_item {
    int32_t image;   /* index into the manifest */
    uint32_t sample; /* augmentation key: the item's position in the epoch */
    uint8_t flip;    /* MG_FLIP_*: a fixed flip (test-time augmentation), before augmentation */
} mg_plan_item;

/* Batch b consists of item[first[b]] … item[first[b+1]-1]. */
typedef struct mg_plan {
    mg_plan_item *item;
    int32_t *first; /* batch_count + 1 */
    int32_t item_count, batch_count;
} mg_plan;

/* Batches of `ids` drawn groups each (the last may be smaller) with all their images. */
mg_status mg_plan_groups(const mg_manifest *m, const int32_t *drawn, int32_t count, int32_t ids,
                         mg_plan *out, mg_error *err);
/* Batches of `images` images each, in the given order; list NULL: all images of the manifest. */
mg_status mg_plan_images(const mg_manifest *m, const int32_t *list, int32_t count, int32_t images,
                         mg_plan *out, mg_error *err);
void mg_plan_free(mg_plan *plan);

#endif
