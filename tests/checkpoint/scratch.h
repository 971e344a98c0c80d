/* scratch.h: a directory of its own for a test's files. */
#ifndef MG_TESTS_CHECKPOINT_SCRATCH_H
#define MG_TESTS_CHECKPOINT_SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[256];

static inline void scratch_create(void) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/mg-test-XXXXXX", base && *base ? base : P_tmpdir);
    cr_assert(mkdtemp(scratch), "cannot create %s", scratch);
}

/* SCRATCH/name, in one of a few rotating buffers. */
static inline const char *scratch_path(const char *name) {
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* How many files lie there. */
static inline int scratch_count(void) {
    int n = 0;
    DIR *dir = opendir(scratch);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return n;
}

static inline void scratch_remove(void) {
    DIR *dir = opendir(scratch);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || entry->d_name[1] == '.')) continue;
        if (unlink(scratch_path(entry->d_name))) rmdir(scratch_path(entry->d_name));
    }
    if (dir) closedir(dir);
    rmdir(scratch);
}

/* A whole file; free() it. */
static inline unsigned char *slurp(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    cr_assert(f, "cannot open %s (tests run from the repository's root)", path);
    unsigned char *bytes = NULL;
    size_t n = 0, got;
    do {
        bytes = realloc(bytes, n + 65536);
        got = fread(bytes + n, 1, 65536, f);
        n += got;
    } while (got);
    fclose(f);
    *size = n;
    return bytes;
}

#endif
