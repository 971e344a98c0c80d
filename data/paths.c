/* Path arithmetic and folder walking (files.h). */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"

char *mg_path_join(const char *folder, const char *name) {
    size_t n = folder ? strlen(folder) : 0, m = strlen(name);
    if (n == 0 || name[0] == '/') return strdup(name);
    bool slash = folder[n - 1] != '/';
    char *p = malloc(n + slash + m + 1);
    if (!p) return NULL;
    memcpy(p, folder, n);
    if (slash) p[n] = '/';
    memcpy(p + n + slash, name, m + 1);
    return p;
}

const char *mg_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void copy_cut(const char *from, size_t n, char *out, size_t size) {
    if (size == 0) return;
    if (n >= size) n = size - 1;
    memcpy(out, from, n);
    out[n] = '\0';
}

void mg_path_stem(const char *path, char *out, size_t size) {
    const char *name = mg_path_name(path);
    const char *dot = strrchr(name, '.');
    copy_cut(name, dot && dot != name ? (size_t)(dot - name) : strlen(name), out, size);
}

void mg_path_folder(const char *path, char *out, size_t size) {
    const char *slash = strrchr(path, '/');
    if (!slash) copy_cut(".", 1, out, size);
    else copy_cut(path, slash == path ? 1 : (size_t)(slash - path), out, size);
}

mg_status mg_path_list_add(mg_path_list *list, const char *path, mg_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        char **more = realloc(list->path, capacity * sizeof *more);
        if (!more) return mg_fail(err, MG_ERR_MEMORY, "out of memory at %zu paths", list->count);
        list->path = more;
        list->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy) return mg_fail(err, MG_ERR_MEMORY, "out of memory at %zu paths", list->count);
    list->path[list->count++] = copy;
    return MG_OK;
}

void mg_path_list_free(mg_path_list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->path[i]);
    free(list->path);
    *list = (mg_path_list){0};
}

/* The folders on the way down: a symbolic link back to one of them would never end. */
typedef struct trail {
    const struct trail *up;
    dev_t device;
    ino_t inode;
} trail;

static mg_status walk(const char *folder, const trail *up, const struct stat *here,
                      mg_path_list *list, mg_error *err) {
    trail me = {up, here->st_dev, here->st_ino};
    int depth = 0;
    for (const trail *t = up; t; t = t->up, depth++)
        if (t->device == me.device && t->inode == me.inode) return MG_OK;
    if (depth > 64) return mg_fail(err, MG_ERR_IO, "%s: more than 64 folders deep", folder);
    DIR *dir = opendir(folder);
    if (!dir) return mg_fail(err, MG_ERR_IO, "cannot read folder %s: %s", folder, strerror(errno));
    mg_status status = MG_OK;
    struct dirent *entry;
    while (!status && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        char *path = mg_path_join(folder, entry->d_name);
        struct stat st;
        if (!path) status = mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", folder);
        else if (stat(path, &st) == 0) { /* a dangling link is nothing */
            if (S_ISDIR(st.st_mode)) status = walk(path, &me, &st, list, err);
            else if (S_ISREG(st.st_mode)) status = mg_path_list_add(list, path, err);
        }
        free(path);
    }
    closedir(dir);
    return status;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mg_status mg_list_files(const char *path, mg_path_list *list, mg_error *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return mg_path_list_add(list, path, err);
    size_t first = list->count;
    mg_status status = walk(path, NULL, &st, list, err);
    if (list->count > first)
        qsort(list->path + first, list->count - first, sizeof *list->path, by_bytes);
    return status;
}
