/* programs.h: running the apps from tests. MG_APPS names the folder of the programs. */
#ifndef MG_TESTS_APPS_PROGRAMS_H
#define MG_TESTS_APPS_PROGRAMS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static inline const char *apps_folder(void) {
    const char *folder = getenv("MG_APPS");
    return folder ? folder : "build/bin";
}

/* Runs a shell command; its exit code, or -1 when a signal ended it. */
static inline int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
#include <stdarg.h>
static inline int shell(const char *format, ...) {
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A folder of its own for a test, below the system's place for temporary files. */
static inline char *scratch_folder(void) {
    const char *base = getenv("TMPDIR");
    static char path[512];
    snprintf(path, sizeof path, "%s/mg_test_XXXXXX", base ? base : "/tmp");
    return mkdtemp(path);
}

/* Whole file as a string; NULL when it cannot be read. The caller frees. */
static inline char *slurp(const char *folder, const char *name, size_t *size) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *text = calloc((size_t)n + 1, 1);
    size_t got = fread(text, 1, (size_t)n, f);
    fclose(f);
    if (size) *size = got;
    return text;
}

static inline bool same_file(const char *a, const char *b, const char *name) {
    size_t x = 0, y = 0;
    char *p = slurp(a, name, &x), *q = slurp(b, name, &y);
    bool same = p && q && x == y && memcmp(p, q, x) == 0;
    free(p);
    free(q);
    return same;
}

#endif
