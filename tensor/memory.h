/* memory.h: how to reach the memory of a device.
 *
 * A device plugin (ops/device.h) fills this table; NULL in its place means ordinary memory, and the
 * mg_memory_* helpers then do the same with memcpy. All operations of one device happen in the
 * order they were asked for, kernels included; only read() waits for them. Failures are kept by the
 * device until failure() tells them, the first one first, so that kernels need not be checked one
 * by one. */
#ifndef MG_TENSOR_MEMORY_H
#define MG_TENSOR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct mg_memory {
    /* At least 256-byte aligned, uninitialised. NULL when the device is full; label is borrowed and
     * names the block in messages. */
    void *(*alloc)(size_t bytes, const char *label);
    void (*free)(void *block); /* NULL is fine */
    void (*write)(void *device, const void *host, size_t bytes);
    void (*read)(void *host, const void *device, size_t bytes); /* waits until it is there */
    void (*zero)(void *device, size_t bytes);
    void (*copy)(void *to, const void *from, size_t bytes); /* within the device */
    /* Waits for everything asked for so far. The first failure since the device was opened as one
     * line (kernel, launch, CUDA's text), NULL when there is none. */
    const char *(*failure)(bool wait);
    void (*room)(size_t *unused, size_t *total); /* bytes */
} mg_memory;

static inline void mg_memory_write(const mg_memory *m, void *to, const void *host, size_t bytes) {
    if (m) m->write(to, host, bytes);
    else memcpy(to, host, bytes);
}

static inline void mg_memory_read(const mg_memory *m, void *host, const void *from, size_t bytes) {
    if (m) m->read(host, from, bytes);
    else memcpy(host, from, bytes);
}

static inline void mg_memory_zero(const mg_memory *m, void *to, size_t bytes) {
    if (m) m->zero(to, bytes);
    else memset(to, 0, bytes);
}

static inline void mg_memory_copy(const mg_memory *m, void *to, const void *from, size_t bytes) {
    if (m) m->copy(to, from, bytes);
    else memcpy(to, from, bytes);
}

#endif
