#include "data/text_store.h"

#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *next;
    size_t used, size;
    char bytes[];
} block;

struct mg_text_store {
    block *first;
};

mg_text_store *mg_text_store_create(void) { return calloc(1, sizeof(mg_text_store)); }

void mg_text_store_destroy(mg_text_store *store) {
    if (!store) return;
    for (block *b = store->first; b;) {
        block *next = b->next;
        free(b);
        b = next;
    }
    free(store);
}

const char *mg_text_store_add(mg_text_store *store, const char *text, size_t n) {
    enum { BLOCK = 1 << 16 };
    block *b = store->first;
    if (!b || b->size - b->used <= n) {
        size_t size = n < BLOCK ? BLOCK : n + 1;
        b = malloc(sizeof *b + size);
        if (!b) return NULL;
        *b = (block){.next = store->first, .size = size};
        store->first = b;
    }
    char *p = b->bytes + b->used;
    if (n) memcpy(p, text, n);
    p[n] = '\0';
    b->used += n + 1;
    return p;
}

uint64_t mg_text_hash(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = text; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return h;
}

/* FNV's low bits are weak on short keys; fold the high half in. */
static size_t slot_of(const mg_text_map *map, const char *key) {
    uint64_t h = mg_text_hash(key);
    size_t i = (size_t)(h ^ h >> 32) & (map->capacity - 1);
    while (map->key[i] && strcmp(map->key[i], key) != 0) i = (i + 1) & (map->capacity - 1);
    return i;
}

static int grow(mg_text_map *map) {
    mg_text_map bigger = {.capacity = map->capacity ? 2 * map->capacity : 1024};
    bigger.key = calloc(bigger.capacity, sizeof *bigger.key);
    bigger.value = calloc(bigger.capacity, sizeof *bigger.value);
    if (!bigger.key || !bigger.value) {
        mg_text_map_free(&bigger);
        return -1;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->key[i]) continue;
        size_t j = slot_of(&bigger, map->key[i]);
        bigger.key[j] = map->key[i];
        bigger.value[j] = map->value[i];
    }
    bigger.count = map->count;
    mg_text_map_free(map);
    *map = bigger;
    return 0;
}

int32_t mg_text_map_add(mg_text_map *map, const char *key, int32_t fresh) {
    if (2 * (map->count + 1) > map->capacity && grow(map)) return -1;
    size_t i = slot_of(map, key);
    if (map->key[i]) return map->value[i];
    map->key[i] = key;
    map->value[i] = fresh;
    map->count++;
    return fresh;
}

int32_t mg_text_map_find(const mg_text_map *map, const char *key) {
    if (map->capacity == 0) return -1;
    size_t i = slot_of(map, key);
    return map->key[i] ? map->value[i] : -1;
}

void mg_text_map_free(mg_text_map *map) {
    free(map->key);
    free(map->value);
    *map = (mg_text_map){0};
}
