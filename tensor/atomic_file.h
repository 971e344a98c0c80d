/* atomic_file.h: files that appear whole or not at all.
 *
 * Bytes go to a temporary file beside the target (".NAME.PID-N.tmp"). Commit flushes it to the
 * disk, renames it over the target and flushes the directory; until then, and after any failure
 * before the rename, a file already there stays as it was. A symbolic link is followed, permissions
 * of the old file are kept, anything that is not a regular file (a directory, a device) is refused.
 *
 * The first failure sticks and every later call returns it, so a caller may write many pieces and
 * look only at what commit says. */
#ifndef MG_TENSOR_ATOMIC_FILE_H
#define MG_TENSOR_ATOMIC_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_atomic_file mg_atomic_file;

/* NULL on failure. */
mg_atomic_file *mg_atomic_open(const char *path, mg_error *err);
mg_status mg_atomic_write(mg_atomic_file *file, const void *bytes, size_t size);
mg_status mg_atomic_printf(mg_atomic_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t mg_atomic_size(const mg_atomic_file *file); /* bytes written so far */

/* Both free `file`; NULL is accepted and means that opening failed (reported to err there). */
mg_status mg_atomic_commit(mg_atomic_file *file, mg_error *err);
void mg_atomic_abandon(mg_atomic_file *file); /* removes the temporary file */

/* The whole of it in one call. */
mg_status mg_atomic_write_file(const char *path, const void *bytes, size_t size, mg_error *err);

/* Removes the temporary files in `folder` (not below it) that processes of this machine left behind
 * when they were killed: those whose process exists no more. A folder that cannot be read, and
 * files that cannot be removed, are passed over. Returns how many went. */
int mg_atomic_remove_leftovers(const char *folder);

#endif
