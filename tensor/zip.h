/* zip.h: the part of the ZIP format that PyTorch's checkpoints need: the central directory (ZIP64
 * too) and stored, uncompressed entries. Source: PKWARE APPNOTE.TXT 6.3.9, sections 4.3 and 4.5.3.
 *
 * Sizes come from the central directory alone: PyTorch's local headers leave them zero. Compressed
 * and encrypted entries are listed but not opened. */
#ifndef MG_TENSOR_ZIP_H
#define MG_TENSOR_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_zip_entry {
    const char *name;
    uint64_t size, stored_size, header; /* `header`: offset of the local header */
    uint32_t crc;                       /* 0: PyTorch was told not to compute it */
    uint16_t method, flags;
    bool verified;
} mg_zip_entry;

typedef struct mg_zip {
    const uint8_t *bytes;
    size_t size;
    mg_zip_entry *entries; /* sorted by name */
    size_t count;
    char *names;
} mg_zip;

/* Reads the central directory; `bytes` must stay. `out` is zeroed on failure. */
mg_status mg_zip_parse(const uint8_t *bytes, size_t size, mg_zip *out, mg_error *err);
void mg_zip_free(mg_zip *zip);

mg_zip_entry *mg_zip_find(const mg_zip *zip, const char *name); /* NULL if there is none */

/* The content of an entry inside `bytes`, its CRC-32 checked on the first call. */
mg_status mg_zip_content(const mg_zip *zip, mg_zip_entry *entry, const uint8_t **content,
                         mg_error *err);

#endif
