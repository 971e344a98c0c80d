/* files.h: writing and reading whole files, walking folders, path arithmetic.
 *
 * Files written through this header appear whole or not at all (tensor/atomic_file.h). To look at a
 * file without reading it, map it (tensor/mapped_file.h). */
#ifndef MG_DATA_FILES_H
#define MG_DATA_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

/* --- writing ---------------------------------------------------------------------------------- */

/* Replaces `path` by these bytes in one step. */
mg_status mg_file_write(const char *path, const void *data, size_t size, mg_error *err);

/* Makes the folder and its parents; an existing folder is fine. */
mg_status mg_make_folders(const char *path, mg_error *err);

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads a whole file into malloc'ed memory with one NUL behind it (not counted in *size). Fails
 * beyond `limit` bytes (0: 2^31). The caller frees *data. */
mg_status mg_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, mg_error *err);

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
/* The same, but without the folders `except` where the search meets them below `path`: what a
 * program writes there is not what it was asked to read. NULL among them is nothing. */
mg_status mg_list_files_except(const char *path, const char *const *except, int count,
                               mg_path_list *list, mg_error *err);
/* Leaves every file in once, whatever its paths (links too), at its first place. Returns how many
 * paths were taken out; `first` (of `size` bytes) becomes the first of them. */
size_t mg_path_list_unique(mg_path_list *list, char *first, size_t size);
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
