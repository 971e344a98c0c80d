#include "data/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- writing ---------------------------------------------------------------------------------- */

/* A rename is only durable once the folder's own entry is on disk. Some file systems refuse to sync
 * folders; the rename itself is atomic there too, so that is not a failure. */
static void sync_folder(const char *path) {
    char folder[4096];
    mg_path_folder(path, folder, sizeof folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

mg_status mg_file_writer_open(mg_file_writer *w, const char *path, mg_error *err) {
    *w = (mg_file_writer){0};
    size_t n = strlen(path);
    w->path = strdup(path);
    w->temporary = malloc(n + 16);
    if (!w->path || !w->temporary) {
        mg_file_writer_abandon(w);
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
    }
    memcpy(w->temporary, path, n);
    memcpy(w->temporary + n, ".tmp-XXXXXX", 12);
    int fd = mkostemp(w->temporary, O_CLOEXEC);
    if (fd < 0) {
        free(w->temporary);
        w->temporary = NULL; /* nothing to remove */
        mg_file_writer_abandon(w);
        return mg_fail(err, MG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    mode_t mask = umask(0); /* mkstemp makes private files; ours are ordinary ones */
    umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    w->stream = fdopen(fd, "wb");
    if (!w->stream) {
        close(fd);
        mg_file_writer_abandon(w);
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
    }
    return MG_OK;
}

mg_status mg_file_writer_commit(mg_file_writer *w, mg_error *err) {
    if (!w->stream) return mg_fail(err, MG_ERR_ARG, "commit of a file that is not open");
    errno = 0;
    bool good = fflush(w->stream) == 0 && !ferror(w->stream) && fsync(fileno(w->stream)) == 0;
    int why = errno;
    if (fclose(w->stream) != 0 && good) good = false, why = errno;
    w->stream = NULL;
    if (good && rename(w->temporary, w->path) != 0) good = false, why = errno;
    mg_status status = MG_OK;
    if (good) {
        free(w->temporary);
        w->temporary = NULL;
        sync_folder(w->path);
    } else {
        status = mg_fail(err, MG_ERR_IO, "cannot write %s: %s", w->path,
                         why ? strerror(why) : "a write failed");
    }
    mg_file_writer_abandon(w);
    return status;
}

void mg_file_writer_abandon(mg_file_writer *w) {
    if (w->stream) fclose(w->stream);
    if (w->temporary) unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    *w = (mg_file_writer){0};
}

mg_status mg_file_write(const char *path, const void *data, size_t size, mg_error *err) {
    mg_file_writer w;
    mg_status status = mg_file_writer_open(&w, path, err);
    if (status) return status;
    if (size && fwrite(data, 1, size, w.stream) != size) {
        int why = errno;
        mg_file_writer_abandon(&w);
        return mg_fail(err, MG_ERR_IO, "cannot write %s: %s", path, strerror(why));
    }
    return mg_file_writer_commit(&w, err);
}

mg_status mg_make_folders(const char *path, mg_error *err) {
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return mg_fail(err, MG_ERR_ARG, "folder name of %zu bytes: 1 … 4095 are possible", n);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0') continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return mg_fail(err, MG_ERR_IO, "cannot make folder %s: %s", part, strerror(errno));
        part[i] = kept;
    }
    if (!mg_is_folder(path))
        return mg_fail(err, MG_ERR_IO, "cannot make folder %s: a file of that name exists", path);
    return MG_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static mg_status open_for_reading(const char *path, int *fd, struct stat *st, mg_error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    int why = 0;
    if (fstat(*fd, st) != 0) why = errno;
    else if (S_ISDIR(st->st_mode)) why = EISDIR;
    if (!why) return MG_OK;
    close(*fd);
    return mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(why));
}

/* The size that stat tells is only a hint: pipes have none and files may grow. */
mg_status mg_file_read(const char *path, size_t limit, uint8_t **data, size_t *size,
                       mg_error *err) {
    *data = NULL;
    *size = 0;
    if (limit == 0) limit = (size_t)1 << 31;
    int fd;
    struct stat st;
    mg_status status = open_for_reading(path, &fd, &st, err);
    if (status) return status;
    size_t capacity = st.st_size > 0 && (uintmax_t)st.st_size < limit ? (size_t)st.st_size : 4096;
    size_t n = 0;
    uint8_t *p = malloc(capacity + 1);
    while (p) {
        ssize_t got = read(fd, p + n, capacity + 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = mg_fail(err, MG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
            break;
        }
        if (got == 0) break;
        n += (size_t)got;
        if (n > limit) {
            status = mg_fail(err, MG_ERR_MEMORY, "%s is larger than the %zu bytes allowed here",
                             path, limit);
            break;
        }
        if (n <= capacity) continue;
        capacity = 2 * capacity < limit ? 2 * capacity : limit;
        uint8_t *more = realloc(p, capacity + 1);
        if (!more) free(p);
        p = more;
    }
    close(fd);
    if (!p) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory after %zu bytes", path, n);
    if (status) {
        free(p);
        return status;
    }
    p[n] = 0;
    *data = p;
    *size = n;
    return MG_OK;
}

mg_status mg_file_map(const char *path, mg_file_view *out, mg_error *err) {
    *out = (mg_file_view){0};
    int fd;
    struct stat st;
    mg_status status = open_for_reading(path, &fd, &st, err);
    if (status) return status;
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            status = mg_fail(err, MG_ERR_IO, "cannot map %s: %s", path, strerror(errno));
        else *out = (mg_file_view){p, (size_t)st.st_size};
    }
    close(fd);
    return status;
}

void mg_file_unmap(mg_file_view *view) {
    if (view->data) munmap((void *)(uintptr_t)view->data, view->size);
    *view = (mg_file_view){0};
}

bool mg_is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool mg_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
