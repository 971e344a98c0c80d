#include "data/loader.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensor/cores.h"

/* A batch in the making. Slot b % depth belongs to batch b from the moment its first item is taken
 * until the consumer has given it back. */
typedef struct slot {
    mg_batch batch;
    int32_t items, left; /* planned, not finished yet */
    uint8_t *good;       /* per item: usable */
    mg_bad_item **bad;   /* per item: why not, or NULL */
    bool *cached;
    mg_geometry *geometry;
    bool no_memory;
} slot;

struct mg_loader {
    mg_loader_options options;
    size_t pixels; /* per image */
    int workers, depth;
    pthread_t *thread;
    slot *slots;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t work, done;
    int32_t batch, item; /* next to take: batch number and item within it */
    int32_t consumed;    /* batches given to and returned by the consumer */
    bool delivered;      /* the consumer holds batch `consumed` */
    bool cancelled, closing;
    mg_loader_statistics statistics;
    struct timespec began;
};

static double seconds_since(const struct timespec *t) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->tv_sec) + 1e-9 * (double)(now.tv_nsec - t->tv_nsec);
}

/* --- slots ------------------------------------------------------------------------------------ */

static void slot_empty(slot *s) {
    free(s->batch.pixels);
    free(s->batch.levels);
    free(s->batch.how);
    free(s->batch.image);
    free(s->batch.item);
    for (int32_t i = 0; i < s->items; i++) {
        if (s->bad) free(s->bad[i]);
        if (s->geometry) mg_geometry_free(&s->geometry[i]);
    }
    free(s->batch.bad);
    free(s->good);
    free(s->bad);
    free(s->cached);
    free(s->geometry);
    *s = (slot){0};
}

static void slot_begin(mg_loader *l, slot *s, int32_t batch) {
    const mg_plan *plan = l->options.plan;
    *s = (slot){.batch.index = batch};
    s->items = s->left = plan->first[batch + 1] - plan->first[batch];
    size_t n = (size_t)s->items + 1;
    if (l->options.levels) {
        s->batch.levels = malloc(n * l->pixels * sizeof *s->batch.levels);
        s->batch.how = calloc(n, sizeof *s->batch.how);
    } else {
        s->batch.pixels = malloc(n * l->pixels * sizeof *s->batch.pixels);
    }
    s->batch.image = calloc(n, sizeof *s->batch.image);
    s->batch.item = calloc(n, sizeof *s->batch.item);
    s->good = calloc(n, sizeof *s->good);
    s->bad = calloc(n, sizeof *s->bad);
    s->cached = calloc(n, sizeof *s->cached);
    s->geometry = calloc(n, sizeof *s->geometry);
    s->no_memory = !(s->batch.pixels || (s->batch.levels && s->batch.how)) || !s->batch.image ||
                   !s->batch.item || !s->good || !s->bad || !s->cached || !s->geometry;
}

/* --- workers ---------------------------------------------------------------------------------- */

/* The draw for an item; none but the item's flip without augmentation. */
static mg_augment_draw draw_for(const mg_loader_options *o, const mg_plan_item *item) {
    mg_augment_draw draw = {.scale = 1, .contrast = 1, .gamma = 1};
    if (o->augment)
        mg_augment_sample(o->augment, o->seed, o->epoch, item->sample, o->settings.height,
                          o->settings.width, &draw);
    draw.flip ^= item->flip;
    return draw;
}

/* Where item `index` of a slot goes. */
static void deliver(const mg_loader *l, slot *s, int32_t index, const mg_plan_item *item,
                    const mg_prepared *prepared) {
    const mg_loader_options *o = &l->options;
    uint32_t h = o->settings.height, w = o->settings.width;
    size_t at = (size_t)index * l->pixels;
    if (o->levels) {
        mg_augment_draw draw = draw_for(o, item);
        mg_imaging_augment *how = &s->batch.how[index];
        how->contrast = draw.contrast;
        how->brightness = draw.brightness;
        mg_augment_index_map(&draw, h, w, how->map);
        memcpy(s->batch.levels + at, prepared->pixels, l->pixels * sizeof *prepared->pixels);
    } else if (o->augment) {
        mg_augment_draw draw = draw_for(o, item);
        mg_augment_apply(&draw, prepared->pixels, h, w, s->batch.pixels + at);
    } else {
        mg_prepared_input(prepared, item->flip, s->batch.pixels + at);
    }
}

static mg_status load(mg_loader *l, mg_preprocessor *p, const mg_plan_item *item, slot *s,
                      int32_t index, mg_error *err) {
    const mg_loader_options *o = &l->options;
    const mg_manifest_image *image = &o->manifest->image[item->image];
    mg_prepared prepared;
    if (!image->path)
        return mg_fail(err, MG_ERR_IO, "no file for patient %s, image %s", image->patient_id,
                       image->image_id);
    if (!p) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", image->path);
    mg_status status = mg_prepare(o->cache, p, image->path, &prepared, &s->cached[index], err);
    if (status) return status;
    prepared.geometry.flip_horizontal = item->flip & MG_FLIP_HORIZONTAL;
    prepared.geometry.flip_vertical = item->flip & MG_FLIP_VERTICAL;
    deliver(l, s, index, item, &prepared);
    if (o->keep_geometry) {
        s->geometry[index] = prepared.geometry;
        prepared.geometry = (mg_geometry){0};
    }
    mg_prepared_free(&prepared);
    return MG_OK;
}

