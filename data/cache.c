#include "data/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "dicom/writer.h"
#include "tensor/atomic_file.h"

struct mg_cache {
    char *folder;
    mg_cache_options options;
    char settings[160];
    pthread_mutex_t lock; /* of the statistics */
    mg_cache_statistics statistics;
};

/* Whoever changes what preprocessing computes must raise this: it is part of every key. */
enum { PIPELINE_VERSION = 2 };

/* What a killed run was writing. */
static void remove_leftovers(const mg_cache *c) {
    char path[4096];
    for (int i = 0; i < 256; i++) {
        int n = snprintf(path, sizeof path, "%s/%02x", c->folder, (unsigned)i);
        if (n > 0 && n < (int)sizeof path) mg_atomic_remove_leftovers(path);
    }
}

mg_cache *mg_cache_open(const char *folder, const mg_preprocess_settings *settings,
                        const mg_cache_options *options, mg_error *err) {
    if (mg_make_folders(folder, err)) return NULL;
    mg_cache *c = calloc(1, sizeof *c);
    if (c) c->folder = strdup(folder);
    if (!c || !c->folder) {
        free(c);
        mg_fail(err, MG_ERR_MEMORY, "cache %s: out of memory", folder);
        return NULL;
    }
    if (options) c->options = *options;
    mg_preprocess_text(settings, c->settings, sizeof c->settings);
    pthread_mutex_init(&c->lock, NULL);
    remove_leftovers(c);
    return c;
}

void mg_cache_close(mg_cache *cache) {
    if (!cache) return;
    pthread_mutex_destroy(&cache->lock);
    free(cache->folder);
    free(cache);
}

/* --- keys ------------------------------------------------------------------------------------- */

enum { SAMPLE = 32 << 10 };

