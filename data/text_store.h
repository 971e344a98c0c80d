/* text_store.h: strings that live as long as their owner, and a map from string to number.
 * Internal to data/. */
#ifndef MG_DATA_TEXT_STORE_H
#define MG_DATA_TEXT_STORE_H

#include <stddef.h>
#include <stdint.h>

/* Copies never move; all are freed together. */
typedef struct mg_text_store mg_text_store;
mg_text_store *mg_text_store_create(void);
void mg_text_store_destroy(mg_text_store *store);
/* A NUL-terminated copy of n bytes; NULL without memory. */
const char *mg_text_store_add(mg_text_store *store, const char *text, size_t n);

/* Keys are borrowed and must stay; values are >= 0. */
typedef struct mg_text_map {
    const char **key;
    int32_t *value;
    size_t capacity, count;
} mg_text_map;
/* The value of a key, which is `fresh` when the key was not there and has been added now. Returns
 * -1 without memory. */
int32_t mg_text_map_add(mg_text_map *map, const char *key, int32_t fresh);
/* The value of a key or -1. */
int32_t mg_text_map_find(const mg_text_map *map, const char *key);
void mg_text_map_free(mg_text_map *map);

/* FNV-1a, 64 bits. */
uint64_t mg_text_hash(const char *text);

#endif
