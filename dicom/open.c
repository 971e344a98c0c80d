/* open.c: from a path or a buffer to a parsed mg_dicom; errors and warnings. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dicom/internal.h"

#define MAX_WARNINGS 100

const char *mg_dicom_status_name(mg_dicom_status code) {
    static const char *const names[MG_DICOM_STATUS_COUNT] = {
        "ok",     "argument", "io",        "memory",      "not-dicom",
        "format", "pixels",   "no-pixels", "unsupported", "limit"};
    return (unsigned)code < MG_DICOM_STATUS_COUNT ? names[code] : "unknown";
}

/* Values of a file get into messages, which are one line and go to terminals: control characters
 * (those of Latin-1 in UTF-8, C2 80 to C2 9F, too) become dots. */
static void clean(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F) *p = '.';
        else if (*p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0) p[0] = p[1] = '.';
    }
}

mg_dicom_status mg_dicom_fail(mg_dicom_error *err, mg_dicom_status code, uint64_t offset,
                              const char *format, ...) {
    if (err && err->code == MG_DICOM_OK) {
        err->code = code;
        err->offset = offset;
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        clean(err->message);
    }
    return code;
}

bool mg_dicom_warn(mg_dicom *d, uint64_t offset, const char *format, ...) {
    mg_dicom_warning_entry entry = {.offset = offset};
    va_list args;
    va_start(args, format);
    vsnprintf(entry.message, sizeof entry.message, format, args);
    va_end(args);
    clean(entry.message);
    if (d->warning_count == d->warning_capacity && d->warning_count < MAX_WARNINGS) {
        int capacity = d->warning_capacity ? 2 * d->warning_capacity : 8;
        void *grown = realloc(d->warnings, (size_t)capacity * sizeof *d->warnings);
        if (grown) {
            d->warnings = grown;
            d->warning_capacity = capacity;
        }
    }
    if (d->warning_count < d->warning_capacity && d->warning_count < MAX_WARNINGS)
        d->warnings[d->warning_count++] = entry;
    bool (*callback)(void *, uint64_t, const char *) = d->options.on_warning;
    return !callback || callback(d->options.warning_arg, offset, entry.message);
}

static void fill_defaults(mg_dicom_options *o) {
    if (o->max_samples == 0) o->max_samples = UINT64_C(1) << 28;
    if (o->max_inflated == 0) o->max_inflated = UINT64_C(1) << 31;
    if (o->max_depth <= 0) o->max_depth = 64;
    if (o->max_depth > 120) o->max_depth = 120;
    if (o->max_elements == 0) o->max_elements = UINT32_C(1) << 22;
}

static mg_dicom *create(const mg_dicom_options *options, mg_dicom_error *err) {
    mg_dicom *d = calloc(1, sizeof *d);
    if (!d) {
        mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory");
        return NULL;
    }
    if (options) d->options = *options;
    fill_defaults(&d->options);
    d->pixel_element = MG_DICOM_NONE;
    return d;
}

static mg_dicom *parse_or_close(mg_dicom *d, mg_dicom_error *err) {
    if (mg_dicom_parse(d, err) == MG_DICOM_OK) return d;
    mg_dicom_close(d);
    return NULL;
}

mg_dicom *mg_dicom_open_memory(const void *data, size_t size, const mg_dicom_options *options,
                               mg_dicom_error *err) {
    if (!data && size) {
        mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "no data given");
        return NULL;
    }
    mg_dicom *d = create(options, err);
    if (!d) return NULL;
    d->bytes = data;
    d->size = size;
    return parse_or_close(d, err);
}

/* Maps the whole file; an empty one stays without a map. */
static bool map_file(mg_dicom *d, const char *path, mg_dicom_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        mg_dicom_fail(err, MG_DICOM_ERR_IO, 0, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        mg_dicom_fail(err, MG_DICOM_ERR_IO, 0, "%s is not a regular file", path);
        close(fd);
        return false;
    }
    size_t size = (size_t)status.st_size;
    void *map = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int why = errno;
    close(fd);
    if (map == MAP_FAILED) {
        mg_dicom_fail(err, MG_DICOM_ERR_IO, 0, "cannot map %s: %s", path, strerror(why));
        return false;
    }
    d->map = map;
    d->map_size = size;
    d->bytes = map;
    d->size = size;
    return true;
}

mg_dicom *mg_dicom_open(const char *path, const mg_dicom_options *options, mg_dicom_error *err) {
    if (!path) {
        mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "no path given");
        return NULL;
    }
    mg_dicom *d = create(options, err);
    if (!d) return NULL;
    if (!map_file(d, path, err)) {
        mg_dicom_close(d);
        return NULL;
    }
    return parse_or_close(d, err);
}

void mg_dicom_close(mg_dicom *d) {
    if (!d) return;
    if (d->free_frame_state) d->free_frame_state(d->frame_state);
    if (d->map) munmap(d->map, d->map_size);
    free(d->owned);
    free(d->elements);
    free(d->fragments);
    free(d->warnings);
    free(d);
}

int mg_dicom_warnings(const mg_dicom *d) { return d->warning_count; }
const char *mg_dicom_warning(const mg_dicom *d, int index) {
    return index >= 0 && index < d->warning_count ? d->warnings[index].message : NULL;
}
bool mg_dicom_truncated(const mg_dicom *d) { return d->truncated; }
const char *mg_dicom_transfer_syntax(const mg_dicom *d) { return d->transfer_syntax; }
bool mg_dicom_is_encapsulated(const mg_dicom *d) { return d->encapsulated; }
