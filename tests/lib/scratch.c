#include "tests/lib/scratch.h"

#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[512];

static void check(int good, const char *what) {
    if (good) return;
    perror(what);
    abort();
}

const char *scratch_make(void) {
    const char *root = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mg-test-XXXXXX", root && *root ? root : "/tmp");
    check(mkdtemp(folder) != NULL, folder);
    return folder;
}

const char *scratch_path(const char *format, ...) {
    static char ring[16][1024];
    static int next;
    char *out = ring[next++ % 16];
    if (!*folder) scratch_make(); /* never the root */
    size_t n = (size_t)snprintf(out, 1024, "%s/", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, 1024 - n, format, args);
    va_end(args);
    for (char *c = out + n; (c = strchr(c, '/')); c++) {
        *c = '\0';
        mkdir(out, 0777);
        *c = '/';
    }
    return out;
}

const char *scratch_bytes(const char *name, const void *data, size_t size) {
    const char *path = scratch_path("%s", name);
    FILE *f = fopen(path, "wb");
    check(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, path);
    return path;
}

const char *scratch_text(const char *name, const char *text) {
    return scratch_bytes(name, text, strlen(text));
}

int scratch_count(void) {
    DIR *dir = opendir(folder);
    int n = 0;
    check(dir != NULL, folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

unsigned char *slurp(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    check(f != NULL, path); /* golden files: tests run from the repository's root */
    unsigned char *bytes = NULL;
    size_t n = 0, got;
    do {
        bytes = realloc(bytes, n + 65536);
        check(bytes != NULL, path);
        got = fread(bytes + n, 1, 65536, f);
        n += got;
    } while (got);
    fclose(f);
    *size = n;
    return bytes;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st, (void)kind, (void)where;
    return remove(path);
}

void scratch_remove(void) {
    if (*folder) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *folder = '\0';
}
