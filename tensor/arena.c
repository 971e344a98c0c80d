#include "tensor/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { ALIGNMENT = 64, LARGEST = 8, SMALLEST = 1 << 23 };

/* Blocks tile [0, top) of the address space in address order; free ones have label == NULL. They
 * live in an array of our own, so that a dry run never touches the arena's pages. */
typedef struct block {
    size_t offset, bytes;
    const char *label;
    bool used;
    void *device; /* where a device put it; NULL: at base + offset */
} block;

struct mg_arena {
    const char *name;
    unsigned char *base;
    size_t capacity, limit, used, peak;
    bool poison, dry;
    const mg_memory *memory;
    block *blocks;
    int count, room;
    int search;                      /* no block before this one is free */
    bool at_peak;                    /* used is the peak, and `largest` is yet to be filled */
    mg_arena_block largest[LARGEST]; /* at the peak */
};

mg_arena *mg_arena_create(const char *name, size_t capacity) {
    mg_arena *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->name = name;
    a->capacity = capacity ? capacity : (size_t)1 << 40;
    struct rlimit space;
    bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    /* A context has three arenas, and the rest of the program wants some too. */
    while (limited && a->capacity > space.rlim_cur / 4 && a->capacity > SMALLEST) a->capacity /= 2;
    for (;; a->capacity /= 2) {
        void *p = mmap(NULL, a->capacity, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED) {
            /* Tensors of megabytes: 2 MiB pages, where the system grants them, mean fewer faults
             * on first touch and fewer misses of the address cache. */
            if (!capacity) madvise(p, a->capacity, MADV_HUGEPAGE);
            a->base = p;
            return a;
        }
        if (a->capacity / 2 < SMALLEST) break;
    }
    free(a);
    return NULL;
}

void mg_arena_use_memory(mg_arena *a, const mg_memory *memory) { a->memory = memory; }
void mg_arena_set_dry(mg_arena *a, bool dry) { a->dry = dry; }

/* Device blocks lie where the device put them: no order to search by. */
static int find_device_block(const mg_arena *a, const void *p) {
    for (int i = a->count - 1; i >= 0; i--)
        if (a->blocks[i].used && a->blocks[i].device == p) return i;
    return -1;
}

void mg_arena_destroy(mg_arena *a) {
    if (!a) return;
    mg_arena_reset(a, false);
    munmap(a->base, a->capacity);
    free(a->blocks);
    free(a);
}

static bool make_room(mg_arena *a) {
    if (a->count + 2 <= a->room) return true;
    int room = a->room ? 2 * a->room : 256;
    block *blocks = realloc(a->blocks, (size_t)room * sizeof *blocks);
    if (!blocks) return false;
    a->blocks = blocks;
    a->room = room;
    return true;
}

/* Fills `largest` when the peak is about to be left, once: looking through all blocks for each new
 * one that raises it would make a long forward pass quadratic. */
static void leave_peak(mg_arena *a) {
    if (!a->at_peak) return;
    a->at_peak = false;
    memset(a->largest, 0, sizeof a->largest);
    for (int i = 0; i < a->count; i++) {
        const block *b = &a->blocks[i];
        if (!b->used || b->bytes <= a->largest[LARGEST - 1].bytes) continue;
        int k = LARGEST - 1;
        for (; k > 0 && a->largest[k - 1].bytes < b->bytes; k--) a->largest[k] = a->largest[k - 1];
        a->largest[k] = (mg_arena_block){b->label ? b->label : "(unnamed)", b->bytes};
    }
}

static void note_peak(mg_arena *a) {
    if (a->used <= a->peak) return;
    a->peak = a->used;
    a->at_peak = true;
}