/* Adds `n` bytes at `offset`, fewer where the file ends. */
static bool add_part(mg_dicom_sha256 *hash, int fd, int64_t offset, int64_t n) {
    uint8_t buffer[SAMPLE];
    while (n > 0) {
        size_t want = n < SAMPLE ? (size_t)n : SAMPLE;
        ssize_t got = pread(fd, buffer, want, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        mg_dicom_sha256_add(hash, buffer, (size_t)got);
        offset += got;
        n -= got;
    }
    return true;
}

static bool add_content(mg_dicom_sha256 *hash, int fd, int64_t size, bool full) {
    if (full || size <= 3 * SAMPLE) return add_part(hash, fd, 0, size);
    return add_part(hash, fd, 0, SAMPLE) && add_part(hash, fd, (size - SAMPLE) / 2, SAMPLE) &&
           add_part(hash, fd, size - SAMPLE, SAMPLE);
}

static mg_status make_key(const mg_cache *c, const char *source, uint8_t key[16], mg_error *err) {
    int fd = open(source, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool good = fd >= 0 && fstat(fd, &st) == 0;
    if (good) {
        char head[320];
        int n =
            snprintf(head, sizeof head, "mammograd %d %s\n%lld %lld.%09ld %d\n", PIPELINE_VERSION,
                     c->settings, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                     st.st_mtim.tv_nsec, (int)c->options.full_content);
        mg_dicom_sha256 hash;
        uint8_t digest[32];
        mg_dicom_sha256_begin(&hash);
        mg_dicom_sha256_add(&hash, head, (size_t)n);
        good = add_content(&hash, fd, st.st_size, c->options.full_content);
        mg_dicom_sha256_end(&hash, digest);
        memcpy(key, digest, 16);
    }
    int why = errno;
    if (fd >= 0) close(fd);
    return good ? MG_OK : mg_fail(err, MG_ERR_IO, "cannot read %s: %s", source, strerror(why));
}

/* FOLDER/ab/abcdef….mgc; folder_length receives the length of FOLDER/ab. */
static mg_status entry_path(const mg_cache *c, const uint8_t key[16], char out[4096],
                            int *folder_length, mg_error *err) {
    char name[33];
    for (int i = 0; i < 16; i++) snprintf(name + 2 * i, 3, "%02x", key[i]);
    *folder_length = snprintf(out, 4096, "%s/%.2s", c->folder, name);
    int n = snprintf(out, 4096, "%s/%.2s/%s.mgc", c->folder, name, name);
    return n > 0 && n < 4096 ? MG_OK
                             : mg_fail(err, MG_ERR_ARG, "cache %.100s: path too long", c->folder);
}

/* --- entries ---------------------------------------------------------------------------------- */

static void count(mg_cache *c, uint64_t *counter) {
    pthread_mutex_lock(&c->lock);
    ++*counter;
    pthread_mutex_unlock(&c->lock);
}

static mg_status get(mg_cache *c, const uint8_t key[16], mg_prepared *out, bool *hit,
                     mg_error *err) {
    char path[4096];
    int length;
    uint8_t *data;
    size_t size;
    *hit = false;
    mg_status status = entry_path(c, key, path, &length, err);
    if (status) return status;
    if (mg_file_read(path, 0, &data, &size, NULL)) {
        count(c, &c->statistics.misses);
        return MG_OK;
    }
    *hit = mg_cache_decode(data, size, key, out, NULL) == MG_OK;
    free(data);
    count(c, *hit ? &c->statistics.hits : &c->statistics.damaged);
    return MG_OK;
}

static mg_status put(mg_cache *c, const uint8_t key[16], const mg_prepared *p, mg_error *err) {
    char path[4096], folder[4096];
    int length;
    uint8_t *data = NULL;
    size_t size;
    mg_status status = entry_path(c, key, path, &length, err);
    if (!status) {
        snprintf(folder, sizeof folder, "%.*s", length, path);
        status = mg_make_folders(folder, err);
    }
    if (!status) status = mg_cache_encode(p, key, c->options.compression, &data, &size, err);
    if (!status) status = mg_file_write(path, data, size, err);
    free(data);
    if (!status) count(c, &c->statistics.written);
    return status;
}

mg_status mg_cache_get(mg_cache *cache, const char *source, mg_prepared *out, bool *hit,
                       mg_error *err) {
    uint8_t key[16];
    *out = (mg_prepared){0};
    *hit = false;
    mg_status status = make_key(cache, source, key, err);
    return status ? status : get(cache, key, out, hit, err);
}

mg_status mg_cache_put(mg_cache *cache, const char *source, const mg_prepared *prepared,
                       mg_error *err) {
    uint8_t key[16];
    mg_status status = make_key(cache, source, key, err);
    return status ? status : put(cache, key, prepared, err);
}

static void note_failure(mg_cache *c, const char *message) {
    pthread_mutex_lock(&c->lock);
    if (c->statistics.write_failures++ == 0)
        snprintf(c->statistics.first_failure, sizeof c->statistics.first_failure, "%s", message);
    pthread_mutex_unlock(&c->lock);
}

mg_status mg_prepare(mg_cache *cache, mg_preprocessor *p, const char *source, mg_prepared *out,
                     bool *hit, mg_error *err) {
    uint8_t key[16], again[16];
    *out = (mg_prepared){0};
    *hit = false;
    if (!cache) return mg_preprocess_file(p, source, NULL, out, err);
    mg_status status = make_key(cache, source, key, err);
    if (!status) status = get(cache, key, out, hit, err);
    if (status || *hit) return status;
    status = mg_preprocess_file(p, source, NULL, out, err);
    if (status) return status;
    /* A source that changed while it was read must not be filed under its old identity. */
    mg_error failure = {0};
    if (make_key(cache, source, again, &failure) || memcmp(key, again, 16) != 0) return MG_OK;
    if (put(cache, key, out, &failure)) note_failure(cache, failure.message);
    return MG_OK;
}

void mg_cache_get_statistics(mg_cache *cache, mg_cache_statistics *out) {
    pthread_mutex_lock(&cache->lock);
    *out = cache->statistics;
    pthread_mutex_unlock(&cache->lock);
}
