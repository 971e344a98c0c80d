/* arena.h: memory for one purpose (the model, or one training step), given back all at once.
 *
 * An arena reserves address space and lets the operating system commit pages on first touch.
 * Blocks can also be freed one by one (first fit, neighbours merged), which is how backward keeps
 * its peak low. Because untouched pages cost nothing, a dry run is the real thing with the kernels
 * left out: the same sequence of allocations, hence the exact peak, before any memory is used. */
#ifndef MG_TENSOR_ARENA_H
#define MG_TENSOR_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/memory.h"

typedef struct mg_arena mg_arena;

/* Reserves `capacity` bytes of address space (0: 1 TiB), fewer where the system limits it. NULL
 * when even 8 MiB are refused. */
mg_arena *mg_arena_create(const char *name, size_t capacity);
void mg_arena_destroy(mg_arena *arena);

/* Blocks come from a device's memory from now on; the arena's own bookkeeping and reports stay the
 * same. While `dry` is set, blocks are addresses that nobody may touch, as in a dry run. */
void mg_arena_use_memory(mg_arena *arena, const mg_memory *memory);
void mg_arena_set_dry(mg_arena *arena, bool dry);
/* 64-byte aligned, uninitialised (NaN bytes when mg_arena_poison is on). `label` is borrowed and
 * names the block in reports. NULL when the limit or the capacity is exceeded. */
void *mg_arena_alloc(mg_arena *arena, size_t bytes, const char *label);
void mg_arena_free(mg_arena *arena, void *block); /* block may be NULL */

/* Frees every block; pages stay committed unless `trim`. The recorded peak stays. */
void mg_arena_reset(mg_arena *arena, bool trim);

/* Refuse to grow past `bytes` (0: no limit). Used for --memory-limit. */
void mg_arena_set_limit(mg_arena *arena, size_t bytes);
/* Fill new blocks with 0xFF, a NaN in every float type: reads of unwritten memory show. */
void mg_arena_poison(mg_arena *arena, bool on);

size_t mg_arena_used(const mg_arena *arena);
size_t mg_arena_peak(const mg_arena *arena);
void mg_arena_forget_peak(mg_arena *arena);

/* The largest blocks that were alive at the peak, largest first; returns how many were written. */
typedef struct mg_arena_block {
    const char *label;
    size_t bytes;
} mg_arena_block;
int mg_arena_largest(mg_arena *arena, mg_arena_block *out, int n);

#endif
