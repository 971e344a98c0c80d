#include "tensor/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

mg_status mg_map_file(const char *path, mg_mapped_file *out, mg_error *err) {
    *out = (mg_mapped_file){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* do not wait on a FIFO */
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) {
        int number = errno;
        if (fd >= 0) close(fd);
        return mg_fail(err, MG_ERR_IO, "cannot open %s: %s", path, strerror(number));
    }
    mg_status status = MG_OK;
    if (!S_ISREG(info.st_mode)) {
        status = mg_fail(err, MG_ERR_IO, "cannot read %s: it is %s", path,
                         S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
    } else if (info.st_size > 0) {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            status = mg_fail(err, MG_ERR_IO, "cannot map %s: %s", path, strerror(errno));
        } else {
            out->bytes = map;
            out->size = (size_t)info.st_size;
        }
    }
    close(fd);
    return status;
}

void mg_unmap_file(mg_mapped_file *file) {
    if (file->bytes) munmap((void *)file->bytes, file->size);
    *file = (mg_mapped_file){0};
}