void *mg_arena_alloc(mg_arena *a, size_t bytes, const char *label) {
    if (bytes > a->capacity - ALIGNMENT || !make_room(a)) return NULL;
    bytes = bytes ? (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (a->limit && a->used + bytes > a->limit) return NULL;
    while (a->search < a->count && a->blocks[a->search].used) a->search++;
    int i = a->search;
    while (i < a->count && (a->blocks[i].used || a->blocks[i].bytes < bytes)) i++;
    if (i < a->count) { /* split a free block */
        block *b = &a->blocks[i];
        if (b->bytes > bytes) {
            memmove(b + 1, b, (size_t)(a->count - i) * sizeof *b);
            a->count++;
            b[1].offset += bytes;
            b[1].bytes -= bytes;
        }
        *b = (block){b->offset, bytes, label, true, NULL};
    } else {
        size_t top = a->count ? a->blocks[a->count - 1].offset + a->blocks[a->count - 1].bytes : 0;
        bool grows = a->count && !a->blocks[a->count - 1].used; /* the free block at the end */
        if (grows) top = a->blocks[a->count - 1].offset;
        if (bytes > a->capacity - top) return NULL;
        i = grows ? a->count - 1 : a->count++;
        a->blocks[i] = (block){top, bytes, label, true, NULL};
    }
    a->used += bytes;
    note_peak(a);
    unsigned char *p = a->base + a->blocks[i].offset;
    if (a->memory && !a->dry) {
        a->blocks[i].device = a->memory->alloc(bytes, label);
        if (a->blocks[i].device) return a->blocks[i].device;
        mg_arena_free(a, p); /* the device is full */
        return NULL;
    }
    if (a->poison && !a->memory) memset(p, 0xFF, bytes);
    return p;
}

static void remove_block(mg_arena *a, int i) {
    a->count--;
    memmove(a->blocks + i, a->blocks + i + 1, (size_t)(a->count - i) * sizeof *a->blocks);
}

/* Which block p is; -1: none. */
static int find_block(const mg_arena *a, const void *p) {
    int found = a->memory ? find_device_block(a, p) : -1;
    if (found >= 0) return found;
    size_t offset = (size_t)((const unsigned char *)p - a->base);
    int low = 0, high = a->count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (a->blocks[middle].offset < offset) low = middle + 1;
        else high = middle;
    }
    return low < a->count && a->blocks[low].offset == offset && a->blocks[low].used ? low : -1;
}

void mg_arena_free(mg_arena *a, void *p) {
    if (!p) return;
    int low = find_block(a, p);
    if (low < 0) abort();
    leave_peak(a);
    if (a->blocks[low].device) a->memory->free(a->blocks[low].device);
    a->blocks[low].device = NULL;
    a->used -= a->blocks[low].bytes;
    a->blocks[low].used = false;
    a->blocks[low].label = NULL;
    if (low + 1 < a->count && !a->blocks[low + 1].used) {
        a->blocks[low].bytes += a->blocks[low + 1].bytes;
        remove_block(a, low + 1);
    }
    if (low > 0 && !a->blocks[low - 1].used) {
        a->blocks[low - 1].bytes += a->blocks[low].bytes;
        remove_block(a, low--);
    }
    if (low < a->search) a->search = low;
}

void mg_arena_reset(mg_arena *a, bool trim) {
    leave_peak(a);
    if (trim && a->count) {
        const block *last = &a->blocks[a->count - 1];
        madvise(a->base, last->offset + last->bytes, MADV_DONTNEED);
    }
    for (int i = 0; i < a->count; i++)
        if (a->blocks[i].used && a->blocks[i].device) a->memory->free(a->blocks[i].device);
    a->count = a->search = 0;
    a->used = 0;
}

void mg_arena_set_limit(mg_arena *a, size_t bytes) { a->limit = bytes; }
void mg_arena_poison(mg_arena *a, bool on) { a->poison = on; }
size_t mg_arena_used(const mg_arena *a) { return a->used; }
size_t mg_arena_peak(const mg_arena *a) { return a->peak; }

void mg_arena_forget_peak(mg_arena *a) {
    a->peak = 0;
    memset(a->largest, 0, sizeof a->largest);
    a->at_peak = false;
    note_peak(a);
}

int mg_arena_largest(mg_arena *a, mg_arena_block *out, int n) {
    leave_peak(a);
    int k = 0;
    for (; k < n && k < LARGEST && a->largest[k].bytes; k++) out[k] = a->largest[k];
    return k;
}
