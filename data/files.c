#include "data/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tensor/atomic_file.h"

/* --- writing ---------------------------------------------------------------------------------- */

mg_status mg_file_write(const char *path, const void *data, size_t size, mg_error *err) {
    return mg_atomic_write_file(path, data, size, err);
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

bool mg_is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool mg_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
