#include "tensor/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16 };

struct mg_atomic_file {
    char *path, *temporary;
    int fd;
    uint64_t size; /* accepted so far, buffer included */
    size_t used;
    mg_error failure; /* the first one */
    unsigned char buffer[BUFFER];
};

static mg_status fail(mg_atomic_file *f, const char *doing) {
    int number = errno;
    mg_status code = number == ENOMEM ? MG_ERR_MEMORY : MG_ERR_IO;
    const char *hint =
        number == ENOSPC || number == EDQUOT ? "; free some space and try again" : "";
    return mg_fail(&f->failure, code, "cannot %s %s: %s%s (a file already there is unchanged)",
                   doing, f->path, strerror(number), hint);
}

static void destroy(mg_atomic_file *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->temporary) {
        unlink(f->temporary);
        free(f->temporary);
    }
    free(f->path);
    free(f);
}

/* ".NAME.PID-N.tmp" in the target's directory: the same file system, so rename is atomic. */
static char *temporary_name(const char *path) {
    static atomic_uint counter;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t room = strlen(path) + 48;
    char *out = malloc(room);
    if (out)
        snprintf(out, room, "%.*s.%s.%ld-%u.tmp", (int)(name - path), path, name, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
    return out;
}

static mg_status start(mg_atomic_file *f) {
    struct stat old;
    bool exists = stat(f->path, &old) == 0;
    if (!exists && errno != ENOENT) return fail(f, "write");
    if (exists && !S_ISREG(old.st_mode))
        return mg_fail(&f->failure, MG_ERR_IO, "cannot write %s: it exists and is %s", f->path,
                       S_ISDIR(old.st_mode) ? "a directory" : "not a regular file");
    if (exists) { /* follow links: the file at their end is replaced, not the link */
        char *real = realpath(f->path, NULL);
        if (!real) return fail(f, "write");
        free(f->path);
        f->path = real;
    }
    /* Process numbers come again, in containers above all: a name may be taken by a leftover. */
    for (int attempt = 0; f->fd < 0 && attempt < 100; attempt++) {
        free(f->temporary);
        f->temporary = temporary_name(f->path);
        if (!f->temporary) return fail(f, "write");
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd < 0 && errno != EEXIST) break;
    }
    if (f->fd < 0) {
        int number = errno;
        free(f->temporary);
        f->temporary = NULL; /* nothing of ours to remove */
        errno = number;
        return fail(f, "create a temporary file beside");
    }
    flock(f->fd, LOCK_EX | LOCK_NB); /* tells mg_atomic_remove_leftovers that its owner lives */
    if (exists && fchmod(f->fd, old.st_mode & 07777)) return fail(f, "set the permissions of");
    return MG_OK;
}

mg_atomic_file *mg_atomic_open(const char *path, mg_error *err) {
    mg_atomic_file *f = malloc(sizeof *f);
    if (f) *f = (mg_atomic_file){.fd = -1, .path = strdup(path)};
    if (!f || !f->path) {
        free(f);
        mg_fail(err, MG_ERR_MEMORY, "cannot write %s: out of memory", path);
        return NULL;
    }
    if (start(f) == MG_OK) return f;
    mg_fail(err, f->failure.code, "%s", f->failure.message);
    destroy(f);
    return NULL;
}