/* Takes the next item, waiting while the consumer is too far behind. Lock held. */
static bool take(mg_loader *l, slot **s, int32_t *index) {
    const mg_plan *plan = l->options.plan;
    for (;;) {
        if (l->closing || l->cancelled || l->batch >= plan->batch_count) return false;
        if (l->batch < l->consumed + l->depth) break;
        pthread_cond_wait(&l->work, &l->lock);
    }
    *s = &l->slots[l->batch % l->depth];
    if (l->item == 0) slot_begin(l, *s, l->batch);
    *index = l->item++;
    if (l->item >= (*s)->items) {
        l->batch++;
        l->item = 0;
    }
    return true;
}

static void finish(mg_loader *l, slot *s, int32_t index, const mg_plan_item *item, mg_status status,
                   const mg_error *err) {
    if (status && !s->no_memory) {
        mg_bad_item *bad = malloc(sizeof *bad);
        if (bad) {
            *bad = (mg_bad_item){.image = item->image, .status = status};
            snprintf(bad->reason, sizeof bad->reason, "%s", err->message);
        }
        s->bad[index] = bad;
        s->no_memory = !bad;
    } else if (!s->no_memory) {
        s->good[index] = 1;
    }
    if (--s->left == 0) pthread_cond_signal(&l->done);
}

static void *work(void *arg) {
    mg_loader *l = arg;
    mg_preprocessor *p = mg_preprocessor_create(&l->options.settings, NULL);
    if (p) mg_preprocessor_use(p, l->options.device);
    slot *s;
    int32_t index;
    pthread_mutex_lock(&l->lock);
    while (take(l, &s, &index)) {
        int32_t number = l->options.plan->first[s->batch.index] + index;
        const mg_plan_item *item = &l->options.plan->item[number];
        mg_error err = {0};
        mg_status status = MG_ERR_MEMORY;
        bool usable = !s->no_memory;
        pthread_mutex_unlock(&l->lock);
        if (usable) status = load(l, p, item, s, index, &err);
        pthread_mutex_lock(&l->lock);
        finish(l, s, index, item, status, &err);
    }
    pthread_mutex_unlock(&l->lock);
    mg_preprocessor_destroy(p);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static mg_status check_options(const mg_loader_options *o, mg_error *err) {
    const mg_plan *plan = o->plan;
    if (o->first_batch < 0 || o->first_batch > plan->batch_count)
        return mg_fail(err, MG_ERR_ARG, "loader: batch %d of %d", o->first_batch,
                       plan->batch_count);
    for (int32_t b = 0; b < plan->batch_count; b++)
        if (plan->first[b + 1] <= plan->first[b])
            return mg_fail(err, MG_ERR_ARG, "loader: batch %d has no images", b);
    for (int32_t i = 0; i < plan->item_count; i++)
        if (plan->item[i].image < 0 || plan->item[i].image >= o->manifest->image_count)
            return mg_fail(err, MG_ERR_ARG, "loader: item %d is image %d of %d", i,
                           plan->item[i].image, o->manifest->image_count);
    return MG_OK;
}

static bool start_threads(mg_loader *l, int wanted) {
    l->thread = calloc((size_t)wanted, sizeof *l->thread);
    l->slots = calloc((size_t)l->depth, sizeof *l->slots);
    if (!l->thread || !l->slots) return false;
    while (l->workers < wanted) {
        if (pthread_create(&l->thread[l->workers], NULL, work, l)) break;
        l->workers++;
    }
    return l->workers > 0; /* fewer than wanted will do */
}

mg_loader *mg_loader_start(const mg_loader_options *options, mg_error *err) {
    if (check_options(options, err)) return NULL;
    if (options->levels && options->augment && options->augment->gamma > 0) {
        mg_fail(err, MG_ERR_ARG, "loader: gamma cannot be left to a device");
        return NULL;
    }
    /* Fail on bad settings now rather than on every image. */
    mg_preprocessor *probe = mg_preprocessor_create(&options->settings, err);
    if (!probe) return NULL;
    mg_preprocessor_destroy(probe);
    mg_loader *l = calloc(1, sizeof *l);
    if (!l) {
        mg_fail(err, MG_ERR_MEMORY, "loader: out of memory");
        return NULL;
    }
    l->options = *options;
    l->pixels = (size_t)options->settings.height * options->settings.width;
    l->depth = 1 + (options->ahead > 0 ? options->ahead : 2);
    l->batch = l->consumed = options->first_batch;
    clock_gettime(CLOCK_MONOTONIC, &l->began);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    mg_preprocess_device_reclaim(options->device);
    int wanted = options->workers > 0 ? options->workers : mg_cores();
    if (start_threads(l, wanted)) return l;
    mg_loader_stop(l);
    mg_fail(err, MG_ERR_MEMORY, "loader: cannot start a worker thread");
    return NULL;
}

void mg_loader_cancel(mg_loader *l) {
    pthread_mutex_lock(&l->lock);
    l->cancelled = true;
    pthread_cond_broadcast(&l->work);
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->lock);
}

