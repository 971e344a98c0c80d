/* loader.h: prepares the images of a plan on worker threads, ahead of the consumer.
 *
 *     mg_loader *loader = mg_loader_start(&options, &err);
 *     const mg_batch *batch;
 *     while (!(status = mg_loader_next(loader, &batch, &err)) && batch) train(batch);
 *     mg_loader_stop(loader);
 *
 * Batches come in the plan's order with their images in the plan's order, whatever the number of
 * workers. A file that cannot be used is left out of its batch and listed with the reason.
 *
 * With a device the consumer owns it from mg_loader_start() to mg_loader_stop(): workers use it
 * while the consumer waits in mg_loader_next(), and prepare images by themselves when it does not
 * (unless they are told to wait). A failure of the device fails mg_loader_next(). */
#ifndef MG_DATA_LOADER_H
#define MG_DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "data/augment.h"
#include "data/cache.h"
#include "data/manifest.h"
#include "data/preprocess_device.h"
#include "data/sampler.h"
#include "ops/imaging.h"

typedef struct mg_loader mg_loader;

/* The pointers stay the caller's and must outlive the loader. */
typedef struct mg_loader_options {
    const mg_manifest *manifest;
    const mg_plan *plan;
    mg_preprocess_settings settings;
    mg_cache *cache;                    /* NULL: none; must have been opened with `settings` */
    mg_preprocess_device *device;       /* prepares images in mg_loader_next(); NULL: none */
    const mg_augment_settings *augment; /* NULL: none */
    uint64_t seed;                      /* of the augmentation */
    uint32_t epoch;
    int32_t first_batch; /* where to begin (resuming within an epoch) */
    int workers;         /* 0: one per available core */
    int ahead;           /* batches ready or in work beyond the consumer's; 0: 2 */
    bool strict;         /* the first unusable file fails mg_loader_next() */
    bool keep_geometry;  /* fill mg_batch.geometry */
    bool levels; /* leave flips and augmentation to a device: fill mg_batch.levels and .how instead
                    of .pixels; gamma must be off */
} mg_loader_options;

typedef struct mg_bad_item {
    int32_t image; /* index into the manifest */
    mg_status status;
    char reason[480];
} mg_bad_item;

/* Valid until the next call of mg_loader_next() or mg_loader_stop(). */
typedef struct mg_batch {
    int32_t index;    /* batch number in the plan */
    int32_t count;    /* usable images; may be 0 */
    float *pixels;    /* [count, height, width, 1], 0 … 1, contiguous */
    uint16_t *levels; /* [count, height, width], 65535 is 1.0, before flips and augmentation */
    mg_imaging_augment *how; /* count: what is left to do with levels */
    int32_t *image;          /* count indices into the manifest */
    int32_t *item;           /* count indices into the plan */
    mg_geometry *geometry;   /* count, with keep_geometry; else NULL */
    int32_t bad_count;
    mg_bad_item *bad;
} mg_batch;

mg_loader *mg_loader_start(const mg_loader_options *options, mg_error *err);

/* The next batch, or *out NULL after the last one. With `strict` returns the first bad file's
 * status. After mg_loader_cancel() returns MG_ERR_INTERRUPTED. */
mg_status mg_loader_next(mg_loader *loader, const mg_batch **out, mg_error *err);

/* Makes a waiting or later mg_loader_next() return. Any thread; not from a signal handler. */
void mg_loader_cancel(mg_loader *loader);

/* Lets the workers finish the image they are at, joins them and frees everything. NULL is fine. */
void mg_loader_stop(mg_loader *loader);

typedef struct mg_loader_statistics {
    int64_t images; /* delivered */
    int64_t bad;    /* left out */
    int64_t cached; /* of the delivered: came from the cache */
    double elapsed; /* seconds since the start */
    double waiting; /* of them spent in mg_loader_next(), waiting for workers */
} mg_loader_statistics;
void mg_loader_get_statistics(mg_loader *loader, mg_loader_statistics *out);

#endif
