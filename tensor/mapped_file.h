/* mapped_file.h: a whole regular file, read-only, in the address space.
 *
 * Nothing is read until it is touched. If another program shortens the file meanwhile, touching the
 * lost part raises SIGBUS; files that are replaced by rename (as ours are) keep their old bytes. */
#ifndef MG_TENSOR_MAPPED_FILE_H
#define MG_TENSOR_MAPPED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_mapped_file {
    const uint8_t *bytes; /* NULL for an empty file */
    size_t size;
} mg_mapped_file;

mg_status mg_map_file(const char *path, mg_mapped_file *out, mg_error *err);
void mg_unmap_file(mg_mapped_file *file); /* a zeroed struct is accepted */

#endif