void mg_loader_stop(mg_loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    mg_preprocess_device_lend(l->options.device); /* some may wait for it */
    for (int i = 0; i < l->workers; i++) pthread_join(l->thread[i], NULL);
    for (int i = 0; l->slots && i < l->depth; i++) slot_empty(&l->slots[i]);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
    free(l->slots);
    free(l->thread);
    free(l);
}

/* --- consumer --------------------------------------------------------------------------------- */

/* Closes the gaps that bad items left, and lists them. */
static mg_status compact(mg_loader *l, slot *s, mg_error *err) {
    mg_batch *b = &s->batch;
    int32_t first = l->options.plan->first[b->index];
    for (int32_t i = 0; i < s->items; i++) b->bad_count += s->bad[i] != NULL;
    b->bad = calloc((size_t)b->bad_count + 1, sizeof *b->bad);
    if (!b->bad) return mg_fail(err, MG_ERR_MEMORY, "loader: out of memory");
    for (int32_t i = 0, bad = 0; i < s->items; i++) {
        if (s->bad[i]) {
            b->bad[bad++] = *s->bad[i];
            continue;
        }
        int32_t k = b->count++;
        if (k != i) {
            size_t to = (size_t)k * l->pixels, from = (size_t)i * l->pixels;
            if (b->pixels) memcpy(b->pixels + to, b->pixels + from, l->pixels * sizeof *b->pixels);
            if (b->levels) memcpy(b->levels + to, b->levels + from, l->pixels * sizeof *b->levels);
            if (b->how) b->how[k] = b->how[i];
            mg_geometry_free(&s->geometry[k]);
            s->geometry[k] = s->geometry[i];
            s->geometry[i] = (mg_geometry){0};
        }
        b->image[k] = l->options.plan->item[first + i].image;
        b->item[k] = first + i;
        l->statistics.cached += s->cached[i];
    }
    b->geometry = l->options.keep_geometry ? s->geometry : NULL;
    l->statistics.images += b->count;
    l->statistics.bad += b->bad_count;
    for (int32_t i = 0; i < b->bad_count; i++)
        if (l->options.strict || b->bad[i].status == MG_ERR_DEVICE)
            return mg_fail(err, b->bad[i].status, "%s", b->bad[i].reason);
    return MG_OK;
}

/* Lock held. */
static mg_status wait_for(mg_loader *l, slot *s, int32_t batch, mg_error *err) {
    struct timespec from;
    clock_gettime(CLOCK_MONOTONIC, &from);
    /* The slot is this batch's once a worker has begun it. */
    bool waits = false;
    while (!l->cancelled && !(l->batch > batch && s->left == 0)) {
        if (!waits) mg_preprocess_device_lend(l->options.device);
        waits = true;
        pthread_cond_wait(&l->done, &l->lock);
    }
    if (waits && l->options.device) {
        pthread_mutex_unlock(&l->lock); /* for the workers, while this waits for one of them */
        mg_preprocess_device_reclaim(l->options.device);
        pthread_mutex_lock(&l->lock);
    }
    l->statistics.waiting += seconds_since(&from);
    if (l->cancelled) return mg_fail(err, MG_ERR_INTERRUPTED, "loading was stopped");
    if (s->no_memory)
        return mg_fail(err, MG_ERR_MEMORY,
                       "out of memory for a batch of %d images of %zu pixels: use smaller batches",
                       s->items, l->pixels);
    return MG_OK;
}

mg_status mg_loader_next(mg_loader *l, const mg_batch **out, mg_error *err) {
    *out = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->delivered) {
        slot_empty(&l->slots[l->consumed % l->depth]);
        l->delivered = false;
        l->consumed++;
        pthread_cond_broadcast(&l->work);
    }
    mg_status status = MG_OK;
    if (l->consumed < l->options.plan->batch_count) {
        slot *s = &l->slots[l->consumed % l->depth];
        status = wait_for(l, s, l->consumed, err);
        if (!status) status = compact(l, s, err);
        if (!status) {
            l->delivered = true;
            *out = &s->batch;
        } else {
            l->cancelled = true; /* nothing more will come */
            pthread_cond_broadcast(&l->work);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

void mg_loader_get_statistics(mg_loader *l, mg_loader_statistics *out) {
    pthread_mutex_lock(&l->lock);
    *out = l->statistics;
    pthread_mutex_unlock(&l->lock);
    out->elapsed = seconds_since(&l->began);
}
