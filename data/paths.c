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

enum { MOST_EXCEPTIONS = 8 };

typedef struct exceptions {
    struct stat folder[MOST_EXCEPTIONS];
    int count;
} exceptions;

static bool excepted(const exceptions *e, const struct stat *st) {
    for (int i = 0; i < e->count; i++)
        if (e->folder[i].st_dev == st->st_dev && e->folder[i].st_ino == st->st_ino) return true;
    return false;
}

static mg_status walk(const char *folder, const trail *up, const struct stat *here,
                      const exceptions *except, mg_path_list *list, mg_error *err) {
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
            if (S_ISDIR(st.st_mode)) {
                if (!excepted(except, &st)) status = walk(path, &me, &st, except, list, err);
            } else if (S_ISREG(st.st_mode)) status = mg_path_list_add(list, path, err);
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
    return mg_list_files_except(path, NULL, 0, list, err);
}

mg_status mg_list_files_except(const char *path, const char *const *except, int count,
                               mg_path_list *list, mg_error *err) {
    exceptions out = {.count = 0};
    MG_ASSERT(count <= MOST_EXCEPTIONS);
    for (int i = 0; i < count; i++)
        if (except[i] && stat(except[i], &out.folder[out.count]) == 0) out.count++;
    struct stat st;
    if (stat(path, &st) != 0)
        return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return mg_path_list_add(list, path, err);
    size_t first = list->count;
    mg_status status = walk(path, NULL, &st, &out, list, err);
    if (list->count > first)
        qsort(list->path + first, list->count - first, sizeof *list->path, by_bytes);
    return status;
}

/* A path's file, and the path's place in the list. */
typedef struct identity {
    dev_t device;
    ino_t inode;
    size_t place;
    bool known;
} identity;

static int by_identity(const void *a, const void *b) {
    const identity *x = a, *y = b;
    if (x->known != y->known) return x->known ? -1 : 1;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode) return x->inode < y->inode ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

size_t mg_path_list_unique(mg_path_list *list, char *first, size_t size) {
    identity *all = calloc(list->count + 1, sizeof *all);
    if (!all) return 0; /* then they count twice, as if nobody had looked */
    for (size_t i = 0; i < list->count; i++) {
        struct stat st;
        all[i].place = i;
        all[i].known = stat(list->path[i], &st) == 0;
        if (all[i].known) all[i].device = st.st_dev, all[i].inode = st.st_ino;
    }
    qsort(all, list->count, sizeof *all, by_identity);
    bool *drop = calloc(list->count + 1, sizeof *drop);
    for (size_t i = 1; i < list->count && drop; i++)
        drop[all[i].place] =
            all[i].known && all[i].device == all[i - 1].device && all[i].inode == all[i - 1].inode;
    size_t kept = 0, dropped = 0;
    for (size_t i = 0; i < list->count && drop; i++) {
        if (!drop[i]) {
            list->path[kept++] = list->path[i];
            continue;
        }
        if (!dropped++ && size) copy_cut(list->path[i], strlen(list->path[i]), first, size);
        free(list->path[i]);
    }
    if (drop) list->count = kept;
    free(drop);
    free(all);
    return dropped;
}
