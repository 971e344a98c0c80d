/* files.h: crash-safe writing, whole-file reading, folder walking, path arithmetic.
 *
 * A file written through this header is either the old one or the complete new one, whatever
 * happens in between: contents go to a temporary name in the same folder, are fsynced, renamed over
 * the target, and the folder is fsynced. */
#ifndef MG_DATA_FILES_H
#define MG_DATA_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tensor/error.h"

/* --- writing ---------------------------------------------------------------------------------- */

/* Replaces `path` by these bytes in one step. */
mg_status mg_file_write(const char *path, const void *data, size_t size, mg_error *err);

/* The same for contents produced piece by piece: write to `stream`, then commit or abandon. */
typedef struct mg_file_writer {
    FILE *stream;
    char *path, *temporary;
} mg_file_writer;

mg_status mg_file_writer_open(mg_file_writer *w, const char *path, mg_error *err);
/* Flushes, checks every write so far, syncs, renames. On failure the target is as it was. Either
 * way the writer is closed and owns nothing afterwards. */
mg_status mg_file_writer_commit(mg_file_writer *w, mg_error *err);
/* Closes and removes the temporary file. Harmless on a writer that is closed or zeroed. */
void mg_file_writer_abandon(mg_file_writer *w);

/* Makes the folder and its parents; an existing folder is fine. */
mg_status mg_make_folders(const char *path, mg_error *err);

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads a whole file into malloc'ed memory with one NUL behind it (not counted in *size). Fails
 * beyond `limit` bytes (0: 2^31). The caller frees *data. */
mg_status mg_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, mg_error *err);

/* A read-only mapping; data is NULL for an empty file. Whoever truncates the file meanwhile makes
 * the reader crash, so map only files that nobody writes in place. */
typedef struct mg_file_view {
    const uint8_t *data;
    size_t size;
} mg_file_view;
mg_status mg_file_map(const char *path, mg_file_view *out, mg_error *err);
void mg_file_unmap(mg_file_view *view);

bool mg_is_file(const char *path);
bool mg_is_folder(const char *path);

/* --- folders and paths ------------------------------------------------------------------------ */

typedef struct mg_path_list {
    char **path; /* sorted by bytes, so that the order is the same on every machine */
    size_t count, capacity;
} mg_path_list;

/* Adds `path` itself when it is a file, or every regular file below it when it is a folder (names
 * that start with a dot are left out, symbolic links are followed, each folder visited once). The
 * newly added part is sorted. */
mg_status mg_list_files(const char *path, mg_path_list *list, mg_error *err);
mg_status mg_path_list_add(mg_path_list *list, const char *path, mg_error *err);
void mg_path_list_free(mg_path_list *list);

/* "folder/name" in malloc'ed memory; name alone where folder is empty or name is absolute. NULL
 * without memory. */
char *mg_path_join(const char *folder, const char *name);
/* What follows the last slash. */
const char *mg_path_name(const char *path);
/* The file name without folder and last extension, cut to fit. */
void mg_path_stem(const char *path, char *out, size_t size);
/* The folder of a path, "." where it names none. Cut to fit. */
void mg_path_folder(const char *path, char *out, size_t size);

#endif
