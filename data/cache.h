/* cache.h: prepared images on disk.
 *
 * One file per entry, FOLDER/ab/ab….mgc, named by the first 128 bits of the SHA-256 of
 *   format version + settings text + size, modification time (ns) and sampled content of the source
 *   (its first, middle and last 32 KiB; everything under `full_content`).
 * The source's path is not part of it: moving a data set keeps its cache, while any rewrite changes
 * the key. What it cannot see: bytes changed between the samples by someone who also restores size
 * and time to the nanosecond (full_content sees that too, at the price of reading every source).
 * Stale entries are never looked up again; damaged or cut ones (two CRC-32s, all lengths checked)
 * count as absent and are replaced. Entries are written to a temporary name and renamed, so filling
 * can be killed and resumed, and several processes may share a cache. */
#ifndef MG_DATA_CACHE_H
#define MG_DATA_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "data/preprocess.h"

typedef struct mg_cache mg_cache;

typedef struct mg_cache_options {
    int compression;   /* 0 stored raw; 1 … 9 zlib level, over byte planes of row differences */
    bool full_content; /* hash all bytes of the source */
} mg_cache_options;

/* Makes the folder when needed. options may be NULL (raw, sampled). All functions below may be
 * called by several threads at once. */
mg_cache *mg_cache_open(const char *folder, const mg_preprocess_settings *settings,
                        const mg_cache_options *options, mg_error *err);
void mg_cache_close(mg_cache *cache);

/* Looks a source up. MG_OK with *hit false when there is no usable entry; an error only when the
 * source itself cannot be read. */
mg_status mg_cache_get(mg_cache *cache, const char *source, mg_prepared *out, bool *hit,
                       mg_error *err);
mg_status mg_cache_put(mg_cache *cache, const char *source, const mg_prepared *prepared,
                       mg_error *err);

/* From the cache, else by `p` (whose settings must be the cache's) and into the cache. cache may be
 * NULL. A cache that cannot be written (disk full) does not fail the image: see the statistics. */
mg_status mg_prepare(mg_cache *cache, mg_preprocessor *p, const char *source, mg_prepared *out,
                     bool *hit, mg_error *err);

typedef struct mg_cache_statistics {
    uint64_t hits, misses, damaged, written, write_failures;
    char first_failure[480]; /* why the first entry could not be written; "" */
} mg_cache_statistics;
void mg_cache_get_statistics(mg_cache *cache, mg_cache_statistics *out);

/* The entry format in memory, for tests and fuzzing. *data is malloc'ed. A reader that returns
 * MG_OK has checked everything it used. */
mg_status mg_cache_encode(const mg_prepared *prepared, const uint8_t key[16], int compression,
                          uint8_t **data, size_t *size, mg_error *err);
mg_status mg_cache_decode(const uint8_t *data, size_t size, const uint8_t key[16], mg_prepared *out,
                          mg_error *err);

#endif
