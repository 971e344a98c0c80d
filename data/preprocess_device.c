#include "data/preprocess_device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/preprocess_chain.h"

struct mg_preprocess_device {
    const mg_device_plugin *plugin;
    bool always;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t free;
    bool used;   /* by a thread that prepares an image, or by the owner */
    bool wanted; /* by the owner, who comes first */
    mg_preprocess_counts counts;
};

mg_preprocess_device *mg_preprocess_device_create(const mg_device_plugin *plugin, bool always,
                                                  mg_error *err) {
    mg_preprocess_device *d = calloc(1, sizeof *d);
    if (!d) {
        mg_fail(err, MG_ERR_MEMORY, "preprocessing: out of memory");
        return NULL;
    }
    d->plugin = plugin;
    d->always = always;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->free, NULL);
    return d;
}

void mg_preprocess_device_destroy(mg_preprocess_device *d) {
    if (!d) return;
    pthread_cond_destroy(&d->free);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void mg_preprocess_device_counts(mg_preprocess_device *d, mg_preprocess_counts *out) {
    pthread_mutex_lock(&d->lock);
    *out = d->counts;
    pthread_mutex_unlock(&d->lock);
}

/* --- whose turn it is ------------------------------------------------------------------------- */

void mg_preprocess_device_reclaim(mg_preprocess_device *d) {
    if (!d) return;
    pthread_mutex_lock(&d->lock);
    d->wanted = true;
    while (d->used) pthread_cond_wait(&d->free, &d->lock);
    d->wanted = false;
    d->used = true;
    pthread_mutex_unlock(&d->lock);
}

void mg_preprocess_device_lend(mg_preprocess_device *d) {
    if (!d) return;
    pthread_mutex_lock(&d->lock);
    d->used = false;
    pthread_cond_broadcast(&d->free);
    pthread_mutex_unlock(&d->lock);
}

static bool take(mg_preprocess_device *d) {
    pthread_mutex_lock(&d->lock);
    while (d->always && (d->used || d->wanted)) pthread_cond_wait(&d->free, &d->lock);
    bool mine = !d->used && !d->wanted;
    if (mine) d->used = true;
    else d->counts.busy++;
    pthread_mutex_unlock(&d->lock);
    return mine;
}

static void give_back(mg_preprocess_device *d, mg_status status, const mg_error *why) {
    pthread_mutex_lock(&d->lock);
    if (status == MG_OK) d->counts.on_device++;
    if (status == MG_ERR_MEMORY && d->counts.no_room++ == 0)
        snprintf(d->counts.no_room_why, sizeof d->counts.no_room_why, "%s", why->message);
    d->used = false;
    pthread_cond_broadcast(&d->free);
    pthread_mutex_unlock(&d->lock);
}

mg_status mg_preprocess_on_device(mg_preprocess_device *d, const mg_source *source,
                                  const mg_preprocess_settings *settings, mg_prepared *out,
                                  bool *done, mg_error *err) {
    *done = false;
    if (!source->stored.pixels || source->stored.word_bytes > 2) {
        pthread_mutex_lock(&d->lock);
        d->counts.unable++;
        pthread_mutex_unlock(&d->lock);
        return MG_OK;
    }
    if (!take(d)) return MG_OK;
    d->plugin->enter();
    mg_error inner = {0};
    mg_status status = mg_preprocess_chain(d->plugin, source, settings, out, &inner);
    give_back(d, status, &inner);
    *done = status != MG_ERR_MEMORY;
    return status && *done ? mg_fail(err, status, "%s", inner.message) : MG_OK;
}