/* write() may be interrupted or take only a part; the rest then tells why. */
static mg_status write_all(mg_atomic_file *f, const unsigned char *bytes, size_t size) {
    while (size) {
        ssize_t n = write(f->fd, bytes, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO;
        if (n <= 0) return fail(f, "write");
        bytes += n;
        size -= (size_t)n;
    }
    return MG_OK;
}

mg_status mg_atomic_write(mg_atomic_file *f, const void *bytes, size_t size) {
    if (!f) return MG_ERR_IO;
    if (f->failure.code || size == 0) return f->failure.code;
    f->size += size;
    if (size <= BUFFER - f->used) {
        memcpy(f->buffer + f->used, bytes, size);
        f->used += size;
        return MG_OK;
    }
    mg_status status = write_all(f, f->buffer, f->used);
    f->used = 0;
    return status ? status : write_all(f, bytes, size);
}

mg_status mg_atomic_printf(mg_atomic_file *f, const char *format, ...) {
    char stack[512], *text = stack;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(stack, sizeof stack, format, args);
    va_end(args);
    if (n >= (int)sizeof stack && (text = malloc((size_t)n + 1))) {
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    mg_status status = n < 0 || !text ? MG_ERR_MEMORY : mg_atomic_write(f, text, (size_t)n);
    if (f && (n < 0 || !text))
        mg_fail(&f->failure, MG_ERR_MEMORY, "cannot write %s: out of memory", f->path);
    if (text != stack) free(text);
    return status;
}

uint64_t mg_atomic_size(const mg_atomic_file *f) { return f->size; }

/* A rename is only on the disk once its directory is. */
static mg_status sync_directory(mg_atomic_file *f) {
    char *slash = strrchr(f->path, '/');
    int fd;
    if (slash) {
        char kept = slash[1];
        slash[1] = 0;
        fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        slash[1] = kept;
    } else {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    /* EINVAL: some file systems cannot flush directories; there is nothing more to do then. */
    int result = fd < 0 ? -1 : fsync(fd);
    if (result && errno == EINVAL) result = 0;
    int number = errno;
    if (fd >= 0) close(fd);
    errno = number;
    if (result == 0) return MG_OK;
    return mg_fail(&f->failure, MG_ERR_IO, "%s is written, but flushing its directory failed: %s",
                   f->path, strerror(number));
}

static mg_status finish(mg_atomic_file *f) {
    if (f->failure.code) return f->failure.code;
    if (write_all(f, f->buffer, f->used)) return f->failure.code;
    if (fsync(f->fd)) return fail(f, "flush");
    int fd = f->fd;
    f->fd = -1;
    if (close(fd)) return fail(f, "close");
    if (rename(f->temporary, f->path)) return fail(f, "rename the finished temporary file to");
    free(f->temporary);
    f->temporary = NULL;
    return sync_directory(f);
}

mg_status mg_atomic_commit(mg_atomic_file *f, mg_error *err) {
    if (!f) return err && err->code ? err->code : MG_ERR_IO;
    mg_status status = finish(f);
    if (status) mg_fail(err, status, "%s", f->failure.message);
    destroy(f);
    return status;
}

void mg_atomic_abandon(mg_atomic_file *f) {
    if (f) destroy(f);
}

mg_status mg_atomic_write_file(const char *path, const void *bytes, size_t size, mg_error *err) {
    mg_atomic_file *f = mg_atomic_open(path, err);
    if (f) mg_atomic_write(f, bytes, size);
    return mg_atomic_commit(f, err);
}

/* The process number in ".NAME.PID-N.tmp"; 0: not a name of ours. */
static long owner_of(const char *name) {
    size_t n = strlen(name);
    if (name[0] != '.' || n < 5 || strcmp(name + n - 4, ".tmp") != 0) return 0;
    const char *dash = name + n - 4;
    while (dash > name && *dash != '-') dash--;
    const char *number = dash;
    while (number > name && number[-1] >= '0' && number[-1] <= '9') number--;
    long pid = 0;
    int used = 0;
    unsigned counter;
    if (number == dash || number <= name + 1 || number[-1] != '.') return 0;
    if (sscanf(number, "%9ld-%9u.tmp%n", &pid, &counter, &used) != 2) return 0;
    return used && number[used] == 0 ? pid : 0;
}

/* The owner's number is not enough: a container or another machine that shares the folder has
 * numbers of its own. Nobody can lock a file whose owner lives and has not closed it yet. */
static bool is_leftover(int folder, const char *name) {
    long pid = owner_of(name);
    if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH) return false;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool abandoned = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0) close(fd);
    return abandoned;
}

int mg_atomic_remove_leftovers(const char *folder) {
    DIR *dir = opendir(folder);
    int removed = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_leftover(dirfd(dir), entry->d_name))
            removed += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
    }
    if (dir) closedir(dir);
    return removed;
}
