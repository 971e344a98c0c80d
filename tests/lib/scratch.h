/* scratch.h: a temporary folder for a test, and small files in it. */
#ifndef MG_TESTS_SCRATCH_H
#define MG_TESTS_SCRATCH_H

#include <stddef.h>

/* A fresh folder below $TMPDIR (or /tmp); aborts when it cannot be made. Valid until the next call
 * of scratch_remove(). */
const char *scratch_make(void);

/* "folder/name" in a static ring of 16 buffers; parent folders are made. */
const char *scratch_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a file there and returns its path. */
const char *scratch_text(const char *name, const char *text);
const char *scratch_bytes(const char *name, const void *data, size_t size);

/* How many files lie directly in the folder, hidden ones too. */
int scratch_count(void);

/* A whole file in malloc'ed memory; aborts when it cannot be read. */
unsigned char *slurp(const char *path, size_t *size);

/* Removes the folder with everything in it. */
void scratch_remove(void);

#endif
